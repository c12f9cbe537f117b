//! Handlers that pull, in single steps: when exactly their function runs, waits and ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::testing::{Mock, poll_once};
use wsrv_core::{ClosedBy, Connection, Error, Handler, Limits, Reason, Socket, from_fn};

fn mock() -> Mock<Lines> {
    Mock::new(Lines::new(100))
}

/// Fixes the type of the socket.
fn serve<Fut: Future<Output = Result<(), Error>> + Send + 'static>(
    f: impl Fn(Socket<LineConnection>) -> Fut + Send + Sync + 'static,
) -> impl Handler<LineConnection> {
    from_fn(f)
}

#[tokio::test(start_paused = true)]
async fn the_function_runs_in_the_background_before_any_message() {
    let handler = serve(|socket| async move {
        socket.send("hello").await?;
        sleep(Duration::from_secs(10)).await;
        socket.send("still here").await?;
        std::future::pending().await
    });
    let mut mock = mock();
    let mut session = mock.open(handler).await.unwrap();
    assert!(mock.sent().is_empty(), "not before on_open is done");
    assert!(session.background().is_pending());
    assert_eq!(&mock.take_sent()[..], b"hello\n");
    let began = Instant::now();
    session.woken().await;
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    assert!(session.background().is_pending());
    assert_eq!(&mock.take_sent()[..], b"still here\n");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_handled_when_the_function_has_taken_it_into_its_one_place() {
    let handler = serve(|mut socket| async move {
        while let Some(line) = socket.recv().await {
            sleep(Duration::from_secs(1)).await;
            socket.send(line).await?;
        }
        Ok(())
    });
    let mut mock = mock();
    let mut session = mock.open(handler).await.unwrap();
    session.message("one".into()).await.unwrap();
    session.message("two".into()).await.unwrap();
    {
        let mut third = pin!(session.message("three".into()));
        assert!(poll_once(third.as_mut()).is_pending(), "the driver does not read on");
        // Dropped, as when the connection is cut: that message is gone, and no other.
    }
    let began = Instant::now();
    session.message("four".into()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
    session.close(ClosedBy::Peer, Reason::Done).await;
    assert_eq!(&mock.take_sent()[..], b"one\ntwo\nfour\n", "the last ones after the peer's goodbye");
}

#[tokio::test(start_paused = true)]
async fn the_functions_end_asks_for_the_connections_end_and_nothing_runs_again() {
    let handler = serve(|mut socket| async move {
        let line = socket.recv().await.expect("one message");
        socket.send(line).await?;
        Ok(())
    });
    let mut mock = mock();
    let mut session = mock.open(handler).await.unwrap();
    session.message("one".into()).await.unwrap();
    assert!(!mock.connection().is_open());
    // Messages that were read already are of no use to anybody.
    session.message("two".into()).await.unwrap();
    assert!(session.background().is_pending());
    let closed = session.turn().await.unwrap();
    assert_eq!((closed.by, closed.reason), (ClosedBy::Local, Reason::Done));
    assert_eq!(&mock.take_sent()[..], b"one\n");
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_panic_between_messages_ends_the_connection() {
    for (panics, by, reason) in
        [(false, ClosedBy::Handler, Reason::Overload), (true, ClosedBy::Panic, Reason::Internal)]
    {
        let handler = serve(move |_socket| async move {
            sleep(Duration::from_secs(1)).await;
            assert!(!panics, "on purpose");
            Err(Error::new(Reason::Overload, "on purpose"))
        });
        let mut session = mock().open(handler).await.unwrap();
        assert_eq!(session.turn().await, None);
        session.woken().await;
        let closed = session.turn().await.unwrap();
        assert_eq!((closed.by, closed.reason), (by, reason));
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_does_not_come_to_its_end_is_dropped_in_time() {
    let handler = serve(|mut socket| async move {
        while socket.recv().await.is_some() {}
        socket.send("last words").await?;
        std::future::pending().await
    });
    let mut mock = mock();
    let mut session = mock.open(handler).await.unwrap();
    mock.connection().close(Reason::GoingAway);
    let began = Instant::now();
    assert_eq!(session.turn().await.unwrap().by, ClosedBy::Local);
    assert_eq!(began.elapsed(), Limits::default().on_close_timeout);
    assert_eq!(&mock.take_sent()[..], b"last words\n");
}

#[tokio::test(start_paused = true)]
async fn the_sink_is_ready_when_the_peer_has_taken_something() {
    let handler = serve(|mut socket| async move {
        for line in ["0123456789", "more", "and more"] {
            futures_util::SinkExt::send(&mut socket, line.into()).await?;
        }
        std::future::pending().await
    });
    let limits = Arc::new(Limits::default().with_outbox(10));
    let mut mock = Mock::with(Lines::new(100), |driver| driver.limits(limits));
    let mut session = mock.open(handler).await.unwrap();
    mock.stall();
    assert!(session.background().is_pending());
    assert_eq!(mock.connection().link().queued(), 11, "the outbox is full");
    assert!(!session.is_woken());
    mock.accept(8);
    assert!(session.is_woken());
    assert!(session.background().is_pending());
    assert_eq!(mock.connection().link().queued(), 3 + 5 + 9);
    mock.resume();
    assert_eq!(&mock.take_sent()[..], b"0123456789\nmore\nand more\n");
}
