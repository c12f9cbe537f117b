//! Requests that ask for no upgrade, served by an HTTP service of the application's.

use crate::app::Settings;
use crate::handshake::linger;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tower_service::Service;
use wsrv_core::Accepted;
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
                let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
                let Ok(response) = service.call(request).await;
                response.map(|body| body.map_err(Into::into).boxed_unsync())
            })
        }))
    }

    /// Serves the request whose head was read already; `received` is what came behind it.
    pub(crate) async fn serve(&self, stream: Accepted, head: &RequestHead, received: BytesMut, settings: &Settings) {
        let (read, write) = tokio::io::split(stream);
        let replayed = std::io::Cursor::new([head.as_bytes(), &received[..]].concat());
        let io = TokioIo::new(tokio::io::join(AsyncReadExt::chain(replayed, read), write));
        let service = service_fn(|request| Box::pin(async { Ok::<_, Infallible>(self.answer(request).await) }));
        let mut served = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .max_headers(settings.head.max_headers)
            .serve_connection(io, service);
        match timeout(settings.http_timeout, poll_fn(|cx| served.poll_without_shutdown(cx))).await {
            Ok(Ok(())) => linger(served.into_parts().io.into_inner()).await,
            Ok(Err(error)) => tracing::debug!(%error, "an HTTP request failed"),
            Err(_) => tracing::debug!("an HTTP request took too long"),
        }
    }

    /// The service's answer; 500 if it panics.
    async fn answer(&self, request: http::Request<Incoming>) -> Response {
        let failed = || {
            tracing::error!("an HTTP service panicked");
            let mut response = http::Response::new(http_body_util::Empty::new().map_err(Into::into).boxed_unsync());
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        };
        // What a panic leaves half done is the service's own.
        let Ok(mut answer) = catch_unwind(AssertUnwindSafe(|| (self.0)(request))) else { return failed() };
        poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx)));
            polled.unwrap_or_else(|_| Poll::Ready(failed()))
        })
        .await
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fallback")
    }
}
