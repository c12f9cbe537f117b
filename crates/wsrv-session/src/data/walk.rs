//! Values written out, as JSON or to look at. Nothing recurses, and what is shared counts each time.

use std::collections::HashSet;
use std::fmt::{self, Write};

use super::{Entries, Key, Node, NodeId, Text, Value, ValueError};

/// Values shown of one that is printed, and bytes of a string.
const SHOWN_VALUES: usize = 100;
const SHOWN_BYTES: usize = 200;

pub(super) fn json(value: Value<'_>) -> Result<String, ValueError> {
    let mut json = Json(String::new());
    let budget = Budget::of(value);
    walk(value, budget, &mut json).map(|()| json.0)
}

pub(super) fn debug(value: Value<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let budget = Budget { values: SHOWN_VALUES, bytes: usize::MAX };
    match walk(value, budget, &mut Debug(f)) {
        Err(ValueError::Limit) => f.write_str(" …"),
        outcome => outcome.map_err(|_| fmt::Error),
    }
}

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

/// What is written for a value.
trait Style {
    fn scalar(&mut self, value: Value<'_>) -> fmt::Result;
    fn open(&mut self, container: Value<'_>) -> fmt::Result;
    fn key(&mut self, key: Key<'_>) -> fmt::Result;
    fn comma(&mut self) -> fmt::Result;
    fn close(&mut self, container: Value<'_>) -> fmt::Result;
    /// For a container that encloses the place it is in.
    fn recursion(&mut self) -> Result<(), ValueError>;
}

fn walk(value: Value<'_>, mut budget: Budget, style: &mut impl Style) -> Result<(), ValueError> {
    struct Level<'a> {
        container: Value<'a>,
        entries: Entries<'a>,
        is_first: bool,
    }
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut path: HashSet<NodeId> = HashSet::new();
    let mut next = Some(value);
    loop {
        if let Some(value) = next.take() {
            budget.take_value(value)?;
            if value.span().is_none() {
                style.scalar(value)?;
            } else if path.insert(value.node) {
                style.open(value)?;
                levels.push(Level { container: value, entries: value.entries(), is_first: true });
            } else {
                style.recursion()?;
            }
        }
        let Some(level) = levels.last_mut() else { return Ok(()) };
        let Some((key, value)) = level.entries.next() else {
            style.close(level.container)?;
            path.remove(&level.container.node);
            levels.pop();
            continue;
        };
        if !std::mem::take(&mut level.is_first) {
            style.comma()?;
        }
        if !level.container.is_list() {
            budget.take_key(key)?;
            style.key(key)?;
        }
        next = Some(value);
    }
}

/// A `String` takes all that is written to it, and a formatter that fails has its own way to tell.
impl From<fmt::Error> for ValueError {
    fn from(_: fmt::Error) -> Self {
        ValueError::Mismatch("cannot be written".into())
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
}

impl Style for Json {
    fn scalar(&mut self, value: Value<'_>) -> fmt::Result {
        match value.node() {
            Node::Bool(value) => write!(self.0, "{value}")?,
            Node::Int(value) => write!(self.0, "{value}")?,
            Node::Unsigned(value) => write!(self.0, "{value}")?,
            // So that it stays a number with a fraction.
            Node::Float(value) if value.is_finite() => write!(self.0, "{value:?}")?,
            Node::String(text) | Node::Enum { case: text, .. } | Node::Custom { payload: text, .. } => {
                self.string(value.arena.text(text));
            }
            _ => self.0.push_str("null"),
        }
        Ok(())
    }

    fn open(&mut self, container: Value<'_>) -> fmt::Result {
        self.0.write_char(if container.is_list() { '[' } else { '{' })
    }

    fn key(&mut self, key: Key<'_>) -> fmt::Result {
        key.with_bytes(|text| self.string(text));
        self.0.write_char(':')
    }

    fn comma(&mut self) -> fmt::Result {
        self.0.write_char(',')
    }

    fn close(&mut self, container: Value<'_>) -> fmt::Result {
        self.0.write_char(if container.is_list() { ']' } else { '}' })
    }

    fn recursion(&mut self) -> Result<(), ValueError> {
        Err(ValueError::Recursion)
    }
}

struct Debug<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Debug<'_, '_> {
    fn name(&mut self, name: Text<'_>) -> fmt::Result {
        let name = name.as_bytes();
        write!(self.0, "{}", Text::new(&name[..name.len().min(SHOWN_BYTES)]))
    }

    fn text(&mut self, text: &[u8]) -> fmt::Result {
        write!(self.0, "{:?}", Text::new(&text[..text.len().min(SHOWN_BYTES)]))?;
        self.0.write_str(if text.len() > SHOWN_BYTES { "…" } else { "" })
    }
}

impl Style for Debug<'_, '_> {
    fn scalar(&mut self, value: Value<'_>) -> fmt::Result {
        match value.node() {
            Node::Bool(value) => write!(self.0, "{value}"),
            Node::Int(value) => write!(self.0, "{value}"),
            Node::Unsigned(value) => write!(self.0, "{value}"),
            Node::Float(value) => write!(self.0, "{value:?}"),
            Node::String(text) => self.text(value.arena.text(text)),
            Node::Enum { class, case } => {
                self.name(value.text(class))?;
                self.0.write_str("::")?;
                self.name(value.text(case))
            }
            Node::Custom { class, payload } => {
                self.name(value.text(class))?;
                self.0.write_str(" ")?;
                self.text(value.arena.text(payload))
            }
            _ => self.0.write_str("null"),
        }
    }

    fn open(&mut self, container: Value<'_>) -> fmt::Result {
        if let Some(class) = container.class() {
            self.name(class)?;
            self.0.write_str(" ")?;
        }
        self.0.write_str(if container.is_list() { "[" } else { "{" })
    }

    fn key(&mut self, key: Key<'_>) -> fmt::Result {
        match key {
            Key::Int(key) => write!(self.0, "{key}")?,
            Key::Text(key) => self.text(key.as_bytes())?,
        }
        self.0.write_str(": ")
    }

    fn comma(&mut self) -> fmt::Result {
        self.0.write_str(", ")
    }

    fn close(&mut self, container: Value<'_>) -> fmt::Result {
        self.0.write_str(if container.is_list() { "]" } else { "}" })
    }

    fn recursion(&mut self) -> Result<(), ValueError> {
        Ok(self.0.write_str("(contains itself)")?)
    }
}
