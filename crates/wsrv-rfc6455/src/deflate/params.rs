//! The extension's parameters, and how they are negotiated.

use super::MAX_BITS;
#[cfg(feature = "handshake")]
use super::{Agreement, Compression, Deflate, MIN_BITS};
#[cfg(feature = "handshake")]
use crate::handshake::{Extension, RequestHead, extensions};
#[cfg(feature = "handshake")]
use std::fmt;

/// What was agreed on for a connection.
///
/// # Source
///
/// RFC 7692 §7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeflateParams {
    /// Each message of the server can be read without those before it.
    pub server_no_context_takeover: bool,
    /// Each message of the client can be read without those before it.
    pub client_no_context_takeover: bool,
    /// How far back the server's messages refer at most, in bytes as a power of two.
    pub server_max_window_bits: u8,
    /// How far back the client's messages refer at most, in bytes as a power of two.
    pub client_max_window_bits: u8,
}

/// What holds if nothing is said: context takeover in both directions, and the largest windows.
impl Default for DeflateParams {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: MAX_BITS,
            client_max_window_bits: MAX_BITS,
        }
    }
}

impl DeflateParams {
    /// Sets whether the server's, and the client's, messages refer to earlier ones.
    pub const fn with_takeover(mut self, server: bool, client: bool) -> Self {
        self.server_no_context_takeover = !server;
        self.client_no_context_takeover = !client;
        self
    }

    /// Sets how far back the server's, and the client's, messages refer at most, in bytes as a power of two, 8 to 15.
    ///
    /// Nothing can be compressed here with a window of 8: messages of this side are sent as they are then.
    pub const fn with_window_bits(mut self, server: u8, client: u8) -> Self {
        self.server_max_window_bits = server;
        self.client_max_window_bits = client;
        self
    }
}

/// The parameters as they stand in a header.
#[cfg(feature = "handshake")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// Without a value: the client understands the parameter.
    client_max_window_bits: Option<Option<u8>>,
}

/// What says so in an answer.
#[cfg(feature = "handshake")]
impl From<DeflateParams> for Offered {
    fn from(params: DeflateParams) -> Self {
        let smaller = |bits: u8| (bits < MAX_BITS).then_some(bits);
        Self {
            server_no_context_takeover: params.server_no_context_takeover,
            client_no_context_takeover: params.client_no_context_takeover,
            server_max_window_bits: smaller(params.server_max_window_bits),
            client_max_window_bits: smaller(params.client_max_window_bits).map(Some),
        }
    }
}

#[cfg(feature = "handshake")]
impl Offered {
    /// The extension's name.
    pub(crate) const NAME: &str = "permessage-deflate";

    /// Reads the parameters of an element. `None`: one is not known, comes twice, or has a value that it must not have.
    fn read(extension: &Extension<'_>) -> Option<Self> {
        let mut read = Self::default();
        for (name, value) in extension.params() {
            match (*name, value.as_deref()) {
                (b"server_no_context_takeover", None) if !read.server_no_context_takeover => {
                    read.server_no_context_takeover = true;
                }
                (b"client_no_context_takeover", None) if !read.client_no_context_takeover => {
                    read.client_no_context_takeover = true;
                }
                (b"server_max_window_bits", Some(value)) if read.server_max_window_bits.is_none() => {
                    read.server_max_window_bits = Some(window_bits(value)?);
                }
                (b"client_max_window_bits", value) if read.client_max_window_bits.is_none() => {
                    read.client_max_window_bits = Some(match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    });
                }
                _ => return None,
            }
        }
        Some(read)
    }

    /// What a client with these settings offers.
    #[cfg(feature = "client")]
    pub(crate) fn of_client(settings: &Deflate) -> Self {
        let smaller = |bits: u8| (bits < MAX_BITS).then_some(bits);
        Self {
            server_no_context_takeover: !settings.receive_takeover,
            client_no_context_takeover: !settings.send_takeover,
            server_max_window_bits: smaller(settings.receive_window_bits),
            client_max_window_bits: Some(smaller(settings.send_window_bits)),
        }
    }

    /// What a server with these settings answers, and agrees on with it. `None`: the offer cannot be met.
    fn answered(&self, settings: &Deflate, takeover: bool) -> Option<(Self, DeflateParams)> {
        let server_bits = self.server_max_window_bits.unwrap_or(MAX_BITS).min(settings.send_window_bits);
        if server_bits < MIN_BITS {
            return None;
        }
        // A client that does not know the parameter must not be told of it, and uses the largest window.
        let client_bits = self.client_max_window_bits.map(|hint| {
            let hint = hint.unwrap_or(MAX_BITS);
            hint.min(settings.receive_window_bits)
        });
        let answer = Self {
            server_no_context_takeover: self.server_no_context_takeover || !settings.send_takeover || !takeover,
            client_no_context_takeover: self.client_no_context_takeover || !settings.receive_takeover || !takeover,
            server_max_window_bits: self.server_max_window_bits.map(|_| server_bits),
            client_max_window_bits: client_bits.filter(|&bits| bits < MAX_BITS).map(Some),
        };
        let params = DeflateParams {
            server_no_context_takeover: answer.server_no_context_takeover,
            client_no_context_takeover: answer.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits.unwrap_or(MAX_BITS),
        };
        Some((answer, params))
    }

    /// What a client agrees on by this answer to its offer. `None`: the answer does not fit.
    #[cfg(feature = "client")]
    fn agreed(&self, answer: &Self) -> Option<DeflateParams> {
        if self.server_no_context_takeover && !answer.server_no_context_takeover {
            return None;
        }
        let server_bits = match (self.server_max_window_bits, answer.server_max_window_bits) {
            (Some(offered), Some(bits)) if bits <= offered => bits,
            (Some(_), _) => return None,
            (None, bits) => bits.unwrap_or(MAX_BITS),
        };
        let client_bits = match (self.client_max_window_bits, answer.client_max_window_bits) {
            // In an answer it has to have a value.
            (_, Some(None)) | (None, Some(_)) => return None,
            (Some(Some(offered)), Some(Some(bits))) if bits > offered => return None,
            (_, Some(Some(bits))) => bits,
            // What was offered was a hint: less may be used without being asked.
            (offered, None) => offered.flatten().unwrap_or(MAX_BITS),
        };
        Some(DeflateParams {
            server_no_context_takeover: answer.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover || answer.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        })
    }
}

/// A decimal number from 8 to 15, without leading zeros (RFC 7692 §7.1.2).
#[cfg(feature = "handshake")]
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// As it stands in a header.
#[cfg(feature = "handshake")]
impl fmt::Display for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => write!(f, "; client_max_window_bits={bits}"),
            Some(None) => f.write_str("; client_max_window_bits"),
            None => Ok(()),
        }
    }
}

#[cfg(feature = "handshake")]
impl Compression {
    /// A server's side of the negotiation: agrees to the first of the client's offers that it can meet. `None`: there is
    /// none, or no memory is left, and the connection goes uncompressed.
    ///
    /// An offer is declined if it is malformed, has a parameter that is not known, or wants the server to use a window of
    /// 256 bytes, which zlib cannot. If the [memory](Deflate::memory) that connections may hold is used up, the answer
    /// asks for no context takeover in either direction; if not even that is left, everything is declined.
    ///
    /// # Source
    ///
    /// RFC 7692 §5.1, §7.1; RFC 6455 §9.1.
    pub fn negotiate(&self, head: &RequestHead) -> Option<Agreement> {
        let lines = head.headers("sec-websocket-extensions");
        let offers = extensions(lines)
            .filter_map(|element| element.filter(|element| element.name() == Offered::NAME.as_bytes()));
        for offer in offers {
            let Some(offer) = Offered::read(&offer) else { continue };
            for takeover in [true, false] {
                let Some((answer, params)) = offer.answered(self.settings(), takeover) else { break };
                if let Some(agreement) = Agreement::within_memory(self, params, answer) {
                    return Some(agreement);
                }
            }
        }
        None
    }

    /// A client's side: the agreement by this answer to its offer. `None`: the answer does not fit.
    #[cfg(feature = "client")]
    pub(crate) fn answered(&self, offered: &Offered, answer: &Extension<'_>) -> Option<Agreement> {
        let params = offered.agreed(&Offered::read(answer)?)?;
        Some(Agreement::client(self, params))
    }
}
