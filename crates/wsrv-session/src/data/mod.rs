//! A session's values, whatever format they came in.
//!
//! All of them lie in one table, and containers name their members by their places in it. So a value that is shared,
//! or that contains itself, is as cheap as any other, and nothing has to recurse to copy, drop or print a session.

mod builder;
mod de;
mod value;
mod walk;

use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

use crate::Limits;
pub(crate) use builder::{Builder, Container};
pub use de::ValueError;
pub use value::{Entries, Key, Kind, Properties, Property, Text, Value, Visibility};

/// The values of one session. Cheap to clone: clones share them.
#[derive(Clone)]
pub struct SessionData(Arc<Arena>);

impl SessionData {
    /// The value at the top: an array or a map for a session, any value for a single one.
    pub fn root(&self) -> Value<'_> {
        Value { arena: &self.0, node: self.0.root }
    }

    /// The value under a key of the root, as [`Value::get`].
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        self.root().get(key)
    }

    /// The value at a path from the root, as [`Value::path`].
    pub fn path(&self, path: &str) -> Option<Value<'_>> {
        self.root().path(path)
    }
}

/// An empty session.
impl Default for SessionData {
    fn default() -> Self {
        SessionData(Arc::new(Arena {
            source: Bytes::new(),
            extra: Vec::new(),
            nodes: vec![Node::Array { entries: Span { start: 0, end: 0 }, is_list: true }],
            entries: Vec::new(),
            root: NodeId(0),
            max_nodes: Limits::default().max_nodes,
            max_bytes: Limits::default().max_input,
        }))
    }
}

/// Says what there is, and not what it says: sessions hold secrets.
impl fmt::Debug for SessionData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionData")
            .field("kind", &self.root().kind())
            .field("entries", &self.root().len())
            .finish_non_exhaustive()
    }
}

/// The place of a value in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(u32);

/// From where to where: in the table of entries, or in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    fn len(self) -> usize {
        self.range().len()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer above those that fit into an `i64`.
    Unsigned(u64),
    Float(f64),
    String(Span),
    Array {
        entries: Span,
        /// The keys are 0, 1, 2 and so on.
        is_list: bool,
    },
    Map {
        entries: Span,
    },
    Object {
        class: Span,
        entries: Span,
    },
    Enum {
        class: Span,
        case: Span,
    },
    Custom {
        class: Span,
        payload: Span,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyNode {
    Int(i64),
    /// Of an object: the property's name with its visibility, as PHP writes it.
    Text(Span),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: KeyNode,
    node: NodeId,
    /// A private property of an ancestor that the object has under the same name for itself.
    is_shadowed: bool,
}

struct Arena {
    source: Bytes,
    /// Text that is not in the source as it is. Spans count it as if it followed the source.
    extra: Vec<u8>,
    nodes: Vec<Node>,
    entries: Vec<Entry>,
    root: NodeId,
    /// How much may be made of the values where shared ones count each time.
    max_nodes: usize,
    max_bytes: usize,
}

impl Arena {
    fn text(&self, span: Span) -> &[u8] {
        text(&self.source, &self.extra, span)
    }
}

fn text<'a>(source: &'a [u8], extra: &'a [u8], span: Span) -> &'a [u8] {
    match span.range() {
        range if range.end <= source.len() => &source[range],
        range => &extra[range.start - source.len()..range.end - source.len()],
    }
}

/// The parts of a property's name as PHP writes it: `name`, `NUL * NUL name`, or `NUL class NUL name`.
fn property(mangled: &[u8]) -> (Visibility<'_>, &[u8]) {
    let parts = mangled.strip_prefix(b"\0").and_then(|rest| {
        let end = rest.iter().position(|&byte| byte == 0)?;
        Some((&rest[..end], &rest[end + 1..]))
    });
    match parts {
        Some((b"*", name)) => (Visibility::Protected, name),
        Some((class, name)) if !class.is_empty() => (Visibility::Private { class: Text::new(class) }, name),
        _ => (Visibility::Public, mangled),
    }
}
