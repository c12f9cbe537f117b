//! The codec beside that of tungstenite, in one run: bytes arrive from memory in reads of up to 16 KiB, and become
//! messages of their own. And the headers of frames alone.
//!
//! One iteration is one message or header. Both copy the bytes of a read into their buffer, as they would from a
//! socket. A message is dropped before the next one comes, as in an echo: a thousand kept ones would measure the memory.

use bytes::BytesMut;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use std::io::{self, Cursor, Read, Write};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode as TungsteniteOpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use wsrv_compare::Kind;
use wsrv_rfc6455::frame::{Header, OpCode};
use wsrv_rfc6455::{Limits, Received, Receiver};

fn main() {
    divan::main();
}

const READ: usize = 16 * 1024;
const SIZES: [usize; 4] = [16, 125, 1024, 16 * 1024];
const LENGTHS: [usize; 3] = [125, 1024, 70_000];

/// The same frame without end.
struct Frames {
    frames: Vec<u8>,
    frame: usize,
    at: usize,
}

impl Frames {
    fn new(kind: Kind, size: usize) -> Self {
        let frame = kind.client_frame(size);
        Self { frames: frame.repeat(READ / frame.len() + 2), frame: frame.len(), at: 0 }
    }

    fn next(&mut self, most: usize) -> &[u8] {
        let start = self.at;
        let len = most.min(READ);
        self.at = (start + len) % self.frame;
        &self.frames[start..start + len]
    }
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(buffer.len());
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wsrv(bencher: Bencher, kind: Kind, size: usize) {
    let mut frames = Frames::new(kind, size);
    let mut receiver = Receiver::server(Limits::default());
    let mut buffer = BytesMut::with_capacity(2 * READ);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        loop {
            match receiver.receive(black_box(&mut buffer)).expect("good frames") {
                Received::Message(found) => return drop(black_box(receiver.take(found, &mut buffer))),
                Received::Incomplete { .. } => buffer.extend_from_slice(frames.next(READ)),
                other => panic!("no message: {other:?}"),
            }
        }
    });
}

/// `read_buffer` is the size of its buffer, the free part of which it fills with zeros before each read.
fn tungstenite(bencher: Bencher, kind: Kind, size: usize, read_buffer: usize) {
    let config = WebSocketConfig::default().read_buffer_size(read_buffer);
    let mut socket = WebSocket::from_raw_socket(Frames::new(kind, size), Role::Server, Some(config));
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        drop(black_box(black_box(&mut socket).read().expect("good frames")));
    });
}

macro_rules! kind {
    ($name:ident, $kind:expr) => {
        mod $name {
            use super::*;

            #[divan::bench(args = SIZES, sample_size = 1000)]
            fn wsrv(bencher: Bencher, size: usize) {
                super::wsrv(bencher, $kind, size);
            }

            /// With its default buffer of 128 KiB.
            #[divan::bench(args = SIZES, sample_size = 1000)]
            fn tungstenite(bencher: Bencher, size: usize) {
                super::tungstenite(bencher, $kind, size, 128 * 1024);
            }

            /// With a buffer as large as the reads are.
            #[divan::bench(args = SIZES, sample_size = 1000)]
            fn tungstenite_tuned(bencher: Bencher, size: usize) {
                super::tungstenite(bencher, $kind, size, READ);
            }
        }
    };
}

kind!(binary, Kind::Binary);
kind!(ascii, Kind::Ascii);
kind!(mixed, Kind::Mixed);

/// Headers as a client sends them, one for each form of the length.
mod header_parse {
    use super::*;

    #[divan::bench(args = LENGTHS, sample_size = 1000)]
    fn wsrv(bencher: Bencher, len: usize) {
        let frame = Kind::Binary.client_frame(len);
        bencher.bench_local(|| Header::parse(black_box(&frame)));
    }

    #[divan::bench(args = LENGTHS, sample_size = 1000)]
    fn tungstenite(bencher: Bencher, len: usize) {
        let frame = Kind::Binary.client_frame(len);
        bencher.bench_local(|| FrameHeader::parse(&mut Cursor::new(black_box(&frame))).expect("a good header"));
    }
}

/// Headers as a server sends them, into a buffer that has room.
mod header_encode {
    use super::*;

    #[divan::bench(args = LENGTHS, sample_size = 1000)]
    fn wsrv(bencher: Bencher, len: usize) {
        let mut out = Vec::with_capacity(16);
        bencher.bench_local(|| {
            out.clear();
            Header::whole(OpCode::Binary, black_box(len as u64)).encode(black_box(&mut out));
        });
    }

    #[divan::bench(args = LENGTHS, sample_size = 1000)]
    fn tungstenite(bencher: Bencher, len: usize) {
        let mut out = Vec::with_capacity(16);
        bencher.bench_local(|| {
            out.clear();
            let header = FrameHeader { opcode: TungsteniteOpCode::Data(Data::Binary), ..FrameHeader::default() };
            header.format(black_box(len as u64), black_box(&mut out)).expect("a vector takes all");
        });
    }
}
