//! What is agreed on about compression, offer by offer and answer by answer.

use bytes::BytesMut;
use http::HeaderMap;
use wsrv_rfc6455::deflate::{Agreement, Compression, Deflate, DeflateParams};
use wsrv_rfc6455::handshake::{
    self, AnswerError, AnswerHead, AnswerReader, ClientRequest, HeadLimits, HeadReader, RequestHead, accept_response,
};

fn request(lines: &[&str]) -> RequestHead {
    let mut head = String::from(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    );
    for line in lines {
        head.push_str(&format!("Sec-WebSocket-Extensions: {line}\r\n"));
    }
    head.push_str("\r\n");
    HeadReader::new(HeadLimits::default()).read(&mut BytesMut::from(head.as_str())).unwrap().unwrap()
}

/// What a server answers to this offer; both forms of the answer say the same.
fn answer(compression: &Compression, head: &RequestHead) -> (Option<Agreement>, Option<String>) {
    let mut offer = handshake::check(head).unwrap();
    let agreement = compression.negotiate(head);
    if let Some(agreement) = &agreement {
        offer.agree(agreement);
    }
    let mut bytes = BytesMut::new();
    handshake::encode_accept(&offer, None, &HeaderMap::new(), &mut bytes).unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: ")).map(str::to_owned);
    let response = accept_response(&offer, None, &HeaderMap::new()).unwrap();
    let header = response.headers().get("sec-websocket-extensions").map(|value| value.to_str().unwrap());
    assert_eq!(line.as_deref(), header);
    (agreement, line)
}

fn takeover() -> Deflate {
    Deflate::default().with_takeover(true, true)
}

#[test]
fn each_offer_gets_the_answer_that_the_settings_allow() {
    let small = takeover().with_window_bits(12, 11);
    for (settings, offer, expected, bits) in [
        // All that is not said is free.
        (takeover(), "permessage-deflate", "permessage-deflate", (15, 15)),
        (
            Deflate::default(),
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            (15, 15),
        ),
        // What the client asks for, it gets.
        (
            takeover(),
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover",
            (15, 15),
        ),
        (
            takeover(),
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; client_no_context_takeover",
            (15, 15),
        ),
        (
            takeover(),
            "permessage-deflate; server_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=9",
            (9, 15),
        ),
        (
            takeover(),
            "permessage-deflate; server_max_window_bits=\"15\"",
            "permessage-deflate; server_max_window_bits=15",
            (15, 15),
        ),
        (
            small,
            "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; server_max_window_bits=12",
            (12, 15),
        ),
        // A client that did not say so need not know about a smaller window of its own.
        (small, "permessage-deflate", "permessage-deflate", (12, 15)),
        (
            small,
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=11",
            (12, 11),
        ),
        (
            small,
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=10",
            (12, 10),
        ),
        (
            small,
            "permessage-deflate; client_max_window_bits=13",
            "permessage-deflate; client_max_window_bits=11",
            (12, 11),
        ),
        (takeover(), "permessage-deflate; client_max_window_bits", "permessage-deflate", (15, 15)),
        (
            takeover(),
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate; client_max_window_bits=8",
            (15, 8),
        ),
        // The first of several that can be met.
        (
            takeover(),
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits",
            "permessage-deflate",
            (15, 15),
        ),
        (
            takeover(),
            "x-webkit-deflate-frame, permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10, \
             permessage-deflate",
            "permessage-deflate; server_max_window_bits=10",
            (10, 15),
        ),
    ] {
        let compression = Compression::new(settings);
        let (agreement, line) = answer(&compression, &request(&[offer]));
        assert_eq!(line.as_deref(), Some(expected), "{offer}");
        let params = agreement.unwrap().params();
        assert_eq!((params.server_max_window_bits, params.client_max_window_bits), bits, "{offer}");
        assert_eq!(params.server_no_context_takeover, expected.contains("server_no_context_takeover"));
        assert_eq!(params.client_no_context_takeover, expected.contains("client_no_context_takeover"));
    }
}

#[test]
fn offers_that_are_malformed_or_not_supported_are_declined_and_fail_nothing() {
    let compression = Compression::new(takeover());
    for offer in [
        "",
        ",",
        "permessage-bzip2",
        "Permessage-Deflate",
        "permessage-deflate;",
        "permessage-deflate; ",
        "permessage-deflate; foo",
        "permessage-deflate; foo=1",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=7",
        // zlib has no window of 256 bytes.
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=010",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=\"10",
        "permessage-deflate client_max_window_bits",
    ] {
        let (agreement, line) = answer(&compression, &request(&[offer]));
        assert!(agreement.is_none() && line.is_none(), "{offer}");
    }
    assert!(compression.negotiate(&request(&[])).is_none());
    assert_eq!(compression.stats().connections, 0);
}

#[test]
fn offers_in_several_lines_are_one_list() {
    let compression = Compression::new(takeover());
    let head = request(&["foo", "permessage-deflate; bar", "permessage-deflate; server_max_window_bits=11"]);
    assert_eq!(answer(&compression, &head).1.unwrap(), "permessage-deflate; server_max_window_bits=11");
}

#[test]
fn who_comes_when_the_memory_is_used_up_gets_less() {
    /// What is remembered of what was sent, and the window of what is received.
    const WINDOWS: usize = (4 << 10) + (32 << 10);
    let compression = Compression::new(takeover().with_memory(2 * WINDOWS));
    let head = request(&["permessage-deflate"]);
    let full = || compression.negotiate(&head);
    let first = full().unwrap();
    assert_eq!(first.params(), DeflateParams::default());
    assert!(compression.stats().memory > WINDOWS);
    let mut others = Vec::new();
    while let Some(agreement) = full() {
        assert_eq!(agreement.params(), DeflateParams::default().with_takeover(false, false));
        others.push(agreement);
    }
    assert!((10..1000).contains(&others.len()), "{}", others.len());
    let stats = compression.stats();
    assert!(stats.memory <= 2 * WINDOWS && stats.memory > 2 * WINDOWS - 1000);
    assert_eq!((stats.connections, stats.with_takeover), (1 + others.len(), 1));

    // What ends makes room.
    drop(first);
    assert_eq!(full().unwrap().params(), DeflateParams::default());
    others.clear();
    assert_eq!((compression.stats().memory, compression.stats().connections), (0, 0));
}

/// The request's offer, and what the client makes of this answer.
fn client(settings: Deflate, answer: &[&str]) -> (String, Result<Option<DeflateParams>, AnswerError>) {
    let compression = Compression::new(settings);
    let mut out = BytesMut::new();
    let expected = ClientRequest::new("a", "/").unwrap().with_deflate(&compression).encode(&mut out).unwrap();
    let request = HeadReader::new(HeadLimits::default()).read(&mut out).unwrap().unwrap();
    let offer = request.header_str("sec-websocket-extensions").unwrap().to_owned();
    let accepted = handshake::check(&request).unwrap();
    let mut out = BytesMut::new();
    handshake::encode_accept(&accepted, None, &HeaderMap::new(), &mut out).unwrap();
    let lines: String = answer.iter().map(|line| format!("Sec-WebSocket-Extensions: {line}\r\n")).collect();
    let head = String::from_utf8(out.to_vec()).unwrap().replace("\r\n\r\n", &format!("\r\n{lines}\r\n"));
    let head = read_answer(&head);
    let checked = expected.check(&head).map(drop);
    let agreed = expected.check_deflate(&head).map(|agreement| agreement.map(|agreement| agreement.params()));
    assert_eq!(checked.is_ok(), agreed.is_ok());
    (offer, agreed)
}

fn read_answer(head: &str) -> AnswerHead {
    AnswerReader::new(HeadLimits::default()).read(&mut BytesMut::from(head)).unwrap().unwrap()
}

#[test]
fn a_client_offers_what_its_settings_say() {
    for (settings, offer) in [
        (takeover(), "permessage-deflate; client_max_window_bits"),
        (
            Deflate::default(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
        ),
        (
            takeover().with_window_bits(10, 11),
            "permessage-deflate; server_max_window_bits=11; client_max_window_bits=10",
        ),
    ] {
        assert_eq!(client(settings, &[]).0, offer);
    }
}

#[test]
fn a_client_agrees_to_answers_that_fit_its_offer() {
    let all = DeflateParams::default();
    let small = takeover().with_window_bits(10, 11);
    for (settings, answer, params) in [
        (takeover(), "permessage-deflate", all),
        (takeover(), "permessage-deflate; server_no_context_takeover", all.with_takeover(false, true)),
        (takeover(), "permessage-deflate; client_no_context_takeover", all.with_takeover(true, false)),
        (takeover(), "permessage-deflate; client_max_window_bits=\"12\"", all.with_window_bits(15, 12)),
        (takeover(), "permessage-deflate; server_max_window_bits=8", all.with_window_bits(8, 15)),
        (takeover(), "permessage-deflate; client_max_window_bits=8", all.with_window_bits(15, 8)),
        // What the client has said of itself holds although the server does not repeat it.
        (Deflate::default(), "permessage-deflate; server_no_context_takeover", all.with_takeover(false, false)),
        (small, "permessage-deflate; server_max_window_bits=11", all.with_window_bits(11, 10)),
        (small, "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9", all.with_window_bits(9, 9)),
    ] {
        assert_eq!(client(settings, &[answer]).1.unwrap(), Some(params), "{answer}");
    }
    assert_eq!(client(takeover(), &[]).1.unwrap(), None, "the server does not compress");
}

#[test]
fn a_client_fails_on_an_answer_that_does_not_fit() {
    let small = takeover().with_window_bits(10, 11);
    for (settings, answer) in [
        (takeover(), "permessage-deflate; foo"),
        (takeover(), "permessage-deflate; server_no_context_takeover=1"),
        (takeover(), "permessage-deflate; client_no_context_takeover; client_no_context_takeover"),
        (takeover(), "permessage-deflate; server_max_window_bits"),
        (takeover(), "permessage-deflate; server_max_window_bits=16"),
        // Only an offer may leave the value out.
        (takeover(), "permessage-deflate; client_max_window_bits"),
        (takeover(), "permessage-deflate; client_max_window_bits=7"),
        // The server has to confirm what it was asked for.
        (Deflate::default(), "permessage-deflate"),
        (small, "permessage-deflate"),
        (small, "permessage-deflate; server_max_window_bits=12"),
        (small, "permessage-deflate; server_max_window_bits=11; client_max_window_bits=11"),
    ] {
        assert!(matches!(client(settings, &[answer]).1, Err(AnswerError::InvalidDeflate)), "{answer}");
    }
    for answer in [
        &["permessage-bzip2"][..],
        &[""],
        &["permessage-deflate, permessage-deflate"],
        &["permessage-deflate", "permessage-deflate"],
        &["permessage-deflate, foo"],
        &["permessage-deflate;"],
    ] {
        assert!(matches!(client(takeover(), answer).1, Err(AnswerError::UnexpectedExtension)), "{answer:?}");
    }
}

#[test]
fn who_offers_nothing_is_told_of_nothing() {
    let mut out = BytesMut::new();
    let expected = ClientRequest::new("a", "/").unwrap().encode(&mut out).unwrap();
    let request = HeadReader::new(HeadLimits::default()).read(&mut out).unwrap().unwrap();
    assert!(Compression::new(takeover()).negotiate(&request).is_none());
    let mut offer = handshake::check(&request).unwrap();
    let compression = Compression::new(Deflate::default());
    offer.agree(&Agreement::server(&compression, DeflateParams::default()));
    let mut out = BytesMut::new();
    handshake::encode_accept(&offer, None, &HeaderMap::new(), &mut out).unwrap();
    let head = read_answer(std::str::from_utf8(&out).unwrap());
    assert!(matches!(expected.check(&head), Err(AnswerError::UnexpectedExtension)));
}

#[test]
fn our_client_and_our_server_agree_whatever_their_settings() {
    let settings = |at: u32| {
        let bits = [9, 12, 15];
        Deflate::default()
            .with_takeover(at & 1 > 0, at & 2 > 0)
            .with_window_bits(bits[(at / 4 % 3) as usize], bits[(at / 12 % 3) as usize])
    };
    for (ours, theirs) in (0..36).flat_map(|ours| (0..36).map(move |theirs| (ours, theirs))) {
        let client = Compression::new(settings(ours));
        let mut out = BytesMut::new();
        let expected = ClientRequest::new("a", "/").unwrap().with_deflate(&client).encode(&mut out).unwrap();
        let request = HeadReader::new(HeadLimits::default()).read(&mut out).unwrap().unwrap();
        let server = Compression::new(settings(theirs));
        let mut offer = handshake::check(&request).unwrap();
        let of_server = server.negotiate(&request).unwrap();
        offer.agree(&of_server);
        let mut out = BytesMut::new();
        handshake::encode_accept(&offer, None, &HeaderMap::new(), &mut out).unwrap();
        let of_client = expected.check_deflate(&read_answer(std::str::from_utf8(&out).unwrap())).unwrap().unwrap();
        let (theirs, ours) = (of_server.params(), of_client.params());
        assert_eq!(ours.client_no_context_takeover, theirs.client_no_context_takeover);
        assert_eq!(ours.server_no_context_takeover, theirs.server_no_context_takeover);
        assert_eq!(ours.client_max_window_bits, theirs.client_max_window_bits);
        // A server need not tell how much of its window it uses.
        assert!(theirs.server_max_window_bits <= ours.server_max_window_bits);
    }
}
