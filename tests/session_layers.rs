//! Sessions under the connections of other layers, and in front of other servers.

mod common;

use axum::Router;
use common::{Peer, serve, soon, upgrade};
use http::{HeaderValue, header};
use std::net::SocketAddr;
use std::time::Duration;
use wsrv_app::prelude::*;
use wsrv_http::GateLayer;
use wsrv_session::{MemoryStore, SessionOf, SessionWatch, Sessions, Users};
use wsrv_wamp::{CallError, ClientOptions, Wamp, WampClient, WampConnection};

fn store() -> MemoryStore {
    let store = MemoryStore::new();
    store.insert("ada", "user|s:3:\"ada\";", None);
    store
}

/// Of any connection.
fn user(conn: &impl SessionOf) -> Option<String> {
    conn.session()?.get("user").unwrap()
}

async fn who_am_i(conn: WampConnection) -> Result<Option<String>, CallError> {
    Ok(user(&conn))
}

/// Whether somebody has asked before, and who it is.
async fn who_am_i_lazily(conn: WampConnection) -> Result<(bool, Option<String>), CallError> {
    let was_read = conn.session().is_some();
    conn.lazy_session().unwrap().load().await.unwrap();
    Ok((was_read, user(&conn)))
}

async fn tell(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    let user = user(socket.connection());
    socket.send(format!("{user:?}")).await?;
    while socket.recv().await.is_some() {}
    Ok(())
}

#[tokio::test]
async fn the_session_of_a_wamp_connection_is_that_of_the_websocket_below() {
    let (store, users) = (store(), Users::by_path("user"));
    let watch = SessionWatch::every(Duration::from_millis(100));
    let wamp = || Wamp::new().procedure("http://example.com/who", who_am_i);
    let inside = wamp().build().unwrap().map(|handler| users.around(watch.around(handler)));
    let outside = Route::new(users.around(watch.around(wamp().build().unwrap())));
    let outside = outside.subprotocols(Subprotocols::new(["wamp"]).unwrap());
    let lazy = Wamp::new().procedure("http://example.com/who", who_am_i_lazily).build().unwrap();
    let sessions = Sessions::php(store.clone());
    let app = App::new()
        .route("/inside", Route::wamp(inside).gate(sessions.clone()))
        .route("/outside", outside.gate(sessions.clone()))
        .route("/lazy", Route::wamp(lazy).gate(sessions.lazily()));
    let server = serve(app).await;
    let connect = async |path: &str| {
        let cookie = (header::COOKIE, HeaderValue::from_static("PHPSESSID=ada"));
        let options = ClientOptions::default().with_header(cookie.0, cookie.1);
        soon(WampClient::connect_with(&format!("ws://{}{path}", server.addr), options)).await.unwrap()
    };
    let lazy = connect("/lazy").await;
    let mut watched = Vec::new();
    for path in ["/inside", "/outside"] {
        let client = connect(path).await;
        let who: Option<String> = soon(client.call("http://example.com/who", &())).await.unwrap();
        assert_eq!(who.as_deref(), Some("ada"), "{path}");
        watched.push(client);
    }
    for was_read in [false, true] {
        let who: (bool, String) = soon(lazy.call("http://example.com/who", &())).await.unwrap();
        assert_eq!(who, (was_read, "ada".into()));
    }
    assert_eq!((users.user("ada").len(), watch.len()), (2, 1), "who was not known at first is not watched");
    store.remove("ada");
    for client in watched {
        soon(client.closed()).await;
    }
    let _: (bool, String) = soon(lazy.call("http://example.com/who", &())).await.unwrap();
}

/// A server of axum with this router.
async fn axum(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    addr
}

/// Who the server takes somebody with a cookie for that comes from a page of this origin, or the status.
async fn ask(addr: SocketAddr, origin: Option<&str>) -> Result<String, u16> {
    let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
    let mut peer = Peer::connect(addr).await;
    peer.send(upgrade("/", &format!("Cookie: PHPSESSID=ada\r\n{origin}")).as_bytes()).await;
    match peer.head().await[9..12].parse().unwrap() {
        101 => Ok(peer.text().await),
        status => Err(status),
    }
}

const PARTNER: &str = "https://partner.example";
const EVIL: &str = "https://evil.example";

#[tokio::test]
async fn sessions_as_a_layer_of_axum_refuse_other_sites_unless_a_gate_of_origins_is_around_them() {
    let ada = || Ok("Some(\"ada\")".to_owned());
    let sockets = || Router::new().fallback_service(App::new().route("/", from_fn(tell)).into_service().unwrap());
    let sessions = || GateLayer::new(Sessions::php(store()));
    let origins = || GateLayer::new(AllowedOrigins::new([PARTNER]).unwrap());

    let alone = axum(sockets().layer(sessions())).await;
    assert_eq!(ask(alone, None).await, ada(), "no browser");
    assert_eq!(ask(alone, Some("http://localhost")).await, ada(), "its own page");
    assert_eq!((ask(alone, Some(PARTNER)).await, ask(alone, Some(EVIL)).await), (Err(403), Err(403)));

    // The last layer is the first that a request meets.
    let around = axum(sockets().layer(sessions()).layer(origins())).await;
    assert_eq!((ask(around, Some(PARTNER)).await, ask(around, Some(EVIL)).await), (ada(), Err(403)));

    // In the wrong order less is let in, and never more.
    let below = axum(sockets().layer(origins()).layer(sessions())).await;
    assert_eq!((ask(below, Some(PARTNER)).await, ask(below, Some(EVIL)).await), (Err(403), Err(403)));

    let lazy = GateLayer::new(Sessions::php(store()).lazily());
    let lazy = axum(sockets().layer(lazy)).await;
    assert_eq!((ask(lazy, None).await, ask(lazy, Some(EVIL)).await), (Ok("None".into()), Err(403)));
}
