//! Groups by name.

use crate::guarded::guarded;
use crate::{Connection, Delivery, Group, Membership, SlowPeer};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Groups by name: rooms, topics, the connections of one user. Clones are the same groups.
///
/// A name costs nothing while it has no member: its group begins with the first that joins and ends with the last that
/// leaves. What is sent to a name that nobody has joined goes to nobody, and what it costs to send does not depend on
/// how many names there are.
///
/// ```
/// # use wsrv_core::{Groups, NamedMembership, lines::LineConnection};
/// # fn example(conn: &LineConnection) {
/// let rooms = Groups::new();
/// let in_kitchen: NamedMembership<LineConnection> = rooms.join("kitchen", conn);
/// rooms.named("kitchen").send("dinner is ready");
/// drop(in_kitchen);
/// assert_eq!(rooms.len(), 0);
/// # }
/// ```
pub struct Groups<C: Connection>(Arc<Inner<C>>);

struct Inner<C: Connection> {
    named: RwLock<HashMap<Arc<str>, Group<C>>>,
    watcher: Option<Watcher>,
}

type Watcher = Box<dyn Fn(&Arc<str>, GroupEvent) + Send + Sync>;

/// A map of this size is not worth making smaller.
const SMALL: usize = 64;

/// What happens to a group among [`Groups`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// The first member joins.
    Created,
    /// The last member has left.
    Removed,
}

impl<C: Connection> Groups<C> {
    /// No groups yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No groups yet, and a watcher that is told when one begins and when it ends, one call after the other.
    ///
    /// These groups are locked meanwhile, all of them: everybody who joins, leaves, sends or only looks waits. So it is to
    /// be quick, and must not touch them at all, neither through a handle nor by dropping a membership: it would wait
    /// for itself. One that panics is logged, and nothing else follows.
    pub fn watched(watcher: impl Fn(&Arc<str>, GroupEvent) + Send + Sync + 'static) -> Self {
        Groups(Arc::new(Inner { named: RwLock::default(), watcher: Some(Box::new(watcher)) }))
    }

    /// Makes `conn` a member of the group of this name for as long as the membership lives: keep that in the handler's
    /// state. As with [`Group::join`], who joins twice leaves with the last membership.
    #[must_use = "dropping the membership leaves the group"]
    pub fn join(&self, name: impl AsRef<str> + Into<Arc<str>>, conn: &C) -> NamedMembership<C> {
        let mut named = self.write();
        // Joined under the lock, so that nobody takes the group for an empty one in between.
        let (name, member) = match named.get_key_value(name.as_ref()) {
            Some((name, group)) => (name.clone(), group.join(conn)),
            None => {
                let (name, group) = (name.into(), Group::new());
                let member = group.join(conn);
                named.insert(name.clone(), group);
                self.tell(&name, GroupEvent::Created);
                (name, member)
            }
        };
        NamedMembership { member: Some(member), group: NamedGroup { groups: self.clone(), name } }
    }

    /// The group of this name, whether or not it has a member now. The handle stays good however often the group ends
    /// and begins again.
    pub fn named(&self, name: impl Into<Arc<str>>) -> NamedGroup<C> {
        NamedGroup { groups: self.clone(), name: name.into() }
    }

    /// How many names have members.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether nobody is a member of anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names that have members at this moment, in no order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.read().keys().cloned().collect()
    }

    fn find(&self, name: &str) -> Option<Group<C>> {
        self.read().get(name).cloned()
    }

    /// A watcher's panic is its own affair: the group is there or not, and who leaves may be panicking already.
    fn tell(&self, name: &Arc<str>, event: GroupEvent) {
        if let Some(watcher) = &self.0.watcher {
            let _ = guarded("a watcher of groups", || watcher(name, event));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Arc<str>, Group<C>>> {
        self.0.named.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Arc<str>, Group<C>>> {
        self.0.named.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Connection> Default for Groups<C> {
    fn default() -> Self {
        Groups(Arc::new(Inner { named: RwLock::default(), watcher: None }))
    }
}

impl<C: Connection> Clone for Groups<C> {
    fn clone(&self) -> Self {
        Groups(self.0.clone())
    }
}

impl<C: Connection> fmt::Debug for Groups<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("len", &self.len()).finish()
    }
}

/// One name among [`Groups`]. Clones are the same.
///
/// Its sends are those of [`Group`].
pub struct NamedGroup<C: Connection> {
    groups: Groups<C>,
    name: Arc<str>,
}

impl<C: Connection> NamedGroup<C> {
    /// The name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its members as a group; `None` while there is none. For what is done at once: it is not the name's any more after
    /// the last of them has left, so nobody may join it.
    fn group(&self) -> Option<Group<C>> {
        self.groups.find(&self.name)
    }

    /// Sends `message` to all members. It is not encoded if there is none.
    pub fn send(&self, message: impl Into<C::Outgoing>) -> Delivery {
        self.group().map(|group| group.send(message)).unwrap_or_default()
    }

    /// Sends `message` to all members, with this policy for those that are slow.
    pub fn send_with(&self, message: impl Into<C::Outgoing>, policy: SlowPeer) -> Delivery {
        self.group().map(|group| group.send_with(message, policy)).unwrap_or_default()
    }

    /// Sends `message` to the members that `wanted` chooses.
    pub fn send_filtered(&self, message: impl Into<C::Outgoing>, wanted: impl FnMut(&C) -> bool) -> Delivery {
        self.group().map(|group| group.send_filtered(message, wanted)).unwrap_or_default()
    }

    /// Sends `message` to the members that `wanted` chooses, with this policy for those that are slow.
    pub fn send_filtered_with(
        &self,
        message: impl Into<C::Outgoing>,
        policy: SlowPeer,
        wanted: impl FnMut(&C) -> bool,
    ) -> Delivery {
        self.group().map(|group| group.send_filtered_with(message, policy, wanted)).unwrap_or_default()
    }

    /// Sends `message` to all members, and then waits for those that have no room for it; see [`Group::send_and_wait`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, those members have not got the message that it still waited for.
    pub async fn send_and_wait(&self, message: impl Into<C::Outgoing>) -> Delivery {
        match self.group() {
            Some(group) => group.send_and_wait(message).await,
            None => Delivery::default(),
        }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.group().map_or(0, |group| group.len())
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `conn` is a member.
    pub fn contains(&self, conn: &C) -> bool {
        self.group().is_some_and(|group| group.contains(conn))
    }

    /// Looks at each member there is at this moment. Nothing is locked meanwhile.
    pub fn for_each(&self, look: impl FnMut(&C)) {
        if let Some(group) = self.group() {
            group.for_each(look);
        }
    }
}

impl<C: Connection> Clone for NamedGroup<C> {
    fn clone(&self) -> Self {
        NamedGroup { groups: self.groups.clone(), name: self.name.clone() }
    }
}

impl<C: Connection> fmt::Debug for NamedGroup<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedGroup").field("name", &self.name).field("len", &self.len()).finish()
    }
}

/// A connection's place in a group of a name. Dropping it leaves.
pub struct NamedMembership<C: Connection> {
    /// `None` only while it is dropped.
    member: Option<Membership<C>>,
    group: NamedGroup<C>,
}

impl<C: Connection> NamedMembership<C> {
    /// The group.
    pub fn group(&self) -> &NamedGroup<C> {
        &self.group
    }

    /// Sends `message` to all members but this one.
    pub fn send_to_others(&self, message: impl Into<C::Outgoing>) -> Delivery {
        self.member.as_ref().map(|member| member.send_to_others(message)).unwrap_or_default()
    }

    /// Sends `message` to all members but this one, with this policy for those that are slow.
    pub fn send_to_others_with(&self, message: impl Into<C::Outgoing>, policy: SlowPeer) -> Delivery {
        self.member.as_ref().map(|member| member.send_to_others_with(message, policy)).unwrap_or_default()
    }
}

impl<C: Connection> Drop for NamedMembership<C> {
    fn drop(&mut self) {
        // Before the lock: this may drop the last handle of a connection, and with it what applications have attached.
        drop(self.member.take());
        let NamedGroup { groups, name } = &self.group;
        let mut named = groups.write();
        // Who has joined meanwhile keeps it.
        if named.get(name).is_some_and(Group::is_empty) {
            let ended = named.remove(name);
            if named.capacity() > SMALL && named.len() < named.capacity() / 4 {
                let twice = named.len() * 2;
                named.shrink_to(twice);
            }
            groups.tell(name, GroupEvent::Removed);
            drop(named);
            drop(ended);
        }
    }
}

impl<C: Connection> fmt::Debug for NamedMembership<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedMembership").field("group", &self.group).finish()
    }
}
