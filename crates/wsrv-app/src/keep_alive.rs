//! A connection that brings ordinary requests, one after the other, and perhaps becomes a WebSocket with the last.

use crate::admission::{Admitted, admit, admit_page};
use crate::fallback::{Fallback, Response, with_body};
use crate::handshake::linger;
use crate::host::Host;
use crate::remote_addr;
use crate::replay::Replay;
use bytes::Bytes;
use http::{Extensions, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::time::{Instant, sleep};
use wsrv_http::Rejection;
use wsrv_rfc6455::handshake::{RequestHead, check_http};

/// hyper does not take less.
const MIN_BUFFER: usize = 8 * 1024;

/// Serves a connection whose first request is in `stream`'s replay and asks for no upgrade.
///
/// The requests are read and the answers written by hyper; it gives the stream back for the WebSocket.
///
/// `extensions` are what is known of the peer beforehand; each request gets them.
pub(crate) async fn serve(
    stream: Replay,
    peer: Option<SocketAddr>,
    extensions: Extensions,
    host: &Host,
    fallback: &Fallback,
) {
    let exchange = Exchange { host, fallback, peer, extensions, progress: Mutex::default() };
    let service = service_fn(|request| {
        exchange.progress().began = Some(Instant::now());
        Box::pin(exchange.answer(request))
    });
    let head_limits = host.settings.head;
    let mut served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Ours runs on while the head comes.
        .header_read_timeout(None)
        .max_headers(head_limits.max_headers)
        .max_buf_size(head_limits.max_size.max(MIN_BUFFER))
        .serve_connection(TokioIo::new(stream), service);
    let time = host.settings.http_timeout;
    let mut deadline = pin!(sleep(time));
    let mut stopping = pin!(host.life.stopping());
    let mut told = false;
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = served.poll_without_shutdown(cx) {
                return Poll::Ready(Some(ended));
            }
            if told || stopping.as_mut().poll(cx).is_pending() {
                break;
            }
            told = true;
            // Ends now if no request is under way, else with its answer. One for an upgrade is the last anyway, and
            // hyper would add a `close` to the 101.
            if !exchange.progress().upgrading {
                Pin::new(&mut served).graceful_shutdown();
            }
        }
        if let Some(began) = exchange.progress().began.take() {
            deadline.as_mut().reset(began + time);
        }
        deadline.as_mut().poll(cx).map(|()| None)
    });
    match ended.await {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            match refused(&error) {
                Some(rejection) => host.refused(peer, &rejection),
                None => tracing::debug!(?peer, %error, "an HTTP request failed"),
            }
            // The answer of one that was admitted has not gone out whole.
            exchange.progress().admitted = None;
        }
        None => return tracing::debug!(?peer, "an HTTP connection took too long"),
    }
    let parts = served.into_parts();
    let (stream, received) = parts.io.into_inner().into_parts(parts.read_buf);
    let admitted = exchange.progress().admitted.take();
    match admitted {
        Some(admitted) => host.start(admitted, stream, received),
        None => linger(stream).await,
    }
}

/// What hyper has answered by itself to what is no request, told as our refusals are.
fn refused(error: &hyper::Error) -> Option<Rejection> {
    let status = match (error.is_parse(), error.is_parse_too_large()) {
        (_, true) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        (true, false) => StatusCode::BAD_REQUEST,
        (false, false) => return None,
    };
    Some(Rejection::new(status, "this is no HTTP request").because("handshake").note(error.to_string()))
}

/// A request was refused without a word.
#[derive(Debug, thiserror::Error)]
#[error("refused without an answer")]
struct Silence;

struct Exchange<'a> {
    host: &'a Host,
    fallback: &'a Fallback,
    peer: Option<SocketAddr>,
    extensions: Extensions,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// A request has begun since the last look.
    began: Option<Instant>,
    /// The request under way asks for an upgrade.
    upgrading: bool,
    /// It may: the answer is on its way.
    admitted: Option<Box<Admitted>>,
}

impl Exchange<'_> {
    /// An error: there is to be no answer.
    async fn answer(&self, request: http::Request<Incoming>) -> Result<Response, Silence> {
        let (method, version, mut peer) = (request.method().clone(), request.version(), self.peer);
        self.decide(request, &mut peer).await.or_else(|rejection| {
            self.host.refused(peer, &rejection);
            match rejection.is_silent() {
                true => Err(Silence),
                false => Ok(with_body(rejection.response(method.as_str(), version))),
            }
        })
    }

    async fn decide(
        &self,
        request: http::Request<Incoming>,
        peer: &mut Option<SocketAddr>,
    ) -> Result<Response, Rejection> {
        let (mut parts, body) = request.into_parts();
        let head = RequestHead::from_parts(&parts, self.host.settings.head)?;
        check_http(&head)?;
        let deadline = Instant::now() + self.host.settings.handshake_timeout;
        if !head.is_upgrade() {
            let extensions = admit_page(self.host, head, peer, self.extensions.clone(), deadline).await?;
            parts.extensions.extend(extensions);
            remote_addr::attach(*peer, &mut parts.extensions);
            return Ok(self.fallback.answer(http::Request::from_parts(parts, body)).await);
        }
        self.progress().upgrading = true;
        let admitted = admit(self.host, head, peer, self.extensions.clone(), deadline).await?;
        let response = admitted.response();
        self.progress().admitted = Some(admitted);
        Ok(with_body(response.map(|()| Bytes::new())))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
