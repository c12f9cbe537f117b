//! TLS on listeners of our own (feature `tls`), by rustls.
//!
//! A [`Tls`] says which certificates a listener shows and what it asks of clients:
//!
//! ```no_run
//! use wsrv_app::prelude::*;
//! use wsrv_app::tls::Tls;
//!
//! # async fn serve<H: Handler<WebSocketConnection>>(chat: H) -> Result<(), Box<dyn std::error::Error>> {
//! let tls = Tls::from_pem_files("cert.pem", "key.pem")?;
//! let server = App::new().route("/chat", chat).bind_tls("[::]:443", tls.clone()).await?;
//! // Plain TCP beside it, for a proxy on the same machine perhaps:
//! let server = server.and_listen(Listener::bind("127.0.0.1:8080").await?);
//! tokio::spawn(server.serve());
//! // … later, when the files are new:
//! tls.reload()?;
//! # Ok(()) }
//! ```
//!
//! **What is spoken**: TLS 1.3 and 1.2 with the cryptography of `ring`; HTTP/1.1 above it, so a peer that offers other
//! protocols only (ALPN) is refused in the handshake. Anything else is a `rustls::ServerConfig` of your own, with
//! whatever provider, given to [`Tls::from_config`].
//!
//! **The handshake** happens in the connection's own task, never where connections are accepted. It takes a place
//! among the [handshakes](crate::App::max_handshakes), and has a [time of its own](crate::App::tls_timeout) within the
//! [time for the whole opening](crate::App::handshake_timeout). One that fails is told by a TLS alert, and logged at
//! debug. A request in plain text is answered in plain text, with 400.
//!
//! **What is known then** lies among the extensions, for gates, for the connection, and for pages: [`TlsInfo`] always,
//! [`PeerCertificates`] if the client has shown any.
//!
//! ```
//! use wsrv_app::prelude::*;
//! use wsrv_app::tls::{PeerCertificates, TlsInfo};
//!
//! /// Staff only, and by TLS only.
//! fn staff(opening: &mut Opening) -> Result<(), Rejection> {
//!     let refused = |why| Err(Rejection::new(StatusCode::FORBIDDEN, why));
//!     match (opening.extensions().get::<TlsInfo>(), opening.extensions().get::<PeerCertificates>()) {
//!         (None, _) => refused("not over TLS"),
//!         (_, None) => refused("no client certificate"),
//!         (Some(_), Some(_)) => Ok(()),
//!     }
//! }
//! ```
//!
//! **Sessions** can be resumed: by tickets, whose keys change every six hours, and by a memory of 1,024 sessions for
//! peers without tickets. Early data (0-RTT) is not accepted, since it can be replayed.
//!
//! **Memory.** Beside what every connection has, rustls keeps its keys and a read buffer of 4 KiB, in all 8 to 12 KiB
//! while a connection is idle, and up to 64 KiB that are encrypted and that the peer's socket has not taken yet.

mod accept;
mod attributes;
mod builder;
mod certificates;
mod pem;

pub use attributes::{PeerCertificates, TlsInfo};
pub use builder::{TlsBuilder, TlsError};
pub use pem::Pem;
/// The version of rustls that [`Tls::from_config`] takes.
pub use tokio_rustls::rustls;

pub(crate) use accept::take_in;

use rustls::ServerConfig;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// What a listener needs to speak TLS. Clones are handles of the same, so that one that was kept can change what the
/// listener does while it serves.
///
/// A change counts for handshakes that begin after it. Connections that are there, and handshakes under way, keep what
/// they have begun with.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    /// What handshakes begin with from now on.
    config: RwLock<Arc<ServerConfig>>,
    /// What it was made of, if that was not given ready-made. Locked during a change: one happens after the other.
    source: Mutex<Option<TlsBuilder>>,
}

impl Tls {
    /// With one certificate: the chain, the server's own first, and the key, in PEM files.
    ///
    /// The files are read at once, on the calling thread.
    ///
    /// # Errors
    ///
    /// A file cannot be read or understood, or the key does not belong to the certificate.
    pub fn from_pem_files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        Self::builder().certificate(Pem::file(chain), Pem::file(key)).build()
    }

    /// With one certificate: the chain, the server's own first, and the key, as PEM text.
    ///
    /// # Errors
    ///
    /// They cannot be understood, or the key does not belong to the certificate.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        Self::builder().certificate(Pem::text(chain), Pem::text(key)).build()
    }

    /// With a configuration of your own, which is used as it is. Its `alpn_protocols` should be empty or `http/1.1`,
    /// the only protocol spoken here.
    pub fn from_config(config: impl Into<Arc<ServerConfig>>) -> Self {
        Self::new(config.into(), None)
    }

    /// With several certificates, or asking for those of clients.
    pub fn builder() -> TlsBuilder {
        TlsBuilder::default()
    }

    fn new(config: impl Into<Arc<ServerConfig>>, source: Option<TlsBuilder>) -> Self {
        Tls(Arc::new(Shared { config: RwLock::new(config.into()), source: Mutex::new(source) }))
    }

    /// Reads the files again, all of them: certificates, keys, and roots for client certificates.
    ///
    /// They are read on the calling thread; where that may take long, call this in `tokio::task::spawn_blocking`.
    /// Sessions can still be resumed, unless client certificates are asked for, which might now be others.
    ///
    /// # Errors
    ///
    /// A file cannot be read or understood, a key does not belong to its certificate, or there are no files. Then
    /// everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let source = self.0.source.lock().unwrap_or_else(PoisonError::into_inner);
        let builder = source.as_ref().filter(|builder| builder.has_file()).ok_or(TlsError::NoFile)?;
        let config = builder.config(Some(&self.config()))?;
        self.set_config(config.into());
        Ok(())
    }

    /// Does from now on as `with` does at this moment. [`reload`](Self::reload) then reads its files.
    ///
    /// Sessions from before are not resumed, unless both have a configuration of your own that makes them so.
    pub fn replace(&self, with: Tls) {
        if Arc::ptr_eq(&self.0, &with.0) {
            return;
        }
        // One lock after the other, as somebody may do the same in the other direction.
        let (config, builder) = {
            let source = with.0.source.lock().unwrap_or_else(PoisonError::into_inner);
            (with.config(), source.clone())
        };
        let mut source = self.0.source.lock().unwrap_or_else(PoisonError::into_inner);
        *source = builder;
        self.set_config(config);
    }

    /// What handshakes begin with now.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.0.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_config(&self, config: Arc<ServerConfig>) {
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
