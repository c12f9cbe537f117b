//! The hosts an app can run in, so that tests can ask the same of all of them.

#![allow(dead_code, unreachable_pub)]

use crate::common::Peer;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use wsrv_app::wsrv_core::Connections;
use wsrv_app::{App, Drain, Handle, Readiness, RemoteAddr, Stopped, WebSocketService};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our listener.
    Ours,
    /// The same, on a connection that has brought a page before.
    KeptAlive,
    /// A router behind `axum::serve`.
    Axum,
    /// Connections of hyper.
    Hyper,
}

pub const ALL: [Kind; 4] = [Kind::Ours, Kind::KeptAlive, Kind::Axum, Kind::Hyper];

pub struct Hosted {
    pub addr: SocketAddr,
    kind: Kind,
    connections: Connections,
    end: End,
}

enum End {
    Handle(Handle),
    Service(WebSocketService, JoinHandle<()>),
}

impl Kind {
    pub async fn serve(self, app: App) -> Hosted {
        let connections = app.connections().clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let end = match self {
            Kind::Ours => ours(app, listener),
            Kind::KeptAlive => ours(app.http(Pages), listener),
            Kind::Axum => {
                let sockets = app.into_service().unwrap();
                let router = axum::Router::new()
                    .route_service("/page", Pages)
                    .route_service("/rooms/{room}", sockets.clone())
                    .nest_service("/nested", sockets.clone())
                    .fallback_service(sockets.clone());
                let router = router.into_make_service_with_connect_info::<SocketAddr>();
                End::Service(sockets, tokio::spawn(async { axum::serve(listener, router).await.unwrap() }))
            }
            Kind::Hyper => {
                let sockets = app.into_service().unwrap();
                End::Service(sockets.clone(), tokio::spawn(accept(listener, sockets)))
            }
        };
        Hosted { addr, kind: self, connections, end }
    }
}

fn ours(app: App, listener: TcpListener) -> End {
    let server = app.listen(listener).unwrap();
    let handle = server.handle();
    tokio::spawn(server.serve_until(pending()));
    End::Handle(handle)
}

async fn accept(listener: TcpListener, sockets: WebSocketService) {
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        let sockets = sockets.clone();
        let service = hyper::service::service_fn(move |mut request: http::Request<_>| {
            request.extensions_mut().insert(RemoteAddr(peer));
            hyper::service::Service::call(&TowerToHyperService::new(sockets.clone()), request)
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
    }
}

impl Hosted {
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// A connection on which a request may follow.
    pub async fn connect(&self) -> Peer {
        self.connect_from([127, 0, 0, 1]).await
    }

    pub async fn connect_from(&self, source: [u8; 4]) -> Peer {
        let mut peer = Peer::connect_from(source, self.addr).await;
        if self.kind == Kind::KeptAlive {
            peer.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            assert_eq!(peer.response().await.2, "GET /page");
        }
        peer
    }

    /// Connected and upgraded.
    pub async fn open(&self, target: &str) -> Peer {
        let mut peer = self.connect().await;
        peer.upgrade(target).await;
        peer
    }

    /// The answer to one request.
    pub async fn answer(&self, request: &str) -> (u16, String, String) {
        let mut peer = self.connect().await;
        peer.send(request.as_bytes()).await;
        peer.response().await
    }

    /// Begins the end in this way.
    pub fn drain(&self, drain: Drain) -> JoinHandle<Stopped> {
        self.end(Some(drain))
    }

    /// Begins the end in the ordinary way.
    pub fn stop(&self) -> JoinHandle<Stopped> {
        self.end(None)
    }

    fn end(&self, drain: Option<Drain>) -> JoinHandle<Stopped> {
        match &self.end {
            End::Handle(handle) => {
                let handle = handle.clone();
                match drain {
                    Some(drain) => handle.drain(drain),
                    None => handle.stop(),
                }
                tokio::spawn(async move { handle.stopped().await.unwrap() })
            }
            End::Service(sockets, _) => {
                let sockets = sockets.clone();
                tokio::spawn(async move {
                    match drain {
                        Some(drain) => sockets.drain(drain).await,
                        None => sockets.shutdown().await,
                    }
                })
            }
        }
    }

    pub fn readiness(&self) -> Readiness {
        match &self.end {
            End::Handle(handle) => handle.readiness(),
            End::Service(sockets, _) => sockets.readiness(),
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        if let End::Service(_, serving) = &self.end {
            serving.abort();
        }
    }
}

/// Has a permit more when [`Pages`] begins to wait.
pub static ASKED: Semaphore = Semaphore::const_new(0);

/// Tells what it was asked, and by whom if it can see that; panics or waits if it is told to.
#[derive(Clone)]
pub struct Pages;

impl<B> tower_service::Service<http::Request<B>> for Pages
where
    B: hyper::body::Body<Data: Send, Error: std::fmt::Debug> + Send + Unpin + 'static,
{
    type Response = http::Response<http_body_util::Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let mut text = format!("{} {}", parts.method, parts.uri);
            if ["/slow", "/never"].contains(&parts.uri.path()) {
                ASKED.add_permits(1);
            }
            match parts.uri.path() {
                "/panic" => panic!("on purpose"),
                "/slow" => tokio::time::sleep(Duration::from_millis(300)).await,
                "/never" => pending().await,
                "/big" => text = "x".repeat(10_000_000),
                "/peer" => {
                    use axum::extract::ConnectInfo;
                    let extensions = &parts.extensions;
                    let told = extensions.get::<RemoteAddr>().map(|addr| addr.0);
                    assert_eq!(told, extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0));
                    text = told.map_or("nobody".into(), |addr| addr.to_string());
                }
                _ => {}
            }
            if parts.method == http::Method::POST && parts.uri.path() != "/unread" {
                let body = http_body_util::BodyExt::collect(body).await;
                text += &format!(" {} bytes", body.map_or(0, |body| body.to_bytes().len()));
            }
            Ok(http::Response::new(text.into()))
        })
    }
}
