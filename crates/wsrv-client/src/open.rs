//! From a client to an open WebSocket: one attempt, and what redirections lead to.

use crate::dial::{dial, resolve};
use crate::target::Target;
use crate::{Client, ConnectError, InvalidRequest, Phase, RedirectError};
use bytes::BytesMut;
use http::HeaderMap;
use std::borrow::Cow;
use std::io;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use wsrv_core::{Accepted, Driver, Io};
use wsrv_rfc6455::connection::WebSocket;
use wsrv_rfc6455::handshake::{
    AnswerError, AnswerHead, AnswerReader, ClientRequest, HeadLimits, HeadReader, RequestHead,
};

/// What a request may be at most: what a head can be.
const MAX_REQUEST: usize = 65_535;

pub(crate) async fn open(client: &Client) -> Result<Driver<WebSocket>, ConnectError> {
    in_time(client, async |progress| {
        let mut hop = Hop { target: Cow::Borrowed(&client.target), headers: Cow::Borrowed(&client.headers) };
        let mut followed = 0;
        loop {
            let refused = match attempt(client, &hop, progress).await {
                Err(ConnectError::Answer(AnswerError::Refused(head))) if client.redirects > 0 => head,
                opened => return opened,
            };
            if !matches!(refused.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(AnswerError::Refused(refused).into());
            }
            if followed == client.redirects {
                return Err(RedirectError::TooMany.into());
            }
            followed += 1;
            hop = hop.follow(client, &refused)?;
        }
    })
    .await
}

pub(crate) async fn open_over(client: &Client, stream: impl Io) -> Result<Driver<WebSocket>, ConnectError> {
    in_time(client, async |progress| {
        let hop = Hop { target: Cow::Borrowed(&client.target), headers: Cow::Borrowed(&client.headers) };
        let request = hop.request(client)?;
        over(client, &hop, &request, stream, progress, Driver::io).await
    })
    .await
}

/// What is being done.
#[derive(Default)]
struct Progress(Mutex<Phase>);

impl Progress {
    fn now(&self, phase: Phase) {
        *self.0.lock().expect("nobody panics with this lock") = phase;
    }
}

async fn in_time(
    client: &Client,
    open: impl AsyncFnOnce(&Progress) -> Result<Driver<WebSocket>, ConnectError>,
) -> Result<Driver<WebSocket>, ConnectError> {
    if let Some(invalid) = client.invalid {
        return Err(invalid.into());
    }
    let progress = Progress::default();
    let after = client.connect_timeout;
    let opened = timeout(after, open(&progress)).await;
    let driver = opened.unwrap_or_else(|_| {
        let phase = *progress.0.lock().expect("nobody panics with this lock");
        Err(ConnectError::Timeout { after, phase })
    })?;
    Ok(driver.limits(client.limits.clone()).tracked_by(&client.connections))
}

/// Where to, and what is sent there: what the client was told, or what a redirection has made of it.
struct Hop<'a> {
    target: Cow<'a, Target>,
    headers: Cow<'a, HeaderMap>,
}

impl<'a> Hop<'a> {
    fn follow(self, client: &Client, refused: &AnswerHead) -> Result<Self, RedirectError> {
        let mut locations = refused.headers("location");
        let location = match (locations.next(), locations.next()) {
            (Some(location), None) => std::str::from_utf8(location).ok(),
            _ => None,
        };
        let target = location.and_then(|location| self.target.join(location)).ok_or(RedirectError::Location)?;
        if self.target.is_secure() && !target.is_secure() {
            return Err(RedirectError::Insecure);
        }
        tracing::debug!(from = %self.target, to = %target, "redirected");
        let headers = match target.is_same_origin(&self.target) {
            true => self.headers,
            false => Cow::Owned(client.harmless_headers()),
        };
        Ok(Hop { target: Cow::Owned(target), headers })
    }

    fn request(&self, client: &Client) -> Result<ClientRequest, InvalidRequest> {
        let target = &*self.target;
        let mut request = ClientRequest::new(target.authority(), target.path_and_query())?;
        for name in &client.subprotocols {
            request = request.with_subprotocol(name.as_str())?;
        }
        for (name, value) in self.headers.iter() {
            request = request.with_header(name.clone(), value.clone())?;
        }
        #[cfg(feature = "deflate")]
        if let Some(compression) = &client.compression {
            request = request.with_deflate(compression);
        }
        Ok(request)
    }
}

async fn attempt(client: &Client, hop: &Hop<'_>, progress: &Progress) -> Result<Driver<WebSocket>, ConnectError> {
    // Before anybody is bothered.
    let request = hop.request(client)?;
    let stream = reach(client, &hop.target, progress).await?;
    let addrs = match &stream {
        Accepted::Tcp(tcp) => {
            // Fails only if the peer is gone. Nothing here is better for waiting.
            let _ = tcp.set_nodelay(true);
            tcp.peer_addr().ok().zip(tcp.local_addr().ok())
        }
        _ => None,
    };
    if !hop.target.is_secure() {
        return over(client, hop, &request, stream, progress, Driver::accepted).await;
    }
    let driver = over(client, hop, &request, stream, progress, Driver::io).await?;
    Ok(match addrs {
        Some((remote, local)) => driver.remote_addr(remote).local_addr(local),
        None => driver,
    })
}

/// A stream to the target.
async fn reach(client: &Client, target: &Target, progress: &Progress) -> Result<Accepted, ConnectError> {
    let is_own = target.is_same_origin(&client.target);
    #[cfg(unix)]
    if let Some(path) = &client.unix_socket {
        if !is_own {
            return Err(RedirectError::Location.into());
        }
        progress.now(Phase::Connecting);
        let failed = |source| ConnectError::Resolve { host: path.display().to_string(), source };
        return tokio::net::UnixStream::connect(path).await.map(Accepted::Unix).map_err(failed);
    }
    let (host, port) = (target.host(), target.port());
    let (next, next_port) = client.proxy.as_ref().map_or((host.clone(), port), |proxy| (proxy.host(), proxy.port()));
    let addrs = if is_own && client.proxy.is_none() && !client.addresses.is_empty() {
        client.addresses.clone()
    } else {
        progress.now(Phase::Resolving);
        resolve(&next, next_port).await?
    };
    progress.now(Phase::Connecting);
    let stream = dial(&format!("{next}:{next_port}"), addrs, client.local_address).await?;
    let stream = Accepted::Tcp(stream);
    match &client.proxy {
        None => Ok(stream),
        Some(proxy) => {
            progress.now(Phase::Proxy);
            Ok(proxy.tunnel(stream, &host, port, client.head_limits).await?)
        }
    }
}

/// TLS if the target wants it, and the opening handshake.
async fn over<S: Io>(
    client: &Client,
    hop: &Hop<'_>,
    request: &ClientRequest,
    stream: S,
    progress: &Progress,
    plain: impl FnOnce(S, WebSocket) -> Driver<WebSocket>,
) -> Result<Driver<WebSocket>, ConnectError> {
    #[cfg(feature = "tls")]
    if hop.target.is_secure() {
        progress.now(Phase::Tls);
        let stream = client.tls.connect(stream, &hop.target.host()).await?;
        progress.now(Phase::Handshake);
        let (stream, wire, received) = shake_hands(client, request, stream).await?;
        return Ok(Driver::io(stream, wire).received(received));
    }
    let _ = hop;
    progress.now(Phase::Handshake);
    let (stream, wire, received) = shake_hands(client, request, stream).await?;
    Ok(plain(stream, wire).received(received))
}

/// Sends the request and checks the answer. What came behind it is given back.
async fn shake_hands<S: Io>(
    client: &Client,
    request: &ClientRequest,
    mut stream: S,
) -> Result<(S, WebSocket, BytesMut), ConnectError> {
    let mut buffer = BytesMut::new();
    let expected = request.encode(&mut buffer)?;
    let sent = keep(buffer.clone())?;
    stream.write_all(&buffer).await.map_err(ConnectError::Lost)?;
    stream.flush().await.map_err(ConnectError::Lost)?;
    buffer.clear();
    let mut reader = AnswerReader::new(client.head_limits);
    let answer = loop {
        if let Some(answer) = reader.read(&mut buffer)? {
            break answer;
        }
        if stream.read_buf(&mut buffer).await.map_err(ConnectError::Lost)? == 0 {
            return Err(ConnectError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
    };
    let subprotocol = expected.check(&answer)?.map(str::to_owned);
    if subprotocol.is_none() && client.needs_subprotocol {
        return Err(ConnectError::NoSubprotocol);
    }
    #[cfg(feature = "deflate")]
    let agreement = expected.check_deflate(&answer)?;
    let wire = WebSocket::client(sent, answer).limits(client.message_limits).subprotocol(subprotocol.as_deref());
    #[cfg(feature = "deflate")]
    let wire = wire.deflate(agreement);
    Ok((stream, wire, buffer))
}

/// The request as it is kept with the connection.
fn keep(mut request: BytesMut) -> Result<RequestHead, InvalidRequest> {
    let limits =
        HeadLimits::default().with_max_size(MAX_REQUEST).with_max_line(MAX_REQUEST).with_max_headers(usize::MAX);
    // Of its own making, so there is nothing wrong with it but its size.
    HeadReader::new(limits).read(&mut request).ok().flatten().ok_or(InvalidRequest::TooLarge)
}
