//! How a client's connection ends.

use std::fmt;
use std::io;
use std::sync::Arc;

use thiserror::Error;
use wsrv_rfc6455::{Began, Closed, KeyError, Limits, Protocol, ProtocolError};

use crate::ClientError;

/// How a connection ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ended {
    /// Who closed it, with which close code.
    pub closed: Closed,
    /// What went wrong, if something did.
    pub fault: Option<ConnectionFault>,
}

/// What went wrong with a connection.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// The stream failed, or ended without a goodbye.
    #[error("the stream has failed")]
    Io(#[source] Arc<io::Error>),
    /// The server was silent, and has not answered a ping. See
    /// [`ping_after`](super::ClientOptions::ping_after).
    #[error("the server does not answer")]
    Silent,
    /// The server has not answered our close in time. See [`close_timeout`](super::ClientOptions::close_timeout).
    #[error("the server has not answered the close in time")]
    CloseTimeout,
    /// The server broke a rule of the WebSocket protocol. It was told so, with the rule's close code.
    #[error("the server broke the WebSocket protocol")]
    Protocol(#[source] ProtocolError),
    /// The server sent what is no message of WAMP, or not one for a client. It was told so, with close code 1002.
    #[error("the server broke the WAMP protocol")]
    Message(#[source] ClientError),
    /// The server sent a binary message. It was told so, with close code 1003.
    #[error("the server has sent a binary message")]
    Binary,
    /// The operating system gave no random bytes to mask frames with.
    #[error("nothing can be sent")]
    Keys(#[source] KeyError),
    /// The task that ran the connection was dropped, most likely together with its runtime.
    #[error("the connection's task was dropped")]
    Dropped,
}

/// Nothing can be sent or received any more.
#[derive(Debug, Clone, Error)]
#[error("{}", match .ended {
    Some(ended) => format!("the connection has ended: {ended}"),
    None => "the connection is being closed".to_owned(),
})]
#[non_exhaustive]
pub struct Disconnected {
    /// How it ended. `None` while our own close is under way.
    pub ended: Option<Ended>,
}

impl Ended {
    /// An end that nobody has announced.
    pub(super) fn abnormally(fault: ConnectionFault) -> Self {
        let closed = Protocol::client(Limits::default()).ended().clone();
        Self { closed, fault: Some(fault) }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Closed { began, code, reason, .. } = &self.closed;
        match began {
            Began::Us => write!(f, "closed by us with {code}")?,
            Began::Peer => write!(f, "closed by the server with {code}")?,
            _ => f.write_str("lost")?,
        }
        if !reason.is_empty() {
            write!(f, " {:?}", reason.as_str())?;
        }
        match &self.fault {
            Some(fault) => write!(f, ", {fault}"),
            None => Ok(()),
        }
    }
}
