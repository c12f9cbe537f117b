//! A handler that does what each line tells it, and records what happens to it.

// Shared by several test programs, each of which uses a part.
#![allow(dead_code, unreachable_pub)]

use bytes::Bytes;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{Closed, Connection, Driver, Error, Group, Handler, Limits, Membership, Reason, Verdict};

#[derive(Default)]
pub struct Obedient {
    pub opened: AtomicUsize,
    pub closed: Mutex<Vec<Closed>>,
    pub errors: Mutex<Vec<String>>,
    /// States alive.
    pub alive: Arc<AtomicUsize>,
    pub last: Mutex<Option<LineConnection>>,
    pub room: Group<LineConnection>,
    /// What `on_open` does: "" is to succeed.
    pub open: Mutex<&'static str>,
    /// What `on_close` does besides sending its last words.
    pub close: Mutex<&'static str>,
}

pub struct State {
    alive: Arc<AtomicUsize>,
    pub membership: Membership<LineConnection>,
}

impl Drop for State {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, SeqCst);
    }
}

impl Obedient {
    pub fn conn(&self) -> LineConnection {
        self.last.lock().unwrap().clone().expect("somebody has connected")
    }

    pub fn closed(&self) -> Vec<Closed> {
        self.closed.lock().unwrap().clone()
    }
}

impl Handler<LineConnection> for Obedient {
    type State = State;

    async fn on_open(&self, conn: &LineConnection) -> Result<State, Error> {
        self.opened.fetch_add(1, SeqCst);
        *self.last.lock().unwrap() = Some(conn.clone());
        let what = *self.open.lock().unwrap();
        match what {
            "" => {}
            "panic" => panic!("on purpose"),
            "wait" => std::future::pending().await,
            _ => return Err(Error::new(Reason::Policy, "not you")),
        }
        self.alive.fetch_add(1, SeqCst);
        Ok(State { alive: self.alive.clone(), membership: self.room.join(conn) })
    }

    async fn on_message(&self, conn: &LineConnection, state: &mut State, line: Bytes) -> Result<(), Error> {
        let text = String::from_utf8_lossy(&line).into_owned();
        let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match verb {
            "sleep" => {
                sleep(Duration::from_millis(rest.parse()?)).await;
                conn.try_send("slept")?;
            }
            "hang" => std::future::pending().await,
            "panic" => panic!("on purpose"),
            "fail" => return Err("on purpose".into()),
            "forgive" => return Err("forgive me".into()),
            "close" => conn.close(Reason::Done),
            "cut" => conn.cut(),
            "until-closed" => {
                conn.closed().await;
                self.errors.lock().unwrap().push("noticed".into());
            }
            "all" => {
                self.room.send(rest.as_bytes().to_vec());
            }
            "others" => {
                state.membership.send_to_others(rest.as_bytes().to_vec());
            }
            "flood" => {
                for _ in 0..rest.parse()? {
                    conn.send(vec![b'x'; 99_999]).await?;
                }
                conn.send("flooded").await?;
            }
            "push-flood" => {
                let results: Vec<_> = (0..rest.parse()?).map(|_| conn.try_send(vec![b'x'; 99_999])).collect();
                let full = results.iter().filter(|result| result.is_err()).count();
                self.errors.lock().unwrap().push(format!("{full} refused"));
            }
            _ => conn.try_send(line)?,
        }
        Ok(())
    }

    async fn on_error(&self, _: &LineConnection, _: &mut State, error: Error) -> Verdict {
        self.errors.lock().unwrap().push(error.to_string());
        if error.to_string() == "forgive me" { Verdict::Continue } else { Verdict::Close(error.reason()) }
    }

    async fn on_close(&self, conn: &LineConnection, _: State, closed: Closed) {
        sleep(Duration::from_millis(5)).await;
        assert!(!conn.is_open());
        let _ = conn.try_send("last words");
        self.closed.lock().unwrap().push(closed);
        let what = *self.close.lock().unwrap();
        match what {
            "panic" => panic!("on purpose"),
            "hang" => std::future::pending().await,
            _ => {}
        }
    }
}

/// Panics instead of hanging.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("in time")
}

pub fn small_limits() -> Limits {
    let mut limits = Limits::default();
    limits.close_timeout = Duration::from_millis(500);
    limits.on_close_timeout = Duration::from_millis(300);
    limits
}

/// A peer over TCP, and the driver's task.
pub async fn connect(handler: &Arc<Obedient>, limits: Limits) -> (BufReader<TcpStream>, JoinHandle<Closed>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let driver = Driver::tcp(stream, Lines::new(1024)).limits(Arc::new(limits));
    (BufReader::new(peer), tokio::spawn(driver.run(handler.clone())))
}

/// The next line without its end; empty at the end of the stream.
pub async fn line(peer: &mut (impl AsyncBufReadExt + Unpin)) -> String {
    let mut line = String::new();
    soon(peer.read_line(&mut line)).await.unwrap_or(0);
    line.trim_end().to_owned()
}
