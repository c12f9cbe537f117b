//! Requests that ask for no upgrade, served by an HTTP service of the application's.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Response = http::Response<UnsyncBoxBody<Bytes, BoxError>>;
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

    /// The service's answer; 500 if it panics.
    pub(crate) async fn answer(&self, request: http::Request<Incoming>) -> Response {
        let failed = || {
            tracing::error!("an HTTP service panicked");
            let mut response = with_body(http::Response::new(Bytes::new()));
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

/// An answer of our own as one of the service's.
pub(crate) fn with_body(response: http::Response<Bytes>) -> Response {
    response.map(|body| Full::new(body).map_err(Into::into).boxed_unsync())
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fallback")
    }
}
