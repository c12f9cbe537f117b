//! What can fail for a client.

use std::fmt;
use std::io;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use thiserror::Error;
use wsrv_rfc6455::KeyError;
use wsrv_rfc6455::handshake::{AnswerError, HeadError, RequestError};

use super::{Disconnected, Ended};
use crate::PrefixError;
use crate::message::EncodeError;

/// Why there is no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The text is no URL `ws://host:port/path`.
    #[error("not a WebSocket URL")]
    Url,
    /// The URL begins with `wss`, and there is no TLS here. [`WampClient::over`](super::WampClient::over) takes a
    /// stream that has it.
    #[error("a URL with wss needs a stream with TLS")]
    Tls,
    /// There is no stream to the server, or it failed.
    #[error("the server cannot be reached")]
    Io(#[from] io::Error),
    /// No request can be made of host, target and headers.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The server's answer is not HTTP as it should be.
    #[error("the answer is malformed")]
    Head(#[from] HeadError),
    /// The server refuses, or its answer opens no WebSocket.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The server has not chosen the subprotocol `wamp`.
    #[error("the server does not speak WAMP")]
    NoSubprotocol,
    /// The connection ended before the server's WELCOME.
    #[error("no welcome: {0}")]
    Ended(Ended),
    /// It took longer than [`connect_timeout`](super::ClientOptions::connect_timeout), all in all.
    #[error("no welcome in time")]
    Timeout,
}

/// Why a call has no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallFailure {
    /// The server has answered with an error.
    #[error(transparent)]
    Refused(#[from] RemoteError),
    /// The arguments cannot be sent. Nothing was sent.
    #[error(transparent)]
    Arguments(EncodeError),
    /// The result is not of the type that was asked for.
    #[error("the result is of another type")]
    Result(#[source] serde_json::Error),
    /// There was no answer in time. The server may carry the call out nevertheless.
    #[error("no answer in time")]
    Timeout,
    /// The connection has ended. If the call was sent, the server may have carried it out.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
}

impl CallFailure {
    /// The server's answer, if there is one.
    pub fn refusal(&self) -> Option<&RemoteError> {
        if let Self::Refused(error) = self { Some(error) } else { None }
    }
}

/// An error as a server tells it: a URI for programs, a description for developers, perhaps details.
#[derive(Clone, Error)]
#[error("{description} ({uri})")]
#[non_exhaustive]
pub struct RemoteError {
    /// The kind of error. A CURIE of this client's own prefixes is resolved.
    pub uri: Box<str>,
    /// What happened. The server's own words, so escape them where that matters.
    pub description: Box<str>,
    /// What the application on the other side has added, as it was written.
    pub details: Option<Box<RawValue>>,
}

impl RemoteError {
    /// The details, read into a type. `None` if there are none, or they are something else.
    pub fn details<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.details.as_ref()?.get()).ok()
    }
}

impl fmt::Debug for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteError")
            .field("uri", &self.uri)
            .field("description", &self.description)
            .field("details", &self.details.as_ref().map(|details| details.get()))
            .finish()
    }
}

/// Why something that has no answer was not sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SendFailure {
    /// The event cannot be written as JSON.
    #[error("the event cannot be written as JSON")]
    Event(#[source] serde_json::Error),
    /// The prefix can be none.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// The connection has ended.
    #[error(transparent)]
    Disconnected(#[from] Disconnected),
}

/// Why nobody is signed in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignInFailure {
    /// One of the two calls has failed. What the server says is a [`RemoteError`] with one of the URIs in
    /// [`uris`](crate::uris), such as [`INVALID_SIGNATURE`](crate::uris::INVALID_SIGNATURE).
    #[error(transparent)]
    Call(#[from] CallFailure),
    /// The challenge is malformed, or wants more work for a key than this client does.
    #[error("the server's challenge is not acceptable: {0}")]
    Challenge(&'static str),
}
