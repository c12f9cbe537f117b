//! Where certificates and keys come from.

use super::TlsError;
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Certificates or a private key in PEM, the text form with `-----BEGIN …-----` (RFC 7468): in a file, which
/// [`Tls::reload`](super::Tls::reload) reads again, or in memory.
#[derive(Clone)]
pub struct Pem(Place);

#[derive(Clone)]
enum Place {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

impl Pem {
    /// The file at this path, read when it is needed.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Pem(Place::File(path.into()))
    }

    /// This text.
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Pem(Place::Memory(text.as_ref().into()))
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.0, Place::File(_))
    }

    /// All certificates in it, of which there is one at least.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        match found {
            Ok(found) if found.is_empty() => Err(self.lacks("certificate")),
            Ok(found) => Ok(found),
            Err(source) => Err(self.malformed(source)),
        }
    }

    /// The first private key in it: PKCS #8, PKCS #1 or SEC1.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|source| match source {
            pem::Error::NoItemsFound => self.lacks("private key"),
            source => self.malformed(source),
        })
    }

    fn read(&self) -> Result<Cow<'_, [u8]>, TlsError> {
        match &self.0 {
            Place::Memory(text) => Ok(text[..].into()),
            Place::File(path) => match std::fs::read(path) {
                Ok(text) => Ok(text.into()),
                Err(source) => Err(TlsError::Read { path: path.clone(), source }),
            },
        }
    }

    fn lacks(&self, what: &'static str) -> TlsError {
        TlsError::Lacks { what, place: self.to_string() }
    }

    /// Where the text is malformed; of the text itself, which may be a key, nothing is told.
    fn malformed(&self, source: pem::Error) -> TlsError {
        let what = match source {
            pem::Error::MissingSectionEnd { .. } => "a section does not end",
            pem::Error::IllegalSectionStart { .. } => "a section does not begin properly",
            pem::Error::Base64Decode(_) => "a section is not base64",
            _ => "it cannot be understood",
        };
        TlsError::Malformed { what, place: self.to_string() }
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::File(path) => path.display().fmt(f),
            Place::Memory(_) => f.write_str("the text that was given"),
        }
    }
}

/// Shows the place, never the text.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({self})")
    }
}
