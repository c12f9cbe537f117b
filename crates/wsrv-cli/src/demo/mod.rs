//! `wsrv demo`: a server to look at, with everything compiled in.

mod chat;
mod figures;
mod front;
mod pages;
mod session;
mod wamp;

use crate::edge::Edge;
use chat::{Chat, Rooms};
use clap::Args;
use figures::{Figures, FiguresFeed};
use front::FrontEnd;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wsrv_app::BindError;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_http::Stage;

#[derive(Args)]
pub(crate) struct Options {
    /// Where to listen, as HOST:PORT; port 0 lets the system choose. Not used if systemd or systemfd give a socket.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// For how many seconds to go on accepting after SIGTERM, while /healthz already answers 503.
    #[arg(long, value_name = "S", default_value_t = 0)]
    drain_wait: u64,
    /// Over how many seconds to spread the closing of the connections.
    #[arg(long, value_name = "S", default_value_t = 0)]
    drain_window: u64,
    #[command(flatten)]
    edge: Edge,
}

/// The app that is served with these gates in front.
pub(crate) fn app(edge: &Edge) -> Result<App, Box<dyn std::error::Error>> {
    let app = edge.guard(App::new())?.gate(LocalHost);
    let readiness = app.readiness();
    let figures = Arc::new(Figures::new(app.connections().clone()));
    let rooms = Arc::new(Rooms::new());
    let front = Arc::new(FrontEnd::new());
    let chat = Route::new(Chat::new(rooms.clone()))
        .message_limits(MessageLimits::default().with_max_message(16 * 1024))
        .gate(KnownRoom(rooms.clone()));
    Ok(app
        .deflate(Deflate::default())
        .observe(figures.clone())
        .route("/chat/{room}", chat)
        .route("/stats", FiguresFeed(figures))
        .route(wamp::PATH, wamp::route()?)
        .route(session::PATH, session::route(&front))
        .http(pages::Pages::new(rooms, front, readiness)))
}

/// Keeps out the pages of sites that have a name of their own point here.
struct LocalHost;

impl Gate for LocalHost {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        match opening.request().host().is_some_and(is_local) {
            true => Ok(()),
            false => Err(Rejection::forbidden("the demo is only reached by address or as localhost").because("host")),
        }
    }

    fn stage(&self) -> Stage {
        Stage::Origin
    }
}

struct KnownRoom(Arc<Rooms>);

impl Gate for KnownRoom {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        let room = opening.extensions().get::<Params>().and_then(|params| params.get("room"));
        match room.and_then(|room| self.0.get(room)) {
            Some(_) => Ok(()),
            None => Err(Rejection::new(StatusCode::NOT_FOUND, "no such room").because("room")),
        }
    }
}

pub(crate) async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let drain =
        Drain::new().wait(Duration::from_secs(options.drain_wait)).window(Duration::from_secs(options.drain_window));
    let app = app(&options.edge)?.drain(drain);
    // Sockets that the process was started with are what a restart without refusals needs.
    let mut given = Listener::from_env()?.into_iter();
    let server = match given.next() {
        Some(first) => app.listen(first)?,
        None => app.bind(&options.listen).await.map_err(|error| explain(&error))?,
    };
    let server = given.fold(server, Server::and_listen);
    let addr = server.local_addr()?;
    // Listens for Ctrl-C before anybody is told that it is ready.
    let serving = server.serve();
    greet(addr);
    let stopped = serving.await;
    match stopped.cut {
        0 => println!("stopped, and everybody told so with 1001"),
        cut => println!("stopped; cut without a goodbye: {cut}"),
    }
    Ok(())
}

fn is_local(host: &str) -> bool {
    let Some((name, _)) = wsrv_app::wsrv_rfc6455::handshake::split_host(host) else { return false };
    name.eq_ignore_ascii_case("localhost") || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

fn explain(error: &BindError) -> String {
    let cause = std::error::Error::source(error);
    let hint = match cause.and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind) {
        Some(io::ErrorKind::AddrInUse) => "; --listen 127.0.0.1:0 takes any port that is free",
        Some(io::ErrorKind::InvalidInput) => "; expected HOST:PORT, such as 127.0.0.1:8080",
        _ => "",
    };
    format!("{error}{}{hint}", cause.map(|cause| format!(": {cause}")).unwrap_or_default())
}

/// Tells where to look and what to try. The last line is for programs that wait for it.
fn greet(mut addr: SocketAddr) {
    if addr.ip().is_unspecified() {
        // Everywhere is no place to go to.
        addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    println!("wsrv {} demo: Ctrl-C stops it, a second one at once\n", env!("CARGO_PKG_VERSION"));
    println!("  open      http://{addr}/");
    println!("  sockets   ws://{addr}/chat/{{room}}    rooms: {}", chat::ROOMS.join(", "));
    println!("            ws://{addr}/stats");
    println!("            ws://{addr}{}    subprotocol wamp, version 1", wamp::PATH);
    println!("            ws://{addr}{}    what is known of you by your log-in", session::PATH);
    println!("  try       curl -d 'hello from the terminal' http://{addr}/say/{}\n", chat::ROOMS[0]);
    println!("ready http://{addr}/");
}
