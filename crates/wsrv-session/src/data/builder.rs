//! How a decoder fills the table.

use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

use super::{Arena, Entry, KeyNode, Node, NodeId, SessionData, Span, Visibility, property, text};
use crate::{Limits, SessionError};

/// A session while it is read. A decoder gives a key and then its value, opens containers and closes them.
pub(crate) struct Builder {
    source: Bytes,
    extra: Vec<u8>,
    nodes: Vec<Node>,
    entries: Vec<Entry>,
    /// The entries of the containers that are open, those of the innermost last.
    pending: Vec<Entry>,
    open: Vec<Open>,
    /// The key of the value to come. A value without one becomes the root.
    key: Option<KeyNode>,
    root: Option<NodeId>,
    max_depth: usize,
    max_nodes: usize,
    max_bytes: usize,
    values: usize,
}

/// What holds other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Array,
    Map,
    Object {
        class: Span,
    },
    /// What is inside is read only to count it and to find it again: the value itself is opaque.
    Custom {
        class: Span,
        payload: Span,
    },
}

struct Open {
    node: NodeId,
    container: Container,
    /// Where its entries begin among those that are pending.
    first: usize,
}

impl Builder {
    /// # Errors
    ///
    /// [`SessionError::Limit`] if the source is larger than allowed.
    pub(crate) fn new(source: Bytes, limits: &Limits) -> Result<Self, SessionError> {
        // Places are kept as `u32`. What is decoded from a source is never longer than the source.
        if source.len() > limits.max_input.min(u32::MAX as usize / 2) {
            return Err(SessionError::Limit);
        }
        Ok(Builder {
            source,
            extra: Vec::new(),
            nodes: Vec::new(),
            entries: Vec::new(),
            pending: Vec::new(),
            open: Vec::new(),
            key: None,
            root: None,
            max_depth: limits.max_depth,
            max_nodes: limits.max_nodes.min(u32::MAX as usize / 2),
            max_bytes: limits.max_input,
            values: 0,
        })
    }

    /// Text that stands in the source as it is.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Span {
        debug_assert!(range.start <= range.end && range.end <= self.source.len());
        Span { start: range.start as u32, end: range.end as u32 }
    }

    /// Text that does not. There must not be more of it than of the source.
    pub(crate) fn copy(&mut self, text: &[u8]) -> Span {
        let start = self.source.len() + self.extra.len();
        self.extra.extend_from_slice(text);
        Span { start: start as u32, end: (start + text.len()) as u32 }
    }

    pub(crate) fn text(&self, span: Span) -> &[u8] {
        text(&self.source, &self.extra, span)
    }

    /// Sets the key of the next value.
    pub(crate) fn key(&mut self, key: KeyNode) {
        self.key = Some(key);
    }

    /// Sets the key of the next value to the number of values before it.
    pub(crate) fn item(&mut self) {
        let first = self.open.last().map_or(0, |open| open.first);
        self.key = Some(KeyNode::Int((self.pending.len() - first) as i64));
    }

    /// Adds a value that holds no others.
    pub(crate) fn add(&mut self, node: Node) -> Result<NodeId, SessionError> {
        let id = NodeId(self.nodes.len() as u32);
        self.again(id)?;
        self.nodes.push(node);
        Ok(id)
    }

    /// Adds a value that is in the table already.
    pub(crate) fn again(&mut self, node: NodeId) -> Result<(), SessionError> {
        self.values += 1;
        if self.values > self.max_nodes {
            return Err(SessionError::Limit);
        }
        match self.key.take() {
            Some(key) => self.pending.push(Entry { key, node, is_shadowed: false }),
            None => self.root = Some(node),
        }
        Ok(())
    }

    pub(crate) fn node(&self, id: NodeId) -> Node {
        self.nodes[id.0 as usize]
    }

    /// Adds a value whose entries follow, until it is closed.
    pub(crate) fn open(&mut self, container: Container) -> Result<NodeId, SessionError> {
        if self.open.len() >= self.max_depth {
            return Err(SessionError::Limit);
        }
        let none = Span { start: 0, end: 0 };
        let node = self.add(container.node(none, false))?;
        self.open.push(Open { node, container, first: self.pending.len() });
        Ok(node)
    }

    /// The innermost container that is open.
    pub(crate) fn innermost(&self) -> Option<Container> {
        self.open.last().map(|open| open.container)
    }

    /// Closes the innermost container.
    pub(crate) fn close(&mut self) {
        let Some(Open { node, container, first }) = self.open.pop() else { return };
        let is_list = match container {
            Container::Custom { .. } => {
                self.pending.truncate(first);
                return;
            }
            Container::Array => self.merge(first),
            Container::Map => {
                self.merge(first);
                false
            }
            Container::Object { class } => {
                self.merge(first);
                self.shadow(first, class);
                false
            }
        };
        let start = self.entries.len() as u32;
        self.entries.extend(self.pending.drain(first..));
        let entries = Span { start, end: self.entries.len() as u32 };
        self.nodes[node.0 as usize] = container.node(entries, is_list);
    }

    /// Closes containers up to the innermost custom one, and forgets what was in it.
    pub(crate) fn abandon(&mut self) {
        while let Some(open) = self.open.pop() {
            self.pending.truncate(open.first);
            if matches!(open.container, Container::Custom { .. }) {
                break;
            }
        }
        self.key = None;
    }

    /// The session, or an error if no value was given.
    pub(crate) fn finish(mut self) -> Result<SessionData, SessionError> {
        debug_assert!(self.open.is_empty());
        let root = self.root.ok_or(SessionError::CorruptData)?;
        // A session stays for as long as its connection, so what was reserved in vain is worth giving back.
        self.nodes.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.extra.shrink_to_fit();
        Ok(SessionData(Arc::new(Arena {
            source: self.source,
            extra: self.extra,
            nodes: self.nodes,
            entries: self.entries,
            root,
            max_nodes: self.max_nodes,
            max_bytes: self.max_bytes,
        })))
    }

    /// Of entries with the same key the last one's value stays, in the place of the first. Returns whether the keys are
    /// 0, 1, 2 and so on then.
    fn merge(&mut self, first: usize) -> bool {
        if is_list(&self.pending[first..]) {
            return true;
        }
        let Builder { source, extra, pending, .. } = self;
        let mut places = HashMap::with_capacity(pending.len() - first);
        let mut kept = first;
        for at in first..pending.len() {
            let entry = pending[at];
            let key = match entry.key {
                KeyNode::Int(key) => Lookup::Int(key),
                KeyNode::Text(span) => Lookup::Text(text(source, extra, span)),
            };
            let place = *places.entry(key).or_insert(kept);
            if place == kept {
                pending[kept] = entry;
                kept += 1;
            } else {
                pending[place].node = entry.node;
            }
        }
        pending.truncate(kept);
        is_list(&pending[first..])
    }

    /// Marks what an object has of its ancestors under a name that it has for itself, or of a nearer one. PHP writes
    /// the nearest last.
    fn shadow(&mut self, first: usize, class: Span) {
        let Builder { source, extra, pending, .. } = self;
        let class = text(source, extra, class);
        let parts = |entry: &Entry| match entry.key {
            KeyNode::Int(_) => None,
            KeyNode::Text(span) => Some(property(text(source, extra, span))),
        };
        let is_inherited =
            |visibility| matches!(visibility, Visibility::Private { class: of } if of.as_bytes() != class);
        if !pending[first..].iter().any(|entry| parts(entry).is_some_and(|(visibility, _)| is_inherited(visibility))) {
            return;
        }
        let mut names: HashMap<&[u8], (usize, bool)> = HashMap::new();
        for at in first..pending.len() {
            let Some((visibility, name)) = parts(&pending[at]) else { continue };
            let inherited = is_inherited(visibility);
            match names.get(name) {
                Some(&(_, false)) if inherited => pending[at].is_shadowed = true,
                Some(&(other, _)) => {
                    pending[other].is_shadowed = true;
                    names.insert(name, (at, inherited));
                }
                None => drop(names.insert(name, (at, inherited))),
            }
        }
    }
}

impl Container {
    fn node(self, entries: Span, is_list: bool) -> Node {
        match self {
            Container::Array => Node::Array { entries, is_list },
            Container::Map => Node::Map { entries },
            Container::Object { class } => Node::Object { class, entries },
            Container::Custom { class, payload } => Node::Custom { class, payload },
        }
    }
}

fn is_list(entries: &[Entry]) -> bool {
    (0i64..).zip(entries).all(|(at, entry)| matches!(entry.key, KeyNode::Int(key) if key == at))
}

/// Keys as they are compared.
#[derive(PartialEq, Eq, Hash)]
enum Lookup<'a> {
    Int(i64),
    Text(&'a [u8]),
}
