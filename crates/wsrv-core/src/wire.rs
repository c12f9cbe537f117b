//! What the driver must know of a protocol, and no more.

use crate::{Connection, Link, Out, Reason};
use bytes::BytesMut;
use std::fmt;

/// A protocol on the wire: how bytes become messages, how messages become bytes, how to say goodbye.
///
/// The two halves hold no buffers. The receiving half belongs to the driver's read side and parses the driver's
/// buffer in place; the sending half lies beside the outbox, under its lock, so that its state (masking, the
/// goodbye, a compression context) follows the order on the wire.
pub trait Wire: Sized + Send + 'static {
    /// What the handler gets to see.
    type Connection: Connection<Wire = Self>;
    /// Bytes to messages.
    type Receiver: Receive<Self>;
    /// Messages to bytes.
    type Sender: Transmit<Self>;
    /// Something that arrives and wants an answer from the sending half rather than from the handler: a ping.
    type Signal: Send;
    /// The goodbye in the protocol's own words.
    type Close: Clone + fmt::Debug + Send + Sync + From<Reason> + 'static;
    /// A message encoded once, to be sent to many, or to wait for a peer that is slow. Clones share it.
    type Prepared: Clone + Send + Sync + 'static;
    /// What is known about the connection since it began, such as the request.
    type Context: fmt::Debug + Send + Sync + 'static;

    /// Takes the wire apart for the driver.
    fn split(self) -> (Self::Receiver, Self::Sender, Self::Context);

    /// Makes the handler's view of a connection.
    fn connection(link: Link<Self>) -> Self::Connection;

    /// How many bytes a message counts for while it waits: about as many as it will be on the wire.
    fn size(prepared: &Self::Prepared) -> usize;

    /// The neutral word for a goodbye.
    fn reason(close: &Self::Close) -> Reason;
}

/// The receiving half of a [`Wire`].
pub trait Receive<W: Wire>: Send + 'static {
    /// A message that lies whole in the buffer: plain numbers that say where.
    type Found: Send;
    /// The peer broke the protocol.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Finds the next thing in `buffer`, which holds what has arrived and was not taken yet.
    ///
    /// Called again with the same bytes and more behind them after [`Received::Incomplete`].
    ///
    /// # Errors
    ///
    /// The peer broke the protocol. The driver does not call again.
    fn receive(&mut self, buffer: &mut BytesMut) -> Result<Received<W, Self::Found>, Self::Error>;

    /// Lifts the message just found out of the buffer.
    fn take(&mut self, found: Self::Found, buffer: &mut BytesMut) -> <W::Connection as Connection>::Incoming;

    /// All messages from now on will be dropped by who takes them, so nothing of them has to be found out that costs much,
    /// and they may be given empty. The rules of the protocol hold on, as far as that goes. By default this changes nothing.
    fn discard(&mut self) {}

    /// The stream ended with `rest` unparsed. Whether that is an orderly goodbye in this protocol.
    fn end_of_stream(&mut self, rest: &[u8]) -> bool;

    /// How to say goodbye to a peer that broke the protocol in this way.
    fn farewell(error: &Self::Error) -> W::Close;
}

/// What [`Receive::receive`] found.
#[derive(Debug)]
pub enum Received<W: Wire, F> {
    /// Nothing whole.
    Incomplete {
        /// How many bytes the buffer must hold in all before there can be: a hint for making room.
        needed: usize,
    },
    /// A whole message.
    Message {
        /// Where.
        found: F,
        /// Its size in bytes.
        size: usize,
    },
    /// Something for the sending half.
    Signal(W::Signal),
    /// The peer's goodbye. Nothing that follows it is looked at.
    Close(W::Close),
}

/// The sending half of a [`Wire`]. All methods are called under the outbox's lock and must not block.
pub trait Transmit<W: Wire>: Send + 'static {
    /// Encodes a message that was prepared for many.
    fn prepared(&mut self, prepared: &W::Prepared, out: &mut Out<'_>);

    /// Encodes a question that a living peer answers. False: the protocol has none, and nothing was encoded.
    fn ping(&mut self, out: &mut Out<'_>) -> bool {
        let _ = out;
        false
    }

    /// Bytes of messages that were taken and are not encoded yet, because another one has to be finished first. They
    /// count as waiting in the outbox; the one they wait for is sent by [`Link::send_part`].
    fn held_back(&self) -> usize {
        0
    }

    /// Encodes the answer to a signal, if it wants one. Signals come until the peer's goodbye, also after ours if that
    /// [wants an answer](Self::close).
    fn answer(&mut self, signal: W::Signal, out: &mut Out<'_>);

    /// Encodes the goodbye. Returns whether the protocol wants to wait for the peer's.
    fn close(&mut self, close: &W::Close, out: &mut Out<'_>) -> bool;

    /// Whether it is for the peer to end the stream when both have said goodbye, as in many protocols it is for the server.
    /// It then has two seconds before this side does.
    fn peer_ends_stream(&self) -> bool {
        false
    }
}
