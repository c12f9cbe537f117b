//! Servers that do not do as they should: each is told apart, in time and within bounds.

mod common;

use common::{accept, answering, raw, soon};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wsrv_client::wsrv_core::{ClosedBy, Reason};
use wsrv_client::wsrv_rfc6455::handshake::{AnswerError, HeadError, HeadLimits};
use wsrv_client::{Client, ConnectError, Phase};

fn client(addr: SocketAddr) -> Client {
    Client::new(&format!("ws://{addr}/")).unwrap()
}

async fn refused(answer: &'static [u8]) -> ConnectError {
    soon(client(answering(answer).await).subprotocols(["chat"]).connect()).await.unwrap_err()
}

#[tokio::test]
async fn an_answer_that_breaks_a_rule_is_told_apart() {
    macro_rules! assert_error {
        ($answer:literal, $error:pat) => {
            let error = refused($answer).await;
            assert!(matches!(error, $error), "{}: {error:?}", String::from_utf8_lossy($answer));
        };
    }
    assert_error!(b"SSH-2.0-OpenSSH\r\n", ConnectError::Head(HeadError::MalformedStatusLine));
    assert_error!(b"HTTP/1.1 101 Yes\r\n\r\n", ConnectError::Answer(AnswerError::NoUpgrade));
    assert_error!(
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n",
        ConnectError::Answer(AnswerError::NoConnectionUpgrade)
    );
    assert_error!(
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        ConnectError::Answer(AnswerError::WrongAcceptKey)
    );
    assert_error!(
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
          Sec-WebSocket-Protocol: superchat\r\n\r\n",
        ConnectError::Answer(AnswerError::UnexpectedSubprotocol)
    );
    assert_error!(
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
          Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        ConnectError::Answer(AnswerError::UnexpectedExtension)
    );
    assert_error!(
        b"HTTP/1.0 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        ConnectError::Answer(AnswerError::UnsupportedHttpVersion)
    );
}

#[tokio::test]
async fn a_refusal_tells_its_status_and_headers() {
    let error = refused(b"HTTP/1.1 503 Later\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n").await;
    let head = error.refusal().unwrap();
    assert_eq!((head.status().as_u16(), head.header_str("retry-after")), (503, Some("7")));
    assert_eq!(error.to_string(), "the server answers with status 503");
    assert!(!error.is_permanent());
    for (answer, is_permanent) in [
        (&b"HTTP/1.1 401 Who\r\n\r\n"[..], true),
        (b"HTTP/1.1 404 No\r\n\r\n", true),
        (b"HTTP/1.1 429 Slow\r\n\r\n", false),
        (b"HTTP/1.1 200 Hello\r\n\r\n", false),
    ] {
        assert_eq!(refused(answer).await.is_permanent(), is_permanent, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn a_subprotocol_may_be_needed() {
    let addr = answering(
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
    )
    .await;
    let client = client(addr).subprotocols(["chat"]);
    assert_eq!(soon(client.connect()).await.unwrap().subprotocol(), None);
    let error = soon(client.require_subprotocol().connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoSubprotocol), "{error:?}");
}

#[tokio::test]
async fn an_answer_without_end_is_read_up_to_its_limit() {
    for line in ["x: y\r\n", "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", "yyyyyyyy"] {
        let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
        let addr = raw(move |mut stream, _| {
            let told = told.clone();
            async move {
                let (mut written, lines) = (0, line.repeat(100));
                stream.write_all(b"HTTP/1.1 101 Yes\r\n").await.unwrap();
                while let Ok(more) = stream.write(lines.as_bytes()).await {
                    written += more;
                }
                told.send(written).unwrap();
            }
        })
        .await;
        let error = soon(client(addr).connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Head(_)), "{error:?}");
        // All but what fits into the sockets' buffers was not even taken.
        let written = soon(hear.recv()).await.unwrap();
        assert!(written < 16 << 20, "{written}");
    }
    let addr =
        answering(b"HTTP/1.1 503 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n").await;
    let error = soon(client(addr).head_limits(HeadLimits::default().with_max_size(50)).connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Head(_)), "{error:?}");
}

#[tokio::test]
async fn a_drip_of_bytes_or_of_answers_does_not_put_the_deadline_off() {
    for part in ["a", "\r\n\r\nHTTP/1.1 100 Wait\r\nx: "] {
        let addr = raw(move |mut stream, _| async move {
            let _ = stream.write_all(b"HTTP/1.1 100 Wait\r\nx: ").await;
            while stream.write_all(part.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        let began = Instant::now();
        let error = soon(client(addr).connect_timeout(Duration::from_millis(300)).connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Timeout { phase: Phase::Handshake, .. }), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_in_the_tls_handshake_is_left_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("wss://{}/", listener.local_addr().unwrap())).unwrap();
    let error = soon(client.connect_timeout(Duration::from_millis(200)).connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { phase: Phase::Tls, .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_leaves_before_its_answer_is_lost() {
    for part in [&b""[..], b"HTTP/1.1 101"] {
        let addr = raw(move |mut stream, _| async move {
            let _ = stream.write_all(part).await;
        })
        .await;
        let error = soon(client(addr).connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Lost(_)), "{error:?}");
    }
}

/// What a client says to these frames, which come in one piece with the answer: its close code.
async fn close_code_for(frames: Vec<u8>) -> (ClosedBy, Reason, u16) {
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let addr = raw(move |mut stream, head| {
        let (told, frames) = (told.clone(), frames.clone());
        async move {
            let accept = accept(&head);
            let head = format!(
                "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(&[head.as_bytes(), &frames].concat()).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            told.send(answer).unwrap();
        }
    })
    .await;
    let (mut socket, driver) = soon(client(addr).open()).await.unwrap().socket();
    let driver = tokio::spawn(driver);
    assert_eq!(soon(socket.recv()).await, None);
    let closed = soon(driver).await.unwrap();
    let answer = soon(hear.recv()).await.unwrap();
    assert_eq!(answer[0], 0x88, "a close frame");
    assert_eq!(answer[1] & 0x80, 0x80, "masked");
    (closed.by, closed.reason, u16::from_be_bytes([answer[6] ^ answer[2], answer[7] ^ answer[3]]))
}

#[tokio::test]
async fn frames_that_break_a_rule_end_the_connection_with_its_code() {
    for (frames, code, reason) in [
        // A server must not mask (RFC 6455 §5.1).
        (b"\x81\x85\x01\x02\x03\x04hello".to_vec(), 1002, Reason::BadPeer),
        // Compressed, though nobody offered that.
        (b"\xC1\x05hello".to_vec(), 1002, Reason::BadPeer),
        (b"\x81\x01\xFF".to_vec(), 1007, Reason::BadData),
        // An announcement of 2^62 bytes is refused before any comes.
        (b"\x82\x7F\x40\0\0\0\0\0\0\0".to_vec(), 1009, Reason::TooBig),
        // A message in more frames than anybody needs.
        ([b"\x01\0".to_vec(), b"\0\0".repeat(5_000)].concat(), 1008, Reason::Policy),
    ] {
        let told = close_code_for(frames.clone()).await;
        assert_eq!(told, (ClosedBy::Protocol, reason, code), "{:?}", &frames[..frames.len().min(10)]);
    }
}

#[tokio::test]
async fn more_than_is_pulled_is_not_read() {
    let (told, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let addr = raw(move |mut stream, head| {
        let told = told.clone();
        async move {
            let accept = accept(&head);
            let head = format!(
                "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let frame = [&b"\x82\x7F\0\0\0\0\0\x0F\0\0"[..], &vec![7; 0xF_0000]].concat();
            let mut written = 0;
            while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(500), stream.write_all(&frame)).await {
                written += frame.len();
            }
            told.send(written).unwrap();
        }
    })
    .await;
    let socket = soon(client(addr).connect()).await.unwrap();
    let written = soon(hear.recv()).await.unwrap();
    assert!(written < 64 << 20, "{written} bytes are on their way to somebody who does not listen");
    drop(socket);
}
