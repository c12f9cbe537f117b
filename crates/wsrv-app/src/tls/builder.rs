//! From certificates and keys to what rustls needs.

use super::certificates::Certificates;
use super::{Pem, Tls};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{ServerSessionMemoryCache, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// Sessions of TLS 1.2 peers that know no tickets, to be resumed; the oldest are forgotten.
const SESSIONS: usize = 1_024;

/// TLS cannot be set up. A key's text is never part of this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There are no certificates or no key in it.
    #[error("there is no {what} in {place}")]
    Lacks {
        /// What was looked for.
        what: &'static str,
        /// The file, or that it was text.
        place: String,
    },
    /// It is not proper PEM.
    #[error("{place} is malformed: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// The file, or that it was text.
        place: String,
    },
    /// A certificate or key is of no use, or the two do not belong together.
    #[error("cannot use the certificate or key in {place}")]
    Unusable {
        /// The certificate's file, or that it was text.
        place: String,
        /// Why not.
        source: rustls::Error,
    },
    /// Client certificates cannot be checked with these roots.
    #[error("cannot check client certificates")]
    Roots(#[from] VerifierBuilderError),
    /// No certificate was given.
    #[error("TLS needs a certificate")]
    NoCertificate,
    /// Nothing of it came from a file, so there is nothing to read again.
    #[error("there is no file to read again")]
    NoFile,
}

/// Describes a [`Tls`]: certificates, and what is asked of clients.
///
/// ```no_run
/// use wsrv_app::tls::{Pem, Tls};
///
/// let tls = Tls::builder()
///     .certificate(Pem::file("example.com.pem"), Pem::file("example.com.key"))
///     .certificate(Pem::file("example.org.pem"), Pem::file("example.org.key"))
///     .request_client_certificates(Pem::file("staff-ca.pem"))
///     .build()?;
/// # Ok::<(), wsrv_app::tls::TlsError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TlsBuilder {
    certificates: Vec<(Pem, Pem)>,
    clients: Option<Clients>,
}

#[derive(Clone, Debug)]
struct Clients {
    roots: Pem,
    required: bool,
}

impl TlsBuilder {
    /// Adds a certificate, the server's own first and then those that lead to a root, and its key.
    ///
    /// With several, a peer gets the first that is made out for the name it asks for (SNI, RFC 6066 §3) and whose kind
    /// of key it knows; failing that, the first it knows. Wildcard certificates count for their names. All are looked
    /// through at each handshake: meant for some dozens, not for thousands.
    pub fn certificate(mut self, chain: Pem, key: Pem) -> Self {
        self.certificates.push((chain, key));
        self
    }

    /// Asks for a client certificate that leads to one of these roots; who has none, or a wrong one, gets no
    /// connection.
    ///
    /// They are checked in the handshake: validity, chain, use for client authentication; not whether they were
    /// revoked. What they say is among the extensions as [`PeerCertificates`](super::PeerCertificates).
    pub fn require_client_certificates(mut self, roots: Pem) -> Self {
        self.clients = Some(Clients { roots, required: true });
        self
    }

    /// As [`require_client_certificates`](Self::require_client_certificates), but who has none may connect as well: a
    /// gate can decide by path. A wrong one is still refused.
    pub fn request_client_certificates(mut self, roots: Pem) -> Self {
        self.clients = Some(Clients { roots, required: false });
        self
    }

    /// Reads the files and makes it ready for use.
    ///
    /// # Errors
    ///
    /// A file cannot be read or understood, a key does not belong to its certificate, or there is no certificate.
    pub fn build(self) -> Result<Tls, TlsError> {
        let config = self.config(None)?;
        Ok(Tls::new(config, Some(self)))
    }

    pub(super) fn has_file(&self) -> bool {
        let mut all = self.certificates.iter().flat_map(|(chain, key)| [chain, key]);
        all.any(Pem::is_file) || self.clients.as_ref().is_some_and(|clients| clients.roots.is_file())
    }

    /// Sessions of `before` can still be resumed, if that is safe.
    pub(super) fn config(&self, before: Option<&ServerConfig>) -> Result<ServerConfig, TlsError> {
        if self.certificates.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let provider = Arc::new(ring::default_provider());
        let keys = self.certificates.iter().map(|(chain, key)| certified(chain, key, &provider));
        let certificates = Certificates::new(keys.collect::<Result<_, _>>()?);
        let verifier = match &self.clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(Clients { roots, required }) => {
                let mut store = RootCertStore::empty();
                for root in roots.certificates()? {
                    let unusable = |source| TlsError::Unusable { place: roots.to_string(), source };
                    store.add(root).map_err(unusable)?;
                }
                let builder = WebPkiClientVerifier::builder_with_provider(store.into(), provider.clone());
                if *required { builder } else { builder.allow_unauthenticated() }.build()?
            }
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for both versions");
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        match before {
            // A resumed session is not checked again, so with client certificates one from before might have been
            // checked with other roots.
            Some(before) if self.clients.is_none() => {
                config.session_storage = before.session_storage.clone();
                config.ticketer = before.ticketer.clone();
            }
            _ => {
                config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
                // Fails only without randomness; then there are the sessions kept above.
                if let Ok(ticketer) = ring::Ticketer::new() {
                    config.ticketer = ticketer;
                }
            }
        }
        Ok(config)
    }
}

fn certified(chain: &Pem, key: &Pem, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    // Checks that they belong together, too.
    CertifiedKey::from_der(chain.certificates()?, key.key()?, provider)
        .map_err(|source| TlsError::Unusable { place: chain.to_string(), source })
}
