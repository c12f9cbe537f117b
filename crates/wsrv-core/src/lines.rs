//! A protocol of its own: one message a line. The smallest useful [`Wire`], for services that speak plain text.

use crate::{Connection, Link, Out, Reason, Receive, Received, SendError, Transmit, Wire};
use bytes::{Bytes, BytesMut};
use std::convert::Infallible;
use std::fmt;

/// Lines of bytes, ended by LF or CRLF. The end of the stream is a goodbye in good order.
///
/// Run one with [`Driver`](crate::Driver). A line that is longer than the limit ends the connection with [`Reason::TooBig`].
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    max_line: usize,
}

impl Lines {
    /// Lines of at most `max_line` bytes, without their ends.
    pub fn new(max_line: usize) -> Self {
        Lines { max_line }
    }
}

/// The connection a handler of [`Lines`] sees.
#[derive(Clone, Debug)]
pub struct LineConnection(Link<Lines>);

impl LineConnection {
    /// Sends one line as soon as there is room; its end is added. See [`Link::send`].
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`]; [`SendError::Invalid`] if there is a line end in it already.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    pub async fn send(&self, line: impl Into<Bytes>) -> Result<(), SendError> {
        let line = checked(line.into())?;
        let encode = |line: &mut Bytes, _: &mut LineSender, out: &mut Out<'_>| {
            out.put_bytes(std::mem::take(line));
            Ok(())
        };
        self.0.send_message(line, std::mem::take, encode).await
    }

    /// Sends one line at once or not at all. See [`Link::try_send`].
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`], [`SendError::Full`], [`SendError::Invalid`].
    pub fn try_send(&self, line: impl Into<Bytes>) -> Result<(), SendError> {
        self.0.try_send_prepared(&checked(line.into())?, None)
    }
}

fn checked(line: Bytes) -> Result<Bytes, SendError> {
    if line.contains(&b'\n') { Err(SendError::Invalid("a line with a line end in it")) } else { Ok(encode(line)) }
}

impl Connection for LineConnection {
    type Wire = Lines;
    type Incoming = Bytes;
    type Outgoing = Bytes;

    fn link(&self) -> &Link<Lines> {
        &self.0
    }

    /// A message to a group that has line ends in it arrives as several lines.
    fn encode(message: Bytes) -> Bytes {
        encode(message)
    }
}

fn encode(line: Bytes) -> Bytes {
    let mut encoded = BytesMut::with_capacity(line.len() + 1);
    encoded.extend_from_slice(&line);
    encoded.extend_from_slice(b"\n");
    encoded.freeze()
}

impl Wire for Lines {
    type Connection = LineConnection;
    type Receiver = LineReceiver;
    type Sender = LineSender;
    type Signal = Infallible;
    type Close = Reason;
    type Prepared = Bytes;
    type Context = ();

    fn split(self) -> (LineReceiver, LineSender, ()) {
        (LineReceiver { max_line: self.max_line, searched: 0 }, LineSender(()), ())
    }

    fn connection(link: Link<Self>) -> LineConnection {
        LineConnection(link)
    }

    fn size(line: &Bytes) -> usize {
        line.len()
    }

    fn reason(close: &Reason) -> Reason {
        *close
    }
}

/// The receiving half of [`Lines`].
#[derive(Debug)]
pub struct LineReceiver {
    max_line: usize,
    /// Bytes of the buffer known to hold no line end.
    searched: usize,
}

impl LineReceiver {
    /// Sets the longest line, in bytes without its end; by [`Link::change_receiver`] also while the connection runs.
    pub fn set_max_line(&mut self, bytes: usize) {
        self.max_line = bytes;
    }
}

/// A line is longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line longer than {limit} bytes")]
pub struct LineTooLong {
    limit: usize,
}

impl Receive<Lines> for LineReceiver {
    type Found = usize;
    type Error = LineTooLong;

    fn receive(&mut self, buffer: &mut BytesMut) -> Result<Received<Lines, usize>, LineTooLong> {
        let end = buffer[self.searched..].iter().position(|b| *b == b'\n').map(|at| self.searched + at);
        // The longest line that is allowed may still lack its CR LF.
        let length = end.unwrap_or(buffer.len().saturating_sub(1));
        if length.saturating_sub(usize::from(buffer[..length].ends_with(b"\r"))) > self.max_line {
            return Err(LineTooLong { limit: self.max_line });
        }
        Ok(match end {
            Some(end) => Received::Message { found: end, size: end },
            None => {
                self.searched = buffer.len();
                Received::Incomplete { needed: buffer.len() + 1 }
            }
        })
    }

    fn take(&mut self, end: usize, buffer: &mut BytesMut) -> Bytes {
        self.searched = 0;
        let line = buffer.split_to(end + 1);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        Bytes::copy_from_slice(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn end_of_stream(&mut self, rest: &[u8]) -> bool {
        rest.is_empty()
    }

    fn farewell(_: &LineTooLong) -> Reason {
        Reason::TooBig
    }
}

/// The sending half of [`Lines`].
#[derive(Debug)]
pub struct LineSender(());

impl Transmit<Lines> for LineSender {
    fn prepared(&mut self, line: &Bytes, out: &mut Out<'_>) {
        out.put_shared(line);
    }

    fn answer(&mut self, signal: Infallible, _: &mut Out<'_>) {
        match signal {}
    }

    /// The end of the stream says it all.
    fn close(&mut self, _: &Reason, _: &mut Out<'_>) -> bool {
        false
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lines of at most {} bytes", self.max_line)
    }
}
