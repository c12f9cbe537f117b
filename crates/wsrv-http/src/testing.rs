//! Openings for tests.

use crate::Opening;
use bytes::BytesMut;
use wsrv_rfc6455::handshake::{HeadLimits, HeadReader};

/// One that asks for an upgrade, with these header lines. Each ends in CRLF.
pub(crate) fn opening(headers: &str) -> Opening {
    plain(&format!("Connection: upgrade\r\nUpgrade: websocket\r\n{headers}"))
}

/// One that asks for a page.
pub(crate) fn plain(headers: &str) -> Opening {
    let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
    let head = format!("GET / HTTP/1.1\r\n{host}{headers}\r\n");
    let head = HeadReader::new(HeadLimits::default()).read(&mut BytesMut::from(head.as_bytes()));
    Opening::new(head.unwrap().unwrap(), None)
}
