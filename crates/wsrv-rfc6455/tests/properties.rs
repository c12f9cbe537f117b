//! What must hold for any input, however it is cut.

mod common;

use bytes::{Bytes, BytesMut};
use common::{Event, events, events_at, fragments, frame, with_header};
use proptest::collection::vec;
use proptest::prelude::*;
use wsrv_rfc6455::frame::{Header, OpCode};
use wsrv_rfc6455::{CloseCode, CloseFrame, Limits, Message, PreparedFrame, Receiver, Sender, mask};

fn limits() -> Limits {
    Limits::default().with_max_message(3000).with_max_frame(2000).with_max_fragments(20)
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof!["\\PC{0,200}".prop_map(Message::from), vec(any::<u8>(), 0..600).prop_map(Message::from)]
}

/// Something a client may rightly send, as bytes, with what should come of it.
fn sendable() -> impl Strategy<Value = (Vec<u8>, Event)> {
    let opcode = |message: &Message| if message.is_text() { OpCode::Text } else { OpCode::Binary };
    prop_oneof![
        4 => message().prop_map(move |message| {
            (frame(opcode(&message), message.as_bytes()), Event::Message(message))
        }),
        4 => (message(), 40..300usize).prop_filter("an empty message has no fragments", |(message, _)| !message.is_empty())
            .prop_map(move |(message, size)| {
                (fragments(opcode(&message), message.as_bytes(), size), Event::Message(message))
            }),
        1 => vec(any::<u8>(), 0..126).prop_map(|payload| (frame(OpCode::Ping, &payload), Event::Ping(payload))),
        1 => vec(any::<u8>(), 0..126).prop_map(|payload| (frame(OpCode::Pong, &payload), Event::Pong(payload))),
    ]
}

/// Bytes that are often nearly right: frames with arbitrary headers, as a rule masked or not, and noise.
fn soup(masked: bool) -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop::sample::select(
        [OpCode::Continuation, OpCode::Text, OpCode::Binary, OpCode::Close, OpCode::Ping, OpCode::Pong].to_vec(),
    );
    let header = (any::<bool>(), prop::sample::select(vec![0u8, 0, 0, 0, 0, 0, 4]), opcode, any::<[u8; 4]>());
    let payload = prop_oneof![
        "\\PC{0,60}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..150),
        Just("€😀".repeat(30).into_bytes()),
        Just(vec![0x03, 0xE8]),
        // At the borders of the ways to write a length, and of the limits.
        (prop::sample::select(vec![125, 126, 127, 1000, 1999, 2000, 2001]), "[a\u{e9}]").prop_map(|(len, last)| {
            let mut payload = vec![b'a'; len - 1];
            payload.push(last.as_bytes()[0]);
            payload
        }),
    ];
    let nearly = (header, payload).prop_map(move |((fin, reserved, opcode, key), payload)| {
        let mask = Some(key).filter(|_| masked);
        let header = Header { fin, reserved, opcode, mask, payload_len: payload.len() as u64 };
        with_header(header, &payload)
    });
    // A length that is written in more bytes than it needs, or just in as many.
    let long_length = (0x81..=0x82u8, 120..130u8).prop_map(move |(first, len)| {
        let header = if masked { &[first, 0xFE, 0, len, 0, 0, 0, 0][..] } else { &[first, 0x7E, 0, len] };
        [header, &vec![b'a'; len.into()]].concat()
    });
    let parts = prop_oneof![8 => nearly, 1 => long_length, 1 => vec(any::<u8>(), 0..40)];
    vec(parts, 0..8).prop_map(|parts| parts.concat())
}

/// Cuts bytes at places drawn from `cuts`.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_rightly_sent_arrives_however_it_is_cut(
        sent in vec(sendable(), 0..8),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let bytes = sent.iter().flat_map(|(bytes, _)| bytes.clone()).collect::<Vec<u8>>();
        let expected: Vec<Event> = sent.into_iter().map(|(_, event)| event).collect();
        prop_assert_eq!(&events(limits(), [&bytes[..]]), &expected);
        prop_assert_eq!(&events(limits(), pieces(&bytes, &cuts)), &expected);
        prop_assert_eq!(&events(limits(), bytes.chunks(1)), &expected);
    }

    #[test]
    fn any_bytes_give_the_same_events_and_error_however_they_are_cut(
        for_server in soup(true),
        for_client in soup(false),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        for (role, bytes) in [(Receiver::server as fn(Limits) -> Receiver, for_server), (Receiver::client, for_client)] {
            let events = |pieces: Vec<&[u8]>| events_at(role(limits()), limits(), pieces);
            let at_once = events(vec![&bytes]);
            prop_assert_eq!(&events(pieces(&bytes, &cuts)), &at_once);
            prop_assert_eq!(&events(bytes.chunks(1).collect()), &at_once);
        }
    }

    #[test]
    fn a_header_that_was_encoded_parses_to_the_same(
        fin: bool, reserved in 0..8u8, payload_len in 0..=u64::MAX >> 1, mask: Option<[u8; 4]>,
    ) {
        let header = Header { fin, reserved, opcode: OpCode::Binary, mask, payload_len };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        prop_assert_eq!(Header::parse(&bytes), Ok(Some((header, bytes.len()))));
    }

    #[test]
    fn a_header_that_parses_encodes_to_the_same(bytes in vec(any::<u8>(), 0..20)) {
        if let Ok(Some((header, size))) = Header::parse(&bytes) {
            let mut again = Vec::new();
            header.encode(&mut again);
            prop_assert_eq!(again, &bytes[..size]);
        }
    }

    #[test]
    fn what_the_server_sends_comes_back_once_a_client_masks_it(message in message(), key: [u8; 4]) {
        let mut out = BytesMut::new();
        Sender::server().message(message.clone(), &mut out).unwrap();
        let prepared = PreparedFrame::new(message.clone());
        prop_assert_eq!(prepared.as_bytes(), &out[..]);

        let (header, size) = Header::parse(&out).unwrap().unwrap();
        let masked = with_header(Header { mask: Some(key), ..header }, &out[size..]);
        prop_assert_eq!(events(limits(), [&masked[..]]), [Event::Message(message)]);
    }

    #[test]
    fn close_reasons_of_any_length_fit(code in 3000..5000u16, reason in "\\PC{0,150}") {
        let close = CloseFrame::new(code, reason.as_str());
        prop_assert!(reason.starts_with(close.reason.as_str()));
        prop_assert!(reason.len() <= 123 || close.reason.len() > 119);
        let mut out = Vec::new();
        Sender::server().close(Some(&close), &mut out).unwrap();
        prop_assert!(out.len() <= 127);
        prop_assert_eq!(events(limits(), [&frame(OpCode::Close, &out[2..])[..]]), [Event::Close(Some(close))]);
    }

    #[test]
    fn masking_twice_changes_nothing(mut bytes in vec(any::<u8>(), 0..200), key: [u8; 4], offset: usize) {
        let original = bytes.clone();
        mask::apply(&mut bytes, key, offset);
        mask::apply(&mut bytes, key, offset);
        prop_assert_eq!(bytes, original);
    }

    #[test]
    fn any_close_code_survives(code: u16) {
        prop_assert_eq!(CloseCode::from(code).as_u16(), code);
        prop_assert!(CloseCode::from(code).to_string().starts_with(&code.to_string()));
    }

    #[test]
    fn text_is_what_the_standard_library_takes_for_utf8(bytes in vec(any::<u8>(), 0..100)) {
        let text = wsrv_rfc6455::Text::try_from(Bytes::from(bytes.clone()));
        prop_assert_eq!(text.ok().map(|text| text.as_str().to_owned()), String::from_utf8(bytes).ok());
    }
}

#[cfg(feature = "handshake")]
mod heads {
    use wsrv_rfc6455::handshake::{HeadError, HeadLimits, HeadReader, check};

    use super::*;

    /// A request of mostly good lines.
    fn request() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            Just("Host: a.example".to_owned()),
            Just("Upgrade: websocket".to_owned()),
            Just("Connection: Upgrade".to_owned()),
            Just("Sec-WebSocket-Version: 13".to_owned()),
            Just("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==".to_owned()),
            "Sec-WebSocket-Protocol: [a-c,]{0,5}",
            "[A-Za-z-]{1,8}:[ -~]{0,20}",
            "\\PC{0,10}",
        ];
        let start =
            prop_oneof![4 => "GET /[a-z?&#]{0,8} HTTP/1\\.[01]", 1 => "[A-Z]{1,5} [!-~]{1,9} HTTP/[0-3]\\.[0-3]"];
        let end = prop_oneof![8 => Just("\r\n\r\n"), 1 => Just("\n\n")];
        (start, vec(line, 0..8), end, vec(any::<u8>(), 0..9)).prop_map(|(start, lines, end, rest)| {
            let mut bytes = [vec![start], lines].concat().join("\r\n").into_bytes();
            bytes.extend_from_slice(end.as_bytes());
            bytes.extend(rest);
            bytes
        })
    }

    fn outcome<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<(String, Vec<u8>)>, HeadError> {
        let mut reader = HeadReader::new(HeadLimits::default().with_max_size(200).with_max_headers(6));
        let (mut buffer, mut found) = (BytesMut::new(), None);
        for piece in pieces {
            buffer.extend_from_slice(piece);
            if found.is_none() {
                found = reader.read(&mut buffer)?;
            }
        }
        Ok(found.map(|head| (format!("{head:?} {:?} {:?}", head.target(), check(&head)), buffer.to_vec())))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn a_head_is_judged_alike_however_it_is_cut(
            bytes in request(),
            cuts in vec(any::<prop::sample::Index>(), 0..9),
        ) {
            let at_once = outcome([&bytes[..]]);
            prop_assert_eq!(&outcome(pieces(&bytes, &cuts)), &at_once);
            prop_assert_eq!(&outcome(bytes.chunks(1)), &at_once);
        }

        #[test]
        fn a_head_that_is_read_unfolds_without_loss(bytes in request()) {
            let mut buffer = BytesMut::from(&bytes[..]);
            if let Ok(Some(head)) = HeadReader::new(HeadLimits::default()).read(&mut buffer) {
                prop_assert!(bytes.ends_with(&buffer));
                let parts = head.to_parts();
                prop_assert_eq!(parts.method.as_str(), head.method());
                prop_assert_eq!(parts.headers.len(), head.iter().count());
                if head.target().starts_with('/') {
                    prop_assert_eq!(parts.uri.path(), head.path());
                    prop_assert_eq!(parts.uri.query(), head.query());
                }
                for (name, value) in head.iter() {
                    prop_assert!(parts.headers.get_all(name).iter().any(|other| other.as_bytes() == value));
                }
                let _ = check(&head);
            }
        }

        #[test]
        fn no_bytes_make_the_head_reader_panic(bytes in vec(any::<u8>(), 0..300)) {
            let _ = outcome([&bytes[..]]);
        }
    }
}

#[cfg(feature = "client")]
mod client {
    use super::*;
    use wsrv_rfc6455::Received;

    /// The messages in these frames, whatever control frames are between.
    fn messages(mut receiver: Receiver, frames: &[u8]) -> Vec<Message> {
        let mut buffer = BytesMut::from(frames);
        let mut messages = Vec::new();
        loop {
            match receiver.receive(&mut buffer).unwrap() {
                Received::Message(found) => messages.push(receiver.take(found, &mut buffer)),
                Received::Incomplete { .. } => return messages,
                _ => {}
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn a_message_sent_in_any_parts_arrives_whole(
            message in message(),
            cuts in vec(any::<prop::sample::Index>(), 0..9),
            max_frame in 1..300usize,
        ) {
            for (sender, receiver) in [
                (Sender::client(), Receiver::server(Limits::default())),
                (Sender::server(), Receiver::client(Limits::default())),
            ] {
                let (mut sender, mut out) = (sender.with_max_frame(max_frame), Vec::new());
                let mut sending = if message.is_text() { sender.begin_text() } else { sender.begin_binary() }.unwrap();
                for part in pieces(message.as_bytes(), &cuts) {
                    sending.part(part, &mut out).unwrap();
                    sending.ping(b"between", &mut out).unwrap();
                }
                sending.finish(b"", &mut out).unwrap();
                sender.message(message.clone(), &mut out).unwrap();
                prop_assert_eq!(messages(receiver, &out), [message.clone(), message.clone()]);
            }
        }

        #[test]
        fn parts_of_a_text_are_refused_exactly_if_the_whole_is_no_text(
            bytes in vec(prop::sample::select(b"a\xC3\x9F\xE2\x82\xAC\xF0\x9F\x98\x80".to_vec()), 0..8),
            cuts in vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let (mut sender, mut out) = (Sender::server(), Vec::new());
            let mut message = sender.begin_text().unwrap();
            let parts = pieces(&bytes, &cuts).into_iter().try_for_each(|part| message.part(part, &mut out));
            let sent = parts.and_then(|()| message.finish(b"", &mut out));
            prop_assert_eq!(sent.is_ok(), std::str::from_utf8(&bytes).is_ok());
        }
    }
}

#[cfg(all(feature = "client", feature = "handshake"))]
mod answers {
    use wsrv_rfc6455::handshake::{AnswerReader, HeadError, HeadLimits};

    use super::*;

    /// An answer of mostly good lines.
    fn answer() -> impl Strategy<Value = Vec<u8>> {
        let start = prop_oneof![4 => "HTTP/1\\.[01] [1-5]0[0-9] [ -~]{0,9}", 1 => "[A-Z]{1,5}[ -~]{1,9}"];
        let line = prop_oneof![4 => "[A-Za-z-]{1,8}:[ -~]{0,20}", 1 => "\\PC{0,10}"];
        let end = prop_oneof![8 => Just("\r\n\r\n"), 1 => Just("\n\n")];
        (start, vec(line, 0..8), end, vec(any::<u8>(), 0..9)).prop_map(|(start, lines, end, rest)| {
            let mut bytes = [vec![start], lines].concat().join("\r\n").into_bytes();
            bytes.extend_from_slice(end.as_bytes());
            bytes.extend(rest);
            bytes
        })
    }

    /// A head, and what is left in the buffer.
    type Outcome = Option<(Vec<u8>, Vec<u8>)>;

    fn outcome<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Outcome, HeadError> {
        let mut reader = AnswerReader::new(HeadLimits::default().with_max_size(150).with_max_headers(6));
        let (mut buffer, mut found) = (BytesMut::new(), None);
        for piece in pieces {
            buffer.extend_from_slice(piece);
            if found.is_none() {
                found = reader.read(&mut buffer)?;
            }
        }
        Ok(found.map(|head| (head.to_bytes(), buffer.to_vec())))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn an_answer_is_judged_alike_however_it_is_cut(
            bytes in prop_oneof![4 => answer(), 1 => vec(any::<u8>(), 0..200)],
            cuts in vec(any::<prop::sample::Index>(), 0..9),
        ) {
            let at_once = outcome([&bytes[..]]);
            prop_assert_eq!(&outcome(pieces(&bytes, &cuts)), &at_once);
            prop_assert_eq!(&outcome(bytes.chunks(1)), &at_once);
        }
    }
}
