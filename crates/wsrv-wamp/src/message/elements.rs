//! The array that every message is: its first elements, and how many there are.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{ErrorKind, MessageError, MessageType};
use crate::MessageLimits;
use crate::json;

/// No message but a CALL has more elements.
const KEPT: usize = 5;

/// A message taken apart, but not understood yet.
pub(super) struct Elements<'a> {
    pub(super) text: &'a str,
    pub(super) len: usize,
    first: [Option<&'a RawValue>; KEPT],
    limits: MessageLimits,
}

impl<'a> Elements<'a> {
    /// Takes a text apart and finds out which message it is.
    pub(super) fn parse(text: &'a str, limits: &MessageLimits) -> Result<(Self, MessageType), MessageError> {
        let (mut first, mut len) = ([None; KEPT], 0);
        let parsed = json::visit_array(text, |index, raw| {
            if let Some(place) = first.get_mut(index) {
                *place = Some(raw);
            }
            len = index + 1;
        });
        if parsed.is_err() {
            let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
            return Err(MessageError::new(if is_json { ErrorKind::NotAnArray } else { ErrorKind::NotJson }));
        }
        let elements = Self { text, len, first, limits: *limits };
        let message_type = elements.message_type()?;
        if let Some(element) = json::too_deep(text, limits.max_depth) {
            let error = MessageError::at(element, ErrorKind::TooDeep { max: limits.max_depth });
            return Err(elements.about_call(message_type, error));
        }
        Ok((elements, message_type))
    }

    fn message_type(&self) -> Result<MessageType, MessageError> {
        let Some(id) = self.first[0] else { return Err(MessageError::new(ErrorKind::Empty)) };
        let digits = id.get().strip_prefix('-').unwrap_or(id.get());
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong_type(0, "an integer"));
        }
        id.get().parse().ok().and_then(MessageType::from_id).ok_or(MessageError::at(0, ErrorKind::UnknownType))
    }

    /// The error, with the id of the call if the message was meant to be one.
    pub(super) fn about_call(&self, message_type: MessageType, error: MessageError) -> MessageError {
        match message_type {
            MessageType::Call => error.of_call(self.call_id(1).ok().as_deref()),
            _ => error,
        }
    }

    /// Checks how many elements there are.
    pub(super) fn expect_len(&self, min: usize, max: usize) -> Result<(), MessageError> {
        match self.len {
            len if len < min => Err(MessageError::new(ErrorKind::TooFew { min })),
            len if len > max => Err(MessageError::new(ErrorKind::TooMany { max })),
            _ => Ok(()),
        }
    }

    /// An element that [`expect_len`](Self::expect_len) has not ruled out. One that is not there after all is an error,
    /// too.
    pub(super) fn raw(&self, element: usize) -> Result<&'a RawValue, MessageError> {
        self.optional(element).ok_or(MessageError::new(ErrorKind::TooFew { min: element + 1 }))
    }

    /// An element that need not be there.
    pub(super) fn optional(&self, element: usize) -> Option<&'a RawValue> {
        self.first.get(element).copied().flatten()
    }

    pub(super) fn string(&self, element: usize) -> Result<Cow<'a, str>, MessageError> {
        json::string(self.raw(element)?).ok_or(wrong_type(element, "a string"))
    }

    pub(super) fn uri(&self, element: usize) -> Result<Cow<'a, str>, MessageError> {
        let max = self.limits.max_uri;
        let uri = self.string(element)?;
        if uri.len() > max { Err(MessageError::at(element, ErrorKind::UriTooLong { max })) } else { Ok(uri) }
    }

    pub(super) fn call_id(&self, element: usize) -> Result<Cow<'a, str>, MessageError> {
        let max = self.limits.max_call_id;
        let id = self.string(element)?;
        if id.len() > max { Err(MessageError::at(element, ErrorKind::CallIdTooLong { max })) } else { Ok(id) }
    }

    /// A list of session ids.
    pub(super) fn sessions(&self, element: usize, expected: &'static str) -> Result<Vec<Cow<'a, str>>, MessageError> {
        let (max, mut ids, mut good, mut fits) = (self.limits.max_list, Vec::new(), true, true);
        let is_array = json::visit_array(self.raw(element)?.get(), |index, raw| {
            fits &= index < max;
            if fits && good {
                match json::string(raw) {
                    Some(id) => ids.push(id),
                    None => good = false,
                }
            }
        });
        match () {
            () if is_array.is_err() || !good => Err(wrong_type(element, expected)),
            () if !fits => Err(MessageError::at(element, ErrorKind::ListTooLong { max })),
            () => Ok(ids),
        }
    }
}

pub(super) const fn wrong_type(element: usize, expected: &'static str) -> MessageError {
    MessageError::at(element, ErrorKind::WrongType { expected })
}
