//! What the benches work on: payloads, a client's bytes, and connections with hardly a network.
//!
//! Nothing in here is measured for its own sake, so all of it does as little as it can while a bench runs.
#![forbid(unsafe_code)]

mod connections;
mod stream;

use bytes::BytesMut;
use wsrv_rfc6455::frame::{Header, OpCode};
use wsrv_rfc6455::handshake::{HeadLimits, HeadReader, RequestHead};
use wsrv_rfc6455::{Message, mask};

pub use connections::{Crowd, TcpCrowd, echo, runtime, talk};
pub use stream::{Repeat, Silent};

/// The key of all masked frames. Any but zeros, for which unmasking has nothing to do.
pub const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// The opening handshake as Chromium sends it: 13 header lines.
pub const BROWSER_REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: localhost:8080\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://localhost:8080\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// What a payload is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Binary messages, which nobody looks into.
    Binary,
    /// Text of one byte a character.
    Ascii,
    /// Text of one to four bytes a character.
    Mixed,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Binary, Self::Ascii, Self::Mixed];

    /// A message of `size` bytes.
    pub fn message(self, size: usize) -> Message {
        let text = self.text(size);
        if self == Self::Binary { Message::from(text.into_bytes()) } else { Message::from(text) }
    }

    /// `size` bytes of text, ASCII for [`Kind::Binary`] as well.
    pub fn text(self, size: usize) -> String {
        let sample = if self == Self::Mixed {
            "Grüße, świecie! 日本語のテキスト 🙂 "
        } else {
            "Hello, quick brown fox! "
        };
        let mut text = String::with_capacity(size);
        for char in sample.chars().cycle() {
            if text.len() + char.len_utf8() > size {
                break;
            }
            text.push(char);
        }
        // Where the next character has no room.
        text.extend(std::iter::repeat_n('.', size - text.len()));
        text
    }
}

/// A message of `size` bytes as a client sends it: one masked frame.
pub fn frame(kind: Kind, size: usize) -> Vec<u8> {
    let opcode = if kind == Kind::Binary { OpCode::Binary } else { OpCode::Text };
    masked(opcode, kind.text(size).as_bytes())
}

fn masked(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Header { mask: Some(KEY), ..Header::whole(opcode, payload.len() as u64) }.encode(&mut frame);
    let start = frame.len();
    frame.extend_from_slice(payload);
    mask::apply(&mut frame[start..], KEY, 0);
    frame
}

/// A text as a client sends it: one masked frame.
pub fn text_frame(text: &str) -> Vec<u8> {
    masked(OpCode::Text, text.as_bytes())
}

/// Several such frames, one after the other.
pub fn frames(kind: Kind, size: usize, count: usize) -> Vec<u8> {
    frame(kind, size).repeat(count)
}

/// The head of [`BROWSER_REQUEST`].
///
/// # Panics
///
/// If the reader refuses it.
pub fn request() -> RequestHead {
    let mut buffer = BytesMut::from(BROWSER_REQUEST);
    HeadReader::new(HeadLimits::default()).read(&mut buffer).expect("a good request").expect("a whole head")
}
