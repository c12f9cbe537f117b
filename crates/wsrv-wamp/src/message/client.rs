//! What clients send.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::elements::{Elements, wrong_type};
use super::{Arguments, ErrorKind, MessageError, MessageType, encode};
use crate::{Dialect, MessageLimits, json};

/// A message from a client to a server.
///
/// URIs are as the client wrote them: CURIEs are resolved by [`Prefixes`](crate::Prefixes).
///
/// ```
/// use wsrv_wamp::{ClientMessage, MessageLimits};
///
/// let text = r#"[2,"7c1","http://example.com/calc#add",3,4]"#;
/// let ClientMessage::Call { id, procedure, arguments } = ClientMessage::parse(text, &MessageLimits::default())? else {
///     unreachable!();
/// };
/// assert_eq!((&*id, &*procedure), ("7c1", "http://example.com/calc#add"));
/// assert_eq!(arguments.deserialize::<(i32, i32)>()?, (3, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub enum ClientMessage<'a> {
    /// From now on, what begins with `prefix` and a colon is short for a URI that begins with `uri`.
    Prefix {
        /// The short name.
        prefix: Cow<'a, str>,
        /// What it stands for.
        uri: Cow<'a, str>,
    },
    /// Calls a procedure. Exactly one CALLRESULT or CALLERROR answers it.
    Call {
        /// Chosen by the client; the answer has the same.
        id: Cow<'a, str>,
        /// The procedure's URI or CURIE.
        procedure: Cow<'a, str>,
        /// What the procedure is called with.
        arguments: Arguments<'a>,
    },
    /// Asks for the events of a topic.
    Subscribe {
        /// The topic's URI or CURIE.
        topic: Cow<'a, str>,
    },
    /// Asks for them no longer.
    Unsubscribe {
        /// The topic's URI or CURIE.
        topic: Cow<'a, str>,
    },
    /// Sends an event to those who subscribed to a topic.
    Publish {
        /// The topic's URI or CURIE.
        topic: Cow<'a, str>,
        /// The event, as it is written.
        event: &'a RawValue,
        /// Who shall not receive it.
        exclude: Exclude<'a>,
        /// Who alone may receive it, by session id. `None`: everybody.
        eligible: Option<Vec<Cow<'a, str>>>,
    },
}

/// Whom a PUBLISH leaves out: its fourth element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Exclude<'a> {
    /// Nothing is said, or null: what holds then is the server's choice. See
    /// [`Dialect::exclude_publisher`](crate::Dialect::exclude_publisher).
    #[default]
    Default,
    /// Whether the publisher is left out.
    Me(bool),
    /// The session ids of those left out. The publisher is among them only if its own id is.
    Sessions(Vec<Cow<'a, str>>),
}

const FLAG_OR_LIST: &str = "a boolean or a list of session ids";
const LIST: &str = "a list of session ids";

impl<'a> ClientMessage<'a> {
    /// Parses a message.
    ///
    /// Strictly: the number of elements and the type of each must be right, and strings must be Unicode. One thing is
    /// tolerated, because a client in use sends it: a PUBLISH with null for its fourth element means what it means
    /// without.
    ///
    /// # Errors
    ///
    /// A [`MessageError`] that says what is wrong with which element. It has the
    /// [`call_id`](MessageError::call_id) of a call that can be answered nevertheless.
    pub fn parse(text: &'a str, limits: &MessageLimits) -> Result<Self, MessageError> {
        Self::parse_in(text, limits, &Dialect::autobahn())
    }

    /// Parses a message of a dialect: one with [`truthy_exclude`](Dialect::truthy_exclude) takes numbers and strings for
    /// flags.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    pub fn parse_in(text: &'a str, limits: &MessageLimits, dialect: &Dialect) -> Result<Self, MessageError> {
        let (elements, message_type) = Elements::parse(text, limits)?;
        let message = match message_type {
            MessageType::Prefix => prefix(&elements),
            MessageType::Call => call(&elements),
            MessageType::Subscribe => topic(&elements).map(|topic| Self::Subscribe { topic }),
            MessageType::Unsubscribe => topic(&elements).map(|topic| Self::Unsubscribe { topic }),
            MessageType::Publish => publish(&elements, dialect),
            MessageType::Welcome | MessageType::CallResult | MessageType::CallError | MessageType::Event => {
                Err(MessageError::at(0, ErrorKind::WrongDirection(message_type)))
            }
        };
        message.map_err(|error| elements.about_call(message_type, error))
    }

    /// Which message it is.
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::Prefix { .. } => MessageType::Prefix,
            Self::Call { .. } => MessageType::Call,
            Self::Subscribe { .. } => MessageType::Subscribe,
            Self::Unsubscribe { .. } => MessageType::Unsubscribe,
            Self::Publish { .. } => MessageType::Publish,
        }
    }

    /// The message's text.
    pub fn encode(&self) -> String {
        match self {
            Self::Prefix { prefix, uri } => encode::encode_prefix(prefix, uri),
            Self::Call { id, procedure, arguments } => encode::encode_call(id, procedure, arguments),
            Self::Subscribe { topic } => encode::encode_subscribe(topic),
            Self::Unsubscribe { topic } => encode::encode_unsubscribe(topic),
            Self::Publish { topic, event, exclude, eligible } => {
                encode::encode_publish(topic, event, exclude, eligible.as_deref())
            }
        }
    }
}

fn prefix<'a>(elements: &Elements<'a>) -> Result<ClientMessage<'a>, MessageError> {
    elements.expect_len(3, 3)?;
    Ok(ClientMessage::Prefix { prefix: elements.uri(1)?, uri: elements.uri(2)? })
}

fn call<'a>(elements: &Elements<'a>) -> Result<ClientMessage<'a>, MessageError> {
    elements.expect_len(3, usize::MAX)?;
    let (id, procedure) = (elements.call_id(1)?, elements.uri(2)?);
    Ok(ClientMessage::Call { id, procedure, arguments: Arguments::from_parts(elements.text, 3, elements.len - 3) })
}

fn topic<'a>(elements: &Elements<'a>) -> Result<Cow<'a, str>, MessageError> {
    elements.expect_len(2, 2)?;
    elements.uri(1)
}

fn publish<'a>(elements: &Elements<'a>, dialect: &Dialect) -> Result<ClientMessage<'a>, MessageError> {
    elements.expect_len(3, 5)?;
    let exclude = match elements.optional(3) {
        Some(raw) => match raw.get() {
            "null" => Exclude::Default,
            "true" => Exclude::Me(true),
            "false" => Exclude::Me(false),
            list if list.starts_with('[') => Exclude::Sessions(elements.sessions(3, FLAG_OR_LIST)?),
            other if dialect.truthy_exclude && !other.starts_with('{') => Exclude::Me(is_truthy(raw)),
            _ => return Err(wrong_type(3, FLAG_OR_LIST)),
        },
        None => Exclude::Default,
    };
    let eligible = elements.optional(4).map(|_| elements.sessions(4, LIST)).transpose()?;
    Ok(ClientMessage::Publish { topic: elements.uri(1)?, event: elements.raw(2)?, exclude, eligible })
}

/// Whether PHP takes a number or string for true.
fn is_truthy(raw: &RawValue) -> bool {
    match json::string(raw) {
        Some(text) => !matches!(&*text, "" | "0"),
        None => raw.get().parse() != Ok(0.0),
    }
}
