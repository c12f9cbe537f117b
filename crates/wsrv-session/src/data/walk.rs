//! Values written out as JSON. Nothing recurses, and what is shared counts each time.

use std::collections::HashSet;
use std::fmt::Write;

use super::{Entries, Key, Node, NodeId, Value, ValueError};

/// How much may still be made of a value.
pub(super) struct Budget {
    values: usize,
    bytes: usize,
}

impl Budget {
    pub(super) fn of(value: Value<'_>) -> Self {
        Budget { values: value.arena.max_nodes, bytes: value.arena.max_bytes }
    }

    /// Takes off one value, and the text in it.
    pub(super) fn take_value(&mut self, value: Value<'_>) -> Result<(), ValueError> {
        self.values = self.values.checked_sub(1).ok_or(ValueError::Limit)?;
        self.take_bytes(match value.node() {
            Node::String(text) | Node::Enum { case: text, .. } | Node::Custom { payload: text, .. } => text.len(),
            _ => 0,
        })
    }

    pub(super) fn take_key(&mut self, key: Key<'_>) -> Result<(), ValueError> {
        self.take_bytes(if let Key::Text(text) = key { text.as_bytes().len() } else { 0 })
    }

    fn take_bytes(&mut self, bytes: usize) -> Result<(), ValueError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(ValueError::Limit)?;
        Ok(())
    }
}

/// The value as JSON.
pub(super) fn json(value: Value<'_>) -> Result<String, ValueError> {
    struct Level<'a> {
        container: Value<'a>,
        entries: Entries<'a>,
        is_first: bool,
    }
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut path: HashSet<NodeId> = HashSet::new();
    let mut next = Some(value);
    let mut budget = Budget::of(value);
    let mut json = Json(String::new());
    loop {
        if let Some(value) = next.take() {
            budget.take_value(value)?;
            if value.span().is_none() {
                json.scalar(value);
            } else if path.insert(value.node) {
                json.0.push(if value.is_list() { '[' } else { '{' });
                levels.push(Level { container: value, entries: value.entries(), is_first: true });
            } else {
                return Err(ValueError::Recursion);
            }
        }
        let Some(level) = levels.last_mut() else { return Ok(json.0) };
        let Some((key, value)) = level.entries.next() else {
            json.0.push(if level.container.is_list() { ']' } else { '}' });
            path.remove(&level.container.node);
            levels.pop();
            continue;
        };
        if !std::mem::take(&mut level.is_first) {
            json.0.push(',');
        }
        if !level.container.is_list() {
            budget.take_key(key)?;
            key.with_bytes(|text| json.string(text));
            json.0.push(':');
        }
        next = Some(value);
    }
}

struct Json(String);

impl Json {
    fn string(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        self.0.push('"');
        for char in text.chars() {
            match char {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                control @ '\0'..' ' => drop(write!(self.0, "\\u{:04x}", control as u32)),
                char => self.0.push(char),
            }
        }
        self.0.push('"');
    }

    fn scalar(&mut self, value: Value<'_>) {
        // Writing to a `String` does not fail.
        let _ = match value.node() {
            Node::Bool(value) => write!(self.0, "{value}"),
            Node::Int(value) => write!(self.0, "{value}"),
            Node::Unsigned(value) => write!(self.0, "{value}"),
            // So that it stays a number with a fraction.
            Node::Float(value) if value.is_finite() => write!(self.0, "{value:?}"),
            Node::String(text) | Node::Enum { case: text, .. } | Node::Custom { payload: text, .. } => {
                self.string(value.arena.text(text));
                Ok(())
            }
            _ => self.0.write_str("null"),
        };
    }
}
