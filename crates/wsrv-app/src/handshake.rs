//! From an accepted socket to a connection, or to an honest refusal.

use crate::app::Service;
use crate::route::{Opened, Route};
use bytes::BytesMut;
use http::StatusCode;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use wsrv_core::Accepted;
use wsrv_http::{Gate, Matched, Opening, Rejection};
use wsrv_rfc6455::handshake::{self, HeadReader, RequestHead};

/// How long and how much is read after a refusal, so that the peer gets to see the answer: closing a socket with
/// unread input would send a reset, which may overtake it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// Serves one accepted socket up to the point where somebody else takes over.
pub(crate) async fn serve(mut stream: Accepted, peer: Option<SocketAddr>, service: Arc<Service>) {
    // One deadline for everything, so that no pace of dribbling buys time.
    let deadline = Instant::now() + service.settings.handshake_timeout;
    let mut received = BytesMut::new();
    let request = match timeout_at(deadline, read_head(&mut stream, &mut received, &service)).await {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) => return,
        Ok(Err(rejection)) => return refuse(stream, peer, "", &rejection).await,
        Err(_) => return refuse(stream, peer, "", &Rejection::timeout()).await,
    };
    let method = request.method().to_owned();
    if let Err(error) = handshake::check_http(&request) {
        return refuse(stream, peer, &method, &error.into()).await;
    }
    #[cfg(feature = "http")]
    if let Some(fallback) = service.fallback.as_ref().filter(|_| !request.is_upgrade()) {
        return fallback.serve(stream, &request, received, &service.settings).await;
    }
    let admitted = timeout_at(deadline, unpanicking(admit(request, peer, &service))).await;
    let (route, opened, answer) = match admitted.unwrap_or_else(|_| Err(undecided())) {
        Ok((route, admitted)) => {
            let Admitted { opening, subprotocol, answer } = admitted;
            (route, |stream| Opened { stream, received, opening, subprotocol }, answer)
        }
        Err(rejection) => return refuse(stream, peer, &method, &rejection).await,
    };
    match timeout_at(deadline, stream.write_all(&answer)).await {
        Ok(Ok(())) => route.start(opened(stream), &service.connections),
        _ => tracing::debug!(?peer, "lost in the opening handshake"),
    }
}

/// The peer has done its part, but a gate has not.
fn undecided() -> Rejection {
    Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "it took too long to decide")
}

/// Reads until the request's head is whole. What follows it stays in `received`. `None`: the peer has gone, or
/// the server stops.
async fn read_head(
    stream: &mut Accepted,
    received: &mut BytesMut,
    service: &Service,
) -> Result<Option<RequestHead>, Rejection> {
    let mut reader = HeadReader::new(service.settings.head);
    let mut stopping = service.stopping.subscribe();
    received.reserve(1024);
    loop {
        let read = tokio::select! {
            read = stream.read_buf(received) => read,
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(None),
        };
        if read.unwrap_or(0) == 0 {
            return Ok(None);
        }
        if let Some(request) = reader.read(received)? {
            return Ok(Some(request));
        }
    }
}

struct Admitted {
    opening: Opening,
    subprotocol: Option<String>,
    answer: BytesMut,
}

/// Asks everybody who has a say.
async fn admit(
    request: RequestHead,
    peer: Option<SocketAddr>,
    service: &Service,
) -> Result<(&Route, Admitted), Rejection> {
    let found = service.router.find(&request).ok_or_else(Rejection::not_found);
    if !request.is_upgrade() {
        // There is no page here either. On a route, the answer below tells what is missing.
        found.as_ref().map_err(Rejection::clone)?;
    }
    let offer = handshake::check(&request)?;
    let Matched { value: route, params } = found?;
    let mut opening = Opening::new(request, peer);
    opening.extensions_mut().insert(params);
    service.gates.admit(&mut opening).await?;
    route.gates.admit(&mut opening).await?;
    let subprotocol = route.subprotocols.select(&offer)?.map(str::to_owned);
    let mut answer = BytesMut::with_capacity(256);
    handshake::encode_accept(&offer, subprotocol.as_deref(), opening.response_headers_mut(), &mut answer)
        .expect("a selected subprotocol is a token");
    Ok((route, Admitted { opening, subprotocol, answer }))
}

/// Whose code panics refuses; everybody else goes on.
async fn unpanicking<T>(admit: impl Future<Output = Result<T, Rejection>>) -> Result<T, Rejection> {
    let mut admit = pin!(admit);
    poll_fn(|cx| {
        // What the panic left half done is its own.
        catch_unwind(AssertUnwindSafe(|| admit.as_mut().poll(cx))).unwrap_or_else(|_| {
            tracing::error!("a gate panicked");
            Poll::Ready(Err(Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")))
        })
    })
    .await
}

/// Answers a request with this method, and sees to it that the answer arrives.
async fn refuse(mut stream: Accepted, peer: Option<SocketAddr>, method: &str, rejection: &Rejection) {
    tracing::debug!(?peer, status = rejection.status().as_u16(), why = rejection.why(), "refused");
    if matches!(timeout(LINGER, stream.write_all(&rejection.encode(method))).await, Ok(Ok(()))) {
        linger(stream).await;
    }
}

/// Ends our half of the stream and reads on for a moment without looking.
pub(crate) async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut sink = BytesMut::with_capacity(4096);
    let mut left = LINGER_BYTES;
    let _ = timeout(LINGER, async {
        stream.shutdown().await?;
        while left > 0 {
            sink.clear();
            match stream.read_buf(&mut sink).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    })
    .await;
}
