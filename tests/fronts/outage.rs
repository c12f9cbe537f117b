//! A store that is away for a while.

use crate::site::{Site, for_each};
use crate::table::{Kept, Row};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs foreign front ends: scripts/test install fronts"]
async fn nobody_is_closed_while_a_store_is_away_and_all_goes_on_when_it_is_back() {
    for_each(|row| matches!(row.kept, Kept::Redis | Kept::Postgres | Kept::MariaDb), check).await;
}

async fn check(row: &'static Row) {
    let mut site = Site::start(row).await;
    let cookie = site.front.log_in("ada", "").await;
    let (mut ada, _) = site.connect(&cookie).await;

    site.service.as_mut().unwrap().stop();
    let before = site.looks().failed;
    site.looked(|looks| looks.failed >= before + 3).await;
    ada.say("still here").await;
    assert_eq!(ada.text().await, "still here");
    assert_eq!(site.status("/", &cookie).await, 503);
    assert_eq!(site.status("/", "").await, 101, "who names no session");

    site.service.as_mut().unwrap().resume();
    let began = Instant::now();
    while site.status("/", &cookie).await == 503 {
        assert!(began.elapsed() < Duration::from_secs(10), "it is back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_again, told) = site.connect(&cookie).await;
    assert_eq!(told["user"], "ada");
    ada.say("and here").await;
    assert_eq!(ada.text().await, "and here");
    // Watched as before, too.
    site.front.get("/logout", &cookie).await;
    assert_eq!(ada.close_code().await, 4401);
}
