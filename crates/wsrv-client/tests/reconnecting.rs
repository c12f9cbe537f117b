//! A connection that comes back, and when it does not.

mod common;

use common::{accept, app, raw, serve, soon};
use futures_util::FutureExt;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wsrv_client::wsrv_core::{Connection, Reason};
use wsrv_client::{Backoff, Client, ConnectError, Reconnecting};

fn quick() -> Backoff {
    Backoff::default().with_first(Duration::from_millis(10)).with_max(Duration::from_millis(40))
}

fn reconnecting(addr: SocketAddr) -> Reconnecting {
    Reconnecting::new(Client::new(&format!("ws://{addr}/echo")).unwrap(), quick())
}

/// Says how often somebody has connected, and breaks off: the first time without a goodbye, then with one.
async fn breaking() -> SocketAddr {
    let count = Arc::new(AtomicUsize::new(0));
    raw(move |mut stream, head| {
        let n = count.fetch_add(1, SeqCst);
        async move {
            let accept = accept(&head);
            let head = format!(
                "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            let mut said = head.into_bytes();
            said.extend_from_slice(&[0x81, 1, b'0' + n as u8]);
            if n > 0 {
                said.extend_from_slice(b"\x88\x02\x03\xE8");
            }
            stream.write_all(&said).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await
}

#[tokio::test]
async fn it_comes_back_after_a_loss_and_after_a_goodbye_with_what_had_arrived() {
    let greeted = Arc::new(AtomicUsize::new(0));
    let mut reconnecting = reconnecting(breaking().await).on_connect({
        let greeted = greeted.clone();
        move |_| {
            greeted.fetch_add(1, SeqCst);
            async { Ok(()) }
        }
    });
    for n in 0..5 {
        let message = soon(reconnecting.recv()).await.unwrap().unwrap();
        assert_eq!(message.as_text(), Some(n.to_string().as_str()));
        assert_eq!(greeted.load(SeqCst), n + 1);
    }
}

#[tokio::test]
async fn the_hook_subscribes_anew_and_a_cut_asks_for_a_new_connection() {
    let mut echo = reconnecting(serve(app()).await).on_connect(|conn| async move {
        conn.send("subscribe").await?;
        Ok(())
    });
    let mut seen = echo.watch();
    assert!(echo.connection().is_none());
    let mut ids = Vec::new();
    for _ in 0..3 {
        assert_eq!(soon(echo.recv()).await.unwrap().unwrap().as_text(), Some("subscribe"));
        let conn = echo.connection().unwrap();
        assert_eq!(seen.borrow_and_update().as_ref().map(|conn| conn.id()), Some(conn.id()));
        ids.push(conn.id());
        conn.cut();
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_close_from_this_side_is_the_end() {
    let mut echo = reconnecting(serve(app()).await).on_connect(|conn| async move {
        conn.send("hello").await?;
        Ok(())
    });
    soon(echo.recv()).await.unwrap().unwrap();
    echo.connection().unwrap().close(Reason::Done);
    assert!(soon(echo.recv()).await.unwrap().is_none());
    assert!(soon(echo.recv()).await.unwrap().is_none());
    assert!(echo.connection().is_none());
}

#[tokio::test]
async fn a_hook_that_fails_has_the_connection_closed_and_is_tried_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let mut echo = reconnecting(serve(app()).await).on_connect(move |conn| {
        let n = count.fetch_add(1, SeqCst);
        async move {
            if n < 2 {
                return Err("not yet".into());
            }
            conn.send(n.to_string()).await?;
            Ok(())
        }
    });
    assert_eq!(soon(echo.recv()).await.unwrap().unwrap().as_text(), Some("2"));
}

#[tokio::test]
async fn a_hook_that_does_not_end_ends_with_its_connection() {
    let mut reconnecting = reconnecting(breaking().await).on_connect(|_| std::future::pending());
    for n in 0..3 {
        let message = soon(reconnecting.recv()).await.unwrap().unwrap();
        assert_eq!(message.as_text(), Some(n.to_string().as_str()));
        assert!(reconnecting.connection().is_none());
    }
}

#[tokio::test]
async fn a_message_that_is_dropped_half_sent_is_no_wish_to_end() {
    let mut echo = reconnecting(serve(app()).await).on_connect(|conn| async move {
        conn.send("hello").await?;
        Ok(())
    });
    for _ in 0..2 {
        assert_eq!(soon(echo.recv()).await.unwrap().unwrap().as_text(), Some("hello"));
        let mut half = echo.connection().unwrap().begin_text();
        half.part("half a ").await.unwrap();
        half.flush().await.unwrap();
    }
    assert!(soon(echo.recv()).await.unwrap().is_some());
    // For other reasons somebody has to ask.
    echo.connection().unwrap().close(Reason::Policy);
    assert!(soon(echo.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_panic_of_the_connections_task_is_passed_on() {
    let mut echo = reconnecting(serve(app()).await).on_connect(|conn| async move {
        conn.send("hello").await?;
        Ok(())
    });
    soon(echo.recv()).await.unwrap().unwrap();
    echo.connection().unwrap().link().change_receiver(|_| panic!("on purpose"));
    let (panicked, mut echo) = soon(async move {
        let panicked = AssertUnwindSafe(echo.recv()).catch_unwind().await;
        (panicked.is_err(), echo)
    })
    .await;
    assert!(panicked);
    assert_eq!(soon(echo.recv()).await.unwrap().unwrap().as_text(), Some("hello"), "it begins anew");
}

#[tokio::test]
async fn it_waits_for_a_server_that_is_not_there_yet() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let mut echo = reconnecting(addr).on_connect(|conn| async move {
        conn.send("at last").await?;
        Ok(())
    });
    let early = tokio::time::timeout(Duration::from_millis(200), echo.recv()).await;
    assert!(early.is_err(), "there is nobody");
    let server = app().bind(addr).await.unwrap();
    tokio::spawn(server.serve_until(std::future::pending()));
    assert_eq!(soon(echo.recv()).await.unwrap().unwrap().as_text(), Some("at last"));
}

#[tokio::test]
async fn it_gives_up_after_its_attempts_and_at_once_if_there_is_no_hope() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(&format!("ws://{addr}/")).unwrap();
    let mut patient = Reconnecting::new(client, quick().with_attempts(Some(3)));
    let began = Instant::now();
    let error = soon(patient.recv()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    // Two waits, of 5 and 10 ms at least.
    assert!(began.elapsed() >= Duration::from_millis(15));
    assert!(soon(patient.recv()).await.is_err(), "it begins anew");

    let client = Client::new(&format!("ws://{}/nowhere", serve(app()).await)).unwrap();
    let error = soon(Reconnecting::new(client, Backoff::default()).recv()).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().status(), 404);
}

#[tokio::test]
async fn nothing_is_lost_when_receiving_is_given_up_on_the_way() {
    let mut reconnecting = reconnecting(breaking().await);
    let mut next = 0;
    while next < 5 {
        let received = tokio::select! {
            biased;
            received = reconnecting.recv() => received,
            () = tokio::task::yield_now() => continue,
        };
        assert_eq!(received.unwrap().unwrap().as_text(), Some(next.to_string().as_str()));
        next += 1;
    }
}
