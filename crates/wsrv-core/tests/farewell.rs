//! The last message when many connections are closed together: who gets it, and who does not.

use wsrv_core::lines::{LineConnection, LineSender, Lines};
use wsrv_core::testing::Mock;
use wsrv_core::{Closed, Connection, Connections, Error, Farewell, Handler, Limits, Out, Reason, SlowPeer};

struct Quiet;

impl Handler<LineConnection> for Quiet {
    type State = ();
    async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, _: &LineConnection, _: &mut (), _: bytes::Bytes) -> Result<(), Error> {
        Ok(())
    }
    async fn on_close(&self, conn: &LineConnection, _: (), _: Closed) {
        let _ = conn.try_send("closing");
    }
}

fn farewell() -> Farewell {
    Farewell::new(Reason::GoingAway).message::<LineConnection>("see you")
}

/// What a connection of this set is told at the end, after `before` was done to it.
async fn told(all: &Connections, before: impl FnOnce(&Mock<Lines>)) -> String {
    let limits = Limits::default().with_outbox(100).with_slow_peer(SlowPeer::DropNewest);
    let mut mock = Mock::with(Lines::new(200), |driver| driver.limits(limits.into()).tracked_by(all));
    let mut session = mock.open(Quiet).await.unwrap();
    before(&mock);
    all.close_all(farewell());
    mock.resume();
    assert_eq!(session.turn().await.expect("it was closed").reason, Reason::GoingAway);
    String::from_utf8(mock.sent().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_last_message_comes_behind_what_on_close_sends() {
    assert_eq!(told(&Connections::new(), |_| {}).await, "closing\nsee you\n");
}

#[tokio::test(start_paused = true)]
async fn a_set_can_do_without_it() {
    assert_eq!(told(&Connections::new().without_last_message(), |_| {}).await, "closing\n");
    assert_eq!(told(&Connections::new().without_last_message().named("a"), |_| {}).await, "closing\n");
    assert_eq!(told(&Connections::new().named("a"), |_| {}).await, "closing\nsee you\n");
}

#[tokio::test(start_paused = true)]
async fn who_has_begun_to_end_gets_none() {
    let ending = |mock: &Mock<Lines>| mock.connection().close(Reason::GoingAway);
    assert_eq!(told(&Connections::new(), ending).await, "closing\n");
    let all = Connections::new();
    let mut mock = Mock::with(Lines::new(200), |driver| driver.tracked_by(&all));
    let mut session = mock.open(Quiet).await.unwrap();
    let encode = |_: &mut LineSender, out: &mut Out<'_>| {
        out.put_bytes(bytes::Bytes::from_static(b"my own\n"));
        Ok(())
    };
    mock.connection().link().send_then_close(encode, Reason::GoingAway).unwrap();
    all.close_all(farewell());
    session.turn().await.expect("it was closed");
    assert_eq!(mock.sent(), "my own\n");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_room_gets_none() {
    let all = Connections::new();
    let limits = Limits::default().with_outbox(100).with_slow_peer(SlowPeer::DropNewest);
    let mut mock = Mock::with(Lines::new(200), |driver| driver.limits(limits.into()).tracked_by(&all));
    let mut session = mock.open(Quiet).await.unwrap();
    mock.stall();
    let line = "#".repeat(90);
    while mock.connection().try_send(line.clone()).is_ok() {}
    all.close_all(farewell());
    let ended = tokio::join!(session.turn(), async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        mock.resume();
    });
    ended.0.expect("it was closed");
    let sent = String::from_utf8(mock.sent().to_vec()).unwrap();
    assert!(sent.starts_with(&line) && !sent.contains("see you"), "{sent}");
}
