//! From an accepted socket to a connection, or to an honest refusal.

use crate::admission::admit;
use crate::host::{Host, STOPS};
use crate::proxy_protocol;
use crate::transport::{Security, Transport};
use bytes::BytesMut;
use http::Extensions;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use wsrv_core::{Accepted, Place};
use wsrv_http::Rejection;
use wsrv_rfc6455::handshake::{HeadReader, RequestHead, check_http};

/// How long and how much is read after a refusal, so that the peer gets to see the answer: closing a socket with
/// unread input would send a reset, which may overtake it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// How long after its accept a socket may have its request on the way, so that the server's end still waits for it. Who
/// has been silent for longer has only connected to be quick later.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Serves one accepted socket up to the point where somebody else takes over. Its place among the handshakes is free
/// again then.
pub(crate) async fn serve(
    stream: Accepted,
    peer: Option<SocketAddr>,
    security: Security,
    host: Arc<Host>,
    mut place: Place,
) {
    // Pinned here: given away, the future would lie in those that hold it several times.
    host.life.until_cut(pin!(take_in(stream, peer, security, &host, &mut place))).await;
    drop(place);
}

/// The server stops, and a socket that was accepted then has had its time to be on its way.
pub(crate) async fn too_late(host: &Host, accepted: Instant) {
    host.life.stopping().await;
    sleep_until(accepted + ON_ITS_WAY).await;
}

/// Tells a socket for which there was no place.
pub(crate) async fn turn_away(
    stream: Accepted,
    peer: Option<SocketAddr>,
    rejection: Rejection,
    host: Arc<Host>,
    place: Place,
) {
    host.life.until_cut(refuse(Transport::Accepted(stream), peer, "", &rejection, &host)).await;
    drop(place);
}

async fn take_in(
    mut stream: Accepted,
    mut peer: Option<SocketAddr>,
    security: Security,
    host: &Arc<Host>,
    place: &mut Place,
) {
    // One deadline for everything, so that no pace of dribbling buys time.
    let accepted = Instant::now();
    let deadline = accepted + host.settings.handshake_timeout;
    let mut told = Extensions::new();
    if host.expects_proxy_header(peer) {
        // Boxed: its room is not for those without.
        match Box::pin(proxy_protocol::take_in(&mut stream, peer, host, accepted, deadline)).await {
            Some((client, by_header)) => (peer, told) = (client, by_header),
            None => return,
        }
        // Only now it is known whose place it is.
        match host.assign_handshake(place, peer) {
            Ok(()) => {}
            Err(rejection) if !security.is_plain() => return host.refused(peer, &rejection),
            Err(rejection) => return refuse(Transport::Accepted(stream), peer, "", &rejection, host).await,
        }
    }
    let (mut stream, mut extensions) = match security {
        Security::Plain => (Transport::Accepted(stream), Extensions::new()),
        // Boxed as well.
        #[cfg(feature = "tls")]
        Security::Tls(tls) => match Box::pin(crate::tls::take_in(stream, peer, &tls, host, accepted, deadline)).await {
            Some(secured) => secured,
            None => return,
        },
    };
    extensions.extend(told);
    let mut received = BytesMut::new();
    let request = match timeout_at(deadline, read_head(&mut stream, &mut received, host, accepted)).await {
        Ok(Ok(Some(request))) => request,
        Ok(Ok(None)) => return,
        Ok(Err(rejection)) => return refuse(stream, peer, "", &rejection, host).await,
        Err(_) => return refuse(stream, peer, "", &Rejection::timeout(), host).await,
    };
    let method = request.method().to_owned();
    if !request.is_upgrade() {
        // An upgrade is checked for more than this.
        if let Err(error) = check_http(&request) {
            return refuse(stream, peer, &method, &error.into(), host).await;
        }
        #[cfg(feature = "http")]
        if let Some(fallback) = &host.fallback {
            let stream = crate::replay::Replay::new(&request, received, stream);
            // Boxed: what not every connection needs is not to make all of them larger.
            return Box::pin(crate::keep_alive::serve(stream, peer, extensions, host, fallback)).await;
        }
    }
    let admitted = match admit(host, request, &mut peer, extensions, deadline).await {
        Ok(admitted) => admitted,
        Err(rejection) => return refuse(stream, peer, &method, &rejection, host).await,
    };
    let answer = admitted.encode();
    let answered = async {
        stream.write_all(&answer).await?;
        // The driver flushes only what it has written itself.
        stream.flush().await
    };
    match timeout_at(deadline, answered).await {
        Ok(Ok(())) => host.start(admitted, stream, received),
        _ => tracing::debug!(?peer, "lost in the opening handshake"),
    }
}

/// Reads until the request's head is whole. What follows it stays in `received`. `None`: the peer has gone, or the
/// server stops and nothing has come.
async fn read_head(
    stream: &mut Transport,
    received: &mut BytesMut,
    host: &Host,
    accepted: Instant,
) -> Result<Option<RequestHead>, Rejection> {
    let mut reader = HeadReader::new(host.settings.head);
    received.reserve(1024);
    let read_on = async {
        loop {
            if stream.read_buf(received).await.unwrap_or(0) == 0 {
                return Ok(None);
            }
            if let Some(request) = reader.read(received)? {
                return Ok(Some(request));
            }
        }
    };
    tokio::select! {
        // What has come is answered.
        biased;
        head = read_on => return head,
        () = too_late(host, accepted) => {}
    }
    if received.is_empty() { Ok(None) } else { Err(Rejection::overloaded(STOPS)) }
}

/// Answers a request with this method, and sees to it that the answer arrives.
pub(crate) fn refuse(
    mut stream: Transport,
    peer: Option<SocketAddr>,
    method: &str,
    rejection: &Rejection,
    host: &Host,
) -> impl Future<Output = ()> + use<> {
    host.refused(peer, rejection);
    let answer = (!rejection.is_silent()).then(|| rejection.encode(method));
    // Boxed, too.
    Box::pin(async move {
        let Some(answer) = answer else { return };
        if matches!(timeout(LINGER, stream.write_all(&answer)).await, Ok(Ok(()))) {
            linger(stream).await;
        }
    })
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
