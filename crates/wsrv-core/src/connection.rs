//! What every layer's connection has in common.

use crate::{AttributeStore, ConnectionId, Limits, Link, Reason, SendError, SlowPeer, Wire};
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection as one layer sees it. Clones are cheap and work from any task or thread.
///
/// A decorated connection contains the lower one and hands out its [`Link`]; it does not dereference to it, so that
/// nothing is sent past a layer by accident.
pub trait Connection: Clone + Send + Sync + 'static {
    /// The protocol at the bottom.
    type Wire: Wire;
    /// What arrives at this layer.
    type Incoming: Send + 'static;
    /// What a [`Group`](crate::Group) of such connections can be sent.
    type Outgoing;

    /// The connection below all layers. The only thing a decorator has to write, apart from `encode`.
    fn link(&self) -> &Link<Self::Wire>;

    /// Encodes a message once, for many connections. So it cannot depend on the state of one of them: what differs from
    /// peer to peer (a negotiated encoding, a running number) is sent to each connection by itself.
    fn encode(message: Self::Outgoing) -> <Self::Wire as Wire>::Prepared;

    /// The connection's name in this process.
    fn id(&self) -> ConnectionId {
        self.link().id()
    }

    /// The peer's address, where it has one (a Unix socket's peer has none).
    fn remote_addr(&self) -> Option<SocketAddr> {
        self.link().remote_addr()
    }

    /// The address of this end, where the transport has one. See [`Link::local_addr`].
    fn local_addr(&self) -> Option<SocketAddr> {
        self.link().local_addr()
    }

    /// The name of the peer for people and logs. See [`Link::remote_name`].
    fn remote_name(&self) -> String {
        self.link().remote_name()
    }

    /// The name of this end for people and logs. See [`Link::local_name`].
    fn local_name(&self) -> String {
        self.link().local_name()
    }

    /// The bounds of this connection as they are now.
    fn limits(&self) -> Arc<Limits> {
        self.link().limits()
    }

    /// Changes the bounds of this connection from now on. See [`Link::set_limits`].
    fn set_limits(&self, limits: impl Into<Arc<Limits>>) {
        self.link().set_limits(limits);
    }

    /// Sends a message at once or not at all, with this policy instead of [`Limits::slow_peer`] if the peer is slow.
    ///
    /// ```
    /// # use wsrv_core::{Connection, SlowPeer, lines::LineConnection};
    /// # fn example(conn: &LineConnection) {
    /// // Whoever draws the cursor wants to know where it is, not where it was.
    /// let _ = conn.try_send_with("cursor 12 50", SlowPeer::KeepLatest(1));
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after the goodbye; [`SendError::Full`] if there is no room and none can be made, in which
    /// case the policy decides whether the connection goes on.
    fn try_send_with(&self, message: impl Into<Self::Outgoing>, policy: SlowPeer) -> Result<(), SendError> {
        self.link().try_send_prepared(&Self::encode(message.into()), Some(policy))
    }

    /// What others have attached to this connection.
    fn attributes(&self) -> &AttributeStore {
        self.link().attributes()
    }

    /// Whether nobody has begun to close it, in any direction, as far as is known here.
    fn is_open(&self) -> bool {
        self.link().is_open()
    }

    /// Whether messages may still arrive.
    fn is_readable(&self) -> bool {
        self.link().is_readable()
    }

    /// Whether messages are still taken for sending, now or when there is room.
    fn is_writable(&self) -> bool {
        self.link().is_writable()
    }

    /// Says goodbye and goes on listening until the peer has said its own. See [`Link::close_write`].
    fn close_write(&self, reason: Reason) {
        self.link().close_write(reason.into());
    }

    /// Goes on sending and drops what arrives. See [`Link::close_read`].
    fn close_read(&self) {
        self.link().close_read();
    }

    /// Asks for the connection to be closed, and returns at once. See [`Link::close`].
    fn close(&self, reason: Reason) {
        self.link().close(reason.into());
    }

    /// Ends the connection at once, without a goodbye. See [`Link::cut`].
    fn cut(&self) {
        self.link().cut();
    }

    /// Waits until the connection has begun to end. See [`Link::closed`].
    fn closed(&self) -> impl Future<Output = ()> + Send {
        self.link().closed()
    }
}
