//! Requests that ask for no upgrade, served by an HTTP service of the application's.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;
use wsrv_rfc6455::handshake::RequestHead;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Response = http::Response<UnsyncBoxBody<Bytes, BoxError>>;
type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// An HTTP service of any type.
pub(crate) struct Fallback(Box<dyn Fn(http::Request<Incoming>) -> Answer + Send + Sync>);

impl Fallback {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Fallback(Box::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                match std::future::poll_fn(|cx| service.poll_ready(cx)).await {
                    Ok(()) => {}
                    Err(never) => match never {},
                }
                match service.call(request).await {
                    Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
                    Err(never) => match never {},
                }
            })
        }))
    }

    /// How long a request may take, whatever its body's and its answer's pace.
    const TIMEOUT: Duration = Duration::from_secs(60);

    /// Serves the request whose head was read already; `received` is what came behind it.
    pub(crate) async fn serve(&self, stream: TcpStream, head: &RequestHead, received: BytesMut) {
        let (read, write) = stream.into_split();
        let replayed = std::io::Cursor::new([head.as_bytes(), &received[..]].concat());
        let io = TokioIo::new(tokio::io::join(AsyncReadExt::chain(replayed, read), write));
        let service = hyper::service::service_fn(|request| async { Ok::<_, Infallible>((self.0)(request).await) });
        let mut http = hyper::server::conn::http1::Builder::new();
        let served = http.timer(TokioTimer::new()).keep_alive(false).serve_connection(io, service);
        match timeout(Self::TIMEOUT, served).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an HTTP request failed"),
            Err(_) => tracing::debug!("an HTTP request took too long"),
        }
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fallback")
    }
}
