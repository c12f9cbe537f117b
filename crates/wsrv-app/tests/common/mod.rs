//! Certificates that are made here, and clients that know them.

// Shared by several test programs, each of which uses a part.
#![allow(dead_code, unreachable_pub)]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use wsrv_app::tls::{Pem, Tls};

/// Panics instead of hanging.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("in time")
}

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Issued {
    pub chain: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn issue(&self, names: &[&str]) -> Issued {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        Issued { chain: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    pub fn root(&self) -> String {
        self.0.pem()
    }

    /// A server's TLS with one certificate.
    pub fn tls(&self, names: &[&str]) -> Tls {
        let issued = self.issue(names);
        Tls::from_pem(&issued.chain, &issued.key).unwrap()
    }

    /// A client that trusts this authority.
    pub fn client(&self) -> Client {
        self.client_of(&[&TLS13, &TLS12], None)
    }

    pub fn client_with(&self, own: &Issued) -> Client {
        self.client_of(&[&TLS13, &TLS12], Some(own))
    }

    pub fn client_of(&self, versions: &[&'static SupportedProtocolVersion], own: Option<&Issued>) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Client(match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![own.der.clone()], key).unwrap()
            }
        })
    }
}

impl Issued {
    pub fn pem(&self) -> (Pem, Pem) {
        (Pem::text(&self.chain), Pem::text(&self.key))
    }
}

#[derive(Clone)]
pub struct Client(pub ClientConfig);

impl Client {
    /// Offers these protocols.
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.0.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    pub async fn connect(&self, addr: SocketAddr, name: &str) -> io::Result<TlsStream<TcpStream>> {
        let stream = soon(TcpStream::connect(addr)).await?;
        self.over(stream, name).await
    }

    /// The handshake over a stream that is there.
    pub async fn over<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        stream: S,
        name: &str,
    ) -> io::Result<TlsStream<S>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        soon(TlsConnector::from(Arc::new(self.0.clone())).connect(name, stream)).await
    }
}
