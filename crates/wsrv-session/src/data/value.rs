//! One value of a session, seen through a cursor.

use std::fmt;

use super::{Arena, Entry, KeyNode, Node, NodeId, Span, ValueError, de, property, walk};

/// A value of a session. It is a cursor: copying it costs nothing.
///
/// PHP's sessions can hold a value in several places, and values that contain themselves. All of these places show the
/// [same](Value::is_same) value; who walks through a session has to expect it. What expands values, such as
/// [`Value::to`], does so within the limits that the session was decoded with.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub(super) arena: &'a Arena,
    pub(super) node: NodeId,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Nothing.
    Null,
    /// True or false.
    Bool,
    /// A number without a fraction.
    Int,
    /// A number with one.
    Float,
    /// Bytes that are text most of the time.
    String,
    /// A PHP array, with integers and text for keys, or a list.
    Array,
    /// A JSON object, with text for keys.
    Map,
    /// An object of PHP: a class and its properties. No class is ever brought to life.
    Object,
    /// A case of one of PHP's enums.
    Enum,
    /// An object of PHP whose class has a format of its own.
    Custom,
}

impl<'a> Value<'a> {
    pub(super) fn node(self) -> Node {
        self.arena.nodes[self.node.0 as usize]
    }

    pub(super) fn text(self, span: Span) -> Text<'a> {
        Text(self.arena.text(span))
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        match self.node() {
            Node::Null => Kind::Null,
            Node::Bool(_) => Kind::Bool,
            Node::Int(_) | Node::Unsigned(_) => Kind::Int,
            Node::Float(_) => Kind::Float,
            Node::String(_) => Kind::String,
            Node::Array { .. } => Kind::Array,
            Node::Map { .. } => Kind::Map,
            Node::Object { .. } => Kind::Object,
            Node::Enum { .. } => Kind::Enum,
            Node::Custom { .. } => Kind::Custom,
        }
    }

    /// Whether both are the very same value in the same session, not only an equal one.
    pub fn is_same(self, other: Value<'_>) -> bool {
        std::ptr::eq(self.arena, other.arena) && self.node == other.node
    }

    /// Whether it is null.
    pub fn is_null(self) -> bool {
        matches!(self.node(), Node::Null)
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        if let Node::Bool(value) = self.node() { Some(value) } else { None }
    }

    /// The integer, if it is one that fits.
    pub fn as_i64(self) -> Option<i64> {
        if let Node::Int(value) = self.node() { Some(value) } else { None }
    }

    /// The integer, if it is one that fits.
    pub fn as_u64(self) -> Option<u64> {
        match self.node() {
            Node::Int(value) => value.try_into().ok(),
            Node::Unsigned(value) => Some(value),
            _ => None,
        }
    }

    /// The floating-point number, if it is one. An integer is none.
    pub fn as_f64(self) -> Option<f64> {
        if let Node::Float(value) = self.node() { Some(value) } else { None }
    }

    /// The string, if it is one and UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The bytes of the string, if it is one.
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        if let Node::String(span) = self.node() { Some(self.arena.text(span)) } else { None }
    }

    /// The class of an object, an enum or a custom value.
    pub fn class(self) -> Option<Text<'a>> {
        match self.node() {
            Node::Object { class, .. } | Node::Enum { class, .. } | Node::Custom { class, .. } => {
                Some(self.text(class))
            }
            _ => None,
        }
    }

    /// The name of an enum's case.
    pub fn case(self) -> Option<Text<'a>> {
        if let Node::Enum { case, .. } = self.node() { Some(self.text(case)) } else { None }
    }

    /// What the class of a custom value has written, as it is.
    pub fn payload(self) -> Option<&'a [u8]> {
        if let Node::Custom { payload, .. } = self.node() { Some(self.arena.text(payload)) } else { None }
    }

    /// Whether it is an array whose keys are 0, 1, 2 and so on, in this order. An empty one is.
    pub fn is_list(self) -> bool {
        matches!(self.node(), Node::Array { is_list: true, .. })
    }

    pub(super) fn span(self) -> Option<Span> {
        match self.node() {
            Node::Array { entries, .. } | Node::Map { entries } | Node::Object { entries, .. } => Some(entries),
            _ => None,
        }
    }

    fn slice(self) -> &'a [Entry] {
        self.span().map_or(&[], |span| &self.arena.entries[span.range()])
    }

    /// The number of entries of an array or a map, or of properties of an object; 0 for anything else.
    pub fn len(self) -> usize {
        self.span().map_or(0, Span::len)
    }

    /// Whether there are no entries.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value under a key. An integer key is found by its decimal digits, a property by its bare name; the object's
    /// own one is found if an ancestor of its class has a private one of the same name.
    ///
    /// It looks at one entry after the other, but in a list.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        let number = key.parse::<i64>().ok().filter(|number| number.to_string() == key);
        if let (true, Some(number)) = (self.is_list(), number) {
            let entry = self.slice().get(usize::try_from(number).ok()?)?;
            return Some(Value { arena: self.arena, node: entry.node });
        }
        let is_meant = |found: &Key<'_>| match found {
            Key::Int(found) => Some(*found) == number,
            Key::Text(found) => found.0 == key.as_bytes(),
        };
        self.entries().find(|(found, _)| is_meant(found)).map(|(_, value)| value)
    }

    /// The value at a path of keys with dots between them, such as `cart.items.0`. Keys that have a dot themselves are
    /// reached with [`Value::get`].
    pub fn path(self, path: &str) -> Option<Value<'a>> {
        path.split('.').try_fold(self, Value::get)
    }

    /// The entries of an array or a map, in the order in which they were written; those of an object with the bare
    /// names of its properties, without what it hides of its ancestors.
    pub fn entries(self) -> Entries<'a> {
        Entries { of: self, rest: self.slice().iter() }
    }

    /// The properties of an object with all that is known of them; none for anything else.
    pub fn properties(self) -> Properties<'a> {
        let rest = if let Node::Object { .. } = self.node() { self.slice() } else { &[] };
        Properties { of: self, rest: rest.iter() }
    }

    /// Makes a value of a type of the application of it.
    ///
    /// Lists become sequences, and other arrays, maps and objects become maps or structs; an enum becomes the name of
    /// its case. Nothing is converted: a number in a string is no number. Strings that are not UTF-8 and custom values
    /// can only become bytes.
    ///
    /// # Errors
    ///
    /// A [`ValueError`] if the type is another one, if the value contains itself, if it is nested more than 128 deep,
    /// or if it would become larger than the session's limits allow because parts of it are shared.
    pub fn to<T: serde::Deserialize<'a>>(self) -> Result<T, ValueError> {
        de::deserialize(self)
    }

    /// The value as JSON, to look at or to hand on. What JSON does not know is made to fit: strings that are not UTF-8
    /// get replacement characters, keys become text, numbers that are not finite become null, an enum becomes the name
    /// of its case, and a custom value becomes a string.
    ///
    /// # Errors
    ///
    /// [`ValueError::Recursion`] if the value contains itself, [`ValueError::Limit`] if it would become larger than the
    /// session's limits allow because parts of it are shared.
    pub fn to_json(self) -> Result<String, ValueError> {
        walk::json(self)
    }
}

/// Says what there is, and not what it says: sessions hold secrets. [`Value::to_json`] shows all.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("kind", &self.kind()).field("entries", &self.len()).finish_non_exhaustive()
    }
}

/// A key of an array, a map or an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// An integer; only of arrays, and of objects that wrote themselves down as one.
    Int(i64),
    /// Text.
    Text(Text<'a>),
}

impl Key<'_> {
    /// The key as bytes, an integer as decimal digits.
    pub(super) fn with_bytes<R>(&self, then: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Key::Int(key) => then(key.to_string().as_bytes()),
            Key::Text(key) => then(key.0),
        }
    }
}

/// Who may see a property in PHP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility<'a> {
    /// Everybody.
    Public,
    /// The class and those that descend from it.
    Protected,
    /// The class alone, which can be an ancestor of the object's.
    Private {
        /// The class that declares it.
        class: Text<'a>,
    },
}

/// A property of an object.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Property<'a> {
    /// Its bare name. Objects that wrote themselves down as an array have integers.
    pub name: Key<'a>,
    /// Who may see it in PHP.
    pub visibility: Visibility<'a>,
    /// Its value.
    pub value: Value<'a>,
}

/// The entries of a value, in order; from [`Value::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    of: Value<'a>,
    rest: std::slice::Iter<'a, Entry>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Key<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.rest.find(|entry| !entry.is_shadowed)?;
        let key = match entry.key {
            KeyNode::Int(key) => Key::Int(key),
            KeyNode::Text(span) => {
                let text = self.of.arena.text(span);
                let is_object = matches!(self.of.node(), Node::Object { .. });
                Key::Text(Text(if is_object { property(text).1 } else { text }))
            }
        };
        Some((key, Value { arena: self.of.arena, node: entry.node }))
    }
}

/// The properties of an object, in order; from [`Value::properties`].
#[derive(Clone, Debug)]
pub struct Properties<'a> {
    of: Value<'a>,
    rest: std::slice::Iter<'a, Entry>,
}

impl<'a> Iterator for Properties<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.rest.next()?;
        let (visibility, name) = match entry.key {
            KeyNode::Int(key) => (Visibility::Public, Key::Int(key)),
            KeyNode::Text(span) => {
                let (visibility, name) = property(self.of.arena.text(span));
                (visibility, Key::Text(Text(name)))
            }
        };
        Some(Property { name, visibility, value: Value { arena: self.of.arena, node: entry.node } })
    }
}

/// Bytes that are text most of the time: names and keys of PHP have no encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Text(bytes)
    }

    /// The bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text, if it is UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

/// With replacement characters for what is not UTF-8.
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&String::from_utf8_lossy(self.0), f)
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
