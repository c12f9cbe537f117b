//! What a client is told before it connects.

use crate::target::{Credentials, Target};
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{ConnectError, InvalidRequest, Proxy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE, ORIGIN, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wsrv_core::{Closed, Connections, Driver, Handler, Io, Limits, Socket};
use wsrv_rfc6455::Limits as MessageLimits;
use wsrv_rfc6455::connection::{WebSocket, WebSocketConnection};
#[cfg(feature = "deflate")]
use wsrv_rfc6455::deflate::Compression;
use wsrv_rfc6455::handshake::HeadLimits;

/// Connects to one URL, as often as it is asked to.
///
/// Made by [`new`](Self::new), told what is needed, and then one of these:
///
/// | | |
/// |---|---|
/// | [`connect`](Self::connect) | a [`Socket`] that is pulled, in a task of its own |
/// | [`run`](Self::run) | a [`Handler`], as on a server, in this task |
/// | [`open`](Self::open), [`open_over`](Self::open_over) | a [`Driver`], for either, with settings of its own |
/// | [`Reconnecting`](crate::Reconnecting) | a connection that comes back |
///
/// A header or cookie that cannot be sent is told when it connects, as [`ConnectError::Request`]. Clones are independent but
/// for the [set of connections](Self::tracked_by) that they count into.
#[derive(Clone)]
pub struct Client {
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) needs_subprotocol: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) head_limits: HeadLimits,
    pub(crate) message_limits: MessageLimits,
    pub(crate) limits: Arc<Limits>,
    pub(crate) connections: Connections,
    pub(crate) redirects: usize,
    pub(crate) local_address: Option<IpAddr>,
    pub(crate) addresses: Vec<SocketAddr>,
    #[cfg(unix)]
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) proxy: Option<Proxy>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Tls,
    #[cfg(feature = "deflate")]
    pub(crate) compression: Option<Compression>,
    /// The first thing that cannot be sent.
    pub(crate) invalid: Option<InvalidRequest>,
}

impl Client {
    /// A client for this URL, `ws://host[:port]/path?query` or `wss://…`. A user and password in it become
    /// [`basic_auth`](Self::basic_auth). Names with other letters than ASCII's are encoded.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Url`].
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        let (target, credentials) = Target::parse(url)?;
        let client = Client {
            target,
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            needs_subprotocol: false,
            connect_timeout: Duration::from_secs(10),
            head_limits: HeadLimits::default(),
            message_limits: MessageLimits::default(),
            limits: Arc::default(),
            connections: Connections::new(),
            redirects: 0,
            local_address: None,
            addresses: Vec::new(),
            #[cfg(unix)]
            unix_socket: None,
            proxy: None,
            #[cfg(feature = "tls")]
            tls: Tls::WebRoots,
            #[cfg(feature = "deflate")]
            compression: None,
            invalid: None,
        };
        Ok(match credentials {
            Some(Credentials { user, password }) => client.basic_auth(&user, &password),
            None => client,
        })
    }

    /// Adds a header, such as `Origin`. The same name may come several times; `User-Agent` and `Authorization` are replaced.
    /// Those of the handshake itself are refused.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) if [USER_AGENT, AUTHORIZATION].contains(&name) => {
                self.headers.insert(name, value);
            }
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.refuse(InvalidRequest::Header),
        }
        self
    }

    /// Adds a cookie; all of them go into one header (RFC 6265 §5.4). Cookies that the server sets are in its
    /// [response](WebSocketConnection::response), and are not kept.
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        let is_name = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
        let is_value = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        if name.is_empty() || !name.bytes().all(is_name) || !quoted.bytes().all(is_value) {
            self.refuse(InvalidRequest::Cookie);
            return self;
        }
        let mut cookies = self.headers.get(COOKIE).map_or_else(Vec::new, |before| [before.as_bytes(), b"; "].concat());
        cookies.extend_from_slice(format!("{name}={value}").as_bytes());
        self.secret(COOKIE, &cookies, InvalidRequest::Cookie);
        self
    }

    /// Signs in by a user's name and a password (RFC 7617), which the server gets to read: only over `wss` nobody else does.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        if !is_basic(user, password) {
            self.refuse(InvalidRequest::Credentials);
            return self;
        }
        self.secret(AUTHORIZATION, basic(user, password).as_bytes(), InvalidRequest::Credentials);
        self
    }

    /// Signs in by a token (RFC 6750).
    pub fn bearer_auth(mut self, token: &str) -> Self {
        self.secret(AUTHORIZATION, format!("Bearer {token}").as_bytes(), InvalidRequest::Credentials);
        self
    }

    fn secret(&mut self, name: HeaderName, value: &[u8], error: InvalidRequest) {
        match HeaderValue::from_bytes(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(name, value);
            }
            Err(_) => self.refuse(error),
        }
    }

    fn refuse(&mut self, invalid: InvalidRequest) {
        self.invalid.get_or_insert(invalid);
    }

    /// Offers these subprotocols; the first is liked best. What the server chooses is
    /// [`WebSocketConnection::subprotocol`]; it may choose none.
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Gives up if the server chooses none of the subprotocols, with [`ConnectError::NoSubprotocol`].
    pub fn require_subprotocol(mut self) -> Self {
        self.needs_subprotocol = true;
        self
    }

    /// Sets how long everything may take from the first look-up to the server's answer, with proxy, TLS and redirections.
    /// Default 10 s.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// Sets the bounds and times of a connection: outbox, keepalive, closing handshake. By default a server that is silent
    /// for 30 s is pinged, and given up after 30 s more.
    pub fn limits(mut self, limits: impl Into<Arc<Limits>>) -> Self {
        self.limits = limits.into();
        self
    }

    /// Sets what the server may send. By default, messages of 1 MiB.
    pub fn message_limits(mut self, limits: MessageLimits) -> Self {
        self.message_limits = limits;
        self
    }

    /// Sets how large the head of the server's answer may be, and of a proxy's. Default 16 KiB.
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.head_limits = limits;
        self
    }

    /// Counts the connections into this set, which keeps the times of their [limits](Self::limits), can close them together and
    /// tell an observer. By default the client has one of its own. Each set with connections has a task that comes by once a
    /// second, so whoever has many clients may want them in one.
    pub fn tracked_by(mut self, connections: &Connections) -> Self {
        self.connections = connections.clone();
        self
    }

    /// Follows up to so many redirections. Default 0: a redirection is [`ConnectError::Answer`], and tells where it leads.
    ///
    /// None is followed from `wss` to `ws`, nor to a URL with a user and password. As soon as one leads to another origin
    /// (scheme, host or port), nothing that was [added](Self::header) to the request is sent any more, but for `Origin` and
    /// `User-Agent`: no cookie, no authorization, no header of the application's own; neither there nor from there on.
    /// Subprotocols are offered there as well, so where redirections are followed, none should hold a token. Nor does a client's
    /// [certificate](Self::tls) know of origins: whoever asks for it gets to see it.
    pub fn redirects(mut self, most: usize) -> Self {
        self.redirects = most;
        self
    }

    /// Connects from this address of the machine.
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.local_address = Some(address);
        self
    }

    /// Connects to these addresses instead of those that the host's name has; TLS and the request still name the host. Not
    /// used for the host of a redirection, nor with a [proxy](Self::proxy).
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.addresses = addresses.into_iter().collect();
        self
    }

    /// Connects to a Unix socket. The URL's host is what the request names; a redirection is followed on the same socket
    /// within the origin, and not beyond.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix_socket = Some(path.into());
        self
    }

    /// Connects through a proxy. Environment variables are not looked at.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Sets which servers are believed, and what is shown to them: roots of one's own, a client's certificate. By default
    /// those with a certificate that leads to one of the roots that Mozilla trusts, which are built in; what the machine trusts
    /// besides is not looked at (`rustls-platform-verifier` makes a configuration that does).
    ///
    /// What is offered by ALPN should be `http/1.1` or nothing.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: impl Into<Arc<crate::rustls::ClientConfig>>) -> Self {
        self.tls = Tls::Config(config.into());
        self
    }

    /// Believes **every** server, whatever certificate it shows: whoever sits in between can read and change everything,
    /// passwords and cookies first. For tests. Each connection is warned of in the log.
    #[cfg(feature = "tls")]
    pub fn dangerously_accept_any_certificate(mut self) -> Self {
        self.tls = Tls::Insecure;
        self
    }

    /// Offers to compress messages, by the settings of this. Whether the server agrees is
    /// [`WebSocketConnection::compression`].
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, compression: &Compression) -> Self {
        self.compression = Some(compression.clone());
        self
    }

    /// Connects, and runs the connection in a task of its own. The socket pulls messages and sends; it may be
    /// [split](Socket::split), and its [connection](Socket::connection) cloned.
    ///
    /// [`Socket::recv`] gives `None` when the connection is over, closing handshake included: so who has closed and waits for
    /// that may end the program. When the socket is dropped, the connection is closed with code 1000.
    ///
    /// # Errors
    ///
    /// Why there is no connection.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with IO and time.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it leaves no socket and no task behind. (A name that is being looked up keeps a thread
    /// for blocking work until the system answers.)
    pub async fn connect(&self) -> Result<Socket<WebSocketConnection>, ConnectError> {
        let (socket, driver) = self.open().await?.socket();
        tokio::spawn(driver);
        Ok(socket)
    }

    /// Connects and runs this handler, which may be the same as on a server, to the end of the connection.
    ///
    /// # Errors
    ///
    /// Why there is no connection; the handler was not called.
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the stream is closed at once, and `on_close` does not run. See [`Driver::run`].
    pub async fn run(&self, handler: impl Handler<WebSocketConnection>) -> Result<Closed, ConnectError> {
        Ok(self.open().await?.run(Arc::new(handler)).await)
    }

    /// Connects. The [`Driver`] is to be run: by its [`socket`](Driver::socket), [`run`](Driver::run) or
    /// [`spawn`](Driver::spawn).
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn open(&self) -> Result<Driver<WebSocket>, ConnectError> {
        crate::open::open(self).await
    }

    /// Opens a WebSocket over a stream that is there: TLS first if the URL says `wss`, then the handshake. Proxies, addresses
    /// and redirections do not matter then.
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect). The stream is dropped in either case.
    pub async fn open_over(&self, stream: impl Io) -> Result<Driver<WebSocket>, ConnectError> {
        crate::open::open_over(self, stream).await
    }

    /// The headers that go to another origin.
    pub(crate) fn harmless_headers(&self) -> HeaderMap {
        let is_harmless = |(name, _): &(&HeaderName, &HeaderValue)| [ORIGIN, USER_AGENT].contains(name);
        self.headers.iter().filter(is_harmless).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// Whether basic authentication can express them (RFC 7617 §2).
pub(crate) fn is_basic(user: &str, password: &str) -> bool {
    !user.contains(':') && !user.chars().chain(password.chars()).any(char::is_control)
}

/// The value of `Authorization` for a user and password.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Shows neither headers' values nor subprotocols, which may hold tokens.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &format_args!("{}", self.target))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("subprotocols", &self.subprotocols.len())
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}
