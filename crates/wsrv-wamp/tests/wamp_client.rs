//! The client against a server that says exactly what a test tells it to, over a pipe and in virtual time.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader};
use wsrv_rfc6455::http::HeaderMap;
use wsrv_rfc6455::http::header::{COOKIE, HeaderValue};
use wsrv_rfc6455::{Began, CloseCode, Event, Limits, Message, Protocol, SendError};
use wsrv_wamp::{
    CallFailure, ClientError, ClientOptions, ConnectFailure, ConnectionFault, Exclude, MessageLimits, RawValue,
    SendFailure, SignInFailure, WampClient, uris,
};

const WELCOME: &str = r#"[0,"me",1,"test"]"#;

struct Server {
    stream: DuplexStream,
    protocol: Protocol,
}

impl Server {
    /// Answers the opening handshake with this subprotocol.
    async fn accept(mut stream: DuplexStream, subprotocol: Option<&str>) -> Self {
        let mut buffer = BytesMut::new();
        let mut reader = HeadReader::new(HeadLimits::default());
        let head = loop {
            match reader.read(&mut buffer).unwrap() {
                Some(head) => break head,
                None => assert!(stream.read_buf(&mut buffer).await.unwrap() > 0),
            }
        };
        let offer = handshake::check(&head).unwrap();
        let mut answer = BytesMut::new();
        handshake::encode_accept(&offer, subprotocol, &HeaderMap::new(), &mut answer).unwrap();
        stream.write_all(&answer).await.unwrap();
        Self { stream, protocol: Protocol::server(Limits::default()) }
    }

    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.protocol.next().unwrap() {
                self.flush().await;
                return Some(event);
            }
            if self.stream.read_buf(self.protocol.read_buffer()).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// The next text.
    async fn heard(&mut self) -> String {
        match self.event().await {
            Some(Event::Message(Message::Text(text))) => text.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// The client's close: its code and reason.
    async fn close(&mut self) -> (u16, String) {
        match self.event().await {
            Some(Event::Closed(closed)) => (closed.code.as_u16(), closed.reason.as_str().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    async fn say(&mut self, message: impl Into<Message>) {
        self.protocol.send(message).unwrap();
        self.flush().await;
    }

    async fn flush(&mut self) {
        self.stream.write_all(self.protocol.output()).await.unwrap();
        self.protocol.written(self.protocol.output().len());
    }
}

async fn connected(options: ClientOptions, pipe: usize) -> (WampClient, Server) {
    let (stream, theirs) = duplex(pipe);
    let serving = async {
        let mut server = Server::accept(theirs, Some("wamp")).await;
        server.say(WELCOME).await;
        server
    };
    let (client, server) = tokio::join!(WampClient::over(stream, "localhost", "/", options), serving);
    (client.unwrap(), server)
}

async fn pair() -> (WampClient, Server) {
    connected(ClientOptions::default(), 1 << 20).await
}

/// A call of no arguments, as a task of its own.
fn calling(client: &WampClient, procedure: &'static str) -> JoinHandle<Result<i32, CallFailure>> {
    let client = client.clone();
    tokio::spawn(async move { client.call(procedure, &()).await })
}

// --- connecting ---

#[tokio::test]
async fn a_welcome_that_comes_with_the_answer_is_not_lost() {
    let (stream, mut theirs) = duplex(4096);
    let serving = async {
        let mut buffer = BytesMut::new();
        let mut reader = HeadReader::new(HeadLimits::default());
        let head = loop {
            match reader.read(&mut buffer).unwrap() {
                Some(head) => break head,
                None => assert!(theirs.read_buf(&mut buffer).await.unwrap() > 0),
            }
        };
        assert_eq!(head.target(), "/wamp?x=1");
        assert_eq!(head.header("cookie"), Some(&b"a=b"[..]));
        let mut answer = BytesMut::new();
        handshake::encode_accept(&handshake::check(&head).unwrap(), Some("wamp"), &HeaderMap::new(), &mut answer)
            .unwrap();
        let mut protocol = Protocol::server(Limits::default());
        protocol.send(WELCOME).unwrap();
        answer.extend_from_slice(protocol.output());
        theirs.write_all(&answer).await.unwrap();
    };
    let options = ClientOptions::default().with_header(COOKIE, HeaderValue::from_static("a=b"));
    let (client, ()) = tokio::join!(WampClient::over(stream, "localhost", "/wamp?x=1", options), serving);
    let client = client.unwrap();
    assert_eq!((client.session_id(), client.server()), ("me", "test"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_welcome_is_left_at_the_deadline() {
    let began = Instant::now();
    let (stream, theirs) = duplex(4096);
    let serving = async {
        let mut server = Server::accept(theirs, Some("wamp")).await;
        assert_eq!(server.close().await.0, 1000);
        assert_eq!(server.event().await, None, "the client does not wait for ever that the server ends the stream");
    };
    let connecting = async {
        let client = WampClient::over(stream, "localhost", "/", ClientOptions::default()).await;
        assert!(matches!(client.unwrap_err(), ConnectFailure::Timeout));
        assert_eq!(began.elapsed().as_secs(), 10);
    };
    tokio::join!(connecting, serving);

    let (stream, _silent) = duplex(4096);
    let client = WampClient::over(stream, "localhost", "/", ClientOptions::default()).await;
    assert!(matches!(client.unwrap_err(), ConnectFailure::Timeout));
}

#[tokio::test]
async fn a_server_that_does_not_choose_wamp_is_refused() {
    let (stream, theirs) = duplex(4096);
    let (client, _server) = tokio::join!(
        WampClient::over(stream, "localhost", "/", ClientOptions::default()),
        Server::accept(theirs, None)
    );
    assert!(matches!(client.unwrap_err(), ConnectFailure::NoSubprotocol));
}

#[tokio::test]
async fn what_comes_instead_of_the_welcome_is_told() {
    for (text, reason) in
        [(r#"[8,"t",1]"#, "EVENT before WELCOME"), (r#"[0,"me",2,""]"#, "version 2 of the protocol"), ("x", "not JSON")]
    {
        let (stream, theirs) = duplex(4096);
        let serving = async {
            let mut server = Server::accept(theirs, Some("wamp")).await;
            server.say(text).await;
            assert_eq!(server.close().await, (1002, reason.to_owned()));
        };
        let (client, ()) = tokio::join!(WampClient::over(stream, "localhost", "/", ClientOptions::default()), serving);
        let ConnectFailure::Ended(ended) = client.unwrap_err() else { panic!() };
        assert!(matches!(ended.fault, Some(ConnectionFault::Message(_))), "{ended}");
    }
}

// --- calls ---

#[tokio::test]
async fn calls_of_clones_are_answered_in_any_order() {
    let (client, mut server) = pair().await;
    let first = calling(&client, "p:one");
    assert_eq!(server.heard().await, r#"[2,"1","p:one"]"#);
    let second = calling(&client, "p:two");
    assert_eq!(server.heard().await, r#"[2,"2","p:two"]"#);
    assert_eq!(client.outstanding_calls(), 2);
    server.say(r#"[3,"2",22]"#).await;
    assert_eq!(second.await.unwrap().unwrap(), 22);
    server.say(r#"[3,"1",11]"#).await;
    assert_eq!(first.await.unwrap().unwrap(), 11);
    assert_eq!(client.outstanding_calls(), 0);
}

#[tokio::test]
async fn arguments_and_results_keep_their_digits() {
    let (client, mut server) = pair().await;
    let number = serde_json::from_str::<Box<RawValue>>("1.000000000000000000001").unwrap();
    let arguments = (&number, "x", [1, 2]);
    let (result, ()) = tokio::join!(client.call::<Box<RawValue>>("p", &arguments), async {
        assert_eq!(server.heard().await, r#"[2,"1","p",1.000000000000000000001,"x",[1,2]]"#);
        server.say(r#"[3,"1",{"b":1.10, "a":2}]"#).await;
    });
    assert_eq!(result.unwrap().get(), r#"{"b":1.10, "a":2}"#);
}

#[tokio::test]
async fn an_error_has_uri_description_and_details() {
    let (client, mut server) = pair().await;
    client.prefix("err", "http://a/error#").await.unwrap();
    server.heard().await;
    let call = calling(&client, "p");
    server.heard().await;
    server.say(r#"[4,"1","err:full","too late",{"seats":[7]}]"#).await;
    let failure = call.await.unwrap().unwrap_err();
    let refusal = failure.refusal().unwrap();
    assert_eq!((&*refusal.uri, &*refusal.description), ("http://a/error#full", "too late"));
    assert_eq!(refusal.details.as_ref().unwrap().get(), r#"{"seats":[7]}"#);
    assert_eq!(failure.to_string(), "too late (http://a/error#full)");

    let call = calling(&client, "p");
    server.heard().await;
    server.say(r#"[4,"2","e",""]"#).await;
    assert!(call.await.unwrap().unwrap_err().refusal().unwrap().details.is_none());
}

#[tokio::test]
async fn what_cannot_be_written_or_read_is_told_and_ends_nothing() {
    let (client, mut server) = pair().await;
    assert!(matches!(client.call::<i32>("p", &7).await.unwrap_err(), CallFailure::Arguments(_)));
    let strange = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(client.call::<i32>("p", &(&strange,)).await.unwrap_err(), CallFailure::Arguments(_)));
    assert!(matches!(client.publish("t", &strange).await.unwrap_err(), SendFailure::Event(_)));
    assert!(matches!(client.prefix("http", "x").await.unwrap_err(), SendFailure::Prefix(_)));
    assert_eq!(client.outstanding_calls(), 0);
    let call = calling(&client, "p");
    assert_eq!(server.heard().await, r#"[2,"1","p"]"#);
    server.say(r#"[3,"1","no number"]"#).await;
    assert!(matches!(call.await.unwrap().unwrap_err(), CallFailure::Result(_)));
}

#[tokio::test]
async fn a_dropped_call_is_forgotten_and_its_answer_ignored() {
    let (client, mut server) = pair().await;
    let call = calling(&client, "p");
    assert_eq!(server.heard().await, r#"[2,"1","p"]"#);
    assert_eq!(client.outstanding_calls(), 1);
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(client.outstanding_calls(), 0);
    server.say(r#"[3,"1",1]"#).await;
    let call = calling(&client, "p");
    assert_eq!(server.heard().await, r#"[2,"2","p"]"#);
    server.say(r#"[3,"2",2]"#).await;
    assert_eq!(call.await.unwrap().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_fails_in_time() {
    let (client, _server) = connected(ClientOptions::default().with_ping_after(None), 1 << 20).await;
    let began = Instant::now();
    assert!(matches!(client.call::<i32>("p", &()).await.unwrap_err(), CallFailure::Timeout));
    assert_eq!(began.elapsed().as_secs(), 60);
    let second = Duration::from_secs(1);
    assert!(matches!(client.call_within::<i32>(Some(second), "p", &()).await.unwrap_err(), CallFailure::Timeout));
    assert_eq!(began.elapsed().as_secs(), 61);
    assert_eq!(client.outstanding_calls(), 0);
}

#[tokio::test]
async fn answers_that_nobody_waits_for_are_ignored() {
    let (client, mut server) = pair().await;
    for text in [r#"[3,"1",0]"#, r#"[4,"x","e",""]"#, r#"[3,"",null]"#, r#"[8,"nobody","listens"]"#] {
        server.say(text).await;
    }
    let call = calling(&client, "p");
    server.heard().await;
    server.say(r#"[3,"1",5]"#).await;
    assert_eq!(call.await.unwrap().unwrap(), 5);
}

// --- topics ---

#[tokio::test]
async fn two_subscriptions_are_one_to_the_server_and_the_last_one_ends_it() {
    let (client, mut server) = pair().await;
    client.prefix("t", "http://a/t#").await.unwrap();
    assert_eq!(server.heard().await, r#"[1,"t","http://a/t#"]"#);
    let mut first = client.subscribe("t:x").await.unwrap();
    assert_eq!(server.heard().await, r#"[5,"http://a/t#x"]"#);
    let mut second = client.subscribe("http://a/t#x").await.unwrap();
    assert_eq!(second.topic(), "http://a/t#x");
    assert_eq!(server.heard().await, r#"[5,"http://a/t#x"]"#, "it may have refused the first");
    server.say(r#"[8,"http://a/t#x",{"n":1}]"#).await;
    for subscription in [&mut first, &mut second] {
        let event = subscription.recv().await.unwrap();
        assert_eq!((event.raw().get(), event.missed()), (r#"{"n":1}"#, 0));
    }
    drop(first);
    client.publish("x", &1).await.unwrap();
    assert_eq!(server.heard().await, r#"[7,"x",1]"#);
    drop(second);
    assert_eq!(server.heard().await, r#"[6,"http://a/t#x"]"#);
    let again = client.subscribe("t:x").await.unwrap();
    assert_eq!(server.heard().await, r#"[5,"http://a/t#x"]"#);
    drop(again);
}

#[tokio::test]
async fn a_slow_application_loses_the_oldest_events_and_is_told_how_many() {
    let (client, mut server) = connected(ClientOptions::default().with_max_events(3, 1000), 1 << 20).await;
    let mut slow = client.subscribe("t").await.unwrap();
    server.heard().await;
    for n in 0..10 {
        server.say(format!(r#"[8,"t",{n}]"#)).await;
    }
    let call = calling(&client, "p"); // other things go on meanwhile
    server.heard().await;
    server.say(r#"[3,"1",1]"#).await;
    call.await.unwrap().unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let event = slow.recv().await.unwrap();
        seen.push((event.deserialize::<i32>().unwrap(), event.missed()));
    }
    assert_eq!(seen, [(7, 7), (8, 0), (9, 0)]);

    // By bytes, too; but the newest one always has room.
    let long = format!("\"{}\"", "x".repeat(2000));
    for event in ["1", "2", &long] {
        server.say(format!(r#"[8,"t",{event}]"#)).await;
    }
    let call = calling(&client, "p");
    server.heard().await;
    server.say(r#"[3,"2",1]"#).await;
    call.await.unwrap().unwrap();
    let event = slow.recv().await.unwrap();
    assert_eq!((event.raw().get().len(), event.missed()), (2002, 2));
}

#[tokio::test]
async fn events_that_came_before_the_end_are_received_after_it() {
    let (client, mut server) = pair().await;
    let mut news = client.subscribe("t").await.unwrap();
    server.heard().await;
    server.say(r#"[8,"t",1]"#).await;
    drop(server);
    client.closed().await;
    assert_eq!(news.recv().await.unwrap().deserialize::<i32>().unwrap(), 1);
    assert!(news.recv().await.is_none() && news.recv().await.is_none());
}

#[tokio::test]
async fn publishing_says_who_is_meant() {
    let (client, mut server) = pair().await;
    let you = [Cow::Borrowed("you")];
    client.publish_to("t", "x", &Exclude::Me(false), None).await.unwrap();
    assert_eq!(server.heard().await, r#"[7,"t","x",false]"#);
    client.publish_to("t", "x", &Exclude::Sessions(you.to_vec()), None).await.unwrap();
    assert_eq!(server.heard().await, r#"[7,"t","x",["you"]]"#);
    client.publish_to("t", "x", &Exclude::Default, Some(&you)).await.unwrap();
    assert_eq!(server.heard().await, r#"[7,"t","x",["me"],["you"]]"#);
}

// --- a server that breaks rules ---

#[tokio::test]
async fn malformed_messages_close_with_1002_and_fail_the_calls() {
    for text in ["", "{}", "[]", "[3]", r#"[3,7,1]"#, r#"[8,"t"]"#, r#"[2,"x","p"]"#, r#"[1,"a","b"]"#, WELCOME] {
        let (client, mut server) = pair().await;
        let call = calling(&client, "p");
        server.heard().await;
        server.say(text).await;
        assert_eq!(server.close().await.0, 1002, "{text}");
        let CallFailure::Disconnected(disconnected) = call.await.unwrap().unwrap_err() else { panic!("{text}") };
        let ended = disconnected.ended.unwrap();
        assert!(matches!(ended.fault, Some(ConnectionFault::Message(_))), "{text}");
        assert_eq!((ended.closed.began, ended.closed.clean), (Began::Us, true), "{text}");
    }
    let (client, mut server) = pair().await;
    server.say(WELCOME).await;
    assert_eq!(server.close().await, (1002, "a second WELCOME".to_owned()));
    let fault = client.closed().await.fault;
    assert!(matches!(fault, Some(ConnectionFault::Message(ClientError::SecondWelcome))));
}

#[tokio::test]
async fn binary_messages_close_with_1003_and_broken_frames_with_1002() {
    let (client, mut server) = pair().await;
    server.say(vec![1, 2]).await;
    assert_eq!(server.close().await.0, 1003);
    assert!(matches!(client.closed().await.fault, Some(ConnectionFault::Binary)));

    let (client, mut server) = pair().await;
    server.stream.write_all(b"\xF1\x00").await.unwrap();
    assert_eq!(server.close().await.0, 1002);
    drop(server);
    assert!(matches!(client.closed().await.fault, Some(ConnectionFault::Protocol(_))));
}

#[tokio::test]
async fn a_server_says_no_more_than_the_limits_that_were_set() {
    let limits = MessageLimits::default().with_max_depth(3).with_max_uri(5);
    let options = ClientOptions::default().with_message_limits(Limits::default().with_max_message(100));
    let options = options.with_wamp_limits(limits);
    let most = format!(r#"[8,"12345","{}"]"#, "x".repeat(86));
    for (beyond, code) in [
        (format!(r#"[8,"12345","{}"]"#, "x".repeat(87)), 1009),
        (r#"[8,"12345",[[[1]]]]"#.to_owned(), 1002),
        (r#"[8,"123456",1]"#.to_owned(), 1002),
    ] {
        let (client, mut server) = connected(options.clone(), 1 << 20).await;
        let mut events = client.subscribe("12345").await.unwrap();
        server.heard().await;
        assert_eq!(most.len(), 100);
        for most in [&*most, r#"[8,"12345",[[1]]]"#] {
            server.say(most).await;
            assert!(events.recv().await.is_some(), "{most}");
        }
        server.say(&*beyond).await;
        assert_eq!(server.close().await.0, code, "{beyond}");
        drop(server);
        let fault = client.closed().await.fault;
        assert!(matches!(
            (code, fault),
            (1009, Some(ConnectionFault::Protocol(_))) | (1002, Some(ConnectionFault::Message(_)))
        ));
    }
}

#[tokio::test]
async fn the_head_of_the_answer_is_no_longer_than_the_limit_that_was_set() {
    for (max, is_taken) in [(100, false), (1000, true)] {
        let (stream, theirs) = duplex(4096);
        let options = ClientOptions::default().with_head_limits(HeadLimits::default().with_max_size(max));
        let serving = async {
            let mut server = Server::accept(theirs, Some("wamp")).await;
            if is_taken {
                server.say(WELCOME).await;
            }
            server
        };
        let (client, _server) = tokio::join!(WampClient::over(stream, "localhost", "/", options), serving);
        assert!(matches!((is_taken, client), (true, Ok(_)) | (false, Err(ConnectFailure::Head(_)))), "{max}");
    }
}

// --- the end, and the clock ---

#[tokio::test]
async fn what_was_sent_before_a_close_goes_out_before_it() {
    let (client, mut server) = pair().await;
    for n in 0..50 {
        client.publish("t", &n).await.unwrap();
    }
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    for n in 0..50 {
        assert_eq!(server.heard().await, format!(r#"[7,"t",{n}]"#));
    }
    assert_eq!(server.close().await, (1000, String::new()));
    drop(server);
    let ended = closing.await.unwrap();
    assert_eq!((ended.closed.began, ended.closed.clean, ended.fault.is_none()), (Began::Us, true, true));
    assert!(matches!(client.call::<i32>("p", &()).await.unwrap_err(), CallFailure::Disconnected(_)));
    assert!(matches!(client.publish("t", &1).await.unwrap_err(), SendFailure::Disconnected(_)));
    assert!(client.subscribe("t").await.unwrap_err().ended.is_some());
}

#[tokio::test]
async fn a_close_of_ones_own_has_its_code_and_reason_and_a_bad_code_closes_nothing() {
    let (client, mut server) = pair().await;
    for bad in [0, 999, 1005, 1006, 1015, 5000] {
        let refused = client.close_with(CloseCode::from(bad), "bye").await.unwrap_err();
        assert_eq!(refused, SendError::InvalidCloseCode, "{bad}");
    }
    client.publish("t", &1).await.unwrap();
    assert_eq!(server.heard().await, r#"[7,"t",1]"#);
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close_with(CloseCode::from(4000), "é".repeat(100)).await }
    });
    assert_eq!(server.close().await, (4000, "é".repeat(61)), "what is longer than 123 bytes is cut");
    drop(server);
    let ended = closing.await.unwrap().unwrap();
    assert_eq!((ended.closed.began, ended.closed.code.as_u16()), (Began::Us, 4000));
}

#[tokio::test(start_paused = true)]
async fn times_without_end_never_come() {
    let options = ClientOptions::default()
        .with_connect_timeout(Duration::MAX)
        .with_call_timeout(Some(Duration::MAX))
        .with_close_timeout(Duration::MAX)
        .with_ping_after(Some(Duration::MAX))
        .with_pong_timeout(Duration::MAX);
    let (client, mut server) = connected(options.clone(), 1 << 20).await;
    let call = calling(&client, "p");
    server.heard().await;
    sleep(Duration::from_secs(1_000_000)).await;
    server.say(r#"[3,"1",1]"#).await;
    assert_eq!(call.await.unwrap().unwrap(), 1);
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    sleep(Duration::from_secs(1_000_000)).await;
    assert!(!closing.is_finished());
    assert_eq!(server.close().await.0, 1000);
    drop(server);
    assert!(closing.await.unwrap().closed.clean);

    // Pinged, the server may be silent for ever.
    let (client, _server) = connected(options.with_ping_after(Some(Duration::from_secs(1))), 1 << 20).await;
    assert!(tokio::time::timeout(Duration::from_secs(1_000_000), client.closed()).await.is_err());
}

#[tokio::test]
async fn an_answer_that_comes_during_the_close_still_counts() {
    let (client, mut server) = pair().await;
    let call = calling(&client, "p");
    server.heard().await;
    let lost = calling(&client, "lost");
    server.heard().await;
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    // The client's close is not read yet.
    let mut early = Protocol::server(Limits::default());
    early.send(r#"[3,"1",1]"#).unwrap();
    server.stream.write_all(early.output()).await.unwrap();
    assert_eq!(call.await.unwrap().unwrap(), 1);
    assert_eq!(server.close().await.0, 1000);
    drop(server);
    closing.await.unwrap();
    assert!(matches!(lost.await.unwrap().unwrap_err(), CallFailure::Disconnected(_)));
}

#[tokio::test]
async fn the_servers_close_is_answered_and_told() {
    let (client, mut server) = pair().await;
    let call = calling(&client, "p");
    server.heard().await;
    server.protocol.close(Some(&wsrv_rfc6455::CloseFrame::new(1001, "night"))).unwrap();
    server.flush().await;
    assert_eq!(server.close().await, (1001, "night".to_owned()));
    drop(server);
    let ended = client.closed().await;
    assert_eq!(ended.to_string(), r#"closed by the server with 1001 going away "night""#);
    assert!(ended.closed.clean && ended.fault.is_none());
    let CallFailure::Disconnected(disconnected) = call.await.unwrap().unwrap_err() else { panic!() };
    assert_eq!(disconnected.ended.unwrap().closed, ended.closed);
}

#[tokio::test]
async fn a_lost_stream_fails_what_waits() {
    let (client, mut server) = pair().await;
    let call = calling(&client, "p");
    server.heard().await;
    drop(server);
    assert!(matches!(call.await.unwrap().unwrap_err(), CallFailure::Disconnected(_)));
    let ended = client.closed().await;
    let Some(ConnectionFault::Io(error)) = &ended.fault else { panic!("{ended}") };
    assert_eq!((error.kind(), ended.closed.code.as_u16()), (ErrorKind::UnexpectedEof, 1006));
}

#[tokio::test]
async fn the_connection_is_closed_when_the_last_handle_is_gone() {
    let (client, mut server) = pair().await;
    let subscription = client.subscribe("t").await.unwrap();
    assert_eq!(server.heard().await, r#"[5,"t"]"#);
    drop(client.clone());
    drop(client);
    server.say(r#"[8,"t",1]"#).await;
    let mut subscription = subscription;
    assert!(subscription.recv().await.is_some(), "a subscription keeps it open");
    drop(subscription);
    assert_eq!(server.heard().await, r#"[6,"t"]"#);
    assert_eq!(server.close().await.0, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_pinged_and_then_given_up() {
    let (client, mut server) = pair().await;
    let began = Instant::now();
    for round in 1..=3 {
        assert!(matches!(server.event().await, Some(Event::Ping(_))), "and it is answered");
        assert_eq!(began.elapsed().as_secs(), 30 * round);
    }
    let ended = client.closed().await; // nobody reads any more
    assert!(matches!(ended.fault, Some(ConnectionFault::Silent)), "{ended}");
    assert_eq!(began.elapsed().as_secs(), 150);
}

#[tokio::test]
async fn pings_are_answered() {
    let (_client, mut server) = pair().await;
    server.protocol.ping(b"there?").unwrap();
    server.flush().await;
    assert!(matches!(server.event().await, Some(Event::Pong(payload)) if *payload == *b"there?"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_the_close_is_left_at_the_deadline() {
    let (client, server) = pair().await;
    let began = Instant::now();
    let ended = client.close().await;
    assert_eq!(began.elapsed().as_secs(), 5);
    assert!(matches!(ended.fault, Some(ConnectionFault::CloseTimeout)));
    assert!(!ended.closed.clean);
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_makes_senders_wait_and_a_close_end_in_time() {
    let (client, mut server) = connected(ClientOptions::default().with_max_waiting(2), 1024).await;
    let event = "x".repeat(100_000);
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_secs(1), client.publish("t", &event)).await.is_ok() {
        sent += 1;
    }
    assert!((2..=4).contains(&sent), "two wait, and what is being written: {sent}");
    // Once it reads, sending goes on.
    server.heard().await;
    client.publish("t", &event).await.unwrap();
    let waiting = calling(&client, "p");
    sleep(Duration::from_millis(1)).await;
    let began = Instant::now();
    let ended = client.close().await;
    assert!(matches!(ended.fault, Some(ConnectionFault::CloseTimeout)), "{ended}");
    assert_eq!(began.elapsed().as_secs(), 5);
    assert!(matches!(waiting.await.unwrap().unwrap_err(), CallFailure::Disconnected(_)), "who waits for room is told");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_pongs_and_does_not_read_them_costs_no_memory() {
    let (client, server) = connected(ClientOptions::default(), 1024).await;
    let Server { mut stream, .. } = server;
    let mut pings = Protocol::server(Limits::default());
    pings.ping(&[0; 125]).unwrap();
    let ping = pings.output().to_vec();
    let mut taken = 0;
    while tokio::time::timeout(Duration::from_secs(1), stream.write_all(&ping)).await.is_ok() {
        taken += ping.len();
        assert!(taken < 1 << 20, "it goes on reading");
    }
    assert!(matches!(client.closed().await.fault, Some(ConnectionFault::Silent)));
}

#[tokio::test]
async fn a_connection_whose_runtime_is_gone_has_ended() {
    let (client, server) = tokio::task::spawn_blocking(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(pair())
    })
    .await
    .unwrap();
    assert!(matches!(client.closed().await.fault, Some(ConnectionFault::Dropped)));
    drop(server);
}

#[tokio::test]
async fn a_dropped_subscribe_or_publish_that_waits_for_room_sends_nothing() {
    let (client, mut server) = connected(ClientOptions::default().with_max_waiting(1), 1 << 20).await;
    // On one thread, the task does not run before this one waits: so the second finds no room.
    let mut first = Box::pin(client.publish("t", &1));
    let mut second = Box::pin(client.subscribe("dropped"));
    poll_fn(|cx| {
        assert!(first.as_mut().poll(cx).is_ready());
        assert!(second.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(second);
    client.publish("t", &2).await.unwrap();
    assert_eq!(server.heard().await, r#"[7,"t",1]"#);
    assert_eq!(server.heard().await, r#"[7,"t",2]"#);
}

// --- signing in ---

#[tokio::test]
async fn a_challenge_is_answered_with_its_signature() {
    let (client, mut server) = pair().await;
    let signing_in = tokio::spawn({
        let client = client.clone();
        async move { client.sign_in("bob", "pa55word").await }
    });
    assert_eq!(server.heard().await, format!(r#"[2,"1","{}","bob",null]"#, uris::AUTHREQ));
    let challenge = r#"{"authid": "gDkGlrOLTjwHbmyN", "authkey": "bob", "timestamp": "2014-01-01T00:00:00.000Z", "sessionid": "v59mbCGDXZ7WTyxB", "extra": {}, "permissions": {"pubsub": [], "rpc": []}, "authextra": {"salt": "RANDOM SALT", "keylen": 32, "iterations": 1000}}"#;
    server.say(format!(r#"[3,"1",{}]"#, serde_json::to_string(challenge).unwrap())).await;
    let signature = "6SYt2EolWN7jJZyTGuUj2xWTEF62NRE0IQ8GrgY/NTs=";
    assert_eq!(server.heard().await, format!(r#"[2,"2","{}","{signature}"]"#, uris::AUTH));
    server.say(r#"[3,"2",{"rpc":[{"uri":"p","call":true}],"pubsub":[{"uri":"t","prefix":true,"pub":true}]}]"#).await;
    let granted = signing_in.await.unwrap().unwrap();
    assert_eq!((&*granted.rpc[0].uri, granted.rpc[0].call), ("p", true));
    let topic = &granted.pubsub[0];
    assert_eq!((&*topic.uri, topic.prefix, topic.publish, topic.subscribe), ("t", true, true, false));
}

#[tokio::test]
async fn nobody_signs_in_with_nulls_and_bad_challenges_are_refused() {
    let (client, mut server) = pair().await;
    let (granted, ()) = tokio::join!(client.sign_in_anonymously(), async {
        assert_eq!(server.heard().await, format!(r#"[2,"1","{}",null,null]"#, uris::AUTHREQ));
        server.say(r#"[3,"1",null]"#).await;
        assert_eq!(server.heard().await, format!(r#"[2,"2","{}",null]"#, uris::AUTH));
        server.say(r#"[3,"2",{"rpc":[],"pubsub":[]}]"#).await;
    });
    assert!(granted.unwrap().rpc.is_empty());
    for (id, challenge) in
        [(3, "null"), (4, "\"x\""), (5, r#""{\"authextra\":{\"salt\":\"\",\"iterations\":9999999}}""#)]
    {
        let (granted, ()) = tokio::join!(client.sign_in("bob", "x"), async {
            server.heard().await;
            server.say(format!(r#"[3,"{id}",{challenge}]"#)).await;
        });
        assert!(matches!(granted.unwrap_err(), SignInFailure::Challenge(_)), "{challenge}");
    }
}
