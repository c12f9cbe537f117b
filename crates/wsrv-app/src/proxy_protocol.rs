//! What a proxy tells in front of a connection's own bytes.

use crate::admission::SaidSecure;
use crate::handshake::too_late;
use crate::host::Host;
use http::{Extensions, StatusCode};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};
use wsrv_core::Accepted;
use wsrv_http::{ProxyAddr, ProxyHeader, Rejection};

/// Learns for whom this proxy's socket stands, and what else the header tells. `None`: there is nobody to talk to, and
/// that was told, unless nothing had come.
pub(crate) async fn take_in(
    stream: &mut Accepted,
    proxy: Option<SocketAddr>,
    host: &Host,
    accepted: Instant,
    deadline: Instant,
) -> Option<(Option<SocketAddr>, Extensions)> {
    let header = tokio::select! {
        biased;
        header = timeout_at(deadline, read(stream)) => header,
        () = too_late(host, accepted) => return None,
    };
    let header = match header {
        Ok(Ok(Some(header))) => header,
        Ok(Ok(None)) => return None,
        Ok(Err(error)) => {
            let rejection = Rejection::new(StatusCode::BAD_REQUEST, "no PROXY header").because("proxy");
            host.refused(proxy, &rejection.note(error.to_string()).silent(true));
            return None;
        }
        Err(_) => {
            host.refused(proxy, &Rejection::timeout().silent(true));
            return None;
        }
    };
    let mut told = Extensions::new();
    if let Some(secure) = header.secure {
        told.insert(SaidSecure(secure));
    }
    if header.source.is_none() {
        // A proxy that asks for itself names nobody.
        return Some((proxy, told));
    }
    if let Some(proxy) = proxy {
        told.insert(ProxyAddr(proxy));
    }
    Some((header.source, told))
}

/// Reads a header and not a byte beyond it: what follows may be TLS, which reads from the socket itself. `None`: the
/// stream has ended before its first byte, as those of health checks do.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<ProxyHeader>> {
    let mut bytes = Vec::new();
    loop {
        match ProxyHeader::parse(&bytes) {
            Ok(Some((header, _))) => return Ok(Some(header)),
            Ok(None) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        let have = bytes.len();
        bytes.resize(have + ProxyHeader::missing(&bytes), 0);
        let read = stream.read(&mut bytes[have..]).await?;
        match (have, read) {
            (0, 0) => return Ok(None),
            (_, 0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => bytes.truncate(have + read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_behind_the_header_is_read() {
        let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\x01\x02\x1f\x90";
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
        let text = b"PROXY TCP4 192.0.2.7 127.0.0.1 258 8080\r\n";
        for (header, source) in [
            (&binary[..], Some("192.0.2.7:258")),
            (local, None),
            (text, Some("192.0.2.7:258")),
            (b"PROXY UNKNOWN\r\n", None),
        ] {
            let bytes = [header, b"GET / HTTP/1.1\r\n"].concat();
            let mut stream = &bytes[..];
            let read = read(&mut stream).await.unwrap().unwrap();
            assert_eq!(read.source.map(|source| source.to_string()).as_deref(), source);
            assert_eq!(stream, b"GET / HTTP/1.1\r\n");
        }
        assert!(read(&mut &b""[..]).await.unwrap().is_none(), "a health check");
        assert!(read(&mut &b"P"[..]).await.is_err());
        assert!(read(&mut &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]).await.is_err());
    }
}
