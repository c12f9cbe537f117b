//! A tunnel through an HTTP proxy.

use super::ProxyError;
use crate::client::basic;
use crate::target::Credentials;
use bytes::BytesMut;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Host;
use wsrv_core::Accepted;
use wsrv_rfc6455::handshake::{AnswerReader, HeadLimits};

pub(super) async fn tunnel(
    mut stream: Accepted,
    host: &Host<&str>,
    port: u16,
    credentials: Option<&Credentials>,
    limits: HeadLimits,
) -> Result<Accepted, ProxyError> {
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(Credentials { user, password }) = credentials {
        request.push_str(&format!("Proxy-Authorization: {}\r\n", basic(user, password)));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut reader, mut buffer) = (AnswerReader::new(limits), BytesMut::new());
    let head = loop {
        if let Some(head) = reader.read(&mut buffer)? {
            break head;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(ProxyError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
    };
    match (head.status().is_success(), buffer.is_empty()) {
        (false, _) => Err(ProxyError::Refused(Box::new(head))),
        // The server has been told nothing yet, so this is none of it.
        (true, false) => Err(ProxyError::Unasked),
        (true, true) => Ok(stream),
    }
}
