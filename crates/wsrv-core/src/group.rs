//! Many connections that are sent the same.

use crate::shared::Refused;
use crate::{Connection, ConnectionId, SlowPeer, Wire, batch};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A set of connections that get the same messages. Clones are the same group.
///
/// A message is encoded once, whatever the number of members. Sending never waits, but where it is asked to: a member that is slow holds nobody
/// up. What is done about it, its own [`Limits::slow_peer`](crate::Limits::slow_peer) decides, or the [`SlowPeer`] policy
/// that a message is sent with. While a message waits for slow members, they share one copy. Joining and leaving do not wait for a
/// send either: that works on the list as it was when it began. (The first change during a send copies the list.)
pub struct Group<C: Connection>(Arc<Mutex<Members<C>>>);

struct Members<C> {
    /// Copied only when it changes while a send goes through it.
    list: Arc<Vec<C>>,
    places: HashMap<ConnectionId, Place>,
}

struct Place {
    index: usize,
    memberships: usize,
}

/// How a message to a group fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Members whose outbox has taken it.
    pub sent: usize,
    /// Members whose outbox had no room for it, so that they do not get it.
    pub dropped: usize,
    /// Members whose outbox had no room for it and that are therefore being closed.
    pub closed: usize,
}

impl<C: Connection> Group<C> {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `conn` a member for as long as the membership lives: keep that in the handler's state. Who joins twice
    /// still gets each message once, and leaves with the last membership.
    #[must_use = "dropping the membership leaves the group"]
    pub fn join(&self, conn: &C) -> Membership<C> {
        let mut members = self.lock();
        let next = members.list.len();
        let place = members.places.entry(conn.id()).or_insert(Place { index: next, memberships: 0 });
        place.memberships += 1;
        if place.memberships == 1 {
            Arc::make_mut(&mut members.list).push(conn.clone());
        }
        Membership { group: self.clone(), id: conn.id() }
    }

    /// Sends `message` to all members.
    pub fn send(&self, message: impl Into<C::Outgoing>) -> Delivery {
        self.send_to(message.into(), None, |_| true)
    }

    /// Sends `message` to all members, with this policy for those that are slow.
    ///
    /// ```
    /// # use wsrv_core::{Group, SlowPeer, lines::LineConnection};
    /// # let group = Group::<LineConnection>::new();
    /// // Who is behind gets the latest price of share number 7 only.
    /// group.send_with("7 101.25", SlowPeer::KeepLatest(7));
    /// ```
    pub fn send_with(&self, message: impl Into<C::Outgoing>, policy: SlowPeer) -> Delivery {
        self.send_to(message.into(), Some(policy), |_| true)
    }

    /// Sends `message` to the members that `wanted` chooses.
    pub fn send_filtered(&self, message: impl Into<C::Outgoing>, wanted: impl FnMut(&C) -> bool) -> Delivery {
        self.send_to(message.into(), None, wanted)
    }

    /// Sends `message` to the members that `wanted` chooses, with this policy for those that are slow.
    pub fn send_filtered_with(
        &self,
        message: impl Into<C::Outgoing>,
        policy: SlowPeer,
        wanted: impl FnMut(&C) -> bool,
    ) -> Delivery {
        self.send_to(message.into(), Some(policy), wanted)
    }

    /// Sends `message` to all members, and then waits for those that have no room for it, until they have it or are
    /// closed. The others get it at once. Nothing is dropped, whatever the policies; how long it takes, the slowest member
    /// decides, and [`Limits::write_timeout`](crate::Limits::write_timeout). Who sends without waiting meanwhile may be
    /// ahead of it at those members that it waits for.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, those members have not got the message that it still waited for.
    pub async fn send_and_wait(&self, message: impl Into<C::Outgoing>) -> Delivery {
        let prepared = C::encode(message.into());
        let mut delivery = Delivery::default();
        let mut late = Vec::new();
        {
            let mut publish = batch::publish();
            for member in self.members().iter() {
                match member.link().publish_if_room(&prepared, publish.as_mut()) {
                    Some(sent) => delivery.sent += usize::from(sent.is_ok()),
                    None => late.push(member.clone()),
                }
            }
        }
        for member in late {
            delivery.sent += usize::from(member.link().send_prepared(prepared.clone()).await.is_ok());
        }
        delivery
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.lock().list.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `conn` is a member.
    pub fn contains(&self, conn: &C) -> bool {
        self.lock().places.contains_key(&conn.id())
    }

    /// Looks at each member there is at this moment. The group is not locked meanwhile.
    pub fn for_each(&self, look: impl FnMut(&C)) {
        self.members().iter().for_each(look);
    }

    fn members(&self) -> Arc<Vec<C>> {
        self.lock().list.clone()
    }

    fn send_to(&self, message: C::Outgoing, policy: Option<SlowPeer>, mut wanted: impl FnMut(&C) -> bool) -> Delivery {
        let members = self.members();
        let mut wanted = members.iter().filter(|member| wanted(member)).peekable();
        let mut delivery = Delivery::default();
        if wanted.peek().is_none() {
            return delivery;
        }
        let prepared: <C::Wire as Wire>::Prepared = C::encode(message);
        let mut publish = batch::publish();
        for member in wanted {
            match member.link().publish(&prepared, policy, publish.as_mut()) {
                Ok(()) => delivery.sent += 1,
                Err(Refused::Dropped) => delivery.dropped += 1,
                Err(Refused::Closing) => delivery.closed += 1,
                // About to leave the group.
                Err(Refused::Closed) => {}
            }
        }
        delivery
    }

    fn lock(&self) -> MutexGuard<'_, Members<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Connection> Default for Group<C> {
    fn default() -> Self {
        Group(Arc::new(Mutex::new(Members { list: Arc::default(), places: HashMap::new() })))
    }
}

impl<C: Connection> Clone for Group<C> {
    fn clone(&self) -> Self {
        Group(self.0.clone())
    }
}

impl<C: Connection> fmt::Debug for Group<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("members", &self.len()).finish()
    }
}

/// A connection's place in a [`Group`]. Dropping it leaves the group.
pub struct Membership<C: Connection> {
    group: Group<C>,
    id: ConnectionId,
}

impl<C: Connection> Membership<C> {
    /// The group.
    pub fn group(&self) -> &Group<C> {
        &self.group
    }

    /// Sends `message` to all members but this one.
    pub fn send_to_others(&self, message: impl Into<C::Outgoing>) -> Delivery {
        self.group.send_to(message.into(), None, |member| member.id() != self.id)
    }

    /// Sends `message` to all members but this one, with this policy for those that are slow.
    pub fn send_to_others_with(&self, message: impl Into<C::Outgoing>, policy: SlowPeer) -> Delivery {
        self.group.send_to(message.into(), Some(policy), |member| member.id() != self.id)
    }
}

impl<C: Connection> Drop for Membership<C> {
    fn drop(&mut self) {
        let mut guard = self.group.lock();
        let members = &mut *guard;
        let Some(place) = members.places.get_mut(&self.id) else { return };
        place.memberships -= 1;
        if place.memberships > 0 {
            return;
        }
        let index = place.index;
        members.places.remove(&self.id);
        let list = Arc::make_mut(&mut members.list);
        let left = list.swap_remove(index);
        if let Some(moved) = list.get(index).and_then(|moved| members.places.get_mut(&moved.id())) {
            moved.index = index;
        }
        drop(guard);
        // Outside the lock: it may be the last handle of its connection.
        drop(left);
    }
}

impl<C: Connection> fmt::Debug for Membership<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("id", &self.id).field("group", &self.group).finish()
    }
}
