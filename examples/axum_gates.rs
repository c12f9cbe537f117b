//! Gates in front of an axum application: proxies and addresses for all its routes, origins for its WebSockets.
//!
//! The pages of `https://example.com` may open `ws://127.0.0.1:8080/echo`, clients that are no browser too, and all
//! learn from where they are seen, as does who gets `/`. A proxy on this machine is believed, and who comes from
//! 203.0.113.0/24 gets nothing but 403. How such an application comes to its end is in the example `axum`.

use axum::extract::ConnectInfo;
use axum::routing::{any_service, get};
use axum::{Extension, Router};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use wsrv_app::prelude::*;
use wsrv_http::{GateLayer, Gates};

async fn echo(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    let addr = socket.connection().remote_addr().ok_or("axum tells the address")?;
    socket.send(format!("you are {}", addr.ip())).await?;
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

async fn page(Extension(RemoteAddr(addr)): Extension<RemoteAddr>) -> String {
    format!("you are {}", addr.ip())
}

fn log(client: Option<SocketAddr>, refused: &Rejection) {
    let client = client.map_or("somebody".into(), |addr| addr.ip().to_string());
    eprintln!("{client} is refused: {refused} ({})", refused.log_note().unwrap_or(refused.reason()));
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());

    // In one layer, so that the lists are asked about the address that the proxy has told. Both could be changed while
    // the server runs, by a clone that is kept.
    let mut gates = Gates::new();
    gates.push(TrustedProxies::new(TrustedNetworks::loopback()));
    let addresses = Addresses::new();
    addresses.block("203.0.113.0/24".parse::<Network>()?);
    gates.push(addresses);
    let edge = GateLayer::new(gates).client_addr(|request| Some(request.get::<ConnectInfo<SocketAddr>>()?.0));
    let origins = GateLayer::new(AllowedOrigins::new(["https://example.com"])?.allow_missing(true));
    let (edge, origins) = (edge.on_refused(log), origins.on_refused(log));

    let sockets = App::new().route("/echo", from_fn(echo)).into_service()?;
    let router = Router::new()
        .route("/", get(page))
        .route("/echo", any_service(sockets).layer(origins))
        // The last is the first that a request meets.
        .layer(edge);
    let listener = TcpListener::bind(addr).await?;
    println!("ws://{}/echo", listener.local_addr()?);
    Ok(axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?)
}
