//! TLS below a connection, by rustls.

use crate::ConnectError;
use std::sync::{Arc, LazyLock};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::rustls::{WantsVerifier, client::WantsClientCert};
use url::Host;
use wsrv_core::Io;

/// Which servers are believed.
#[derive(Clone)]
pub(crate) enum Tls {
    /// Those with a certificate that leads to one of the roots Mozilla trusts.
    WebRoots,
    Config(Arc<ClientConfig>),
    /// Everybody.
    Insecure,
}

/// Made once, so that sessions are resumed whichever client they began with.
static WEB_ROOTS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    finish(builder().with_root_certificates(roots))
});

static INSECURE: LazyLock<Arc<ClientConfig>> =
    LazyLock::new(|| finish(builder().dangerous().with_custom_certificate_verifier(Arc::new(Everybody::default()))));

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    builder.with_safe_default_protocol_versions().expect("ring has what TLS needs")
}

fn finish(builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> Arc<ClientConfig> {
    let mut config = builder.with_no_client_auth();
    // What follows is HTTP/1.1 whatever else a server could do.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

impl Tls {
    /// The handshake of one connection.
    pub(crate) async fn connect<S: Io>(&self, stream: S, host: &Host<&str>) -> Result<TlsStream<S>, ConnectError> {
        let config = match self {
            Tls::WebRoots => WEB_ROOTS.clone(),
            Tls::Config(config) => config.clone(),
            Tls::Insecure => {
                tracing::warn!(%host, "TLS without a look at the certificate: this may be anybody");
                INSECURE.clone()
            }
        };
        let name = match host {
            // A dot at the end is for the resolver; certificates have none.
            Host::Domain(name) => ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
                .map_err(|error| ConnectError::Tls(std::io::Error::other(error)))?,
            Host::Ipv4(ip) => ServerName::IpAddress(std::net::IpAddr::V4(*ip).into()),
            Host::Ipv6(ip) => ServerName::IpAddress(std::net::IpAddr::V6(*ip).into()),
        };
        TlsConnector::from(config).connect(name, stream).await.map_err(ConnectError::Tls)
    }
}

/// Believes whoever has the key of the certificate that he shows, whatever it says.
#[derive(Debug)]
struct Everybody(Arc<CryptoProvider>);

impl Default for Everybody {
    fn default() -> Self {
        Everybody(Arc::new(ring::default_provider()))
    }
}

impl ServerCertVerifier for Everybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
