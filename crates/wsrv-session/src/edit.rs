//! Changes of single entries in a record's text. All other entries keep the bytes that they have.
//!
//! The text has been decoded before, so it is known to be sound; what is done here finds the places again, which the
//! table of values does not have.

use crate::{UpdateError, json, php};
use bytes::Bytes;
use std::ops::Range;

/// How entries are written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    /// A whole session in PHP's format `php`.
    PhpSession,
    /// A whole session in PHP's format `php_binary`.
    PhpBinarySession,
    /// An array of PHP.
    PhpArray,
    JsonObject,
}

/// An entry, by its places in the container's text.
pub(crate) struct Member {
    /// Without quotes and escapes; a number as its digits.
    pub(crate) name: Vec<u8>,
    /// The entry, with its key.
    pub(crate) all: Range<usize>,
    pub(crate) value: Range<usize>,
}

impl Container {
    fn members(self, text: &[u8]) -> Result<Vec<Member>, UpdateError> {
        match self {
            Container::PhpSession => php::edit::session_members(text),
            Container::PhpBinarySession => php::edit::binary_session_members(text),
            Container::PhpArray => php::edit::array_members(text),
            Container::JsonObject => json::edit::members(text),
        }
    }

    fn entry(self, name: &str, value: &[u8]) -> Result<Vec<u8>, UpdateError> {
        let key = match self {
            Container::PhpSession => php::edit::session_key(name)?,
            Container::PhpBinarySession => php::edit::binary_session_key(name)?,
            Container::PhpArray => php::edit::array_key(name),
            Container::JsonObject => json::edit::key(name),
        };
        Ok([&key, value].concat())
    }

    fn join(self, entries: &[&[u8]]) -> Vec<u8> {
        match self {
            Container::PhpSession | Container::PhpBinarySession => entries.concat(),
            Container::PhpArray => {
                [format!("a:{}:{{", entries.len()).as_bytes(), &entries.concat(), b"}".as_slice()].concat()
            }
            Container::JsonObject => [b"{".as_slice(), &entries.join(&b','), b"}"].concat(),
        }
    }

    /// Without entries.
    pub(crate) fn empty(self) -> Bytes {
        self.join(&[]).into()
    }

    /// What it holds other entries in.
    fn inner(self) -> Self {
        match self {
            Container::JsonObject => self,
            _ => Container::PhpArray,
        }
    }
}

/// Whether the entries can be found and changed one by one.
///
/// # Errors
///
/// There is something in the text that counts its values.
pub(crate) fn check(root: Container, text: &[u8]) -> Result<(), UpdateError> {
    root.members(text).map(drop)
}

/// The text with this value at this path, or without what is there. What is missing on the way to it is made. `None`:
/// there is nothing to be removed.
///
/// # Errors
///
/// The path leads through what is no container, or a key cannot be written.
pub(crate) fn change(
    root: Container,
    text: &[u8],
    path: &[&str],
    value: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, UpdateError> {
    let (mut container, mut place, mut path) = (root, 0..text.len(), path);
    let (members, name, rest) = loop {
        let (&name, rest) = path.split_first().ok_or(UpdateError::Key)?;
        let members = container.members(&text[place.clone()])?;
        // Of those with the same name, the last one's value counts.
        match members.iter().rfind(|member| member.name == name.as_bytes()) {
            None if value.is_none() => return Ok(None),
            Some(member) if !rest.is_empty() => {
                place = place.start + member.value.start..place.start + member.value.end;
                (container, path) = (container.inner(), rest);
            }
            _ => break (members, name, rest),
        }
    };
    let new = match value {
        Some(value) => {
            let inner = container.inner();
            let nest = |value: Vec<u8>, name: &&str| Ok::<_, UpdateError>(inner.join(&[&inner.entry(name, &value)?]));
            Some(container.entry(name, &rest.iter().rev().try_fold(value.to_vec(), nest)?)?)
        }
        None => None,
    };
    let inside = &text[place.clone()];
    let mut entries = Vec::with_capacity(members.len() + 1);
    let mut pending = new.as_deref();
    for member in &members {
        if member.name == name.as_bytes() {
            // In the place of the first of this name.
            entries.extend(pending.take());
        } else {
            entries.push(&inside[member.all.clone()]);
        }
    }
    entries.extend(pending);
    Ok(Some([&text[..place.start], &container.join(&entries), &text[place.end..]].concat()))
}
