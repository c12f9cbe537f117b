//! Pages that keep their session locked, and sockets that read it meanwhile.

use crate::common::soon;
use crate::site::{Site, for_each};
use crate::table::{Kept, Row};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs foreign front ends: scripts/test install fronts"]
async fn no_socket_waits_for_a_slow_page_and_no_page_for_a_socket() {
    for_each(|row| row.kept != Kept::Cookie, check).await;
}

async fn check(row: &'static Row) {
    let site = Site::start(row).await;
    let cookie = site.front.log_in("ada", "").await;
    let slow = async {
        let began = Instant::now();
        site.front.get("/slow", &cookie).await;
        began.elapsed()
    };
    let sockets = async {
        // The page is under way by then: there is no telling from outside.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        let mut open = Vec::new();
        for _ in 0..5 {
            let (peer, told) = site.connect(&cookie).await;
            assert_eq!(told["user"], "ada");
            open.push(peer);
        }
        (began.elapsed(), open)
    };
    let (page, (connected, mut open)) = soon(async { tokio::join!(slow, sockets) }).await;
    assert!(connected < Duration::from_millis(2_400), "{connected:?}: not for as long as the page");
    assert!(page < Duration::from_millis(3_900), "{page:?}: three seconds, and little more");
    // The next page is not locked out, with five sockets that are watched; and nobody was closed.
    let began = Instant::now();
    site.front.get("/whoami", &cookie).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    for peer in &mut open {
        peer.say("still here").await;
        assert_eq!(peer.text().await, "still here");
    }
}
