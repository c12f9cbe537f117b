//! A client's session: texts in, events out, and texts to be sent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::message::{
    EncodeError, encode_prefix, encode_subscribe, encode_unsubscribe, serialize_call, serialize_publish,
};
use crate::{CurieJoin, Exclude, MessageError, MessageLimits, MessageType, PrefixError, Prefixes, ServerMessage, uris};

/// What one client knows of its connection: whether it was welcomed, its prefixes, and the calls that wait for an
/// answer.
///
/// It sends nothing itself. The methods that make a message give its text, which goes out as one WebSocket text
/// message, in the order of the calls; what arrives is handed to [`receive`](Self::receive). When the connection ends,
/// [`fail_all`](Self::fail_all) tells which calls will never be answered.
///
/// ```
/// use wsrv_wamp::{ClientEvent, ClientSession};
///
/// let mut session = ClientSession::default();
/// assert!(matches!(session.receive(r#"[0,"v59mbCGDXZ7WTyxB",1,"wsrv"]"#)?, Some(ClientEvent::Welcome { .. })));
///
/// let (sum, text) = session.call("http://example.com/calc#add", &(3, 4))?;
/// assert_eq!(text, r#"[2,"1","http://example.com/calc#add",3,4]"#);
/// let Some(ClientEvent::CallResult { call, result }) = session.receive(r#"[3,"1",7]"#)? else { unreachable!() };
/// assert_eq!((call, result.get()), (sum, "7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ClientSession {
    limits: MessageLimits,
    shrink: bool,
    session_id: Option<Box<str>>,
    prefixes: Prefixes,
    calls: BTreeMap<CallId, Box<str>>,
    last_call: u64,
}

/// A call of one session. Those of another session may have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(u64);

/// Something that a server has told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientEvent<'a> {
    /// The session begins. Always the first event, and there is one of it.
    Welcome {
        /// The session's id.
        session_id: Cow<'a, str>,
        /// What the server calls itself.
        server: Cow<'a, str>,
    },
    /// A call has succeeded.
    CallResult {
        /// Which call.
        call: CallId,
        /// Its result, as it is written.
        result: &'a RawValue,
    },
    /// A call has failed.
    CallError {
        /// Which call.
        call: CallId,
        /// The kind of error. A CURIE of this session's prefixes is resolved.
        uri: Cow<'a, str>,
        /// What happened, for developers.
        description: Cow<'a, str>,
        /// What the application on the other side wants to add.
        details: Option<&'a RawValue>,
    },
    /// Something was published on a topic.
    Event {
        /// The topic's full URI, even if the subscription named a CURIE.
        topic: Cow<'a, str>,
        /// The event, as it is written.
        event: &'a RawValue,
    },
}

/// What a server must not send. The session is as it was before, so whoever wants to can go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It is no message, or not one of a server. Ratchet is known to send PREFIX messages, which are
    /// [`WrongDirection`](crate::ErrorKind::WrongDirection).
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The first message is no WELCOME.
    #[error("{0} before WELCOME")]
    NotWelcomed(MessageType),
    /// There was a WELCOME before.
    #[error("a second WELCOME")]
    SecondWelcome,
    /// The server speaks another version of the protocol than 1.
    #[error("version {0} of the protocol")]
    UnsupportedVersion(u64),
}

impl ClientSession {
    /// A session of a connection that has just been opened, with default limits, and
    /// [`CurieJoin::Concatenate`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what one message of the server may contain.
    pub fn with_limits(mut self, limits: MessageLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how the server joins prefixes and what follows them.
    pub fn with_join(mut self, join: CurieJoin) -> Self {
        self.prefixes = self.prefixes.with_join(join);
        self
    }

    /// Sets whether URIs are sent as CURIEs where a prefix fits. False by default: they are sent as they are given.
    pub fn with_shrink(mut self, shrink: bool) -> Self {
        self.shrink = shrink;
        self
    }

    /// The session's id, once the server has welcomed it.
    pub fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// The prefixes that this session has declared.
    pub const fn prefixes(&self) -> &Prefixes {
        &self.prefixes
    }

    /// Takes a message of the server.
    ///
    /// `None` for the answer to a call that is not, or no longer, waited for.
    ///
    /// # Errors
    ///
    /// A [`ClientError`] if the server must not send this. The usual thing to do is to close the connection, with close
    /// code 1002.
    pub fn receive<'a>(&mut self, text: &'a str) -> Result<Option<ClientEvent<'a>>, ClientError> {
        let message = ServerMessage::parse(text, &self.limits)?;
        if self.session_id.is_none() && message.message_type() != MessageType::Welcome {
            return Err(ClientError::NotWelcomed(message.message_type()));
        }
        match message {
            ServerMessage::Welcome { .. } if self.session_id.is_some() => Err(ClientError::SecondWelcome),
            ServerMessage::Welcome { version, .. } if version != uris::PROTOCOL_VERSION => {
                Err(ClientError::UnsupportedVersion(version))
            }
            ServerMessage::Welcome { session_id, server, .. } => {
                self.session_id = Some((*session_id).into());
                Ok(Some(ClientEvent::Welcome { session_id, server }))
            }
            ServerMessage::CallResult { id, result } => {
                Ok(self.answered(&id).map(|call| ClientEvent::CallResult { call, result }))
            }
            ServerMessage::CallError { id, uri, description, details } => Ok(self.answered(&id).map(|call| {
                let resolved = match self.prefixes.resolve(&uri) {
                    Cow::Owned(full) => Some(full),
                    Cow::Borrowed(_) => None,
                };
                let uri = resolved.map_or(uri, Cow::Owned);
                ClientEvent::CallError { call, uri, description, details }
            })),
            ServerMessage::Event { topic, event } => Ok(Some(ClientEvent::Event { topic, event })),
        }
    }

    fn answered(&mut self, id: &str) -> Option<CallId> {
        let call = id.parse().map(CallId).ok().filter(|call| call.to_string() == id)?;
        self.calls.remove(&call).map(|_| call)
    }

    /// A call, and its text. The arguments are those of [`serialize_call`]: a tuple, a list, or `()`.
    ///
    /// It counts as outstanding until it is answered, or [`forget`](Self::forget) is called.
    ///
    /// # Errors
    ///
    /// An [`EncodeError`] if the arguments cannot be sent. Then nothing is outstanding.
    pub fn call<T: Serialize + ?Sized>(
        &mut self,
        procedure: &str,
        arguments: &T,
    ) -> Result<(CallId, String), EncodeError> {
        let call = CallId(self.last_call + 1);
        let text = serialize_call(&call.to_string(), &self.shortened(procedure), arguments)?;
        self.last_call += 1;
        self.calls.insert(call, procedure.into());
        Ok((call, text))
    }

    /// Waits for an answer no longer: one that comes nevertheless is no event. The server is told nothing, for there is
    /// no message for that. False if the call was not outstanding.
    pub fn forget(&mut self, call: CallId) -> bool {
        self.calls.remove(&call).is_some()
    }

    /// The calls that wait for an answer, oldest first, with their procedures as they were given.
    pub fn outstanding(&self) -> impl ExactSizeIterator<Item = (CallId, &str)> {
        self.calls.iter().map(|(call, procedure)| (*call, &**procedure))
    }

    /// The connection has ended: the calls that will never be answered, oldest first. None is outstanding any more.
    pub fn fail_all(&mut self) -> Vec<(CallId, Box<str>)> {
        std::mem::take(&mut self.calls).into_iter().collect()
    }

    /// Declares a prefix from here on. It has no answer.
    ///
    /// # Errors
    ///
    /// A [`PrefixError`] if this crate's server would not take it.
    pub fn prefix(&mut self, prefix: &str, uri: &str) -> Result<String, PrefixError> {
        self.prefixes.set(prefix, uri)?;
        Ok(encode_prefix(prefix, uri))
    }

    /// Subscribes to a topic, by URI or CURIE. It has no answer; that of a later call shows that it was done.
    pub fn subscribe(&self, topic: &str) -> String {
        encode_subscribe(&self.shortened(topic))
    }

    /// Ends the subscription to a topic. It has no answer, and events that are under way arrive still.
    pub fn unsubscribe(&self, topic: &str) -> String {
        encode_unsubscribe(&self.shortened(topic))
    }

    /// Publishes an event, and leaves it to the server whether this session receives it, too.
    ///
    /// # Errors
    ///
    /// The event cannot be written as JSON.
    pub fn publish<T: Serialize + ?Sized>(&self, topic: &str, event: &T) -> serde_json::Result<String> {
        self.publish_to(topic, event, &Exclude::Default, None)
    }

    /// Publishes an event to those who are eligible and not excluded.
    ///
    /// With eligible sessions, the excluded ones are always sent as a list, which all servers understand:
    /// [`Exclude::Default`] and `Me(true)` become the session's own id, `Me(false)` an empty list.
    ///
    /// # Errors
    ///
    /// The event cannot be written as JSON.
    pub fn publish_to<T: Serialize + ?Sized>(
        &self,
        topic: &str,
        event: &T,
        exclude: &Exclude<'_>,
        eligible: Option<&[Cow<'_, str>]>,
    ) -> serde_json::Result<String> {
        let listed = match (exclude, eligible) {
            (Exclude::Me(false), Some(_)) => Some(Vec::new()),
            (Exclude::Default | Exclude::Me(true), Some(_)) => self.session_id().map(|me| vec![Cow::Borrowed(me)]),
            _ => None,
        };
        let listed = listed.map(Exclude::Sessions);
        serialize_publish(&self.shortened(topic), event, listed.as_ref().unwrap_or(exclude), eligible)
    }

    fn shortened<'a>(&self, uri: &'a str) -> Cow<'a, str> {
        if self.shrink { self.prefixes.shrink(uri) } else { Cow::Borrowed(uri) }
    }
}

/// As it is written in messages.
impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const WELCOME: &str = r#"[0,"me",1,"test"]"#;

    fn welcomed() -> ClientSession {
        let mut session = ClientSession::new();
        assert!(matches!(session.receive(WELCOME), Ok(Some(ClientEvent::Welcome { .. }))));
        session
    }

    #[test]
    fn a_session_is_welcomed_first_and_once() {
        let mut session = ClientSession::new();
        let error = session.receive(r#"[8,"t",1]"#).unwrap_err();
        assert_eq!(error, ClientError::NotWelcomed(MessageType::Event));
        let error = session.receive(r#"[0,"me",2,"test"]"#).unwrap_err();
        assert_eq!(error, ClientError::UnsupportedVersion(2));
        assert_eq!(session.session_id(), None);
        let Ok(Some(ClientEvent::Welcome { session_id, server })) = session.receive(WELCOME) else { panic!() };
        assert_eq!((&*session_id, &*server), ("me", "test"));
        assert_eq!(session.session_id(), Some("me"));
        assert_eq!(session.receive(r#"[0,"other",1,"x"]"#).unwrap_err(), ClientError::SecondWelcome);
        assert_eq!(session.session_id(), Some("me"));
    }

    #[test]
    fn answers_find_their_calls_in_any_order_and_once() {
        let mut session = welcomed();
        let (first, text) = session.call("http://a/#f", &("x", [1, 2])).unwrap();
        assert_eq!(text, r#"[2,"1","http://a/#f","x",[1,2]]"#);
        let (second, text) = session.call("http://a/#g", &()).unwrap();
        assert_eq!(text, r#"[2,"2","http://a/#g"]"#);
        let (third, _) = session.call("http://a/#h", &[0_u8; 0]).unwrap();

        let Ok(Some(ClientEvent::CallResult { call, result })) = session.receive(r#"[3,"2",{"b":1.0, "a":2}]"#) else {
            panic!();
        };
        assert_eq!((call, result.get()), (second, r#"{"b":1.0, "a":2}"#));
        assert!(session.receive(r#"[3,"2",0]"#).unwrap().is_none());

        let text = r#"[4,"1","http://a/#error","bad",[7]]"#;
        let Ok(Some(ClientEvent::CallError { call, uri, description, details })) = session.receive(text) else {
            panic!();
        };
        assert_eq!((call, &*uri, &*description), (first, "http://a/#error", "bad"));
        assert_eq!(details.unwrap().get(), "[7]");

        assert_eq!(session.outstanding().collect::<Vec<_>>(), [(third, "http://a/#h")]);
        assert!(session.forget(third) && !session.forget(third));
        assert!(session.receive(r#"[3,"3",0]"#).unwrap().is_none());
    }

    #[test]
    fn answers_to_unknown_calls_are_no_events() {
        let mut session = welcomed();
        let (call, _) = session.call("p", &()).unwrap();
        for id in ["", "0", "2", "01", "+1", " 1", "x", "99999999999999999999999999"] {
            assert!(session.receive(&format!(r#"[3,"{id}",0]"#)).unwrap().is_none(), "{id}");
        }
        assert_eq!(session.outstanding().len(), 1);
        assert_eq!(session.fail_all(), [(call, "p".into())]);
        assert_eq!(session.fail_all(), []);
    }

    #[test]
    fn a_call_that_cannot_be_written_is_not_outstanding() {
        let mut session = welcomed();
        assert!(matches!(session.call("p", &7), Err(EncodeError::NotAList)));
        assert!(matches!(session.call("p", &BTreeMap::from([("a", 1)])), Err(EncodeError::NotAList)));
        assert!(matches!(session.call("p", &[BTreeMap::from([((1, 2), 3)])]), Err(EncodeError::Serialize(_))));
        assert_eq!(session.outstanding().len(), 0);
        assert_eq!(session.call("p", &()).unwrap().1, r#"[2,"1","p"]"#);
    }

    #[test]
    fn error_uris_are_resolved_by_the_own_prefixes() {
        let mut session = welcomed();
        assert_eq!(session.prefix("err", uris::ERROR).unwrap(), r#"[1,"err","http://api.wamp.ws/error#"]"#);
        assert_eq!(session.prefix("http", "x"), Err(PrefixError::Scheme));
        session.call("p", &()).unwrap();
        let Ok(Some(ClientEvent::CallError { uri, .. })) = session.receive(r#"[4,"1","err:generic",""]"#) else {
            panic!();
        };
        assert_eq!(uri, uris::GENERIC);
    }

    #[test]
    fn uris_are_shortened_only_if_that_is_wanted() {
        let mut session = welcomed();
        session.prefix("a", "http://a/#").unwrap();
        assert_eq!(session.subscribe("http://a/#t"), r#"[5,"http://a/#t"]"#);
        let mut session = session.with_shrink(true);
        assert_eq!(session.subscribe("http://a/#t"), r#"[5,"a:t"]"#);
        assert_eq!(session.unsubscribe("http://a/#t"), r#"[6,"a:t"]"#);
        assert_eq!(session.publish("http://a/#t", "x").unwrap(), r#"[7,"a:t","x"]"#);
        assert_eq!(session.call("http://a/#f", &(1,)).unwrap().1, r#"[2,"1","a:f",1]"#);
        assert_eq!(session.outstanding().next().unwrap().1, "http://a/#f");
        assert_eq!(session.subscribe("http://b/#t"), r#"[5,"http://b/#t"]"#);
    }

    #[test]
    fn with_eligible_sessions_the_excluded_ones_are_a_list() {
        let session = welcomed();
        let you: &[_] = &[Cow::Borrowed("you")];
        let list = Exclude::Sessions(vec!["x".into()]);
        for (exclude, eligible, expected) in [
            (&Exclude::Default, None, r#"[7,"t",1]"#),
            (&Exclude::Me(true), None, r#"[7,"t",1,true]"#),
            (&Exclude::Me(false), None, r#"[7,"t",1,false]"#),
            (&list, None, r#"[7,"t",1,["x"]]"#),
            (&Exclude::Default, Some(you), r#"[7,"t",1,["me"],["you"]]"#),
            (&Exclude::Me(true), Some(you), r#"[7,"t",1,["me"],["you"]]"#),
            (&Exclude::Me(false), Some(you), r#"[7,"t",1,[],["you"]]"#),
            (&list, Some(&[]), r#"[7,"t",1,["x"],[]]"#),
        ] {
            assert_eq!(session.publish_to("t", &1, exclude, eligible).unwrap(), expected);
        }
    }

    #[test]
    fn what_only_clients_send_is_an_error() {
        let error = welcomed().receive(r#"[1,"a","b"]"#).unwrap_err();
        let ClientError::Message(error) = error else { panic!("{error}") };
        assert_eq!(error.kind, ErrorKind::WrongDirection(MessageType::Prefix));
    }
}
