//! Which certificate a peer gets.

use std::sync::Arc;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// The certificates of a server, in the order of preference.
#[derive(Debug)]
pub(super) struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    pub(super) fn new(keys: Vec<CertifiedKey>) -> Self {
        Certificates(keys.into_iter().map(Arc::new).collect())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let known = || self.0.iter().filter(|own| own.key.choose_scheme(hello.signature_schemes()).is_some());
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        // One alone is it, whatever its names.
        let named = name.filter(|_| self.0.len() > 1).and_then(|name| known().find(|own| is_for(own, &name)));
        named.or_else(|| known().next()).cloned()
    }
}

fn is_for(own: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = own.end_entity_cert().and_then(ParsedCertificate::try_from);
    certificate.and_then(|certificate| verify_server_name(&certificate, name)).is_ok()
}
