//! Compressed messages: our two ends with one another and with another implementation, any cut, and hostile peers.

mod common;
#[path = "common/distances.rs"]
mod distances;

use bytes::BytesMut;
use common::{Event, events_at, with_header};
use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress};
use proptest::prelude::*;
use std::collections::HashSet;
use wsrv_rfc6455::deflate::{Agreement, Compression, Deflate, DeflateParams};
use wsrv_rfc6455::frame::{Header, OpCode};
use wsrv_rfc6455::{CloseCode, Limits, Message, PreparedFrame, ProtocolError, Received, Receiver, Sender};

/// Compresses whatever gets shorter by it.
fn all() -> Deflate {
    Deflate::default().with_min_size(0).with_binary(true)
}

fn server_receiver(params: DeflateParams, limits: Limits) -> Receiver {
    Receiver::server(limits).with_deflate(&Agreement::server(&Compression::new(all()), params))
}

fn client_receiver(params: DeflateParams) -> Receiver {
    Receiver::client(Limits::default()).with_deflate(&Agreement::client(&Compression::new(all()), params))
}

/// A frame of a client with these reserved bits.
fn frame(fin: bool, reserved: u8, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let header = Header { fin, reserved, mask: Some(common::KEY), ..Header::whole(opcode, payload.len() as u64) };
    with_header(header, payload)
}

fn compressed_frame(opcode: OpCode, packed: &[u8]) -> Vec<u8> {
    frame(true, Header::RSV1, opcode, packed)
}

/// What another implementation compresses this to.
fn pack(compress: &mut Compress, message: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(message.len() * 2 + 100);
    compress.compress_vec(message, &mut packed, FlushCompress::Sync).unwrap();
    assert!(packed.ends_with(&[0, 0, 0xFF, 0xFF]) && packed.len() < packed.capacity());
    packed.truncate(packed.len() - 4);
    packed
}

fn packed(message: &[u8]) -> Vec<u8> {
    pack(&mut Compress::new(Level::best(), false), message)
}

/// What another implementation inflates this to.
fn unpack(decompress: &mut Decompress, packed: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(1 << 20);
    let (start, packed) = (decompress.total_in(), [packed, &[0, 0, 0xFF, 0xFF]].concat());
    decompress.decompress_vec(&packed, &mut message, FlushDecompress::Sync).unwrap();
    assert_eq!(decompress.total_in() - start, packed.len() as u64);
    message
}

fn events(receiver: Receiver, bytes: &[u8]) -> Vec<Event> {
    // Compressed data may be a little longer than the limit.
    events_at(receiver, Limits::default().with_max_message(usize::MAX), [bytes])
}

#[test]
fn the_examples_of_the_rfc_are_understood() {
    // RFC 7692 §7.2.3, each a connection of its own.
    let hello = [Event::Message("Hello".into())];
    let take = |frames: &[u8]| events(client_receiver(DeflateParams::default()), frames);
    assert_eq!(take(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), hello);
    assert_eq!(take(b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00"), hello, "in two fragments");
    let twice = take(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00");
    assert_eq!(twice, [hello.clone(), hello.clone()].concat(), "the second refers to the first");
    assert_eq!(take(b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), hello, "not compressed");
    assert_eq!(take(b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), hello, "a last block");
    assert_eq!(take(b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), hello, "two blocks");
    assert_eq!(take(b"\xc1\x01\x00"), [Event::Message("".into())], "nothing");
}

#[test]
fn what_is_compressed_says_so_in_its_first_frame_only() {
    let agreement = Agreement::server(&Compression::new(all()), DeflateParams::default());
    let mut sender = Sender::server().with_deflate(&agreement).with_max_frame(3);
    let mut out = Vec::new();
    sender.message("a".repeat(5000).into(), &mut out).unwrap();
    let (mut rest, mut firsts) = (&out[..], Vec::new());
    while let Some((header, size)) = Header::parse(rest).unwrap() {
        firsts.push((header.opcode, header.reserved, header.fin));
        rest = &rest[size + header.payload_len as usize..];
    }
    assert!(firsts.len() > 2);
    assert_eq!(firsts[0], (OpCode::Text, Header::RSV1, false));
    assert!(firsts[1..].iter().all(|&(opcode, reserved, _)| (opcode, reserved) == (OpCode::Continuation, 0)));
    assert!(firsts.last().unwrap().2);
    let whole = events(client_receiver(DeflateParams::default()), &out);
    assert_eq!(whole, [Event::Message("a".repeat(5000).into())]);
}

#[test]
fn size_and_type_decide_what_is_compressed() {
    let text = |len: usize| Message::from("a".repeat(len));
    let binary = |len: usize| Message::from(vec![b'a'; len]);
    for (settings, message, expected) in [
        (Deflate::default(), text(255), false),
        (Deflate::default(), text(256), true),
        (Deflate::default(), binary(256), false),
        (Deflate::default().with_binary(true), binary(256), true),
        (Deflate::default().with_min_size(10), text(10), true),
        (Deflate::default().with_min_size(0), text(0), false),
        // It would not get shorter.
        (Deflate::default().with_min_size(0), text(2), false),
    ] {
        let compression = Compression::new(settings);
        let params = DeflateParams::default().with_takeover(false, false);
        let sender = || Sender::server().with_deflate(&Agreement::server(&compression, params));
        let (mut sent, mut prepared) = (Vec::new(), Vec::new());
        sender().message(message.clone(), &mut sent).unwrap();
        sender().prepared(&PreparedFrame::new(message.clone()), &mut prepared).unwrap();
        assert_eq!(sent[0] & 0x40 > 0, expected, "{message:?}");
        assert_eq!(sent, prepared);
    }
}

#[test]
fn what_is_to_stay_uncompressed_does_and_nothing_refers_to_it() {
    let agreement = Agreement::server(&Compression::new(all()), DeflateParams::default());
    let secret = Message::from("the secret is hidden in here, in this line");
    let mut sender = Sender::server().with_deflate(&agreement);
    let (mut first, mut second, mut again) = (Vec::new(), Vec::new(), Vec::new());
    sender.message_uncompressed(secret.clone(), &mut first).unwrap();
    sender.prepared(&PreparedFrame::new(secret.clone()).uncompressed(), &mut first).unwrap();
    sender.prepared(&PreparedFrame::new(secret.clone()).uncompressed().clone(), &mut first).unwrap();
    assert_eq!(first, [PreparedFrame::new(secret.clone()).as_bytes(); 3].concat());
    sender.message(secret.clone(), &mut second).unwrap();
    let mut alone = Vec::new();
    Sender::server().with_deflate(&agreement).message(secret.clone(), &mut alone).unwrap();
    assert_eq!(second, alone, "as if it had never been sent");
    sender.message(secret, &mut again).unwrap();
    assert!(again.len() < second.len() / 2, "this one refers to the last: {} and {}", again.len(), second.len());
}

#[test]
fn a_message_to_many_is_compressed_once_for_each_window() {
    let compression = Compression::new(all());
    let sender = |params: DeflateParams| Sender::server().with_deflate(&Agreement::server(&compression, params));
    let none = DeflateParams::default().with_takeover(false, false);
    let mut members: Vec<Sender> = (0..10).map(|_| sender(none)).collect();
    members.extend((0..10).map(|_| sender(none.with_window_bits(10, 15))));
    members.extend((0..3).map(|_| sender(DeflateParams::default())));
    let frame = PreparedFrame::new("the same line, ".repeat(300));
    let mut outs: Vec<Vec<u8>> = Vec::new();
    for member in &mut members {
        let mut out = Vec::new();
        // As it is for a peer that is slow.
        member.prepared(&frame.clone(), &mut out).unwrap();
        outs.push(out);
    }
    let stats = compression.stats();
    assert_eq!((stats.for_all, stats.reused, stats.alone), (2, 18, 3));
    assert_eq!((stats.connections, stats.with_takeover), (23, 3));
    assert!(stats.compressed_bytes < stats.bytes / 10);
    assert!(outs[..10].iter().all(|out| *out == outs[0]));
    for (member, out) in outs.iter().enumerate() {
        assert!(out.len() < 200);
        let params = if member < 20 { none } else { DeflateParams::default() };
        assert_eq!(events(client_receiver(params), out), [Event::Message("the same line, ".repeat(300).into())]);
    }
}

#[test]
fn a_clients_prepared_frame_is_compressed_and_masked() {
    let params = DeflateParams::default();
    let mut sender = Sender::client().with_deflate(&Agreement::client(&Compression::new(all()), params));
    let mut out = Vec::new();
    for message in [PreparedFrame::new("a".repeat(100)), PreparedFrame::new("a".repeat(100)).uncompressed()] {
        sender.prepared(&message, &mut out).unwrap();
    }
    assert_eq!((out[0], out[1] & 0x80), (0xC1, 0x80));
    let message = Event::Message("a".repeat(100).into());
    assert_eq!(events(server_receiver(params, Limits::default()), &out), [message.clone(), message]);
    assert!(out.len() < 100 + 40, "the second is not compressed");
}

#[test]
fn with_a_window_of_256_bytes_messages_are_sent_as_they_are_and_taken() {
    let params = DeflateParams::default().with_window_bits(15, 8);
    let agreement = Agreement::client(&Compression::new(all()), params);
    let mut out = Vec::new();
    Sender::client().with_deflate(&agreement).message("a".repeat(1000).into(), &mut out).unwrap();
    assert_eq!(out[0], 0x81);
    let line = packed(&b"abcdefgh".repeat(30));
    let taken = events(server_receiver(params, Limits::default()), &compressed_frame(OpCode::Binary, &line));
    assert_eq!(taken, [Event::Message(b"abcdefgh".repeat(30).into())]);
}

#[test]
fn the_first_reserved_bit_elsewhere_is_a_fault() {
    let params = DeflateParams::default();
    let hello = packed(b"Hello");
    let open = frame(false, Header::RSV1, OpCode::Text, &hello);
    for (frames, error) in [
        (frame(true, Header::RSV1, OpCode::Ping, b""), ProtocolError::ReservedBits),
        (frame(true, Header::RSV1, OpCode::Pong, b""), ProtocolError::ReservedBits),
        (frame(true, Header::RSV1, OpCode::Close, b""), ProtocolError::ReservedBits),
        ([open.clone(), frame(true, Header::RSV1, OpCode::Continuation, b"")].concat(), ProtocolError::ReservedBits),
        (frame(true, Header::RSV1, OpCode::Continuation, b""), ProtocolError::ReservedBits),
        (frame(true, Header::RSV2, OpCode::Text, b""), ProtocolError::ReservedBits),
        (frame(true, Header::RSV3, OpCode::Binary, b""), ProtocolError::ReservedBits),
        (frame(true, Header::RSV1 | Header::RSV2, OpCode::Text, &hello), ProtocolError::ReservedBits),
        ([open, compressed_frame(OpCode::Text, &hello)].concat(), ProtocolError::ExpectedContinuation),
    ] {
        assert_eq!(events(server_receiver(params, Limits::default()), &frames), [Event::Error(error)]);
        assert_eq!(error.close_code(), CloseCode::PROTOCOL_ERROR);
    }
    // Nothing was agreed on.
    let frames = compressed_frame(OpCode::Text, &hello);
    assert_eq!(events(Receiver::server(Limits::default()), &frames), [Event::Error(ProtocolError::ReservedBits)]);
}

#[test]
fn corrupt_and_truncated_messages_fail_the_connection_with_1007() {
    let message = "a long line that can be compressed, a long line that can be compressed".repeat(3);
    let good = packed(message.as_bytes());
    let take = |packed: &[u8]| {
        events(server_receiver(DeflateParams::default(), Limits::default()), &compressed_frame(OpCode::Text, packed))
    };
    assert_eq!(take(&good), [Event::Message(message.clone().into())]);
    let corrupt = [Event::Error(ProtocolError::InvalidCompressedData)];
    for cut in 0..good.len() {
        assert_eq!(take(&good[..cut]), corrupt, "cut to {cut} of {}", good.len());
    }
    assert_eq!(take(&[&good[..], b"\xff"].concat()), corrupt, "something follows");
    assert_eq!(take(b"\x07"), corrupt, "no such type of block");
    assert_eq!(take(b"\xf2\x00\x11\x00\x00"), corrupt, "refers to what there was not");
    assert_eq!(ProtocolError::InvalidCompressedData.close_code(), CloseCode::INVALID_PAYLOAD);
}

#[test]
fn without_takeover_nothing_refers_to_the_message_before() {
    let frames = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00";
    let receiver = client_receiver(DeflateParams::default().with_takeover(false, true));
    let expected = [Event::Message("Hello".into()), Event::Error(ProtocolError::InvalidCompressedData)];
    assert_eq!(events(receiver, frames), expected);
}

#[test]
fn text_is_checked_after_it_was_inflated() {
    for params in [DeflateParams::default(), DeflateParams::default().with_takeover(false, false)] {
        let bad = packed(b"not \xFF UTF-8");
        let take = |frames: &[u8]| events(server_receiver(params, Limits::default()), frames);
        assert_eq!(take(&compressed_frame(OpCode::Text, &bad)), [Event::Error(ProtocolError::InvalidUtf8)]);
        let binary = take(&compressed_frame(OpCode::Binary, &bad));
        assert_eq!(binary, [Event::Message((&b"not \xFF UTF-8"[..]).into())]);
        // Compressed text is no UTF-8 as it comes, in fragments neither.
        let good = packed("grüße, ".repeat(20).as_bytes());
        let (front, back) = good.split_at(5);
        let frames =
            [frame(false, Header::RSV1, OpCode::Text, front), frame(true, 0, OpCode::Continuation, back)].concat();
        assert_eq!(take(&frames), [Event::Message("grüße, ".repeat(20).into())]);
    }
}

#[test]
fn the_limits_hold_for_what_a_message_inflates_to() {
    for len in [100, 5000, 100_000] {
        let limits = Limits::default().with_max_message(len);
        let take = |message: &[u8]| {
            let frames = compressed_frame(OpCode::Binary, &packed(message));
            events(server_receiver(DeflateParams::default(), limits), &frames)
        };
        assert_eq!(take(&vec![7; len]), [Event::Message(vec![7; len].into())]);
        assert_eq!(take(&vec![7; len + 1]), [Event::Error(ProtocolError::MessageTooLong)]);
        // What cannot be compressed is longer than the limit by a little.
        let mut noise = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
        let mut message = vec![0; len];
        noise.fill_bytes(&mut message);
        assert!(packed(&message).len() > len);
        assert_eq!(take(&message), [Event::Message(message.clone().into())]);
    }
    let limits = Limits::default().with_max_message(1000);
    let much = frame(true, Header::RSV1, OpCode::Binary, &[7; 2000]);
    let error = events(server_receiver(DeflateParams::default(), limits), &much[..10]);
    assert_eq!(error, [Event::Error(ProtocolError::FrameTooLong)], "from its header");
}

/// 1 GiB of zeros, compressed.
fn bomb() -> Vec<u8> {
    let mut compress = Compress::new(Level::best(), false);
    let zeros = vec![0; 1 << 20];
    let mut mebibyte = || {
        let mut packed = Vec::with_capacity(1 << 16);
        compress.compress_vec(&zeros, &mut packed, FlushCompress::Sync).unwrap();
        packed
    };
    // All but the first refer to what is before them in the same way.
    let (mut bomb, next) = (mebibyte(), mebibyte());
    bomb.extend(next.repeat(1023));
    bomb.truncate(bomb.len() - 4);
    bomb
}

#[test]
fn a_bomb_is_found_early_and_costs_no_more_than_a_message() {
    let bomb = bomb();
    assert!(bomb.len() < 2 << 20);
    let limits = Limits::default().with_max_frame(2 << 20);
    for max_message in [1 << 20, 2 << 20] {
        let limits = limits.with_max_message(max_message);
        let mut receiver = server_receiver(DeflateParams::default(), limits);
        let mut buffer = BytesMut::from(&compressed_frame(OpCode::Binary, &bomb)[..]);
        if bomb.len() > max_message + max_message / 16 {
            continue;
        }
        let mut error = None;
        let memory = allocation_counter::measure(|| error = receiver.receive(&mut buffer).err());
        assert_eq!(error, Some(ProtocolError::MessageTooLong));
        assert_eq!(ProtocolError::MessageTooLong.close_code(), CloseCode::TOO_BIG);
        // The message so far and the one that it grows to, and the tools.
        assert!(memory.bytes_max < 2 * max_message as u64 + 200_000, "{}", memory.bytes_max);
    }
}

#[test]
fn nothing_is_inflated_before_a_message_is_whole() {
    // A kilobyte of it becomes a mebibyte: so who only begins must not be able to have that held.
    let mut receiver = server_receiver(DeflateParams::default(), Limits::default());
    let bomb = &bomb()[..1000];
    let mut bytes = frame(false, Header::RSV1, OpCode::Binary, bomb);
    bytes.extend(frame(false, 0, OpCode::Continuation, bomb));
    let mut buffer = BytesMut::from(&bytes[..]);
    assert!(matches!(receiver.receive(&mut buffer), Ok(Received::Incomplete { .. })));
    assert!(receiver.held() < 5000, "{}", receiver.held());
}

#[test]
fn what_is_longer_compressed_than_the_limit_or_than_a_new_limit_is_not_copied_for_each_byte() {
    for (limit, later) in [(1000, 1000), (2000, 100)] {
        let limits = Limits::default().with_max_message(limit);
        let mut receiver = server_receiver(DeflateParams::default(), limits);
        let mut buffer = BytesMut::new();
        let mut sizes = HashSet::new();
        for (n, byte) in frame(false, Header::RSV1, OpCode::Binary, &[7; 1100]).into_iter().enumerate() {
            buffer.extend_from_slice(&[byte]);
            assert!(matches!(receiver.receive(&mut buffer), Ok(Received::Incomplete { .. })));
            if n == 20 {
                receiver.set_limits(limits.with_max_message(later));
            }
            sizes.insert(receiver.held());
        }
        assert!(sizes.len() < 10, "{}", sizes.len());
    }
}

#[test]
fn no_message_refers_further_back_than_was_agreed_on() {
    // Two like lines so far from one another.
    let far = |distance: usize| {
        let line = "a line that comes again, a line that comes again";
        let between: String = (0..distance).map(|n| char::from(b'0' + (n * n % 77) as u8)).collect();
        format!("{line}{}{line}", &between[..distance - line.len()])
    };
    for (bits, level) in (9..=15).flat_map(|bits| [(bits, 1), (bits, 6), (bits, 9)]) {
        let compression = Compression::new(all().with_level(level));
        for takeover in [false, true] {
            let params = DeflateParams::default().with_takeover(takeover, takeover).with_window_bits(bits, bits);
            let mut sender = Sender::server().with_deflate(&Agreement::server(&compression, params));
            let mut furthest = 0;
            for distance in [100, 200, 260, 500, 520, 1000, 2000, 4000, 8000, 16_000, 20_000, 32_000, 33_000, 60_000] {
                let mut out = Vec::new();
                sender.message(far(distance).into(), &mut out).unwrap();
                let (header, size) = Header::parse(&out).unwrap().unwrap();
                if header.reserved > 0 {
                    furthest = distances::furthest(&out[size..]).max(furthest);
                }
            }
            let window = 1 << bits;
            assert!((window / 4..=window).contains(&furthest), "{furthest} with a window of {window}, level {level}");
        }
    }
}

#[test]
fn a_ratio_can_be_set() {
    let compression = Compression::new(all().with_max_ratio(Some(10)));
    let limits = Limits::default();
    let take = |message: &[u8]| {
        let agreement = Agreement::server(&compression, DeflateParams::default());
        let receiver = Receiver::server(limits).with_deflate(&agreement);
        events(receiver, &compressed_frame(OpCode::Binary, &packed(message)))
    };
    assert_eq!(take(&[0; 64 * 1024]).len(), 1);
    assert!(matches!(take(&[0; 64 * 1024])[0], Event::Message(_)), "so much may always be");
    assert_eq!(take(&[0; 64 * 1024 + 1]), [Event::Error(ProtocolError::CompressionRatio)]);
    assert_eq!(ProtocolError::CompressionRatio.close_code(), CloseCode::TOO_BIG);
    assert_eq!(take(&vec![0; 2 << 20]), [Event::Error(ProtocolError::CompressionRatio)]);
}

#[test]
fn many_empty_fragments_and_blocks_end() {
    let limits = Limits::default().with_max_fragments(10);
    let mut frames = frame(false, Header::RSV1, OpCode::Text, b"");
    for _ in 0..10 {
        frames.extend(frame(false, 0, OpCode::Continuation, b""));
    }
    let error = events(server_receiver(DeflateParams::default(), limits), &frames);
    assert_eq!(error, [Event::Error(ProtocolError::TooManyFragments)]);
    let take = |packed: &[u8]| {
        let frames = compressed_frame(OpCode::Binary, packed);
        events(server_receiver(DeflateParams::default(), Limits::default()), &frames)
    };
    let nothing = [Event::Message(Vec::new().into())];
    // Blocks of which nothing comes.
    let mut empty = b"\x00\x00\x00\xff\xff".repeat(1 << 17);
    empty.push(0);
    assert_eq!(take(&empty), nothing);
    // Last blocks one behind the other, each with a window to be prepared.
    assert_eq!(take(&b"\x03\x00".repeat(17)), nothing);
    assert_eq!(take(&b"\x03\x00".repeat(1 << 18)), [Event::Error(ProtocolError::InvalidCompressedData)]);
}

#[test]
fn connections_hold_nothing_without_takeover_and_windows_with_it() {
    let compression = Compression::new(all());
    let none = DeflateParams::default().with_takeover(false, false);
    let message = Message::from("what somebody says, and says again. ".repeat(3000));
    let used = |params: DeflateParams| {
        let agreement = Agreement::server(&compression, params);
        let mut out = Vec::with_capacity(1 << 20);
        let (mut sender, mut receiver) = (None, None);
        let memory = allocation_counter::measure(|| {
            sender = Some(Sender::server().with_deflate(&agreement));
            receiver = Some(Receiver::server(Limits::default()).with_deflate(&agreement));
        });
        let packed = compressed_frame(OpCode::Text, &packed(message.as_bytes()));
        let mut buffer = BytesMut::from(&packed[..]);
        let more = allocation_counter::measure(|| {
            sender.as_mut().unwrap().message(message.clone(), &mut out).unwrap();
            let Ok(Received::Message(found)) = receiver.as_mut().unwrap().receive(&mut buffer) else { panic!() };
            drop(receiver.as_mut().unwrap().take(found, &mut buffer));
        });
        memory.bytes_current + more.bytes_current
    };
    // The first makes the tools, which are kept.
    assert!(used(none) > 200_000);
    assert!(used(none) < 200, "{}", used(none));
    let windows = used(DeflateParams::default());
    assert!((36_864..37_400).contains(&windows), "{windows}");
    // A compressor for this window.
    assert!(used(DeflateParams::default().with_window_bits(9, 10)) > 200_000);
    let small = used(DeflateParams::default().with_window_bits(9, 10));
    assert!((1536..1900).contains(&small), "{small}");
    assert_eq!(compression.stats().memory, 0);
}

/// Messages that have something in common with each other and within.
fn messages() -> impl Strategy<Value = Vec<Message>> {
    let words =
        prop::collection::vec(prop::sample::select(vec!["a", "price", " 101.25 ", "{\"id\":", "},", "ü€😀"]), 0..200);
    let text = words.prop_map(|words| Message::from(words.concat()));
    let binary = prop::collection::vec(any::<u8>(), 0..600).prop_map(Message::from);
    let run = (any::<u8>(), 0..100_000_usize).prop_map(|(byte, len)| Message::from(vec![byte; len]));
    prop::collection::vec(prop_oneof![6 => text, 2 => binary, 1 => run], 1..12)
}

fn params() -> impl Strategy<Value = DeflateParams> {
    (any::<(bool, bool)>(), 8..=15_u8, 8..=15_u8).prop_map(|((server, client), server_bits, client_bits)| {
        DeflateParams::default().with_takeover(server, client).with_window_bits(server_bits, client_bits)
    })
}

/// Reads that fall anywhere.
fn pieces<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(size.clamp(1, bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..8_usize, 1..70_000_usize], 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_message_arrives_whatever_was_agreed_on_and_however_it_is_cut(
        messages in messages(),
        params in params(),
        level in 1..=9_u8,
        from_client in any::<bool>(),
        prepared in any::<bool>(),
        max_frame in prop_oneof![Just(usize::MAX), 1..50_usize],
        sizes in sizes(),
    ) {
        let compression = Compression::new(all().with_level(level));
        let (server, client) = (Agreement::server(&compression, params), Agreement::client(&compression, params));
        let limits = Limits::default().with_max_fragments(u32::MAX);
        let (mut sender, receiver) = if from_client {
            (Sender::client().with_deflate(&client), Receiver::server(limits).with_deflate(&server))
        } else {
            (Sender::server().with_deflate(&server), Receiver::client(limits).with_deflate(&client))
        };
        sender.set_max_frame(max_frame);
        let mut out = Vec::new();
        for message in &messages {
            if prepared {
                sender.prepared(&PreparedFrame::new(message.clone()), &mut out).unwrap();
            } else {
                sender.message(message.clone(), &mut out).unwrap();
            }
        }
        let expected: Vec<_> = messages.into_iter().map(Event::Message).collect();
        let arrived = events_at(receiver, Limits::default().with_max_message(2 << 20), pieces(&out, &sizes));
        prop_assert_eq!(arrived, expected);
    }

    #[test]
    fn another_implementation_inflates_what_we_compress(
        messages in messages(),
        params in params(),
        level in 1..=9_u8,
    ) {
        let agreement = Agreement::server(&Compression::new(all().with_level(level)), params);
        let mut sender = Sender::server().with_deflate(&agreement);
        let mut theirs = Decompress::new(false);
        for message in messages {
            let mut out = Vec::new();
            sender.message(message.clone(), &mut out).unwrap();
            let (header, size) = Header::parse(&out).unwrap().unwrap();
            if header.reserved == 0 {
                prop_assert_eq!(&out[size..], message.as_bytes());
            } else {
                let most = if params.server_no_context_takeover { message.len() } else { message.len() + 17 };
                prop_assert!(out.len() - size < most);
                prop_assert_eq!(unpack(&mut theirs, &out[size..]), message.as_bytes());
            }
            if params.server_no_context_takeover {
                theirs.reset(false);
            }
        }
    }

    #[test]
    fn we_inflate_what_another_implementation_compresses(
        messages in messages(),
        takeover in any::<bool>(),
        level in 0..=9_u32,
        cut in any::<prop::sample::Index>(),
        sizes in sizes(),
    ) {
        let params = DeflateParams::default().with_takeover(true, takeover);
        let mut theirs = Compress::new(Level::new(level), false);
        let mut bytes = Vec::new();
        for message in &messages {
            let packed = pack(&mut theirs, message.as_bytes());
            let opcode = if message.is_text() { OpCode::Text } else { OpCode::Binary };
            let (front, back) = packed.split_at(cut.index(packed.len()));
            bytes.extend(frame(false, Header::RSV1, opcode, front));
            bytes.extend(frame(true, 0, OpCode::Ping, b"between"));
            bytes.extend(frame(true, 0, OpCode::Continuation, back));
            if !takeover {
                theirs.reset();
            }
        }
        let receiver = server_receiver(params, Limits::default());
        let arrived = events_at(receiver, Limits::default().with_max_message(2 << 20), pieces(&bytes, &sizes));
        let arrived: Vec<_> = arrived.into_iter().filter(|event| !matches!(event, Event::Ping(_))).collect();
        prop_assert_eq!(arrived, messages.into_iter().map(Event::Message).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_give_the_same_however_they_are_cut(
        messages in messages(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        sizes in sizes(),
    ) {
        let mut theirs = Compress::new(Level::fast(), false);
        let mut bytes = Vec::new();
        for message in &messages {
            let mut packed = pack(&mut theirs, message.as_bytes());
            for (at, byte) in &damage {
                let at = at.index(packed.len());
                packed[at] ^= byte;
            }
            bytes.extend(compressed_frame(OpCode::Binary, &packed));
        }
        let limits = Limits::default().with_max_message(200_000);
        let take = |pieces: Vec<&[u8]>| {
            let lenient = Limits::default().with_max_message(usize::MAX);
            events_at(server_receiver(DeflateParams::default(), limits), lenient, pieces)
        };
        prop_assert_eq!(take(vec![&bytes]), take(pieces(&bytes, &sizes)));
    }
}
