//! What load generator and peers have in common: the bytes of a WebSocket, and the least of the opening handshake.

/// A browser's request: 13 header lines, with the sample key of RFC 6455.
pub const REQUEST: &str = "GET / HTTP/1.1\r\n\
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

/// The answer to that key, by RFC 6455 §1.3.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a payload is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A binary message.
    Binary,
    /// Text of one byte a character.
    Ascii,
    /// Text of one to four bytes a character.
    Mixed,
}

impl Kind {
    /// `size` bytes, valid as text whatever the kind.
    pub fn payload(self, size: usize) -> Vec<u8> {
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
        text.extend(std::iter::repeat_n('.', size - text.len()));
        text.into()
    }

    fn server_header(self, size: usize) -> Vec<u8> {
        let (header, len) = header(if self == Self::Binary { 0x82 } else { 0x81 }, size);
        header[..len].to_vec()
    }

    /// The payload as a client sends it, masked.
    pub fn client_frame(self, size: usize) -> Vec<u8> {
        const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
        let mut frame = self.server_header(size);
        frame[1] |= 0x80;
        frame.extend(KEY);
        frame.extend(self.payload(size).iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    /// The payload as a server sends it.
    pub fn server_frame(self, size: usize) -> Vec<u8> {
        let mut frame = self.server_header(size);
        frame.extend(self.payload(size));
        frame
    }
}

/// A frame header without a mask, and its length.
pub fn header(first: u8, len: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = first;
    match len {
        0..=125 => {
            header[1] = len as u8;
            (header, 2)
        }
        126..=0xFFFF => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            (header, 4)
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(len as u64).to_be_bytes());
            (header, 10)
        }
    }
}
