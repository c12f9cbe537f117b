//! A foreign implementation as the peer, over TCP: our server's end with the client of tokio-tungstenite, and our
//! client's end with its server.

#![cfg(feature = "handshake")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame as TheirCloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Message as TheirMessage, client::ClientRequestBuilder};
use wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader, Subprotocols};
use wsrv_rfc6455::{Began, CloseCode, CloseFrame, Closed, Event, Limits, Message, Protocol};

type Theirs = WebSocketStream<TcpStream>;

/// Our end, on a socket.
struct Ours {
    stream: TcpStream,
    protocol: Protocol,
}

impl Ours {
    async fn write(&mut self) {
        self.stream.write_all(self.protocol.output()).await.unwrap();
        self.protocol.written(self.protocol.output().len());
    }

    async fn send(&mut self, message: Message) {
        self.protocol.send(message).unwrap();
        self.write().await;
    }

    /// What the peer does next. All output is written then.
    async fn event(&mut self) -> Event {
        loop {
            let event = self.protocol.next().unwrap();
            self.write().await;
            match event {
                Some(event) => return event,
                None => {
                    assert!(self.stream.read_buf(self.protocol.read_buffer()).await.unwrap() > 0, "the peer is gone")
                }
            }
        }
    }

    async fn message(&mut self) -> Message {
        match self.event().await {
            Event::Message(message) => message,
            event => panic!("no message but {event:?}"),
        }
    }

    /// How the connection was closed, once the stream has ended, too. Not a byte follows the close.
    async fn closed(mut self) -> Closed {
        let Event::Closed(closed) = self.event().await else { panic!("another event") };
        assert!(self.protocol.is_finished());
        self.stream.shutdown().await.unwrap();
        assert_eq!(self.stream.read(&mut [0]).await.unwrap(), 0);
        closed
    }
}

async fn message(theirs: &mut Theirs) -> TheirMessage {
    theirs.next().await.expect("a message").unwrap()
}

/// Our server's end and a foreign client's, with the subprotocol that the server has chosen.
async fn our_server() -> (Ours, Theirs) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ours = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut buffer, mut reader) = (BytesMut::new(), HeadReader::new(HeadLimits::default()));
        let head = loop {
            if let Some(head) = reader.read(&mut buffer).unwrap() {
                break head;
            }
            assert!(stream.read_buf(&mut buffer).await.unwrap() > 0);
        };
        assert_eq!((head.target(), head.header("x-extra")), ("/chat?room=1", Some(&b"yes"[..])));
        let offer = handshake::check(&head).unwrap();
        assert!(offer.subprotocols().eq(["v1", "v2"]));
        let ours = Subprotocols::new(["v2"]).unwrap();
        let mut answer = BytesMut::new();
        handshake::encode_accept(&offer, ours.select(&offer).unwrap(), &Default::default(), &mut answer).unwrap();
        stream.write_all(&answer).await.unwrap();
        let mut protocol = Protocol::server(Limits::default());
        protocol.received(&buffer);
        Ours { stream, protocol }
    };
    let theirs = async {
        let uri = format!("ws://{address}/chat?room=1").parse().unwrap();
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("v1").with_sub_protocol("v2");
        let request = request.with_header("X-Extra", "yes").into_client_request().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (theirs, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(answer.headers().get("sec-websocket-protocol"), Some(&HeaderValue::from_static("v2")));
        theirs
    };
    tokio::join!(ours, theirs)
}

#[cfg(feature = "client")]
mod client {
    use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
    use wsrv_rfc6455::handshake::{AnswerError, AnswerReader, ClientRequest};

    use super::*;

    /// Our client's end, or why there is none, and what the foreign server made of it.
    async fn ask<T>(
        theirs: impl AsyncFnOnce(TcpStream) -> T,
        request: impl FnOnce(ClientRequest) -> ClientRequest,
    ) -> (Result<(Ours, Option<String>), AnswerError>, T) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ours = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut buffer = BytesMut::new();
            let request = request(ClientRequest::new(&address.to_string(), "/chat?room=1").unwrap());
            let expected = request.encode(&mut buffer).unwrap();
            stream.write_all(&buffer.split()).await.unwrap();
            let mut reader = AnswerReader::new(HeadLimits::default());
            let head = loop {
                if let Some(head) = reader.read(&mut buffer).unwrap() {
                    break head;
                }
                assert!(stream.read_buf(&mut buffer).await.unwrap() > 0);
            };
            let chosen = expected.check(&head)?.map(str::to_owned);
            let mut protocol = Protocol::client(Limits::default());
            protocol.received(&buffer);
            Ok((Ours { stream, protocol }, chosen))
        };
        let theirs = async { theirs(listener.accept().await.unwrap().0).await };
        tokio::join!(ours, theirs)
    }

    async fn our_client() -> (Ours, Theirs) {
        #[expect(clippy::result_large_err, reason = "the type is theirs")]
        fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
            assert_eq!(request.uri(), "/chat?room=1");
            assert_eq!(request.headers()["sec-websocket-protocol"], "v1, v2");
            assert_eq!(request.headers()["x-extra"], "yes");
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("v2"));
            Ok(response)
        }
        let (ours, theirs) = ask(
            async |stream| tokio_tungstenite::accept_hdr_async(stream, choose).await.unwrap(),
            |request| {
                let request = request.with_subprotocol("v1").unwrap().with_subprotocol("v2").unwrap();
                let name = http::HeaderName::from_static("x-extra");
                request.with_header(name, HeaderValue::from_static("yes")).unwrap()
            },
        )
        .await;
        let (ours, chosen) = ours.unwrap();
        assert_eq!(chosen.as_deref(), Some("v2"));
        (ours, theirs)
    }

    #[tokio::test]
    async fn a_foreign_server_refuses_our_client_and_the_client_knows_why() {
        #[expect(clippy::result_large_err, reason = "the type is theirs")]
        fn refuse(_: &Request, _: Response) -> Result<Response, ErrorResponse> {
            let mut refusal = ErrorResponse::new(Some("not you".into()));
            *refusal.status_mut() = http::StatusCode::FORBIDDEN;
            refusal.headers_mut().insert("x-why", HeaderValue::from_static("rules"));
            Err(refusal)
        }
        let theirs = async |stream| tokio_tungstenite::accept_hdr_async(stream, refuse).await.map(drop).unwrap_err();
        let (ours, _) = ask(theirs, |request| request).await;
        let error = ours.map(drop).unwrap_err();
        let head = error.refusal().expect("a refusal");
        assert_eq!((head.status().as_u16(), head.header("x-why")), (403, Some(&b"rules"[..])));
    }

    #[tokio::test]
    async fn a_foreign_server_that_chooses_what_was_not_offered_is_left() {
        #[expect(clippy::result_large_err, reason = "the type is theirs")]
        fn choose(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("v2"));
            Ok(response)
        }
        let theirs = async |stream| tokio_tungstenite::accept_hdr_async(stream, choose).await.map(drop).unwrap();
        let (ours, ()) = ask(theirs, |request| request.with_subprotocol("v1").unwrap()).await;
        assert!(matches!(ours, Err(AnswerError::UnexpectedSubprotocol)));
    }

    #[tokio::test]
    async fn messages_of_all_sizes_go_both_ways_between_our_client_and_a_foreign_server() {
        run(our_client(), messages).await;
    }

    #[tokio::test]
    async fn fragments_go_both_ways_between_our_client_and_a_foreign_server() {
        run(our_client(), fragments).await;
    }

    #[tokio::test]
    async fn pings_are_answered_both_ways_between_our_client_and_a_foreign_server() {
        run(our_client(), pings).await;
    }

    #[tokio::test]
    async fn our_client_closes_and_a_foreign_server_answers() {
        run(our_client(), we_close).await;
    }

    #[tokio::test]
    async fn a_foreign_server_closes_and_our_client_answers() {
        run(our_client(), they_close).await;
    }

    #[tokio::test]
    async fn a_foreign_server_closes_our_client_without_a_code() {
        run(our_client(), close_without_a_code).await;
    }

    #[tokio::test]
    async fn our_client_tells_a_foreign_server_what_is_wrong() {
        run(our_client(), faults).await;
    }
}

/// Messages of all kinds and sizes, there and back.
async fn messages((mut ours, mut theirs): (Ours, Theirs)) {
    let long = "größer ".repeat((1 << 20) / 9);
    let texts = ["", "hello", "größer 😀", &"a".repeat(125), &"a".repeat(126), &"a".repeat(65_536), &long];
    for text in texts {
        let ((), arrived) = tokio::join!(ours.send(text.into()), message(&mut theirs));
        assert!(arrived == TheirMessage::text(text), "a text of {} bytes", text.len());
        let (sent, back) = tokio::join!(theirs.send(arrived), ours.message());
        sent.unwrap();
        assert!(back == Message::from(text), "a text of {} bytes", text.len());
    }
    for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let bytes: Bytes = (0..=255).cycle().take(len).collect();
        let ((), arrived) = tokio::join!(ours.send(bytes.clone().into()), message(&mut theirs));
        assert!(arrived == TheirMessage::binary(bytes.clone()), "{len} bytes");
        let (sent, back) = tokio::join!(theirs.send(arrived), ours.message());
        sent.unwrap();
        assert!(back == Message::from(bytes), "{len} bytes");
    }
}

/// A fragment as the foreign end sends it.
fn fragment(data: Data, payload: &'static [u8], fin: bool) -> TheirMessage {
    TheirMessage::Frame(Frame::message(payload, OpCode::Data(data), fin))
}

/// Fragmented messages in both directions, with a ping between.
async fn fragments((mut ours, mut theirs): (Ours, Theirs)) {
    ours.protocol = ours.protocol.with_max_frame(1000);
    let long = "größer ".repeat(5000);
    let ((), arrived) = tokio::join!(ours.send(long.as_str().into()), message(&mut theirs));
    assert!(arrived == TheirMessage::text(long), "our fragments are one message to them");

    theirs.feed(fragment(Data::Text, b"gr\xC3", false)).await.unwrap();
    theirs.feed(fragment(Data::Continue, b"", false)).await.unwrap();
    theirs.feed(TheirMessage::Ping("between".into())).await.unwrap();
    theirs.send(fragment(Data::Continue, b"\xB6\xC3\x9Fer", true)).await.unwrap();
    assert!(matches!(ours.event().await, Event::Ping(payload) if *payload == *b"between"));
    assert_eq!(ours.message().await, Message::from("größer"));
    assert_eq!(message(&mut theirs).await, TheirMessage::Pong("between".into()));
}

/// Pings in both directions are answered.
async fn pings((mut ours, mut theirs): (Ours, Theirs)) {
    for payload in [&b""[..], b"1", &[7; 125]] {
        ours.protocol.ping(payload).unwrap();
        ours.write().await;
        assert_eq!(message(&mut theirs).await, TheirMessage::Ping(Bytes::copy_from_slice(payload)));
        theirs.flush().await.unwrap();
        assert!(matches!(ours.event().await, Event::Pong(back) if *back == *payload));

        theirs.send(TheirMessage::Ping(Bytes::copy_from_slice(payload))).await.unwrap();
        assert!(matches!(ours.event().await, Event::Ping(came) if *came == *payload));
        assert_eq!(message(&mut theirs).await, TheirMessage::Pong(Bytes::copy_from_slice(payload)));
    }
}

/// Reads to the end, which comes after one close frame at most, and gives its code and reason.
async fn their_end(mut theirs: Theirs) -> Option<(u16, String)> {
    let mut closed = None;
    while let Some(Ok(message)) = theirs.next().await {
        let TheirMessage::Close(frame) = message else { panic!("no close but {message:?}") };
        assert!(closed.is_none(), "a second close frame");
        closed = frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned()));
    }
    closed
}

/// We close, and the peer answers.
async fn we_close((mut ours, theirs): (Ours, Theirs)) {
    ours.protocol.close(Some(&CloseFrame::new(CloseCode::from(4001), "wir gehen früh"))).unwrap();
    let (closed, seen) = tokio::join!(ours.closed(), their_end(theirs));
    assert_eq!((closed.began, closed.code, closed.clean), (Began::Us, CloseCode::from(4001), true));
    assert_eq!(seen, Some((4001, "wir gehen früh".to_owned())));
}

/// The peer closes, and we answer.
async fn they_close((ours, mut theirs): (Ours, Theirs)) {
    let frame = TheirCloseFrame { code: 4002.into(), reason: "sie gehen früh".into() };
    theirs.close(Some(frame)).await.unwrap();
    let (closed, seen) = tokio::join!(ours.closed(), their_end(theirs));
    assert_eq!((closed.began, closed.code, closed.clean), (Began::Peer, CloseCode::from(4002), true));
    assert_eq!(closed.reason, "sie gehen früh");
    assert_eq!(seen, Some((4002, "sie gehen früh".to_owned())));
}

/// The peer closes and gives no code, and neither do we.
async fn close_without_a_code((ours, mut theirs): (Ours, Theirs)) {
    theirs.close(None).await.unwrap();
    let (closed, seen) = tokio::join!(ours.closed(), their_end(theirs));
    assert_eq!((closed.began, closed.code, closed.clean), (Began::Peer, CloseCode::NO_STATUS, true));
    assert_eq!(seen, None);
}

/// The peer breaks a rule, and is told which.
async fn faults((mut ours, mut theirs): (Ours, Theirs)) {
    theirs.send(fragment(Data::Text, b"\xFF", true)).await.unwrap();
    let error = loop {
        match ours.protocol.next() {
            Ok(None) => assert!(ours.stream.read_buf(ours.protocol.read_buffer()).await.unwrap() > 0),
            Ok(event) => panic!("{event:?}"),
            Err(error) => break error,
        }
    };
    ours.write().await;
    ours.stream.shutdown().await.unwrap();
    assert_eq!(error.close_code(), CloseCode::INVALID_PAYLOAD);
    assert_eq!(their_end(theirs).await, Some((1007, error.to_string())));
}

/// Lets both ends talk for half a minute at most.
async fn run(ends: impl Future<Output = (Ours, Theirs)>, talk: impl AsyncFnOnce((Ours, Theirs))) {
    let all = async { talk(ends.await).await };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("it comes to an end");
}

#[tokio::test]
async fn messages_of_all_sizes_go_both_ways_between_our_server_and_a_foreign_client() {
    run(our_server(), messages).await;
}

#[tokio::test]
async fn fragments_go_both_ways_between_our_server_and_a_foreign_client() {
    run(our_server(), fragments).await;
}

#[tokio::test]
async fn pings_are_answered_both_ways_between_our_server_and_a_foreign_client() {
    run(our_server(), pings).await;
}

#[tokio::test]
async fn our_server_closes_and_a_foreign_client_answers() {
    run(our_server(), we_close).await;
}

#[tokio::test]
async fn a_foreign_client_closes_and_our_server_answers() {
    run(our_server(), they_close).await;
}

#[tokio::test]
async fn a_foreign_client_closes_our_server_without_a_code() {
    run(our_server(), close_without_a_code).await;
}

#[tokio::test]
async fn our_server_tells_a_foreign_client_what_is_wrong() {
    run(our_server(), faults).await;
}
