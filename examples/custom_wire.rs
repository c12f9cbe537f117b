//! A wire of one's own: a protocol over TCP with frames, pings and a goodbye, on the same driver as WebSocket.
//!
//! ```text
//!  byte 0     bytes 1 to 4                  then
//! ┌────────┬───────────────────────────┬─────────────┐    M  a message        P  a ping, answered with
//! │ kind   │ length, most significant  │ payload     │    B  the goodbye,     A  the same payload
//! │        │ byte first                │             │       one byte why
//! └────────┴───────────────────────────┴─────────────┘
//! ```
//!
//! Who implements [`Wire`] writes five things: the wire itself, its connection, the receiving half, the sending half,
//! and what is said at a goodbye. The driver does the rest: reading, writing, order, room, deadlines, every way to end.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::sync::Arc;
use wsrv_core::{
    Closed, Connection, Connections, Driver, Error, Handler, Link, Listener, Out, Reason, Receive, Received, SendError,
    Transmit, Wire,
};

const HEADER: usize = 5;
/// Pings and goodbyes are short. Each ping is answered, so a long one would cost a peer nothing and us memory.
const MAX_CONTROL: usize = 16;

// --- the wire -----------------------------------------------------------------------

/// What a driver is given together with a stream: what it must know to begin.
struct Framed {
    max_message: usize,
}

impl Wire for Framed {
    type Connection = FramedConnection;
    type Receiver = FramedReceiver;
    type Sender = FramedSender;
    type Signal = Signal;
    /// The neutral reasons are enough here. A protocol with close codes of its own has a type for them.
    type Close = Reason;
    /// A message for a group: its bytes, because they are the same for every peer. (A protocol that masks or compresses
    /// for each peer keeps the message.)
    type Prepared = Bytes;
    /// What was known before the first frame: there is no handshake, so nothing.
    type Context = ();

    fn split(self) -> (FramedReceiver, FramedSender, ()) {
        (FramedReceiver { max_message: self.max_message }, FramedSender(()), ())
    }

    fn connection(link: Link<Self>) -> FramedConnection {
        FramedConnection(link)
    }

    fn size(prepared: &Bytes) -> usize {
        prepared.len()
    }

    fn reason(close: &Reason) -> Reason {
        *close
    }
}

// --- the connection -----------------------------------------------------------------

/// What handlers see. All it holds is the link; what it adds is how messages of this protocol are sent.
#[derive(Clone)]
struct FramedConnection(Link<Framed>);

impl FramedConnection {
    /// Sends a message as soon as there is room.
    async fn send(&self, message: impl Into<Bytes>) -> Result<(), SendError> {
        let message = message.into();
        // Whatever cannot be said on the wire is refused before a byte of it is out.
        let length = u32::try_from(message.len()).map_err(|_| SendError::Invalid("longer than a frame can say"))?;
        self.0
            .send(move |_, out| {
                // Called under the outbox's lock, in wire order: be quick, and put out a whole frame.
                out.put_slice(&header(b'M', length));
                out.put_bytes(message);
                Ok(())
            })
            .await
    }
}

impl Connection for FramedConnection {
    type Wire = Framed;
    type Incoming = Bytes;
    type Outgoing = Bytes;

    fn link(&self) -> &Link<Framed> {
        &self.0
    }

    /// For groups. Nothing checks the length again, so this cuts what no frame can carry.
    fn encode(mut message: Bytes) -> Bytes {
        message.truncate(u32::MAX as usize);
        let mut frame = BytesMut::with_capacity(HEADER + message.len());
        frame.put_slice(&header(b'M', message.len() as u32));
        frame.put_slice(&message);
        frame.freeze()
    }
}

fn header(kind: u8, length: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [kind, a, b, c, d]
}

// --- the receiving half: bytes to messages --------------------------------------------

/// It holds no buffer: the bytes lie in the driver's until they are taken.
struct FramedReceiver {
    max_message: usize,
}

/// What wants something from the sending half and not from the handler.
enum Signal {
    Ping(Bytes),
    /// A sign of life, and that is all: the driver has noticed it already, by its bytes.
    Answer,
}

/// How a peer can break the protocol.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("no frame begins with {0:#04x}")]
    Kind(u8),
    #[error("a frame of {0} bytes is too large")]
    TooLarge(u32),
    #[error("a goodbye says why in one byte")]
    Goodbye,
}

impl Receive<Framed> for FramedReceiver {
    /// Where a message lies, in plain numbers: here, behind the header for so many bytes.
    type Found = usize;
    type Error = Broken;

    /// Owes the driver: never more than one thing at a time; `Incomplete` as long as it is not whole, with how much
    /// there must be before it can be (a hint, so an announced length costs no memory); and a limit that holds from the
    /// header on, not after the bytes have come. A message stays in the buffer; everything else is taken out of it
    /// here.
    fn receive(&mut self, buffer: &mut BytesMut) -> Result<Received<Framed, usize>, Broken> {
        let Some((header, _)) = buffer.split_first_chunk::<HEADER>() else {
            return Ok(Received::Incomplete { needed: HEADER });
        };
        let &[kind, a, b, c, d] = header;
        let announced = u32::from_be_bytes([a, b, c, d]);
        let limit = match kind {
            b'M' => self.max_message,
            b'P' | b'A' | b'B' => MAX_CONTROL,
            other => return Err(Broken::Kind(other)),
        };
        let length = announced as usize;
        if length > limit {
            return Err(Broken::TooLarge(announced));
        }
        if buffer.len() < HEADER + length {
            return Ok(Received::Incomplete { needed: HEADER + length });
        }
        if kind == b'M' {
            return Ok(Received::Message { found: length, size: length });
        }
        buffer.advance(HEADER);
        let payload = buffer.split_to(length);
        match (kind, &payload[..]) {
            (b'P', payload) => Ok(Received::Signal(Signal::Ping(Bytes::copy_from_slice(payload)))),
            (b'A', _) => Ok(Received::Signal(Signal::Answer)),
            (_, [why]) => Ok(Received::Close(reason(*why))),
            _ => Err(Broken::Goodbye),
        }
    }

    /// Called right after `receive` has found a message. Copied, because the buffer is the thread's: a small message
    /// that somebody keeps must not hold all of it.
    fn take(&mut self, length: usize, buffer: &mut BytesMut) -> Bytes {
        buffer.advance(HEADER);
        Bytes::copy_from_slice(&buffer.split_to(length))
    }

    /// There is a goodbye in this protocol, so a stream that just ends was lost. (In one without, it would be in good
    /// order if no half message is left.)
    fn end_of_stream(&mut self, _: &[u8]) -> bool {
        false
    }

    /// What a peer is told that has broken the protocol. The handler gets the error itself.
    fn farewell(error: &Broken) -> Reason {
        match error {
            Broken::TooLarge(_) => Reason::TooBig,
            Broken::Kind(_) | Broken::Goodbye => Reason::BadPeer,
        }
    }
}

// --- the sending half: messages to bytes ----------------------------------------------

/// It lies beside the outbox, under its lock, so what it remembers would follow the order on the wire: a number for
/// each frame, a compressor. Nothing in here may block.
struct FramedSender(());

impl Transmit<Framed> for FramedSender {
    fn prepared(&mut self, frame: &Bytes, out: &mut Out<'_>) {
        out.put_bytes(frame.clone());
    }

    /// `true`: a ping is out, and a peer that lives will answer it. The keepalive asks for one after some silence, and
    /// cuts a peer that stays silent.
    fn ping(&mut self, out: &mut Out<'_>) -> bool {
        out.put_slice(&header(b'P', 0));
        true
    }

    /// Called while the handler is busy, too. While the peer does not read, the driver keeps only the latest answer, so
    /// each must be able to stand for those before it.
    fn answer(&mut self, signal: Signal, out: &mut Out<'_>) {
        if let Signal::Ping(payload) = signal {
            out.put_slice(&header(b'A', payload.len() as u32));
            out.put_slice(&payload);
        }
    }

    /// The last thing that is sent, and also the answer to the peer's goodbye. `true`: the peer answers ours, and the
    /// driver waits for that (5 s) before it closes the stream.
    fn close(&mut self, close: &Reason, out: &mut Out<'_>) -> bool {
        out.put_slice(&header(b'B', 1));
        out.put_slice(&[code(*close)]);
        true
    }
}

/// Reasons on the wire. What has no word here is told as plain "other".
const REASONS: [Reason; 5] = [Reason::Done, Reason::GoingAway, Reason::BadPeer, Reason::TooBig, Reason::Internal];

fn code(reason: Reason) -> u8 {
    REASONS.iter().position(|known| *known == reason).map_or(u8::MAX, |at| at as u8)
}

fn reason(code: u8) -> Reason {
    REASONS.get(usize::from(code)).copied().unwrap_or(Reason::Other)
}

// --- an application -------------------------------------------------------------------

/// Says everything once more, and louder.
struct Shout;

impl Handler<FramedConnection> for Shout {
    type State = ();

    async fn on_open(&self, _: &FramedConnection) -> Result<(), Error> {
        Ok(())
    }

    async fn on_message(&self, conn: &FramedConnection, _: &mut (), message: Bytes) -> Result<(), Error> {
        Ok(conn.send(message.to_ascii_uppercase()).await?)
    }

    async fn on_close(&self, conn: &FramedConnection, _: (), closed: Closed) {
        println!("{}: {closed}", conn.id());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = Listener::bind(addr).await?;
    println!("{}", listener.local_addr()?);
    // They look after each other's times: that is what sends the pings.
    let connections = Connections::new();
    let shout = Arc::new(Shout);
    loop {
        let (stream, _) = listener.accept().await;
        let driver = Driver::accepted(stream, Framed { max_message: 64 * 1024 }).tracked_by(&connections);
        tokio::spawn(driver.run(shout.clone()));
    }
}

// --- what to test of a wire -------------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wsrv_core::testing::Mock;
    use wsrv_core::{ClosedBy, Group};

    fn wire() -> Framed {
        Framed { max_message: 10 }
    }

    /// What is found in `bytes` when they come in pieces of `size`.
    fn receive(bytes: &[u8], size: usize) -> Vec<String> {
        let (mut receiver, mut buffer, mut found) = (wire().split().0, BytesMut::new(), Vec::new());
        for piece in bytes.chunks(size) {
            buffer.extend_from_slice(piece);
            while !buffer.is_empty() {
                found.push(match receiver.receive(&mut buffer) {
                    Ok(Received::Incomplete { needed }) => {
                        assert!(needed > buffer.len());
                        break;
                    }
                    Ok(Received::Message { found, .. }) => format!("{:?}", receiver.take(found, &mut buffer)),
                    Ok(Received::Signal(Signal::Ping(payload))) => format!("ping {payload:?}"),
                    Ok(Received::Signal(Signal::Answer)) => "answer".into(),
                    Ok(Received::Close(reason)) => format!("close {reason:?}"),
                    Err(broken) => {
                        found.push(broken.to_string());
                        return found;
                    }
                });
            }
        }
        found
    }

    #[test]
    fn frames_are_found_wherever_they_are_torn() {
        let bytes = b"M\0\0\0\x02hiP\0\0\0\x01?A\0\0\0\0M\0\0\0\0B\0\0\0\x01\x01";
        let whole = [r#"b"hi""#, r#"ping b"?""#, "answer", r#"b"""#, "close GoingAway"];
        for size in 1..=bytes.len() {
            assert_eq!(receive(bytes, size), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn a_broken_rule_is_found_from_the_header() {
        for (bytes, what) in [
            (&b"X\0\0\0\0"[..], "no frame begins with 0x58"),
            (b"M\0\0\0\x0b", "a frame of 11 bytes is too large"),
            (b"M\xff\xff\xff\xff", "a frame of 4294967295 bytes is too large"),
            (b"P\0\0\0\x11", "a frame of 17 bytes is too large"),
            (b"B\0\0\0\0", "a goodbye says why in one byte"),
        ] {
            assert_eq!(receive(bytes, 1), [what]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn messages_answers_pings_and_the_goodbye_go_out_as_frames() {
        let connections = Connections::new();
        let mut mock = Mock::with(wire(), |driver| driver.tracked_by(&connections));
        let mut session = mock.open(Shout).await.unwrap();
        session.message("hi".into()).await.unwrap();
        assert_eq!(&mock.take_sent()[..], b"M\0\0\0\x02HI");

        let group = Group::new();
        let _membership = group.join(mock.connection());
        group.send("all");
        assert_eq!(&mock.take_sent()[..], b"M\0\0\0\x03all");

        tokio::time::sleep(Duration::from_secs(35)).await;
        assert_eq!(&mock.take_sent()[..], b"P\0\0\0\0");

        mock.receive(b"P\0\0\0\x01?M\0\0\0\x02ho");
        assert_eq!(session.turn().await, None);
        assert_eq!(&mock.take_sent()[..], b"A\0\0\0\x01?M\0\0\0\x02HO");

        mock.connection().close(Reason::GoingAway);
        assert_eq!(session.turn().await.unwrap().by, ClosedBy::Local);
        assert_eq!(&mock.take_sent()[..], b"B\0\0\0\x01\x01");
    }

    #[tokio::test(start_paused = true)]
    async fn the_peers_goodbye_is_answered_and_a_broken_rule_told() {
        for (bytes, by, reason, answer) in [
            (&b"B\0\0\0\x01\0"[..], ClosedBy::Peer, Reason::Done, 0),
            (b"M\0\0\0\x0b", ClosedBy::Protocol, Reason::TooBig, 3),
            (b"GET / HTTP/1.1", ClosedBy::Protocol, Reason::BadPeer, 2),
        ] {
            let mut mock = Mock::new(wire());
            let mut session = mock.open(Shout).await.unwrap();
            mock.receive(bytes);
            let closed = session.turn().await.unwrap();
            assert_eq!((closed.by, closed.reason), (by, reason));
            assert_eq!(mock.take_sent()[..], [b'B', 0, 0, 0, 1, answer]);
        }
    }
}
