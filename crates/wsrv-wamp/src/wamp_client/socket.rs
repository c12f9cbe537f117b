//! The WebSocket below a client: the opening handshake, and the one task that reads and writes.
//!
//! What lies above gives texts and a close frame, and gets texts and an end. All that is known here of RFC 6455 and of
//! time lies behind [`open`] and [`drive`].

use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};
use wsrv_rfc6455::handshake::{AnswerReader, ClientRequest, HeadLimits};
use wsrv_rfc6455::{CloseCode, CloseFrame, Event, Limits, Message, Protocol};

use super::{ClientOptions, ConnectFailure, ConnectionFault, Ended};
use crate::ClientError;

/// As long as so many bytes are to be written, no further message is taken from the queue.
const WRITE_AHEAD: usize = 64 * 1024;

/// As long as pongs of so many bytes are to be written, nothing is read: the server does not read what it asks for.
const MAX_PONGS: usize = 64 * 1024;

/// How much is read at a time.
const READ: usize = 16 * 1024;

/// When nothing is due.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

/// A text to be sent.
pub(super) struct Outgoing {
    pub(super) text: String,
    /// Given back when the text is on its way.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

/// What the task is told to do. When the queue ends, the close frame goes out.
pub(super) struct Orders {
    pub(super) queue: mpsc::UnboundedReceiver<Outgoing>,
    pub(super) close: oneshot::Receiver<CloseFrame>,
}

/// What the task needs to know of the options.
pub(super) struct Settings {
    limits: Limits,
    close_timeout: Duration,
    ping_after: Option<Duration>,
    pong_timeout: Duration,
}

impl Settings {
    pub(super) const fn new(options: &ClientOptions) -> Self {
        Self {
            limits: options.message_limits,
            close_timeout: options.close_timeout,
            ping_after: options.ping_after,
            pong_timeout: options.pong_timeout,
        }
    }
}

/// The opening handshake. What came behind the server's answer is given back.
pub(super) async fn open<S>(
    stream: &mut S,
    request: &ClientRequest,
    limits: HeadLimits,
) -> Result<BytesMut, ConnectFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = BytesMut::new();
    let expected = request.encode(&mut buffer)?;
    stream.write_all(&buffer.split()).await?;
    stream.flush().await?;
    let mut reader = AnswerReader::new(limits);
    let head = loop {
        match reader.read(&mut buffer)? {
            Some(head) => break head,
            None if stream.read_buf(&mut buffer).await? > 0 => {}
            None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    };
    match expected.check(&head)? {
        Some(_) => Ok(buffer),
        None => Err(ConnectFailure::NoSubprotocol),
    }
}

/// Runs the connection to its end, and gives back the stream, which is to be closed. `early` is what the opening handshake has left.
pub(super) async fn drive<S>(
    stream: S,
    early: BytesMut,
    settings: Settings,
    mut orders: Orders,
    on_text: impl FnMut(&str) -> Result<(), ClientError>,
) -> (Ended, Rest<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut line = Line::new(settings, on_text);
    line.protocol.received(&early);
    drop(early);
    let mut input = BytesMut::new();
    let mut frame = CloseFrame::from(CloseCode::NORMAL);
    let (mut asked, mut queue_ended, mut unflushed) = (false, false, false);
    let mut timer = pin!(sleep_until(Instant::now()));
    loop {
        line.receive();
        let to_write = line.protocol.output();
        line.pongs = line.pongs.min(to_write.len());
        if line.protocol.is_finished() && !unflushed {
            break;
        }
        let due = line.due().unwrap_or_else(|| Instant::now() + FAR);
        if due < timer.deadline() || timer.is_elapsed() {
            timer.as_mut().reset(due);
        }
        tokio::select! {
            written = write(&mut writer, to_write), if unflushed || !to_write.is_empty() => match written {
                Ok(0) => unflushed = false,
                Ok(bytes) => {
                    line.protocol.written(bytes);
                    unflushed = true;
                }
                Err(error) => line.lost(error),
            },
            read = read(&mut reader, &mut input), if line.protocol.closed().is_none() && line.pongs < MAX_PONGS => {
                match read {
                    Ok(1..) => {
                        line.protocol.received(&input);
                        input.clear();
                        line.heard = Instant::now();
                        line.pinged = None;
                    }
                    Ok(0) => line.lost(io::ErrorKind::UnexpectedEof.into()),
                    Err(error) => line.lost(error),
                }
            }
            next = orders.queue.recv(), if !queue_ended && line.may_take_more() => match next {
                Some(outgoing) => line.send(outgoing.text),
                None => {
                    queue_ended = true;
                    if !asked {
                        frame = orders.close.try_recv().unwrap_or(frame.clone());
                    }
                    line.close(&frame);
                }
            },
            close = &mut orders.close, if !asked && !queue_ended => {
                asked = true;
                // From here on there is a time limit, also for what is still to be sent before the close.
                line.begin_closing();
                if let Ok(close) = close {
                    frame = close;
                }
            }
            () = &mut timer => {
                if let ControlFlow::Break(()) = line.tick() {
                    break;
                }
            }
        }
        if line.broken {
            break;
        }
    }
    line.begin_closing();
    let rest = Rest { reader, writer, deadline: line.due(), broken: line.broken };
    (Ended { closed: line.protocol.ended().clone(), fault: line.fault }, rest)
}

/// The stream, when all is said.
pub(super) struct Rest<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    /// `None`: there is time without end.
    deadline: Option<Instant>,
    broken: bool,
}

impl<S: AsyncRead + AsyncWrite> Rest<S> {
    /// Lets the server end the stream first, so that the ports wait at its side (RFC 6455 §7.1.1).
    pub(super) async fn close(mut self) {
        if self.broken {
            return;
        }
        let mut input = BytesMut::new();
        let goodbye = async {
            while let Ok(1..) = read(&mut self.reader, &mut input).await {
                input.clear();
            }
            let _ = self.writer.shutdown().await;
        };
        match self.deadline {
            Some(deadline) => drop(timeout_at(deadline, goodbye).await),
            None => goodbye.await,
        }
    }
}

/// Cancel safe: what was read is in the buffer.
async fn read(reader: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) -> io::Result<usize> {
    input.reserve(READ);
    reader.read_buf(input).await
}

/// Writes a part of it, or sees to it that all is on its way if there is nothing left: then it gives 0. Cancel safe.
async fn write(writer: &mut (impl AsyncWrite + Unpin), output: &[u8]) -> io::Result<usize> {
    if output.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(output).await {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        written => written,
    }
}

/// The protocol, what was found wrong with the peer, and when something is due.
struct Line<F> {
    protocol: Protocol,
    settings: Settings,
    on_text: F,
    fault: Option<ConnectionFault>,
    /// The stream can be used no more.
    broken: bool,
    /// When the end has begun.
    closing: Option<Instant>,
    heard: Instant,
    pinged: Option<Instant>,
    /// How many bytes of the output are answers to pings, at most.
    pongs: usize,
}

impl<F: FnMut(&str) -> Result<(), ClientError>> Line<F> {
    fn new(settings: Settings, on_text: F) -> Self {
        Self {
            protocol: Protocol::client(settings.limits),
            settings,
            on_text,
            fault: None,
            broken: false,
            closing: None,
            heard: Instant::now(),
            pinged: None,
            pongs: 0,
        }
    }

    /// Deals with all that was read.
    fn receive(&mut self) {
        loop {
            match self.protocol.next() {
                Ok(None) => break,
                Ok(Some(Event::Message(message))) => self.on_message(&message),
                // A frame's header and mask, and the payload.
                Ok(Some(Event::Ping(payload))) => self.pongs += 6 + payload.len(),
                Ok(Some(Event::Closed(_))) => {
                    self.begin_closing();
                    break;
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    self.fault.get_or_insert(ConnectionFault::Protocol(error));
                    self.begin_closing();
                    break;
                }
            }
        }
    }

    fn on_message(&mut self, message: &Message) {
        if self.fault.is_some() {
            return;
        }
        let (fault, frame) = match message {
            Message::Text(text) => match (self.on_text)(text.as_str()) {
                Ok(()) => return,
                Err(error) => {
                    let frame = CloseFrame::new(CloseCode::PROTOCOL_ERROR, error.to_string());
                    (ConnectionFault::Message(error), frame)
                }
            },
            Message::Binary(_) => {
                (ConnectionFault::Binary, CloseFrame::new(CloseCode::UNSUPPORTED_DATA, "WAMP is text"))
            }
        };
        self.fault = Some(fault);
        self.close(&frame);
    }

    fn send(&mut self, text: String) {
        // Refused if the server has closed meanwhile: then what was to be sent is lost with the connection.
        let _ = self.protocol.send(text);
        if let Some(error) = self.protocol.failure() {
            self.fault = Some(ConnectionFault::Keys(error));
            self.broken = true;
        }
    }

    fn may_take_more(&self) -> bool {
        !self.protocol.is_closing() && self.protocol.output().len() < WRITE_AHEAD && self.pongs < MAX_PONGS
    }

    fn close(&mut self, frame: &CloseFrame) {
        // Refused if a close is on its way already.
        let _ = self.protocol.close(Some(frame));
        self.begin_closing();
    }

    fn begin_closing(&mut self) {
        self.closing.get_or_insert_with(Instant::now);
    }

    /// The stream is gone.
    fn lost(&mut self, error: io::Error) {
        // After the server's close, or our own because of a fault, it does not matter any more how the stream ends.
        if self.protocol.closed().is_none() {
            self.fault.get_or_insert(ConnectionFault::Io(Arc::new(error)));
        }
        self.broken = true;
    }

    /// When [`tick`](Self::tick) has something to do. `None`: never, also where a time is too long for the clock.
    fn due(&self) -> Option<Instant> {
        match (self.closing, self.settings.ping_after, self.pinged) {
            (Some(since), ..) => since.checked_add(self.settings.close_timeout),
            (None, Some(_), Some(pinged)) => pinged.checked_add(self.settings.pong_timeout),
            (None, Some(silence), None) => self.heard.checked_add(silence),
            (None, None, _) => None,
        }
    }

    /// Looks at the clock. Breaks when the time is over.
    fn tick(&mut self) -> ControlFlow<()> {
        if self.due().is_none_or(|due| Instant::now() < due) {
            return ControlFlow::Continue(());
        }
        if self.closing.is_some() {
            self.fault.get_or_insert(ConnectionFault::CloseTimeout);
        } else if self.pinged.is_some() {
            self.fault.get_or_insert(ConnectionFault::Silent);
        } else {
            self.pinged = Some(Instant::now());
            let _ = self.protocol.ping(b"");
            return ControlFlow::Continue(());
        }
        self.broken = true;
        ControlFlow::Break(())
    }
}
