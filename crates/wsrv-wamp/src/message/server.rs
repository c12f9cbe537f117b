//! What servers send.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::elements::{Elements, wrong_type};
use super::{ErrorKind, MessageError, MessageType, encode};
use crate::{MessageLimits, uris};

/// A message from a server to a client.
#[derive(Debug, Clone)]
pub enum ServerMessage<'a> {
    /// The first message of every connection, and sent once.
    Welcome {
        /// The session's id, by which others can exclude it.
        session_id: Cow<'a, str>,
        /// The protocol's version: 1.
        version: u64,
        /// What the server calls itself; may be empty.
        server: Cow<'a, str>,
    },
    /// What a call came to.
    CallResult {
        /// The id of the call.
        id: Cow<'a, str>,
        /// The result, as it is written. Null if there is nothing to tell.
        result: &'a RawValue,
    },
    /// Why a call failed.
    CallError {
        /// The id of the call.
        id: Cow<'a, str>,
        /// The kind of error, as a URI. Some servers write a CURIE by the client's prefixes.
        uri: Cow<'a, str>,
        /// What happened, for developers; may be empty.
        description: Cow<'a, str>,
        /// What an application wants to add. Never null.
        details: Option<&'a RawValue>,
    },
    /// Something was published on a topic that the client subscribed to.
    Event {
        /// The topic's full URI.
        topic: Cow<'a, str>,
        /// The event, as it was published.
        event: &'a RawValue,
    },
}

impl<'a> ServerMessage<'a> {
    /// Parses a message.
    ///
    /// As strict as the server's side, with two exceptions. A WELCOME may end behind the session id or the version,
    /// as clients in use accept it: the version is 1 then, and the server's name empty. And details of null count as
    /// none.
    ///
    /// # Errors
    ///
    /// A [`MessageError`] that says what is wrong with which element.
    pub fn parse(text: &'a str, limits: &MessageLimits) -> Result<Self, MessageError> {
        let (elements, message_type) = Elements::parse(text, limits)?;
        match message_type {
            MessageType::Welcome => welcome(&elements),
            MessageType::CallResult => {
                elements.expect_len(3, 3)?;
                Ok(Self::CallResult { id: elements.call_id(1)?, result: elements.raw(2)? })
            }
            MessageType::CallError => {
                elements.expect_len(4, 5)?;
                let details = elements.optional(4).filter(|details| details.get() != "null");
                let (id, uri) = (elements.call_id(1)?, elements.uri(2)?);
                Ok(Self::CallError { id, uri, description: elements.string(3)?, details })
            }
            MessageType::Event => {
                elements.expect_len(3, 3)?;
                Ok(Self::Event { topic: elements.uri(1)?, event: elements.raw(2)? })
            }
            MessageType::Prefix
            | MessageType::Call
            | MessageType::Subscribe
            | MessageType::Unsubscribe
            | MessageType::Publish => Err(MessageError::at(0, ErrorKind::WrongDirection(message_type))),
        }
    }

    /// Which message it is.
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::Welcome { .. } => MessageType::Welcome,
            Self::CallResult { .. } => MessageType::CallResult,
            Self::CallError { .. } => MessageType::CallError,
            Self::Event { .. } => MessageType::Event,
        }
    }

    /// The message's text.
    pub fn encode(&self) -> String {
        match self {
            Self::Welcome { session_id, version, server } => encode::welcome(session_id, *version, server),
            Self::CallResult { id, result } => encode::encode_call_result(id, result),
            Self::CallError { id, uri, description, details } => {
                encode::encode_call_error(id, uri, description, *details)
            }
            Self::Event { topic, event } => encode::encode_event(topic, event),
        }
    }
}

fn welcome<'a>(elements: &Elements<'a>) -> Result<ServerMessage<'a>, MessageError> {
    elements.expect_len(2, 4)?;
    let version = match elements.optional(2) {
        Some(version) => version.get().parse().map_err(|_| wrong_type(2, "a version number"))?,
        None => uris::PROTOCOL_VERSION,
    };
    let server = elements.optional(3).map(|_| elements.string(3)).transpose()?.unwrap_or_default();
    Ok(ServerMessage::Welcome { session_id: elements.string(1)?, version, server })
}
