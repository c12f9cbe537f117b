//! The cheap, cloneable handle at the bottom of every connection.

use crate::published::Publish;
use crate::shared::{Refused, Shared};
use crate::stream::Local;
use crate::waiting::{Until, Waiting, others_wait};
use crate::{AttributeStore, ClosedBy, ConnectionId, Limits, Losses, Out, Reason, SendError, SlowPeer, Transmit, Wire};
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// One connection, seen from below all layers: what every decorated connection contains.
///
/// Clones are cheap and work from any task or thread, before, during and after the connection's life. Of two sends
/// to one connection, the one that happens before the other reaches the wire first, whichever threads they are on.
pub struct Link<W: Wire>(pub(crate) Arc<Shared<W>>);

impl<W: Wire> Clone for Link<W> {
    fn clone(&self) -> Self {
        Link(self.0.clone())
    }
}

impl<W: Wire> Link<W> {
    /// The connection's name in this process.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// The peer's address, where it has one.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.0.remote_addr
    }

    /// What the wire knows since the connection began.
    pub fn context(&self) -> &W::Context {
        &self.0.context
    }

    /// What others have attached.
    pub fn attributes(&self) -> &AttributeStore {
        &self.0.attributes
    }

    /// The address of this end, where the transport has one. A socket is asked for it each time, and has none any more
    /// once it is closed.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self.0.local.as_deref() {
            None => self.0.lock().stream.local_addr(),
            Some(Local::Addr(addr)) => Some(*addr),
            #[cfg(unix)]
            Some(Local::Unix(_)) => None,
        }
    }

    /// The name of this end for people and logs: `127.0.0.1:8080`, `unix:/run/app.sock`, or `unknown`.
    pub fn local_name(&self) -> String {
        #[cfg(unix)]
        if let Some(Local::Unix(path)) = self.0.local.as_deref() {
            return path.as_ref().map_or_else(|| "unix".to_owned(), |path| format!("unix:{}", path.display()));
        }
        self.local_addr().map_or_else(|| "unknown".to_owned(), |addr| addr.to_string())
    }

    /// The name of the peer for people and logs: its address, or else how it has come: `unix` or `unknown`.
    pub fn remote_name(&self) -> String {
        match (self.0.remote_addr, self.0.local.as_deref()) {
            (Some(addr), _) => addr.to_string(),
            #[cfg(unix)]
            (None, Some(Local::Unix(_))) => "unix".to_owned(),
            _ => "unknown".to_owned(),
        }
    }

    /// The bounds of this connection as they are now.
    pub fn limits(&self) -> Arc<Limits> {
        self.0.lock().limits.clone()
    }

    /// Changes the bounds of this connection from now on. What is waited for already keeps its deadline.
    pub fn set_limits(&self, limits: impl Into<Arc<Limits>>) {
        let mut outbox = self.0.lock();
        outbox.set_limits(limits.into());
        // There may be room now, for the driver and for others.
        self.0.alert(outbox);
    }

    /// Gives access to the protocol's sending half, under the outbox's lock, to look at it or to change its settings.
    /// `access` must be quick and must not touch the same connection.
    pub fn with_sender<R>(&self, access: impl FnOnce(&mut W::Sender) -> R) -> R {
        access(&mut self.0.lock().sender)
    }

    /// Changes the settings of the protocol's receiving half before it receives the next message. Messages that have
    /// been received ahead were received with the old ones.
    pub fn change_receiver(&self, change: impl FnOnce(&mut W::Receiver) + Send + 'static) {
        let mut outbox = self.0.lock();
        // After the end nobody would ever take them.
        if !outbox.is_ended() || outbox.is_half_closed() {
            outbox.orders().changes.push(Box::new(change));
            self.0.alert(outbox);
        }
    }

    /// Bytes that wait to be written to the peer.
    pub fn queued(&self) -> usize {
        self.0.lock().queued()
    }

    /// What was lost so far because the peer reads too slowly.
    pub fn losses(&self) -> Losses {
        self.0.lock().lost()
    }

    /// Whether nobody has begun to close the connection, in any direction, as far as is known here.
    pub fn is_open(&self) -> bool {
        !self.0.lock().is_ended()
    }

    /// Whether messages may still arrive: the peer has not said goodbye, and our side still listens.
    pub fn is_readable(&self) -> bool {
        let outbox = self.0.lock();
        !outbox.deaf && (!outbox.is_ended() || outbox.is_half_closed())
    }

    /// Whether messages are still taken for sending, now or when there is room. That is so until our goodbye, also
    /// while the connection is being closed.
    pub fn is_writable(&self) -> bool {
        !self.0.lock().is_shut()
    }

    /// The goodbye with which the end began, the peer's or ours: known in `on_close` and afterwards. `None` before, and
    /// if the connection was lost or cut.
    pub fn goodbye(&self) -> Option<W::Close> {
        self.0.lock().ending.as_ref()?.goodbye.clone()
    }

    /// The peer's goodbye, once it has arrived.
    pub fn peer_close(&self) -> Option<W::Close> {
        self.0.lock().ending.as_ref()?.from_peer.clone()
    }

    /// Encodes and sends at once, or not at all.
    ///
    /// `encode` is called under the outbox's lock, in wire order; it must be quick, must not touch the same
    /// connection, and puts out a message whole or returns an error. From inside a handler the bytes leave at the end of
    /// the turn, together with all else it sent; over TCP, earlier where it sends much. Over another stream nothing is
    /// written before the turn ends, so a handler that sends more than [`Limits::outbox`] at once has to
    /// [wait](Link::send).
    ///
    /// What core knows nothing of, it cannot let wait: messages that wait whole in front of this one are encoded, too,
    /// and cannot be dropped or replaced any more. [`try_send_message`](Self::try_send_message) leaves them as they are.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after the goodbye; [`SendError::Full`] if there is no [room](Limits::outbox), in which case
    /// [`Limits::slow_peer`] decides whether the connection goes on; what `encode` returns.
    pub fn try_send<R>(
        &self,
        encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> Result<R, SendError>,
    ) -> Result<R, SendError> {
        let mut outbox = self.0.admit(self.0.lock(), None)?;
        outbox.settle();
        self.0.encode_and_send(outbox, encode)
    }

    /// As [`try_send`](Self::try_send), for a message that can be prepared instead of being encoded, which it is if it
    /// has to wait whole: because it may be [dropped or replaced](SlowPeer) meanwhile, or because others do in front of
    /// it. `prepare` is called under the outbox's lock, as `encode` is.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send).
    pub fn try_send_message<T>(
        &self,
        message: T,
        prepare: impl FnOnce(T) -> W::Prepared,
        encode: impl FnOnce(T, &mut W::Sender, &mut Out<'_>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let outbox = self.0.lock();
        if outbox.is_to_shelve() && (outbox.has_shelved() || outbox.limits.slow_peer.may_drop()) {
            return Ok(self.0.shelve(outbox, prepare(message), None)?);
        }
        let outbox = self.0.admit(outbox, None)?;
        self.0.encode_and_send(outbox, |sender, out| encode(message, sender, out))
    }

    /// Encodes and sends something that is no message and that the protocol lets pass messages, such as a ping. It does
    /// not wait behind messages that wait whole, and there is room for it where there is none for messages: 16 KiB.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after the goodbye; [`SendError::Full`] if that room is used up, too, whatever the policy;
    /// what `encode` returns.
    pub fn try_send_control(
        &self,
        encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let mut outbox = self.0.lock();
        if outbox.is_shut() {
            return Err(SendError::Closed);
        }
        if !outbox.has_room_for_control() {
            return Err(SendError::Full);
        }
        outbox.encode(encode)?;
        self.0.encoded(outbox);
        Ok(())
    }

    /// Encodes and sends as soon as there is room: at once if fewer than [`Limits::outbox`] bytes wait and nobody waits
    /// for room, else when the peer has taken half of that. Messages that wait whole are treated as by
    /// [`try_send`](Self::try_send).
    ///
    /// A handler may wait for its own connection: the driver goes on writing meanwhile. Senders that wait are woken in
    /// the order in which they came. Senders that do not wait may take the room before them.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the connection is or gets closed; what `encode` returns.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    pub fn send<R: Send>(
        &self,
        encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> Result<R, SendError> + Send,
    ) -> impl Future<Output = Result<R, SendError>> + Send {
        self.send_after(Until::Room, encode)
    }

    /// Encodes and sends a part of the message that others are [held back](Transmit::held_back) for, as
    /// [`send`](Self::send). They cannot keep it from being finished: however many they are, there is room for a part
    /// when nothing waits to be written, and it passes those that wait whole. (The first part must not do that; it is
    /// [sent](Self::send) like any message.)
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    pub fn send_part<R: Send>(
        &self,
        encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> Result<R, SendError> + Send,
    ) -> impl Future<Output = Result<R, SendError>> + Send {
        self.send_after(Until::RoomForPart, encode)
    }

    fn send_after<R: Send>(
        &self,
        until: Until,
        encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> Result<R, SendError> + Send,
    ) -> impl Future<Output = Result<R, SendError>> + Send {
        let mut place = Waiting::new(self);
        let mut encode = Some(encode);
        poll_fn(move |cx| {
            let mut outbox = ready!(place.poll_room(until, cx))?;
            if until == Until::Room {
                outbox.settle();
            }
            let encode = encode.take().expect("a message is encoded once");
            Poll::Ready(self.0.encode_and_send(outbox, encode))
        })
    }

    /// As [`send`](Self::send), for a message that can be prepared instead of being encoded, which it is if others wait
    /// whole in front of it. It stays where it is: a message is large enough for each move of it to be felt.
    pub fn send_message<T: Send>(
        &self,
        mut message: T,
        mut prepare: impl FnMut(&mut T) -> W::Prepared + Send,
        mut encode: impl FnMut(&mut T, &mut W::Sender, &mut Out<'_>) -> Result<(), SendError> + Send,
    ) -> impl Future<Output = Result<(), SendError>> + Send {
        let mut place = Waiting::new(self);
        poll_fn(move |cx| {
            let outbox = ready!(place.poll_room(Until::Room, cx))?;
            if outbox.is_behind() && outbox.has_shelved() {
                return Poll::Ready(Ok(self.0.shelve(outbox, prepare(&mut message), Some(SlowPeer::DropNewest))?));
            }
            Poll::Ready(self.0.encode_and_send(outbox, |sender, out| encode(&mut message, sender, out)))
        })
    }

    /// Waits until a message would be taken. An error: there never will be room.
    pub(crate) async fn room(self) -> Result<(), SendError> {
        let mut place = Waiting::new(&self);
        poll_fn(|cx| place.poll_room(Until::Room, cx).map_ok(drop)).await
    }

    /// Encodes and sends at once, and asks for the connection to be [closed](Link::close) with `close`. This is the last
    /// message: from now on nothing is taken any more, not even in `on_close`.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Link::try_send); the connection is closed all the same, and `on_close` may send.
    pub fn send_then_close<R>(
        &self,
        encode: impl FnOnce(&mut W::Sender, &mut Out<'_>) -> Result<R, SendError>,
        close: W::Close,
    ) -> Result<R, SendError> {
        let mut outbox = self.0.lock();
        let mut before = self.0.before(&outbox);
        let sent = if outbox.is_shut() {
            Err(SendError::Closed)
        } else if outbox.make_room() {
            outbox.settle();
            before = self.0.before(&outbox);
            outbox.encode(encode)
        } else {
            outbox.losses().dropped += 1;
            Err(SendError::Full)
        };
        let size = self.0.before(&outbox).saturating_sub(before);
        outbox.sealed |= sent.is_ok();
        self.0.wish(outbox, ClosedBy::Local, close);
        self.0.tell_sent(size);
        sent
    }

    /// Closes our direction: says goodbye with `close` behind all that was sent, and goes on listening. From now on
    /// nothing can be sent. Messages still arrive until the peer has said its goodbye, or has ended its half of the
    /// stream where the protocol has no goodbye; then `on_close` tells that this side began.
    ///
    /// A peer that says nothing for [`Limits::ping_after`] and [`Limits::pong_timeout`] together is cut, since it
    /// cannot be pinged any more. If our side does not listen either, this is [`close`](Link::close).
    pub fn close_write(&self, close: W::Close) {
        let mut outbox = self.0.lock();
        if outbox.deaf {
            return self.0.wish(outbox, ClosedBy::Local, close);
        }
        if !outbox.is_ended() {
            outbox.close_half(close);
            self.0.alert(outbox);
        }
    }

    /// Closes the peer's direction: from now on its messages are dropped, also those received ahead. Its pings are
    /// answered and its goodbye is heard. If our direction is closed too, this closes the connection.
    pub fn close_read(&self) {
        let mut outbox = self.0.lock();
        outbox.deaf = true;
        if outbox.is_half_closed() {
            let close = outbox.ending().half.as_ref().map(|half| half.close.clone());
            return self.0.wish(outbox, ClosedBy::Local, close.unwrap_or_else(|| Reason::Done.into()));
        }
        if !outbox.is_ended() {
            outbox.orders().drop_messages = true;
            self.0.alert(outbox);
        }
    }

    /// Asks for the connection to be closed with `close`, and returns at once.
    ///
    /// What was sent before still goes out; then `on_close` runs and may send its last words; then the goodbye is
    /// sent and, if the protocol has one, the closing handshake done. A handler step that is running goes on, for
    /// [`Limits::close_timeout`] at most. Only the first call counts, and none after the peer has begun.
    pub fn close(&self, close: W::Close) {
        self.0.wish(self.0.lock(), ClosedBy::Local, close);
    }

    /// Ends the connection at once: a running handler step is dropped, `on_close` runs, nothing more is sent.
    pub fn cut(&self) {
        self.0.cut(self.0.lock(), ClosedBy::Cut);
    }

    /// Has the handler's [`poll_background`](crate::Handler::poll_background) polled once more, as soon as it is polled at
    /// all: for who has left something there for it to find.
    pub fn wake(&self) {
        self.0.lock().wake_driver();
    }

    /// Waits until the connection has begun to end, from whichever side and in whichever direction: a good thing to
    /// `select!` with in a handler that takes long. Ready at once if it has.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub fn closed(&self) -> impl Future<Output = ()> + Send {
        let mut place = Waiting::new(self);
        poll_fn(move |cx: &mut Context<'_>| {
            let mut outbox = self.0.lock();
            if outbox.is_ended() {
                return Poll::Ready(());
            }
            place.keep(&mut outbox.waiting, Until::End, cx.waker());
            Poll::Pending
        })
    }

    /// Sends what was encoded once, with this policy or the connection's own. Never waits.
    pub(crate) fn try_send_prepared(&self, prepared: &W::Prepared, policy: Option<SlowPeer>) -> Result<(), SendError> {
        Ok(self.publish(prepared, policy, None)?)
    }

    /// Sends what was encoded once for many. Never waits.
    pub(crate) fn publish(
        &self,
        prepared: &W::Prepared,
        policy: Option<SlowPeer>,
        publish: Option<&mut Publish>,
    ) -> Result<(), Refused> {
        self.0.publish(self.0.lock(), prepared, policy, publish)
    }

    /// As [`publish`](Self::publish), if there is room and nobody waits for it. `None`: nothing was done.
    pub(crate) fn publish_if_room(
        &self,
        prepared: &W::Prepared,
        publish: Option<&mut Publish>,
    ) -> Option<Result<(), Refused>> {
        let mut outbox = self.0.lock();
        let may_go = outbox.is_shut() || (!others_wait(&outbox.waiting, 0) && outbox.make_room());
        may_go.then(|| self.0.publish(outbox, prepared, Some(SlowPeer::DropNewest), publish))
    }

    /// Sends what was encoded once as soon as there is room, as [`send`](Self::send).
    pub(crate) fn send_prepared(&self, prepared: W::Prepared) -> impl Future<Output = Result<(), SendError>> + Send {
        let encode = |prepared: &mut W::Prepared, sender: &mut W::Sender, out: &mut Out<'_>| {
            sender.prepared(prepared, out);
            Ok(())
        };
        self.send_message(prepared, |prepared| prepared.clone(), encode)
    }
}

/// Shows what is known about the connection, including what layers have attached.
impl<W: Wire> fmt::Debug for Link<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("id", &self.0.id)
            .field("local", &format_args!("{}", self.local_name()))
            .field("remote", &format_args!("{}", self.remote_name()))
            .field("readable", &self.is_readable())
            .field("writable", &self.is_writable())
            .field("queued", &self.queued())
            .field("context", &self.0.context)
            .field("attributes", &self.0.attributes)
            .finish()
    }
}
