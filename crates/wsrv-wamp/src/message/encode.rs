//! Messages as text.
//!
//! What is JSON already is copied as it is. So a server writes an event once, whatever the number of those who receive
//! it.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::{Arguments, Exclude, MessageType};
use crate::json::{push_string, push_value};
use crate::uris;

/// Why a value cannot be part of a message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The value cannot be written as JSON.
    #[error("the value cannot be written as JSON")]
    Serialize(#[from] serde_json::Error),
    /// Arguments of a call have to be a tuple, a list, or `()` for none.
    #[error("the arguments are no list")]
    NotAList,
}

/// A WELCOME of version 1, `[0,session_id,1,server]`.
pub fn encode_welcome(session_id: &str, server: &str) -> String {
    welcome(session_id, uris::PROTOCOL_VERSION, server)
}

pub(super) fn welcome(session_id: &str, version: u64, server: &str) -> String {
    let mut out = begin(MessageType::Welcome, &[session_id]);
    write!(out, ",{version},").expect("a String takes all");
    push_string(&mut out, server);
    end(out)
}

/// A PREFIX, `[1,prefix,uri]`.
pub fn encode_prefix(prefix: &str, uri: &str) -> String {
    end(begin(MessageType::Prefix, &[prefix, uri]))
}

/// A CALL, `[2,id,procedure,…]`.
pub fn encode_call(id: &str, procedure: &str, arguments: &Arguments<'_>) -> String {
    let mut out = begin(MessageType::Call, &[id, procedure]);
    for argument in arguments.iter() {
        push_raw(&mut out, argument);
    }
    end(out)
}

/// A CALL whose arguments are the elements of a tuple or list. `()` is none; one argument is a tuple of one, `(7,)`.
///
/// # Errors
///
/// [`EncodeError::Serialize`] if the value cannot be written, [`EncodeError::NotAList`] if it is something else.
pub fn serialize_call<T: Serialize + ?Sized>(id: &str, procedure: &str, arguments: &T) -> Result<String, EncodeError> {
    let mut out = begin(MessageType::Call, &[id, procedure]);
    let list = serde_json::to_string(arguments)?;
    let inner = match &*list {
        "null" => "",
        list => list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).ok_or(EncodeError::NotAList)?,
    };
    if !inner.is_empty() {
        out.push(',');
        out.push_str(inner);
    }
    Ok(end(out))
}

/// A CALLRESULT, `[3,id,result]`.
pub fn encode_call_result(id: &str, result: &RawValue) -> String {
    with_raw(MessageType::CallResult, id, result)
}

/// A CALLRESULT whose result is not JSON yet.
///
/// # Errors
///
/// The value cannot be written as JSON. Then the caller still waits for an answer, a CALLERROR.
pub fn serialize_call_result<T: Serialize + ?Sized>(id: &str, result: &T) -> serde_json::Result<String> {
    with_value(begin(MessageType::CallResult, &[id]), result)
}

/// A CALLERROR, `[4,id,uri,description]` or `[4,id,uri,description,details]`. Details of null are left out.
pub fn encode_call_error(id: &str, uri: &str, description: &str, details: Option<&RawValue>) -> String {
    let mut out = begin(MessageType::CallError, &[id, uri, description]);
    if let Some(details) = details.filter(|details| details.get() != "null") {
        push_raw(&mut out, details);
    }
    end(out)
}

/// A CALLERROR with details that are not JSON yet.
///
/// # Errors
///
/// The details cannot be written as JSON. Then the caller still waits for an answer, a CALLERROR without them.
pub fn serialize_call_error<T: Serialize + ?Sized>(
    id: &str,
    uri: &str,
    description: &str,
    details: &T,
) -> serde_json::Result<String> {
    let details = serde_json::value::to_raw_value(details)?;
    Ok(encode_call_error(id, uri, description, Some(&details)))
}

/// A SUBSCRIBE, `[5,topic]`.
pub fn encode_subscribe(topic: &str) -> String {
    end(begin(MessageType::Subscribe, &[topic]))
}

/// An UNSUBSCRIBE, `[6,topic]`.
pub fn encode_unsubscribe(topic: &str) -> String {
    end(begin(MessageType::Unsubscribe, &[topic]))
}

/// A PUBLISH, as short as it can be: `[7,topic,event]` up to `[7,topic,event,exclude,eligible]`.
///
/// Eligible sessions without a word on the excluded ones are sent with null for those. This crate takes that, and
/// Autobahn and Ratchet do; a list is understood by all.
pub fn encode_publish(
    topic: &str,
    event: &RawValue,
    exclude: &Exclude<'_>,
    eligible: Option<&[Cow<'_, str>]>,
) -> String {
    let mut out = begin(MessageType::Publish, &[topic]);
    push_raw(&mut out, event);
    end_publish(out, exclude, eligible)
}

/// A PUBLISH of an event that is not JSON yet.
///
/// # Errors
///
/// The event cannot be written as JSON.
pub fn serialize_publish<T: Serialize + ?Sized>(
    topic: &str,
    event: &T,
    exclude: &Exclude<'_>,
    eligible: Option<&[Cow<'_, str>]>,
) -> serde_json::Result<String> {
    let mut out = begin(MessageType::Publish, &[topic]);
    out.push(',');
    push_value(&mut out, event)?;
    Ok(end_publish(out, exclude, eligible))
}

fn end_publish(mut out: String, exclude: &Exclude<'_>, eligible: Option<&[Cow<'_, str>]>) -> String {
    match exclude {
        Exclude::Default if eligible.is_none() => {}
        Exclude::Default => out.push_str(",null"),
        Exclude::Me(true) => out.push_str(",true"),
        Exclude::Me(false) => out.push_str(",false"),
        Exclude::Sessions(ids) => push_list(&mut out, ids),
    }
    if let Some(ids) = eligible {
        push_list(&mut out, ids);
    }
    end(out)
}

/// An EVENT, `[8,topic,event]`. The topic has to be the full URI.
pub fn encode_event(topic: &str, event: &RawValue) -> String {
    with_raw(MessageType::Event, topic, event)
}

/// An EVENT that is not JSON yet.
///
/// # Errors
///
/// The event cannot be written as JSON.
pub fn serialize_event<T: Serialize + ?Sized>(topic: &str, event: &T) -> serde_json::Result<String> {
    with_value(begin(MessageType::Event, &[topic]), event)
}

fn with_raw(message_type: MessageType, name: &str, raw: &RawValue) -> String {
    let mut out = begin_for(message_type, &[name], raw.get().len());
    push_raw(&mut out, raw);
    end(out)
}

fn with_value<T: Serialize + ?Sized>(mut out: String, value: &T) -> serde_json::Result<String> {
    out.push(',');
    push_value(&mut out, value)?;
    Ok(end(out))
}

fn begin(message_type: MessageType, strings: &[&str]) -> String {
    begin_for(message_type, strings, 0)
}

/// The type and the strings behind it, with room for so much more.
fn begin_for(message_type: MessageType, strings: &[&str], more: usize) -> String {
    let room = strings.iter().map(|text| text.len() + 3).sum::<usize>() + more + 4;
    let mut out = String::with_capacity(room);
    out.push('[');
    out.push(char::from(b'0' + message_type.id()));
    for text in strings {
        out.push(',');
        push_string(&mut out, text);
    }
    out
}

fn push_raw(out: &mut String, raw: &RawValue) {
    out.push(',');
    out.push_str(raw.get());
}

fn push_list(out: &mut String, ids: &[Cow<'_, str>]) {
    out.push_str(",[");
    for (at, id) in ids.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_string(out, id);
    }
    out.push(']');
}

fn end(mut out: String) -> String {
    out.push(']');
    out
}
