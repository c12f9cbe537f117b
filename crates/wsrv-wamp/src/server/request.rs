//! What a client asks for, as handlers get it: owned, with all prefixes replaced.

use crate::{Arguments, ArgumentsError, Exclude, RawValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt;
use wsrv_rfc6455::Text;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// To call a procedure. It is to be answered once, by [`call_result`](crate::WampConnection::call_result) or
    /// [`call_error`](crate::WampConnection::call_error).
    Call(Call),
    /// To get the events of a topic from now on.
    Subscribe {
        /// The topic's URI.
        topic: String,
    },
    /// To get them no more.
    Unsubscribe {
        /// The topic's URI.
        topic: String,
    },
    /// To send an event to a topic's subscribers.
    Publish(Publication),
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// By which the client knows the answer. Chosen by the client; whatever it is, it comes back unchanged.
    pub id: String,
    /// The procedure's URI.
    pub procedure: String,
    /// The positional arguments.
    pub arguments: CallArguments,
}

/// The arguments of a call, as they came: JSON that is known to be well-formed, and is read when it is asked for.
#[derive(Clone)]
pub struct CallArguments {
    text: Text,
    skip: usize,
    len: usize,
}

impl CallArguments {
    /// Arguments of one's own: a tuple, an array or a vector, each element of which is one.
    ///
    /// # Errors
    ///
    /// They cannot be written as JSON, or not as a list.
    pub fn new(arguments: &impl Serialize) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string(arguments)?;
        let len = Arguments::new(&text, 0)?.len();
        Ok(CallArguments { text: text.into(), skip: 0, len })
    }

    /// What was found in this message.
    pub(crate) fn found_in(message: &Text, arguments: &Arguments<'_>) -> Self {
        CallArguments { text: message.clone(), skip: arguments.skip(), len: arguments.len() }
    }

    /// The elements of a list that is the only argument; else the arguments as they are.
    pub(crate) fn unwrapped_in(message: &Text, arguments: &Arguments<'_>) -> Self {
        match arguments.unwrapped() {
            Some(list) => CallArguments { text: list.text().into(), skip: list.skip(), len: list.len() },
            None => Self::found_in(message, arguments),
        }
    }

    /// The bytes of the message that they keep in memory.
    pub(crate) fn held(&self) -> usize {
        self.text.len()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them as a tuple, an array, a vector or a struct by position.
    ///
    /// # Errors
    ///
    /// There are more or fewer, or one is of another type.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ArgumentsError> {
        self.borrowed().deserialize()
    }

    /// Each of them as the client has written it.
    pub fn to_raw(&self) -> Vec<Box<RawValue>> {
        self.borrowed().iter().map(ToOwned::to_owned).collect()
    }

    fn borrowed(&self) -> Arguments<'_> {
        Arguments::from_parts(self.text.as_str(), self.skip, self.len)
    }
}

/// They are equal if they are written alike.
impl PartialEq for CallArguments {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self.borrowed().iter().map(RawValue::get).eq(other.borrowed().iter().map(RawValue::get))
    }
}

impl fmt::Debug for CallArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What they hold is the callers' own, and may be a password.
        f.debug_struct("CallArguments").field("len", &self.len).finish_non_exhaustive()
    }
}

/// An event on its way from a client to a topic. Its topic is where it was published; to change that here changes
/// nothing.
#[derive(Clone)]
#[non_exhaustive]
pub struct Publication {
    /// The topic's URI.
    pub topic: String,
    /// What is published: JSON as the client has written it, with the digits of its numbers and the order of its keys.
    pub event: Box<RawValue>,
    /// Who does not get it. [`Exclude::Default`]: as the [dialect](crate::Dialect) says.
    pub exclude: Exclude<'static>,
    /// The sessions of the only ones who may get it. `None`: everybody.
    pub eligible: Option<Vec<Cow<'static, str>>>,
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The event is the users' own.
        f.debug_struct("Publication")
            .field("topic", &self.topic)
            .field("len", &self.event.get().len())
            .finish_non_exhaustive()
    }
}

/// Events are equal if they are written alike.
impl PartialEq for Publication {
    fn eq(&self, other: &Self) -> bool {
        let Publication { topic, event, exclude, eligible } = self;
        (topic, event.get(), exclude, eligible) == (&other.topic, other.event.get(), &other.exclude, &other.eligible)
    }
}

pub(crate) fn owned_exclude(exclude: Exclude<'_>) -> Exclude<'static> {
    match exclude {
        Exclude::Default => Exclude::Default,
        Exclude::Me(me) => Exclude::Me(me),
        Exclude::Sessions(ids) => Exclude::Sessions(owned(ids)),
    }
}

pub(crate) fn owned(ids: Vec<Cow<'_, str>>) -> Vec<Cow<'static, str>> {
    ids.into_iter().map(|id| Cow::Owned(id.into_owned())).collect()
}
