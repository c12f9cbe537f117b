//! Frames of a server at a client, some of them compressed.

use bytes::BytesMut;
use wsrv_rfc6455::deflate::{Agreement, Compression, Deflate, DeflateParams};
use wsrv_rfc6455::{Limits, Message, PreparedFrame, ProtocolError, Received, Receiver, Sender};

use super::reads::Reads;

/// A stream of compressed messages means the same however it is cut into reads, and never makes more than the limits allow.
///
/// - The messages and the error do not depend on the reads.
/// - No message is longer than the limit; text is UTF-8; what is held for an unfinished message is what has arrived.
/// - What arrived can be compressed again, at any level, in frames of any size, alone or prepared, and arrives again.
/// - After an error the same error follows, and it has a close code.
pub fn deflate_stream(data: &[u8]) {
    let Some(reads) = Reads::parse(data) else { return };
    let takeover = reads.limits & 1 == 0;
    let max = [1 << 16, 1000, 100, 5][reads.limits >> 1 & 3];
    let ratio = (reads.limits & 8 > 0).then_some(3);
    let level = if reads.limits & 16 > 0 { 6 } else { 1 };
    let settings = Deflate::default().with_min_size(0).with_binary(true).with_level(level).with_max_ratio(ratio);
    let compression = Compression::new(settings);
    let params = DeflateParams::default().with_takeover(takeover, takeover).with_window_bits(9 + level, 15);

    let [at_once, as_asked, byte_by_byte] = reads.ways();
    let outcome = receive(&compression, params, max, &at_once);
    assert_eq!(outcome, receive(&compression, params, max, &as_asked), "the reads make a difference");
    assert_eq!(outcome, receive(&compression, params, max, &byte_by_byte), "reading byte by byte makes a difference");
    let (messages, error) = outcome;
    if let Some(error) = error {
        assert!(error.close_code().is_sendable());
    }

    for (max_frame, is_prepared) in [(usize::MAX, false), (usize::MAX, true), (7, false)] {
        let mut sender =
            Sender::server().with_deflate(&Agreement::server(&compression, params)).with_max_frame(max_frame);
        let mut out = BytesMut::new();
        for message in &messages {
            match is_prepared {
                true => sender.prepared(&PreparedFrame::new(message.clone()), &mut out),
                false => sender.message(message.clone(), &mut out),
            }
            .expect("nobody has closed");
        }
        // The ratio may forbid what it allowed before: it is the peer that compresses badly.
        if ratio.is_none() {
            let again = receive(&compression, params, usize::MAX >> 8, &[&out]);
            assert_eq!(again, (messages.clone(), None), "what was sent does not arrive");
        }
    }
}

/// All that a client says about a stream that arrives in these pieces, but for control frames.
fn receive(
    compression: &Compression,
    params: DeflateParams,
    max: usize,
    pieces: &[&[u8]],
) -> (Vec<Message>, Option<ProtocolError>) {
    let limits = Limits::default().with_max_message(max).with_max_fragments(u32::MAX);
    let mut receiver = Receiver::client(limits).with_deflate(&Agreement::client(compression, params));
    let (mut buffer, mut arrived, mut messages) = (BytesMut::new(), 0, Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        arrived += piece.len();
        loop {
            match receiver.receive(&mut buffer) {
                Ok(Received::Incomplete { .. }) => break,
                Ok(Received::Message(found)) => {
                    let message = receiver.take(found, &mut buffer);
                    assert!(message.len() <= max, "a message of {} bytes", message.len());
                    if message.is_text() {
                        assert!(std::str::from_utf8(message.as_bytes()).is_ok(), "text that is none");
                    }
                    messages.push(message);
                }
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(receiver.receive(&mut buffer), Err(error));
                    return (messages, Some(error));
                }
            }
        }
        assert!(receiver.held() <= 2 * arrived + 64, "{} bytes are held for {arrived}", receiver.held());
    }
    (messages, None)
}
