//! The TLS handshake of one accepted stream.

use super::{PeerCertificates, Tls, TlsInfo};
use crate::handshake::{linger, refuse, too_late};
use crate::host::Host;
use crate::transport::Transport;
use http::{Extensions, StatusCode};
use std::io;
use std::net::SocketAddr;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wsrv_core::Accepted;
use wsrv_http::Rejection;

/// Does the handshake, until the deadline at the latest. `None`: there is nobody to talk to, and
/// that was told, unless nothing had come.
pub(crate) async fn take_in(
    stream: Accepted,
    peer: Option<SocketAddr>,
    tls: &Tls,
    host: &Host,
    accepted: Instant,
    deadline: Instant,
) -> Option<(Transport, Extensions)> {
    let own = Instant::now().checked_add(host.settings.tls_timeout);
    let deadline = own.map_or(deadline, |own| deadline.min(own));
    let shake_hands = async {
        match begins(&stream).await {
            Beginning::End => return Shaken::Gone,
            Beginning::Letter => return Shaken::Plain(stream),
            Beginning::Other => {}
        }
        if let Accepted::Tcp(tcp) = &stream {
            // Fails only if the peer is gone. Nothing here is better for waiting.
            let _ = tcp.set_nodelay(true);
        }
        match TlsAcceptor::from(tls.config()).accept(stream).into_fallible().await {
            Ok(stream) => Shaken::Done(Box::new(stream)),
            Err((error, stream)) => Shaken::Failed(error, stream),
        }
    };
    let shaken = tokio::select! {
        biased;
        shaken = timeout_at(deadline, shake_hands) => shaken,
        // No request has come.
        () = too_late(host, accepted) => return None,
    };
    match shaken {
        Ok(Shaken::Done(stream)) => {
            let mut extensions = Extensions::new();
            let session = stream.get_ref().1;
            extensions.insert(TlsInfo::of(session));
            if let Some(certificates) = PeerCertificates::of(session) {
                extensions.insert(certificates);
            }
            return Some((Transport::Tls(stream), extensions));
        }
        Ok(Shaken::Plain(stream)) => {
            let rejection = Rejection::new(StatusCode::BAD_REQUEST, "a plain request on a port for TLS").because("tls");
            refuse(Transport::Accepted(stream), peer, "", &rejection, host).await;
        }
        // As a health check does.
        Ok(Shaken::Gone) => {}
        Ok(Shaken::Failed(error, stream)) => {
            let rejection = Rejection::new(StatusCode::BAD_REQUEST, "the TLS handshake failed").because("tls");
            host.refused(peer, &rejection.note(error.to_string()).silent(true));
            // The alert is on its way.
            linger(stream).await;
        }
        Err(_) => host.refused(peer, &Rejection::timeout().note("in the TLS handshake").silent(true)),
    }
    None
}

enum Shaken {
    Done(Box<TlsStream<Accepted>>),
    Plain(Accepted),
    Failed(io::Error, Accepted),
    /// The peer has left without a byte.
    Gone,
}

/// What the peer has begun with, once it has: a letter, as a request does and TLS does not, or with the end of its stream.
async fn begins(stream: &Accepted) -> Beginning {
    let mut first = [0];
    match stream {
        Accepted::Tcp(tcp) => match tcp.peek(&mut first).await {
            Ok(0) => Beginning::End,
            Ok(_) if first[0].is_ascii_alphabetic() => Beginning::Letter,
            // What is wrong with the socket, the handshake will meet.
            _ => Beginning::Other,
        },
        // Tokio cannot look ahead here; such a peer gets an alert.
        _ => Beginning::Other,
    }
}

enum Beginning {
    End,
    Letter,
    Other,
}
