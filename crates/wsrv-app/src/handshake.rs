//! From an accepted socket to a connection, or to an honest refusal.

use crate::app::Service;
use crate::route::{Accepted, Route};
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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use wsrv_http::{Gate, Opening, Rejection};
use wsrv_rfc6455::handshake::{self, HeadReader, RequestHead};

/// How long and how much is read after a refusal, so that the peer gets to see the answer: closing a socket with
/// unread input would send a reset, which may overtake it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// Serves one accepted socket up to the point where somebody else takes over.
pub(crate) async fn serve(mut stream: TcpStream, peer: SocketAddr, service: Arc<Service>) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    // One deadline for everything, so that no pace of dribbling buys time.
    let deadline = Instant::now() + service.settings.handshake_timeout;
    let mut received = BytesMut::new();
    let request = match timeout_at(deadline, read_head(&mut stream, &mut received, &service)).await {
        Ok(Ok(request)) => request,
        Ok(Err(Failed::Refused(rejection))) => return refuse(stream, peer, &rejection, deadline).await,
        // Gone before it had asked for anything.
        Ok(Err(Failed::Lost)) => return,
        Err(_) => return refuse(stream, peer, &Rejection::timeout(), deadline + LINGER).await,
    };
    #[cfg(feature = "http")]
    if let Some(fallback) = service.fallback.as_ref().filter(|_| !request.is_upgrade()) {
        return fallback.serve(stream, &request, received).await;
    }
    let admitted = match timeout_at(deadline, unpanicking(admit(request, peer, &service))).await {
        Ok(Ok(admitted)) => admitted,
        Ok(Err(rejection)) => return refuse(stream, peer, &rejection, deadline + LINGER).await,
        Err(_) => return refuse(stream, peer, &Rejection::timeout(), deadline + LINGER).await,
    };
    let Admitted { route, opening, subprotocol, answer } = admitted;
    match timeout_at(deadline, stream.write_all(&answer)).await {
        Ok(Ok(())) => route.start(Accepted { stream, received, opening, subprotocol }, &service.connections),
        _ => tracing::debug!(%peer, "lost in the opening handshake"),
    }
}

enum Failed {
    Refused(Rejection),
    Lost,
}

/// Reads until the request's head is whole. What follows it stays in `received`.
async fn read_head(stream: &mut TcpStream, received: &mut BytesMut, service: &Service) -> Result<RequestHead, Failed> {
    let mut reader = HeadReader::new(service.settings.head);
    received.reserve(1024);
    loop {
        match stream.read_buf(received).await {
            Ok(0) | Err(_) => return Err(Failed::Lost),
            Ok(_) => {}
        }
        match reader.read(received) {
            Ok(Some(request)) => return Ok(request),
            Ok(None) => {}
            Err(error) => return Err(Failed::Refused(error.into())),
        }
    }
}

struct Admitted<'a> {
    route: &'a Route,
    opening: Opening,
    subprotocol: Option<String>,
    answer: BytesMut,
}

/// Asks everybody who has a say.
async fn admit(request: RequestHead, peer: SocketAddr, service: &Service) -> Result<Admitted<'_>, Rejection> {
    let found = service.router.find(&request);
    if found.is_none() && !request.is_upgrade() {
        return Err(Rejection::not_found());
    }
    let offer = handshake::check(&request)?;
    let found = found.ok_or_else(Rejection::not_found)?;
    let route = found.value;
    let mut opening = Opening::new(request, Some(peer));
    opening.extensions_mut().insert(found.params);
    service.gates.admit(&mut opening).await?;
    route.gates.admit(&mut opening).await?;
    let subprotocol = route.subprotocols.select(&offer)?.map(str::to_owned);
    let mut answer = BytesMut::with_capacity(256);
    handshake::encode_accept(&offer, subprotocol.as_deref(), opening.response_headers_mut(), &mut answer)
        .expect("a selected subprotocol is a token");
    Ok(Admitted { route, opening, subprotocol, answer })
}

/// A gate that panics refuses; everybody else goes on.
async fn unpanicking<T>(admit: impl Future<Output = Result<T, Rejection>>) -> Result<T, Rejection> {
    let mut admit = pin!(admit);
    poll_fn(|cx| {
        // What the panic left half done is the gate's own.
        catch_unwind(AssertUnwindSafe(|| admit.as_mut().poll(cx))).unwrap_or_else(|_| {
            tracing::error!("a gate panicked");
            Poll::Ready(Err(Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")))
        })
    })
    .await
}

/// Answers, and reads on for a moment without looking, so that the answer arrives.
async fn refuse(mut stream: TcpStream, peer: SocketAddr, rejection: &Rejection, deadline: Instant) {
    tracing::debug!(%peer, status = rejection.status().as_u16(), why = rejection.why(), "refused");
    let answer = async {
        stream.write_all(&rejection.encode()).await?;
        stream.shutdown().await?;
        io::Result::Ok(())
    };
    if !matches!(timeout_at(deadline, answer).await, Ok(Ok(()))) {
        return;
    }
    let mut sink = BytesMut::with_capacity(4096);
    let linger = async {
        let mut left = LINGER_BYTES;
        while left > 0 {
            sink.clear();
            match stream.read_buf(&mut sink).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    };
    let _ = timeout(LINGER, linger).await;
}
