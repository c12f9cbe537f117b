//! Which subprotocol both sides speak.

use super::server::{HandshakeError, Offer};
use super::tokens::is_token;

/// The subprotocols a server speaks, and whether a client must offer one of them.
///
/// ```
/// use wsrv_rfc6455::handshake::Subprotocols;
///
/// let wamp = Subprotocols::new(["wamp"])?; // refuses clients that do not speak it
/// let maybe = Subprotocols::new(["v2.chat", "v1.chat"])?.optional();
/// # Ok::<(), wsrv_rfc6455::handshake::InvalidSubprotocol>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subprotocols {
    names: Box<[String]>,
    required: bool,
}

/// A subprotocol's name is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a subprotocol must be a token")]
#[non_exhaustive]
pub struct InvalidSubprotocol;

impl Subprotocols {
    /// The server speaks none and does not care what a client offers. This is the default.
    pub fn none() -> Self {
        Self::default()
    }

    /// The server speaks these, and refuses a client that offers none of them. An empty list is [`none`](Self::none).
    ///
    /// # Errors
    ///
    /// [`InvalidSubprotocol`] if a name is no token.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, InvalidSubprotocol> {
        let names: Box<[String]> = names.into_iter().map(Into::into).collect();
        if !names.iter().all(|name| is_token(name.as_bytes())) {
            return Err(InvalidSubprotocol);
        }
        let required = !names.is_empty();
        Ok(Self { names, required })
    }

    /// Takes clients that offer none of the subprotocols, too, and answers them without one.
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// The first subprotocol in the client's order that the server speaks. Names are case-sensitive.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NoCommonSubprotocol`] if there is none and one is required.
    ///
    /// # Source
    ///
    /// RFC 6455 §4.2.2, point 4, and §1.9.
    pub fn select(&self, offer: &Offer) -> Result<Option<&str>, HandshakeError> {
        let chosen = offer.subprotocols().find_map(|wanted| self.names.iter().find(|name| *name == wanted));
        match chosen {
            Some(name) => Ok(Some(name)),
            None if self.required => Err(HandshakeError::NoCommonSubprotocol),
            None => Ok(None),
        }
    }
}
