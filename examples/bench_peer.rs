//! A server for load generators: `bench_peer MODE PORT [--threads N]`, where MODE is `echo` or `broadcast` (every
//! message goes to all connections, the sender included). It is what users get, with larger limits.
//!
//! The other options make what such servers are compared with: one with layers between connection and handler, with
//! many groups besides the one that is sent to, or with a runtime for each thread.

use clap::{Parser, ValueEnum};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use wsrv_app::layer::{Link, PreparedFrame, WebSocket};
use wsrv_app::prelude::*;
use wsrv_app::tls::Tls;

#[derive(Parser)]
struct Args {
    mode: Mode,
    port: u16,
    /// Threads that serve. One gets the runtime that is made for one; several share a runtime.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Over TLS, with a certificate that is made for it.
    #[arg(long, conflicts_with = "runtime_per_thread")]
    tls: bool,
    /// Each thread gets a runtime of its own instead.
    #[arg(long)]
    runtime_per_thread: bool,
    /// Layers between connection and echo that pass everything on.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=3))]
    layers: u8,
    /// Groups with members that nobody sends to.
    #[arg(long, default_value_t = 0)]
    topics: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Echo,
    Broadcast,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let route = routes(&args);
    if args.runtime_per_thread {
        return Ok(serve_on_runtimes(&args, &route)?);
    }
    let runtime = match args.threads {
        1 => Builder::new_current_thread().enable_all().build()?,
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build()?,
    };
    runtime.block_on(async {
        let app = App::new().route("/", route());
        let addr = ("127.0.0.1", args.port);
        let server = if args.tls { app.bind_tls(addr, tls()?).await? } else { app.bind(addr).await? };
        println!("ready");
        server.serve().await;
        Ok(())
    })
}

fn tls() -> Result<Tls, Box<dyn std::error::Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    Ok(Tls::from_pem(made.cert.pem(), made.signing_key.serialize_pem())?)
}

/// All runtimes accept from one queue: a thread that is idle takes a connection before one that is not.
fn serve_on_runtimes(args: &Args, route: &dyn Fn() -> Route) -> io::Result<()> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", args.port))?;
    listener.set_nonblocking(true)?;
    let threads = (0..args.threads).map(|_| {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (app, listener) = (App::new().route("/", route()), listener.try_clone()?);
        Ok(std::thread::spawn(move || {
            runtime.block_on(async {
                app.listen(TcpListener::from_std(listener)?).map_err(io::Error::other)?.serve().await;
                Ok(())
            })
        }))
    });
    let threads = threads.collect::<io::Result<Vec<_>>>()?;
    println!("ready");
    threads.into_iter().try_for_each(|thread| thread.join().expect("a server does not panic"))
}

/// Makes routes to one and the same handler.
fn routes(args: &Args) -> Box<dyn Fn() -> Route> {
    match (args.mode, args.layers) {
        (Mode::Echo, 0) => routes_to(Echo),
        (Mode::Echo, 1) => routes_to(Layer(Echo)),
        (Mode::Echo, 2) => routes_to(Layer(Layer(Echo))),
        (Mode::Echo, _) => routes_to(Layer(Layer(Layer(Echo)))),
        (Mode::Broadcast, _) => routes_to(Broadcast::new(args.topics)),
    }
}

fn routes_to<H: Handler<WebSocketConnection>>(handler: H) -> Box<dyn Fn() -> Route> {
    let handler = Arc::new(handler);
    // A load generator sends what a peer would not be allowed to, and reads late what it has been sent.
    Box::new(move || {
        Route::new(handler.clone())
            .message_limits(MessageLimits::default().with_max_message(64 << 20))
            .limits(ConnectionLimits::default().with_outbox(16 << 20))
    })
}

// --- echo -----------------------------------------------------------------------

struct Echo;

impl<C: Messages> Handler<C> for Echo {
    type State = ();

    async fn on_open(&self, _: &C) -> Result<(), Error> {
        Ok(())
    }

    async fn on_message(&self, conn: &C, _: &mut (), message: Message) -> Result<(), Error> {
        Ok(conn.send(message).await?)
    }
}

// --- layers that pass everything on ----------------------------------------------

/// A connection to which whole messages are sent: what is below a layer, and what is above.
trait Messages: Connection<Wire = WebSocket, Incoming = Message, Outgoing = Message> {
    fn send(&self, message: Message) -> impl Future<Output = Result<(), SendError>> + Send;
}

impl Messages for WebSocketConnection {
    fn send(&self, message: Message) -> impl Future<Output = Result<(), SendError>> + Send {
        WebSocketConnection::send(self, message)
    }
}

#[derive(Clone)]
struct LayerConnection<C> {
    lower: C,
}

impl<C: Messages> Messages for LayerConnection<C> {
    async fn send(&self, message: Message) -> Result<(), SendError> {
        self.lower.send(message).await
    }
}

impl<C: Messages> Connection for LayerConnection<C> {
    type Wire = WebSocket;
    type Incoming = Message;
    type Outgoing = Message;

    fn link(&self) -> &Link<WebSocket> {
        self.lower.link()
    }

    fn encode(message: Message) -> PreparedFrame {
        C::encode(message)
    }
}

struct Layer<H>(H);

struct LayerState<C, S> {
    conn: LayerConnection<C>,
    inner: S,
}

impl<C: Messages, H: Handler<LayerConnection<C>>> Handler<C> for Layer<H> {
    type State = LayerState<C, H::State>;

    async fn on_open(&self, lower: &C) -> Result<Self::State, Error> {
        let conn = LayerConnection { lower: lower.clone() };
        let inner = self.0.on_open(&conn).await?;
        Ok(LayerState { conn, inner })
    }

    async fn on_message(&self, _: &C, state: &mut Self::State, message: Message) -> Result<(), Error> {
        self.0.on_message(&state.conn, &mut state.inner, message).await
    }

    async fn on_error(&self, _: &C, state: &mut Self::State, error: Error) -> Verdict {
        self.0.on_error(&state.conn, &mut state.inner, error).await
    }

    async fn on_close(&self, _: &C, state: Self::State, closed: Closed) {
        self.0.on_close(&state.conn, state.inner, closed).await;
    }

    fn poll_background(&self, _: &C, state: &mut Self::State, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_background(&state.conn, &mut state.inner, cx)
    }
}

// --- broadcast ------------------------------------------------------------------

struct Broadcast {
    all: Group<WebSocketConnection>,
    topics: Vec<Group<WebSocketConnection>>,
    /// How many of them have a member.
    joined: AtomicUsize,
}

/// How many of the other groups a connection joins, until each has a member.
const TOPICS_EACH: usize = 1000;

impl Broadcast {
    fn new(topics: usize) -> Self {
        let topics = std::iter::repeat_with(Group::new).take(topics).collect();
        Broadcast { all: Group::new(), topics, joined: AtomicUsize::new(0) }
    }
}

impl Handler<WebSocketConnection> for Broadcast {
    /// The first is that of all.
    type State = Vec<Membership<WebSocketConnection>>;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        let joined = match self.topics.is_empty() {
            true => 0,
            false => self.joined.fetch_add(TOPICS_EACH, Relaxed),
        };
        let topics = self.topics.iter().skip(joined).take(TOPICS_EACH);
        Ok([&self.all].into_iter().chain(topics).map(|group| group.join(conn)).collect())
    }

    async fn on_message(&self, _: &WebSocketConnection, _: &mut Self::State, message: Message) -> Result<(), Error> {
        self.all.send(message);
        Ok(())
    }
}
