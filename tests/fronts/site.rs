//! A front end, where it keeps its sessions, and a server of ours that reads them.

use crate::common::{Peer, Running, serve, soon, upgrade};
use crate::front::Front;
use crate::services::Service;
use crate::table::{Kept, ROWS, Row};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use wsrv_app::prelude::*;
use wsrv_session::{BoxStore, Change, RawSession, Session, SessionId, SessionOf, SessionWatch, Store, StoreError};

/// How often sessions are looked at.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

/// Where one front end keeps its sessions, and how often we have looked there.
pub(crate) struct Place {
    pub(crate) url: String,
    dir: TempDir,
    looks: Arc<watch::Sender<Looks>>,
}

const SQLITE: &str = "sessions.sqlite";

/// Attempts to read a session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Looks {
    pub(crate) all: usize,
    pub(crate) failed: usize,
}

impl Place {
    fn new(kept: Kept, service: Option<&Service>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = match (kept, service) {
            (_, Some(service)) => service.url.clone(),
            (Kept::Cookie, _) => "cookie:".into(),
            // The fourth slash is the path's.
            (Kept::Sqlite, _) => format!("sqlite:///{}", dir.path().join(SQLITE).display()),
            _ => format!("files:{}", dir.path().display()),
        };
        Place { url, dir, looks: Arc::default() }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the database is, if sessions are in SQLite.
    pub(crate) fn sqlite(&self) -> PathBuf {
        self.dir().join(SQLITE)
    }

    /// This store, which is counted when it is asked.
    pub(crate) fn counted(&self, store: impl Store) -> BoxStore {
        BoxStore::new(Counted { store, looks: self.looks.clone() })
    }
}

struct Counted<S> {
    store: S,
    looks: Arc<watch::Sender<Looks>>,
}

impl<S: Store> Store for Counted<S> {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let found = self.store.load(id).await;
        self.looks.send_modify(|looks| {
            looks.all += 1;
            looks.failed += usize::from(found.is_err());
        });
        found
    }

    async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.store.touch(id).await
    }

    async fn update(&self, id: &SessionId, change: &mut Change<'_>) -> Result<bool, StoreError> {
        self.store.update(id, change).await
    }
}

/// All of it. At `/` anybody is let in, at `/members` who has a session.
pub(crate) struct Site {
    pub(crate) front: Front,
    pub(crate) service: Option<Service>,
    place: Place,
    server: Running,
}

impl Site {
    pub(crate) async fn start(row: &'static Row) -> Self {
        // Starting programs blocks.
        let start = move || {
            let service = row.kept.service();
            let place = Place::new(row.kept, service.as_ref());
            ((row.front)(&place), service, place)
        };
        let (front, service, place) = tokio::task::spawn_blocking(start).await.unwrap();
        let sessions = (row.sessions)(&place);
        let user = |session: &Session| (row.values)(session)["user"].clone();
        let watch = SessionWatch::every(INTERVAL).keep_while(move |before, now| user(before) == user(now));
        let values = row.values;
        let handler = || watch.around(from_fn(move |socket| tell(socket, values)));
        let app = App::new()
            .route("/", Route::new(handler()).gate(sessions.clone()))
            .route("/members", Route::new(handler()).gate(sessions.require_session()));
        Site { front, service, place, server: serve(app).await }
    }

    /// The status for who connects with this cookie.
    pub(crate) async fn status(&self, path: &str, cookie: &str) -> u16 {
        self.answer(path, cookie).await.0
    }

    /// Somebody who is connected with this cookie, and what the server knows of them.
    pub(crate) async fn connect(&self, cookie: &str) -> (Peer, Value) {
        let (status, mut peer) = self.answer("/", cookie).await;
        assert_eq!(status, 101);
        let told = serde_json::from_str(&peer.text().await).unwrap();
        (peer, told)
    }

    async fn answer(&self, path: &str, cookie: &str) -> (u16, Peer) {
        let mut peer = Peer::connect(self.server.addr).await;
        let header = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
        peer.send(upgrade(path, &header).as_bytes()).await;
        let head = peer.head().await;
        (head[9..12].parse().unwrap(), peer)
    }

    pub(crate) fn looks(&self) -> Looks {
        *self.place.looks.borrow()
    }

    /// Waits until the looks are like this.
    pub(crate) async fn looked(&self, until: impl Fn(&Looks) -> bool) {
        soon(self.place.looks.subscribe().wait_for(until)).await.unwrap();
    }
}

/// Says what is known, and then every message once more.
async fn tell(mut socket: Socket<WebSocketConnection>, values: fn(&Session) -> Value) -> Result<(), Error> {
    let session = socket.connection().session().ok_or("there is a gate for sessions")?;
    let mut told = values(session);
    told["state"] = json!(format!("{:?}", session.state()));
    socket.send(told.to_string()).await?;
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

/// Runs a check for each front end that it is meant for, some at a time, and says for which of them it has failed.
pub(crate) async fn for_each<F>(meant: fn(&Row) -> bool, check: fn(&'static Row) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let rows = ROWS.iter().filter(|row| meant(row));
    let checks = futures_util::stream::iter(rows).map(|row| async move {
        let began = std::time::Instant::now();
        let failed = tokio::spawn(check(row)).await.is_err();
        println!("{} after {:.1?}: {}", if failed { "FAILED" } else { "ok" }, began.elapsed(), row.name);
        failed.then_some(row.name)
    });
    let failed: Vec<_> = checks.buffer_unordered(AT_A_TIME).collect().await;
    let failed: Vec<_> = failed.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{failed:?}");
}

const AT_A_TIME: usize = 4;
