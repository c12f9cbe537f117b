//! Pages by axum, sockets by wsrv, in one program: chat rooms behind `axum::serve`, and the end of both.

use axum::Router;
use axum::routing::get;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use wsrv_app::prelude::*;

#[derive(Default)]
struct Chat {
    everybody: Group<WebSocketConnection>,
}

impl Handler<WebSocketConnection> for Chat {
    type State = Membership<WebSocketConnection>;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        // axum tells the address because of `into_make_service_with_connect_info`.
        let Motd(motd) = conn.extensions().get().ok_or("the router's layer is missing")?;
        conn.send(format!("{motd} {}, from {:?}", conn.param("name").unwrap_or("you"), conn.remote_addr())).await?;
        Ok(self.everybody.join(conn))
    }

    async fn on_message(&self, _: &WebSocketConnection, me: &mut Self::State, text: Message) -> Result<(), Error> {
        me.send_to_others(text);
        Ok(())
    }
}

/// Put into every request by a layer of the router; it stays with the connection.
#[derive(Clone)]
struct Motd(&'static str);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let sockets = App::new().route("/chat/{name}", Chat::default()).max_connections_per_address(100).into_service()?;
    let router = Router::new()
        .route("/", get(|| async { "a page by axum" }))
        .route_service("/chat/{name}", sockets.clone())
        .layer(axum::Extension(Motd("welcome")));
    let listener = TcpListener::bind(addr).await?;
    println!("ws://{}/chat/ada", listener.local_addr()?);
    let serving = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>());
    // axum forgets a connection that was upgraded, so each looks after its own.
    let (served, stopped) = tokio::join!(serving.with_graceful_shutdown(ctrl_c()).into_future(), async {
        ctrl_c().await;
        sockets.shutdown().await
    });
    println!("stopped: {} closed, {} cut", stopped.closed, stopped.cut);
    Ok(served?)
}

async fn ctrl_c() {
    let _ = tokio::signal::ctrl_c().await;
}
