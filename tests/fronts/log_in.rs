//! Logging in and out at a front end, as it is seen on sockets.

use crate::common::Peer;
use crate::site::{INTERVAL, Site, for_each};
use crate::table::{Kept, Row};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs foreign front ends: scripts/test install fronts"]
async fn who_logs_in_at_a_front_end_is_known_on_the_socket_and_who_logs_out_there_is_closed() {
    for_each(|_| true, check).await;
}

async fn check(row: &'static Row) {
    let site = Site::start(row).await;
    let front = &site.front;
    let (_stranger, told) = site.connect("").await;
    assert_eq!((&told["state"], &told["user"]), (&json!("NoCredentials"), &Value::Null));

    // The socket and the page know the same. The page shows the notices and is done with them, the socket leaves them.
    let cookie = front.log_in("ada", "").await;
    let (_ada, first) = site.connect(&cookie).await;
    let (ada, second) = site.connect(&cookie).await;
    assert_eq!(first, second);
    assert_eq!((&first["user"], &first["roles"]), (&json!("ada"), &json!(["admin", "staff"])));
    let (page, cookie) = front.get("/whoami", &cookie).await;
    for name in ["user", "roles", "notices", "token"] {
        assert_eq!(first[name], page[name], "{name}");
    }
    if !page["notices"].is_null() {
        assert_eq!(page["notices"], json!(["Welcome"]));
        let (_ada, third) = site.connect(&cookie).await;
        assert_eq!(third["notices"], json!([]), "the page has shown them");
    }

    // Somebody else in the same browser.
    let after = front.log_in("bob", &cookie).await;
    assert_ne!(after, cookie, "another id, or another content");
    let (mut bob, told) = site.connect(&after).await;
    assert_eq!(told["user"], "bob");
    if row.kept != Kept::Cookie {
        is_closed(ada).await;
        let (_nobody, told) = site.connect(&cookie).await;
        assert_eq!((&told["state"], &told["user"]), (&json!("Gone"), &Value::Null), "the id of before");
    }

    let (_, out) = front.get("/logout", &after).await;
    match row.kept {
        Kept::Cookie => {
            // There is no record that could tell.
            bob.say("still here").await;
            assert_eq!(bob.text().await, "still here");
        }
        _ => is_closed(bob).await,
    }
    let (_nobody, told) = site.connect(&out).await;
    assert_eq!(told["user"], Value::Null);
    assert_eq!(front.get("/whoami", &out).await.0["user"], Value::Null);
}

/// After a look at its session, which is due within the interval and a tenth; the rest is for a machine that is busy.
async fn is_closed(mut peer: Peer) {
    let began = Instant::now();
    assert_eq!(peer.close_code().await, 4401);
    assert!(began.elapsed() < INTERVAL + Duration::from_secs(2), "{:?}", began.elapsed());
}
