//! What is told about connections: to observers, in spans, in warnings.

mod common;

use common::{Obedient, line, soon};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{
    Closed, ConnectionId, Connections, Direction, Driver, Error, Farewell, Handler, Limits, Observer, Reason, Slow,
    SlowPeer,
};

/// Writes down what it is told; panics at each message if it is told to.
#[derive(Default)]
struct Scribe {
    told: Mutex<Vec<String>>,
    panics: bool,
}

impl Scribe {
    fn write(&self, what: String) {
        self.told.lock().unwrap().push(what);
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

impl Observer for Scribe {
    fn opened(&self, _: ConnectionId, remote_addr: Option<SocketAddr>, route: Option<&str>) {
        self.write(format!("opened {remote_addr:?} {route:?}"));
    }
    fn message(&self, _: ConnectionId, direction: Direction, size: usize) {
        if self.panics {
            panic!("on purpose");
        }
        self.write(format!("{direction:?} {size}"));
    }
    fn error(&self, _: ConnectionId, error: &Error) {
        self.write(format!("error {error}"));
    }
    fn slow(&self, _: ConnectionId, slow: Slow) {
        self.write(format!("slow {slow:?}"));
    }
    fn closed(&self, _: ConnectionId, closed: &Closed) {
        self.write(format!("closed {closed}"));
    }
}

/// Connections that are observed, and one of them over a pipe that holds so much.
fn observed(
    scribe: &Arc<Scribe>,
    limits: Limits,
    room: usize,
) -> (BufReader<DuplexStream>, Arc<Obedient>, JoinHandle<Closed>) {
    let connections = Connections::new();
    connections.observe(scribe.clone());
    let (peer, stream) = tokio::io::duplex(room);
    let handler = Arc::new(Obedient::default());
    let driver = Driver::io(stream, Lines::new(100)).limits(Arc::new(limits));
    let task = driver.tracked_by(&connections.named("/room")).spawn(handler.clone());
    (BufReader::new(peer), handler, task)
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_a_connections_whole_life() {
    let scribe = Arc::new(Scribe::default());
    let (mut peer, _, task) = observed(&scribe, Limits::default(), 1024);
    peer.write_all(b"one\nall three\nforgive\n").await.unwrap();
    assert_eq!((line(&mut peer).await, line(&mut peer).await), ("one".into(), "three".into()));
    peer.write_all(b"close\n").await.unwrap();
    assert_eq!(line(&mut peer).await, "last words");
    drop(peer);
    soon(task).await.unwrap();
    let told = scribe.told();
    assert_eq!(told[0], "opened None Some(\"/room\")");
    let sorted = ["In 3", "Out 4", "In 9", "Out 6", "In 7", "error forgive me", "In 5", "Out 11"];
    assert_eq!(told[1..9], sorted);
    assert_eq!(told[9..], ["closed closed by this side (done)"]);
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_peers_that_break_the_protocol_or_are_slow() {
    let scribe = Arc::new(Scribe::default());
    let (mut peer, ..) = observed(&scribe, Limits::default(), 1024);
    peer.write_all(format!("{}\n", "x".repeat(101)).as_bytes()).await.unwrap();
    assert_eq!(line(&mut peer).await, "last words");
    let told = scribe.told();
    assert!(told.contains(&"error line longer than 100 bytes".to_owned()), "{told:?}");

    for (policy, slow) in [(SlowPeer::DropNewest, "slow Dropped"), (SlowPeer::Close(Reason::Policy), "slow Closed")] {
        let limits = Limits::default().with_outbox(8).with_slow_peer(policy);
        let (_peer, handler, _task) = observed(&scribe, limits, 1);
        tokio::task::yield_now().await;
        let conn = handler.conn();
        assert!(conn.try_send("a line that fills it").is_ok());
        assert!(conn.try_send("one too many").is_err());
        assert_eq!(scribe.told()[1..], ["Out 21", slow]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_observer_changes_nothing() {
    let scribe = Arc::new(Scribe { panics: true, ..Scribe::default() });
    let (mut peer, _, task) = observed(&scribe, Limits::default(), 1024);
    peer.write_all(b"one\nclose\n").await.unwrap();
    assert_eq!((line(&mut peer).await, line(&mut peer).await), ("one".into(), "last words".into()));
    drop(peer);
    soon(task).await.unwrap();
    assert_eq!(scribe.told().len(), 2, "opened and closed");
}

#[tokio::test(start_paused = true)]
async fn connections_are_closed_in_random_order_over_a_window_with_a_last_message() {
    const COUNT: usize = 1_000;
    const WINDOW: Duration = Duration::from_secs(10);
    let handler = Arc::new(Obedient::default());
    let connections = Connections::new();
    let began = tokio::time::Instant::now();
    let mut peers = Vec::new();
    for _ in 0..COUNT {
        let (peer, stream) = tokio::io::duplex(1024);
        tokio::spawn(Driver::io(stream, Lines::new(100)).tracked_by(&connections).run(handler.clone()));
        peers.push(tokio::spawn(async move {
            let mut peer = BufReader::new(peer);
            let first = line(&mut peer).await;
            let at = began.elapsed();
            (first, at, line(&mut peer).await, line(&mut peer).await)
        }));
    }
    while handler.room.len() < COUNT {
        tokio::task::yield_now().await;
    }
    let farewell = Farewell::new(Reason::Restart).message::<LineConnection>("see you");
    connections.close_all_within(WINDOW, farewell).await;
    assert!(began.elapsed() < WINDOW + Duration::from_secs(1), "{:?}", began.elapsed());
    let mut times = Vec::new();
    for peer in peers {
        let (first, at, second, third) = soon(peer).await.unwrap();
        assert_eq!([first, second, third], ["last words", "see you", ""]);
        times.push(at);
    }
    assert!(handler.closed().iter().all(|closed| closed.reason == Reason::Restart));
    // Evenly: in each tenth of the window a tenth of them.
    for tenth in 0..10 {
        let part = WINDOW / 10 * tenth..WINDOW / 10 * (tenth + 1);
        let count = times.iter().filter(|at| part.contains(at)).count();
        assert!((90..=110).contains(&count), "{count} in {part:?}");
    }
    // In random order: as many pairs the one way as the other. By chance, a tenth off is nine deviations.
    let rising = times.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((400..600).contains(&rising), "{rising} of {COUNT} follow their neighbour");
    soon(connections.empty()).await;
}

/// What is logged while it is a thread's subscriber.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn subscriber(&self, filter: &str) -> impl tracing::Subscriber + Send + Sync + use<> {
        let log = self.clone();
        let filter = EnvFilter::new(filter);
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(move || log.clone()).finish()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps its thread at each line for so many milliseconds, and logs it.
struct Blocking;

impl Handler<LineConnection> for Blocking {
    type State = ();
    async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, _: &LineConnection, _: &mut (), line: bytes::Bytes) -> Result<(), Error> {
        tracing::warn!("a line");
        std::thread::sleep(Duration::from_millis(std::str::from_utf8(&line)?.parse()?));
        Ok(())
    }
}

#[tokio::test]
async fn a_connection_runs_in_a_span_if_somebody_wants_it_when_it_begins() {
    for (filter, in_span) in [("warn,wsrv_core::connection=debug", true), ("info", false)] {
        let log = Log::default();
        let _default = tracing::subscriber::set_default(log.subscriber(filter));
        tracing::callsite::rebuild_interest_cache();
        let (mut peer, stream) = tokio::io::duplex(1024);
        let driver = Driver::io(stream, Lines::new(100)).remote_addr("192.0.2.7:80".parse::<SocketAddr>().unwrap());
        let task = driver.tracked_by(&Connections::new().named("/chat")).spawn(Arc::new(Blocking));
        peer.write_all(b"0\n").await.unwrap();
        drop(peer);
        soon(task).await.unwrap();
        let text = log.text();
        let line = text.lines().find(|line| line.ends_with("a line")).expect("logged");
        assert_eq!(line.contains("connection{id="), in_span, "{line}");
        assert_eq!(line.contains("remote=192.0.2.7:80 route=\"/chat\"}"), in_span, "{line}");
    }
}

#[test]
fn a_handler_that_blocks_its_thread_is_warned_of_with_its_route() {
    // The one thread there is: seen when it is over, at one turn of 64 at the latest.
    let log = Log::default();
    tracing::subscriber::with_default(log.subscriber("warn"), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut peer, stream) = tokio::io::duplex(1024);
            let driver = Driver::io(stream, Lines::new(100)).tracked_by(&Connections::new().named("/slow"));
            let task = driver.spawn(Arc::new(Blocking));
            for turn in 0..124 {
                // Few of them, as these take their time. A sample is among any 64.
                let line: &[u8] = if turn < 60 { b"0\n" } else { b"110\n" };
                if log.text().contains("blocks") {
                    break;
                }
                peer.write_all(line).await.unwrap();
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            }
            drop(peer);
            soon(task).await.unwrap();
        });
    });
    let text = log.text();
    let warned = text.lines().find(|line| line.contains("a handler blocks its thread")).expect(&text);
    assert!(warned.contains("route=\"/slow\" millis=1"), "{warned}");
}

#[test]
fn the_first_turn_of_each_connection_is_measured() {
    struct Opens(Duration);
    impl Handler<LineConnection> for Opens {
        type State = ();
        async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
            std::thread::sleep(self.0);
            Ok(())
        }
        async fn on_message(&self, _: &LineConnection, _: &mut (), _: bytes::Bytes) -> Result<(), Error> {
            Ok(())
        }
    }
    let log = Log::default();
    tracing::subscriber::with_default(log.subscriber("warn"), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // The first connection has the thread's first turn, which is measured anyway.
            for (route, time) in [("/quick", 0), ("/slow", 110)] {
                let (peer, stream) = tokio::io::duplex(1024);
                let connections = Connections::new().named(route);
                let driver = Driver::io(stream, Lines::new(100)).tracked_by(&connections);
                let task = driver.spawn(Arc::new(Opens(Duration::from_millis(time))));
                tokio::task::yield_now().await;
                drop(peer);
                soon(task).await.unwrap();
            }
        });
    });
    let text = log.text();
    assert!(text.contains("route=\"/slow\"") && !text.contains("/quick"), "{text}");
}

#[test]
fn a_handler_that_blocks_its_thread_for_long_is_warned_of_meanwhile() {
    let log = Log::default();
    let (tell, told) = std::sync::mpsc::channel();
    struct Stuck(std::sync::mpsc::Sender<()>, Mutex<std::sync::mpsc::Receiver<()>>);
    impl Handler<LineConnection> for Stuck {
        type State = ();
        async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
            Ok(())
        }
        async fn on_message(&self, _: &LineConnection, _: &mut (), _: bytes::Bytes) -> Result<(), Error> {
            self.0.send(()).unwrap();
            // Until the test has seen the warning.
            self.1.lock().unwrap().recv()?;
            Ok(())
        }
    }
    // A thread for the handler, and one for the ticker to look from. All of them log here.
    tracing::subscriber::set_global_default(log.subscriber("warn")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (go_on, gone_on) = std::sync::mpsc::channel();
    let mut peer = runtime.block_on(async {
        let (peer, stream) = tokio::io::duplex(1024);
        let driver = Driver::io(stream, Lines::new(100)).tracked_by(&Connections::new().named("/stuck"));
        driver.spawn(Arc::new(Stuck(tell, Mutex::new(gone_on))));
        peer
    });
    runtime.block_on(peer.write_all(b"go\n")).unwrap();
    told.recv_timeout(Duration::from_secs(10)).unwrap();
    let began = std::time::Instant::now();
    while !log.text().contains("route=\"/stuck\"") {
        assert!(began.elapsed() < Duration::from_secs(10), "nobody was warned: {}", log.text());
        std::thread::sleep(Duration::from_millis(20));
    }
    go_on.send(()).unwrap();
}
