//! The messages of WAMP version 1, of both sides, and CURIEs.

use std::borrow::Cow;

use serde_json::Value;
use wsrv_wamp::{
    Arguments, ClientMessage, ClientSession, CurieJoin, Dialect, ErrorKind, Exclude, MessageLimits, Prefixes,
    Recipients, ServerMessage,
};

/// A message is taken if and only if each rule holds by itself, as `serde_json` reads the array; what is taken can be
/// written, and then is what it was.
///
/// The input is lines. All of them have their turn with one set of prefixes for each way to join: a PREFIX declares,
/// and what other messages name is resolved.
pub fn wamp_message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut known = [CurieJoin::Concatenate, CurieJoin::Hash, CurieJoin::Tolerant]
        .map(|join| Prefixes::new().with_join(join).with_max_len(3).with_max_uri(20));
    let mut session = ClientSession::new();
    let _ = session.call("p", &());
    for line in text.split('\n') {
        let _ = session.receive(line);
        let _ = Arguments::new(line, 2).map(check_arguments);
        check_both(line, &MessageLimits::default());
        let small = MessageLimits::default().with_max_depth(3).with_max_uri(6).with_max_call_id(4).with_max_list(2);
        check_both(line, &small);
        if let Ok(message) = ClientMessage::parse(line, &MessageLimits::default()) {
            for prefixes in &mut known {
                check_client(&message, prefixes);
            }
        }
    }
    assert!(session.outstanding().len() <= 1);
}

/// Both directions against the rules, and what is written against what was read.
fn check_both(text: &str, limits: &MessageLimits) {
    let client = ClientMessage::parse(text, limits);
    let server = ServerMessage::parse(text, limits);
    // serde_json keeps no lone surrogates and no numbers beyond f64, and goes 127 deep: no telling without a value.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let list = value.as_array().filter(|list| !list.is_empty());
        for (error, expected) in [
            (client.as_ref().err(), list.is_some_and(|list| is_from_client(list, limits))),
            (server.as_ref().err(), list.is_some_and(|list| is_from_server(list, limits))),
        ] {
            let kind = error.map(|error| error.kind);
            assert_ne!(kind, Some(ErrorKind::NotJson), "{text}");
            // Of two members with one name, serde_json keeps one: the text may go deeper than its value.
            if kind == Some(ErrorKind::TooDeep { max: limits.max_depth }) {
                assert!(text.matches(['[', '{']).count() > limits.max_depth, "{text}");
            } else {
                assert_eq!(kind.is_none(), expected && is_shallow(&value, limits), "{text}");
            }
        }
    }
    let (written, again) = match (client, server) {
        (Ok(message), Err(_)) => {
            let written = message.encode();
            let again = ClientMessage::parse(&written, limits).map(|message| message.encode());
            (written, again)
        }
        (Err(_), Ok(message)) => {
            let written = message.encode();
            let again = ServerMessage::parse(&written, limits).map(|message| message.encode());
            (written, again)
        }
        (Ok(_), Ok(_)) => panic!("{text} comes from both sides"),
        (Err(client), Err(_)) => {
            assert!(client.call_id().is_none_or(|id| id.len() <= limits.max_call_id));
            return;
        }
    };
    assert_eq!(again.as_ref(), Ok(&written));
    if let (Ok(before), Ok(after)) = (serde_json::from_str::<Value>(text), serde_json::from_str::<Value>(&written)) {
        let (before, after) = (before.as_array().unwrap(), after.as_array().unwrap());
        let same = before.iter().zip(after).all(|(before, after)| before == after);
        let rest = before.iter().skip(after.len()).all(Value::is_null);
        assert!(same && rest, "{text} became {written}");
    }
}

/// Whether an array is a message of a client, but for its depth.
fn is_from_client(list: &[Value], limits: &MessageLimits) -> bool {
    let uri = |at: usize| list[at].as_str().is_some_and(|uri| uri.len() <= limits.max_uri);
    let ids = |at: usize| {
        list[at].as_array().is_some_and(|ids| ids.len() <= limits.max_list && ids.iter().all(Value::is_string))
    };
    match (list[0].as_u64(), list.len()) {
        (Some(1), 3) => uri(1) && uri(2),
        (Some(2), 3..) => list[1].as_str().is_some_and(|id| id.len() <= limits.max_call_id) && uri(2),
        (Some(5 | 6), 2) => uri(1),
        (Some(7), 3..=5) => {
            let exclude = list.len() < 4 || list[3].is_boolean() || list[3].is_null() || ids(3);
            uri(1) && exclude && (list.len() < 5 || ids(4))
        }
        _ => false,
    }
}

/// Whether an array is a message of a server, but for its depth.
fn is_from_server(list: &[Value], limits: &MessageLimits) -> bool {
    let uri = |at: usize| list[at].as_str().is_some_and(|uri| uri.len() <= limits.max_uri);
    let id = || list[1].as_str().is_some_and(|id| id.len() <= limits.max_call_id);
    match (list[0].as_u64(), list.len()) {
        (Some(0), 2..=4) => {
            list[1].is_string() && list.get(2).is_none_or(Value::is_u64) && list.get(3).is_none_or(Value::is_string)
        }
        (Some(3), 3) => id(),
        (Some(4), 4..=5) => id() && uri(2) && list[3].is_string(),
        (Some(8), 3) => uri(1),
        _ => false,
    }
}

fn is_shallow(value: &Value, limits: &MessageLimits) -> bool {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    depth(value) <= limits.max_depth
}

/// What a server does with a message, as far as it is decided here.
fn check_client(message: &ClientMessage<'_>, prefixes: &mut Prefixes) {
    let name = match message {
        ClientMessage::Prefix { prefix, uri } => {
            let before = prefixes.len();
            let set = prefixes.set(prefix, uri);
            assert!(prefixes.len() <= 3 && prefixes.len() >= before);
            assert!(set.is_err() || prefixes.iter().any(|known| known == (prefix, uri)));
            uri
        }
        ClientMessage::Call { procedure, arguments, .. } => {
            check_arguments(*arguments);
            if let Some(list) = arguments.unwrapped() {
                check_arguments(list);
            }
            procedure
        }
        ClientMessage::Subscribe { topic } | ClientMessage::Unsubscribe { topic } => topic,
        ClientMessage::Publish { topic, exclude, eligible, .. } => {
            for dialect in [Dialect::autobahn(), Dialect::ratchet()] {
                check_recipients(exclude, eligible.as_deref(), &dialect);
            }
            topic
        }
    };
    let resolved = prefixes.resolve(name);
    assert!(resolved.len() <= name.len() + 21);
    if let Some((front, reference)) = name.split_once(':') {
        let base = prefixes.iter().find(|(known, _)| *known == front).filter(|_| !reference.starts_with("//"));
        assert_eq!(base.is_some(), matches!(resolved, Cow::Owned(_)), "{name}");
        assert!(base.is_none_or(|(_, base)| resolved.starts_with(base) && resolved.ends_with(reference)));
    }
    if let Cow::Owned(short) = prefixes.shrink(&resolved) {
        assert_eq!(prefixes.resolve(&short), resolved);
    }
}

fn check_arguments(arguments: Arguments<'_>) {
    assert_eq!(arguments.iter().len(), arguments.len());
    assert!(arguments.get(arguments.len()).is_none());
    let _ = arguments.deserialize::<(i32, &str)>();
    let _ = arguments.deserialize::<()>();
    if let Ok(all) = arguments.deserialize::<Vec<Value>>() {
        assert_eq!(all.len(), arguments.len());
        for (at, value) in all.iter().enumerate() {
            assert_eq!(serde_json::from_str::<Value>(arguments.get(at).unwrap().get()).ok().as_ref(), Some(value));
        }
    }
}

fn check_recipients(exclude: &Exclude<'_>, eligible: Option<&[Cow<'_, str>]>, dialect: &Dialect) {
    let recipients = Recipients::new(exclude, eligible, Some("me"), dialect);
    let mut named: Vec<&str> = eligible.unwrap_or_default().iter().map(|id| &**id).chain(["me", "you"]).collect();
    if let Exclude::Sessions(ids) = exclude {
        named.extend(ids.iter().map(|id| &**id));
    }
    let is_out = |id: &str| match exclude {
        Exclude::Default => dialect.exclude_publisher && id == "me",
        Exclude::Me(me) => *me && id == "me",
        Exclude::Sessions(ids) => ids.iter().any(|out| out == id),
    };
    let eligible = eligible.filter(|ids| !ids.is_empty() || !dialect.empty_eligible_is_everybody);
    for id in named {
        let included = !is_out(id) && eligible.is_none_or(|ids| ids.iter().any(|listed| listed == id));
        assert_eq!(recipients.includes(id), included, "{id}");
        assert!(included || !recipients.is_everybody());
    }
}
