//! Visitors who have logged in at a real PHP, on sockets of ours.

mod common;
#[path = "common/front.rs"]
mod front;

use common::{Peer, Running, TEXT, frame, serve, soon, upgrade};
use front::Front;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wsrv_app::prelude::*;
use wsrv_session::cookie::Plain;
use wsrv_session::{Codec, FileNames, FilesStore, Session, SessionOf, SessionWatch, Sessions, Users};

/// PHP's own web server with a log-in, and where it keeps its sessions.
struct Php {
    front: Front,
    dir: TempDir,
}

impl Php {
    fn start(serializer: &str) -> Self {
        Self::start_with(serializer, "1440")
    }

    /// Sessions end after so many seconds.
    fn start_with(serializer: &str, lifetime: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = format!("files:{}", dir.path().display());
        let settings = [("SERIALIZER", serializer), ("LIFETIME", lifetime)];
        Php { front: Front::php("front.php", &store, dir.path(), "PHPSESSID", &settings), dir }
    }
}

fn user(session: &Session) -> Option<String> {
    session.get("user").unwrap()
}

/// Says who it is, and what it knows of them.
async fn tell(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    let told = match socket.connection().session() {
        Some(session) => json!({
            "user": user(session),
            "roles": session.get::<Vec<String>>("roles")?,
            "profile": session.path::<String>("profile.name")?,
            "tag": session.path::<String>("profile.tags.1")?,
            "friend": session.path::<String>("profile.friend.friend.name")?,
            "again": session.path::<f64>("again.score")?,
            "alias": session.get::<String>("alias")?,
        }),
        None => Value::Null,
    };
    socket.send(told.to_string()).await?;
    while socket.recv().await.is_some() {}
    Ok(())
}

async fn server(php: &Php, codec: Codec) -> (Running, Users) {
    let files = FilesStore::new(php.dir.path(), FileNames::Php { levels: 0 }, Duration::from_secs(1440))
        .lock_wait(Duration::from_millis(300));
    let sessions = Sessions::new(Plain::php("PHPSESSID"), files, codec);
    let watch = SessionWatch::every(Duration::from_millis(200)).keep_while(|before, now| user(before) == user(now));
    let users = Users::by(user);
    let handler = users.around(watch.around(from_fn(tell)));
    (serve(App::new().gate(sessions).route("/", handler)).await, users)
}

async fn connect(server: &Running, cookie: &str) -> Peer {
    let mut peer = Peer::connect(server.addr).await;
    peer.send(upgrade("/", &format!("Cookie: {cookie}\r\n")).as_bytes()).await;
    let head = peer.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

async fn told(peer: &mut Peer) -> Value {
    serde_json::from_str(&peer.text().await).unwrap()
}

#[tokio::test]
async fn who_logs_in_at_php_is_logged_in_on_the_socket_and_who_logs_out_there_is_out() {
    for (serializer, codec) in
        [("php", Codec::php()), ("php_binary", Codec::php_binary()), ("php_serialize", Codec::php_serialize())]
    {
        let php = Php::start(serializer);
        let front = &php.front;
        let (server, users) = server(&php, codec).await;
        let nobody = told(&mut connect(&server, "").await).await;
        assert_eq!(nobody["user"], Value::Null);
        let cookie = front.log_in("ada", "").await;
        let mut ada = connect(&server, &cookie).await;
        let (page, _) = front.get("/whoami", &cookie).await;
        let on_the_socket = told(&mut ada).await;
        assert_eq!((&on_the_socket["user"], &on_the_socket["roles"]), (&page["user"], &page["roles"]), "{serializer}");
        let expected = json!({
            "user": "ada", "roles": ["admin", "staff"], "profile": "Ada", "tag": "ü|;}", "friend": "Ada", "again": 0.1,
            "alias": "ada",
        });
        assert_eq!(on_the_socket, expected, "{serializer}");

        users.user("ada").send("from anywhere");
        assert_eq!(ada.text().await, "from anywhere");
        front.get("/logout", &cookie).await;
        assert_eq!(ada.close_code().await, 4401, "{serializer}");
        let cookie = front.log_in("bob", "").await;
        let mut bob = connect(&server, &cookie).await;
        assert_eq!(told(&mut bob).await["user"], "bob");
        front.get("/destroy", &cookie).await;
        assert_eq!(bob.close_code().await, 4401, "{serializer}");
    }
}

#[tokio::test]
async fn a_page_that_takes_long_holds_up_no_socket_and_no_socket_holds_up_a_page() {
    let php = Php::start("php");
    let front = &php.front;
    let (server, _) = server(&php, Codec::php()).await;
    let cookie = front.log_in("ada", "").await;
    let slow = async {
        let began = Instant::now();
        front.get("/slow", &cookie).await;
        began.elapsed()
    };
    let sockets = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        let mut open = Vec::new();
        for _ in 0..5 {
            let mut peer = connect(&server, &cookie).await;
            assert_eq!(told(&mut peer).await["user"], "ada");
            open.push(peer);
        }
        (began.elapsed(), open)
    };
    let (page, (connected, _open)) = soon(async { tokio::join!(slow, sockets) }).await;
    assert!(connected < Duration::from_millis(2_400), "{connected:?}: not for as long as the page");
    assert!(page < Duration::from_millis(3_600), "{page:?}: three seconds, and little more");
    // And the next page is not locked out, with five sockets that are watched.
    let began = Instant::now();
    front.get("/whoami", &cookie).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

/// Puts the numbers that it is told into the session's basket, and says how many there are.
async fn shop(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    let session = socket.connection().session().ok_or("there is a gate")?.clone();
    while let Some(message) = socket.recv().await {
        let item: u64 = message.as_text().unwrap_or_default().parse()?;
        let after = session.update(|draft| {
            let mut cart = draft.get::<Vec<u64>>("cart")?.unwrap_or_default();
            cart.push(item);
            draft.set("cart", &cart)
        });
        let count = after.await?.get::<Vec<u64>>("cart")?.map(|cart| cart.len());
        socket.send(format!("{count:?}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_is_at_the_socket_alone_keeps_the_session_and_changes_it_for_the_next_page() {
    let php = Php::start_with("php", "3");
    let front = &php.front;
    let (_, kept) = front.get("/simple", "").await;
    let (_, left) = front.get("/simple", "").await;
    let second = Duration::from_secs(1);
    let files = FilesStore::new(php.dir.path(), FileNames::Php { levels: 0 }, 3 * second);
    let watch = SessionWatch::every(second / 2).touch_every(second);
    let sessions = Sessions::new(Plain::php("PHPSESSID"), files, Codec::php());
    let app = App::new()
        .gate(sessions)
        .route("/touched", watch.around(from_fn(shop)))
        .route("/watched", SessionWatch::every(second / 2).around(from_fn(shop)));
    let server = serve(app).await;
    let mut open = Vec::new();
    for (path, cookie) in [("/touched", &kept), ("/watched", &left)] {
        let mut peer = Peer::connect(server.addr).await;
        peer.send(upgrade(path, &format!("Cookie: {cookie}\r\n")).as_bytes()).await;
        assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
        open.push(peer);
    }
    tokio::time::sleep(6 * second).await;
    // Somebody's page, with which PHP collects what is over.
    front.get("/whoami", "").await;
    assert_eq!(open[1].close_code().await, 4401, "nobody has touched it");
    assert_eq!(front.get("/whoami", &left).await.0["user"], Value::Null);
    let on_the_page = front.get("/whoami", &kept).await.0;
    assert_eq!((&on_the_page["user"], &on_the_page["cart"]), (&json!("ada"), &json!([7])));
    open[0].send(&frame(TEXT, b"9")).await;
    assert_eq!(open[0].text().await, "Some(2)");
    assert_eq!(front.get("/whoami", &kept).await.0["cart"], json!([7, 9]));
}
