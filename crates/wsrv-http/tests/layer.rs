//! Gates in front of an axum router, asked over loopback.

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::any;
use http::HeaderValue;
use http::header::SET_COOKIE;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wsrv_http::{
    Addresses, AllowedOrigins, GateLayer, Gates, Network, Opening, ProxyAddr, Rejection, RemoteAddr, Stage,
    TrustedNetworks, TrustedProxies, gate_fn,
};
use wsrv_rfc6455::handshake::HeadLimits;

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    addr
}

/// The whole answer to one request with these header lines.
async fn ask(server: SocketAddr, method: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!("{method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: websocket\r\n";

fn layer<G: wsrv_http::Gate>(gate: G) -> GateLayer<G> {
    GateLayer::new(gate).client_addr(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0))
}

/// Tells what it has been told about the client.
async fn told(request: Request) -> String {
    let client = request.extensions().get::<RemoteAddr>().map(|addr| addr.0.ip());
    let proxy = request.extensions().get::<ProxyAddr>().map(|addr| addr.0.ip());
    let user = request.extensions().get::<User>().map(|user| user.0);
    format!("client {client:?}, proxy {proxy:?}, user {user:?}")
}

#[derive(Clone)]
struct User(&'static str);

#[tokio::test]
async fn a_router_meets_the_gates_in_their_order_and_is_told_what_they_have_learnt() {
    let addresses = Addresses::new();
    let mut gates = Gates::new();
    gates.push(gate_fn(|opening| {
        Box::pin(async {
            tokio::task::yield_now().await;
            opening.extensions_mut().insert(User("ada"));
            opening.response_headers_mut().append(SET_COOKIE, HeaderValue::from_static("a=1"));
            Ok(())
        })
    }));
    gates.push(AllowedOrigins::new(["https://example.com"]).unwrap());
    gates.push(addresses.clone());
    gates.push(TrustedProxies::new(TrustedNetworks::loopback()));
    let server = serve(Router::new().route("/", any(told)).layer(layer(gates))).await;

    let from = |client: &str| format!("X-Forwarded-For: {client}\r\n");
    let page = ask(server, "GET", &from("192.0.2.7")).await;
    assert!(page.ends_with("client Some(192.0.2.7), proxy Some(127.0.0.1), user None"), "{page}");

    let good = format!("{UPGRADE}Origin: https://example.com\r\n{}", from("192.0.2.7"));
    let upgrade = ask(server, "GET", &good).await;
    assert!(upgrade.ends_with("client Some(192.0.2.7), proxy Some(127.0.0.1), user Some(\"ada\")"), "{upgrade}");
    assert!(upgrade.contains("\r\nset-cookie: a=1\r\n"), "{upgrade}");

    let strange = ask(server, "GET", &good.replace("example.com", "evil.test")).await;
    assert!(strange.starts_with("HTTP/1.1 403 Forbidden\r\n") && !strange.contains("set-cookie"), "{strange}");
    assert!(strange.ends_with("403 Forbidden: this origin may not connect\n"), "{strange}");

    addresses.block("192.0.2.7".parse::<Network>().unwrap());
    for headers in [&from("192.0.2.7"), &good] {
        let blocked = ask(server, "GET", headers).await;
        assert!(blocked.ends_with("403 Forbidden: this address may not connect\n"), "{blocked}");
    }
    let other = ask(server, "GET", &from("192.0.2.8")).await;
    assert!(other.starts_with("HTTP/1.1 200 OK\r\n"), "{other}");
    addresses.block("127.0.0.1".parse::<Network>().unwrap());
    assert!(ask(server, "GET", "").await.starts_with("HTTP/1.1 403 "), "the socket's own address");
}

#[tokio::test]
async fn which_requests_are_asked_about_can_be_said() {
    let refuse = |_: &mut Opening| Err(Rejection::forbidden("no"));
    let addresses = || {
        let addresses = Addresses::new();
        addresses.allow_all(Vec::<Network>::new());
        addresses
    };
    let router = || Router::new().route("/", any(told));
    for (router, page_passes) in [
        (router().layer(layer(refuse)), true),
        (router().layer(layer(refuse).every_request(true)), false),
        (router().layer(layer(addresses())), false),
        (router().layer(layer(addresses()).every_request(false)), true),
    ] {
        let server = serve(router).await;
        assert_eq!(ask(server, "GET", "").await.starts_with("HTTP/1.1 200 "), page_passes);
        assert!(ask(server, "GET", UPGRADE).await.starts_with("HTTP/1.1 403 "));
    }
}

#[tokio::test]
async fn a_refusal_is_visible_to_the_layers_around() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let mut gates = Gates::new();
    gates.push_as("silent", Stage::Limit, |_: &mut Opening| {
        Err(Rejection::forbidden("no").because("rate").silent(true))
    });
    let router =
        Router::new().route("/", any(told)).layer(layer(gates)).layer(from_fn(move |request: Request, next: Next| {
            let log = log.clone();
            async move {
                let response: Response = next.run(request).await;
                let rejection = response.extensions().get::<Rejection>().expect("it is attached");
                log.lock().unwrap().push((rejection.reason(), rejection.is_silent()));
                response
            }
        }));
    let server = serve(router).await;
    let answer = ask(server, "HEAD", "").await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(*seen.lock().unwrap(), [("rate", true)]);
}

#[tokio::test]
async fn each_refusal_is_told_with_the_client_as_the_gates_know_it() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let addresses = Addresses::new();
    addresses.block("192.0.2.7".parse::<Network>().unwrap());
    let mut gates = Gates::new();
    gates.push(TrustedProxies::new(TrustedNetworks::loopback()));
    gates.push(addresses);
    let gates =
        layer(gates).head_limits(HeadLimits::default().with_max_headers(3)).on_refused(move |client, refused| {
            log.lock().unwrap().push((client.unwrap().ip().to_string(), refused.status().as_u16(), refused.reason()));
        });
    let server = serve(Router::new().route("/", any(self::told)).layer(gates)).await;
    assert!(ask(server, "GET", "").await.starts_with("HTTP/1.1 200 "));
    assert!(ask(server, "GET", "X-Forwarded-For: 192.0.2.7\r\n").await.starts_with("HTTP/1.1 403 "));
    assert!(ask(server, "GET", "A: 1\r\nB: 2\r\n").await.starts_with("HTTP/1.1 431 "));
    let expected = [("192.0.2.7", 403, "address"), ("127.0.0.1", 431, "handshake")];
    assert_eq!(*told.lock().unwrap(), expected.map(|(client, status, reason)| (client.to_owned(), status, reason)));
}

#[tokio::test]
async fn a_head_beyond_the_limits_does_not_reach_the_router() {
    let gates = layer(Addresses::new()).head_limits(HeadLimits::default().with_max_headers(3));
    let server = serve(Router::new().route("/", any(told)).layer(gates)).await;
    assert!(ask(server, "GET", "A: 1\r\n").await.starts_with("HTTP/1.1 200 "));
    assert!(ask(server, "GET", "A: 1\r\nB: 2\r\n").await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn the_connect_of_http_2_meets_the_gates_for_upgrades() {
    let origins = AllowedOrigins::new(["https://example.com"]).unwrap();
    let mut router = Router::new().fallback(|| async { "in" }).layer(GateLayer::new(origins));
    let mut ask = async |origin: &str| {
        let request = Request::builder().method("CONNECT").version(http::Version::HTTP_2);
        let request = request.uri("https://example.com/chat").header("origin", origin);
        let answer = tower_service::Service::call(&mut router, request.body(axum::body::Body::empty()).unwrap()).await;
        answer.unwrap().status()
    };
    assert_eq!(ask("https://evil.example").await, 403);
    assert_eq!(ask("https://example.com").await, 200);
}
