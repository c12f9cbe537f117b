//! Values of the application's types, by serde.

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use std::collections::HashSet;
use std::fmt;

use super::walk::Budget;
use super::{Entries, Key, Kind, Node, NodeId, Value};

/// How deep values may be nested here. The types' own code recurses, so this cannot be as much as a session may have.
const MAX_DEPTH: usize = 128;

/// Why a value cannot be had as it was asked for. It does not repeat what the session holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// It is of another type, or a field is missing.
    #[error("{0}")]
    Mismatch(String),
    /// It contains itself.
    #[error("the value contains itself")]
    Recursion,
    /// It is nested too deep, or it would become larger than allowed because parts of it are shared.
    #[error("the value is larger than allowed")]
    Limit,
}

impl de::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ValueError::Mismatch(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        ValueError::Mismatch(format!("{} where {expected} is expected", name(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        ValueError::Mismatch(format!("{} that is not {expected}", name(found)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        ValueError::Mismatch(format!("a name that is none of {}", expected.join(", ")))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        ValueError::Mismatch(format!("a field that is none of {}", expected.join(", ")))
    }
}

/// What serde says of a value, without the value.
fn name(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a floating-point number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Bytes(_) => "a string that is not UTF-8",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a map",
        _ => "something else",
    }
}

pub(super) fn deserialize<'de, T: serde::Deserialize<'de>>(value: Value<'de>) -> Result<T, ValueError> {
    let mut state = State { budget: Budget::of(value), path: HashSet::new() };
    T::deserialize(Reader { value, state: &mut state })
}

struct State {
    budget: Budget,
    /// The containers around the value.
    path: HashSet<NodeId>,
}

struct Reader<'de, 's> {
    value: Value<'de>,
    state: &'s mut State,
}

impl<'de, 's> Reader<'de, 's> {
    /// Lets `read` see the entries of the value.
    fn inside<R>(self, read: impl for<'t> FnOnce(Members<'de, 't>) -> Result<R, ValueError>) -> Result<R, ValueError> {
        let Reader { value, state } = self;
        state.budget.take_value(value)?;
        if state.path.len() >= MAX_DEPTH {
            return Err(ValueError::Limit);
        }
        if !state.path.insert(value.node) {
            return Err(ValueError::Recursion);
        }
        let outcome = read(Members { rest: value.entries(), value: None, state });
        state.path.remove(&value.node);
        outcome
    }

    fn map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.inside(|mut members| visitor.visit_map(&mut members))
    }

    fn seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.inside(|mut members| {
            let made = visitor.visit_seq(&mut members)?;
            members.check_end()?;
            Ok(made)
        })
    }
}

impl<'de> Deserializer<'de> for Reader<'de, '_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.value.kind() {
            Kind::Array if self.value.is_list() => return self.seq(visitor),
            Kind::Array | Kind::Map | Kind::Object => return self.map(visitor),
            _ => self.state.budget.take_value(self.value)?,
        }
        match self.value.node() {
            Node::Bool(value) => visitor.visit_bool(value),
            Node::Int(value) => visitor.visit_i64(value),
            Node::Unsigned(value) => visitor.visit_u64(value),
            Node::Float(value) => visitor.visit_f64(value),
            Node::String(text) | Node::Enum { case: text, .. } => {
                let bytes = self.value.arena.text(text);
                match std::str::from_utf8(bytes) {
                    Ok(text) => visitor.visit_borrowed_str(text),
                    Err(_) => visitor.visit_borrowed_bytes(bytes),
                }
            }
            Node::Custom { payload, .. } => visitor.visit_borrowed_bytes(self.value.arena.text(payload)),
            _ => visitor.visit_unit(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.value.span().is_some() { self.map(visitor) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match self.value.node() {
            Node::String(text) | Node::Enum { case: text, .. } => {
                let Ok(name) = std::str::from_utf8(self.value.arena.text(text)) else {
                    return self.deserialize_any(visitor);
                };
                visitor.visit_enum(BorrowedStrDeserializer::new(name))
            }
            _ if self.value.len() == 1 => {
                self.inside(|mut members| visitor.visit_enum(MapAccessDeserializer::new(&mut members)))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        let Some(bytes) = self.value.as_bytes() else { return self.deserialize_any(visitor) };
        self.state.budget.take_value(self.value)?;
        visitor.visit_borrowed_bytes(bytes)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_bytes(visitor)
    }

    /// What is not wanted is not looked into, however large it is.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct seq tuple tuple_struct
        identifier
    }
}

/// The entries of a container that are still to be read.
struct Members<'de, 's> {
    rest: Entries<'de>,
    /// The value of the key that was read last.
    value: Option<Value<'de>>,
    state: &'s mut State,
}

impl Members<'_, '_> {
    /// A tuple that is shorter than the list would lose the rest of it without a word.
    fn check_end(&mut self) -> Result<(), ValueError> {
        match self.rest.next() {
            None => Ok(()),
            Some(_) => Err(ValueError::Mismatch("more values than expected".into())),
        }
    }
}

impl<'de> de::SeqAccess<'de> for &mut Members<'de, '_> {
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ValueError> {
        let Some((_, value)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Reader { value, state: self.state }).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for &mut Members<'de, '_> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.state.budget.take_key(key)?;
        self.value = Some(value);
        seed.deserialize(KeyReader(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ValueError> {
        let value = self.value.take().ok_or_else(|| ValueError::Mismatch("a value without its key".into()))?;
        seed.deserialize(Reader { value, state: self.state })
    }
}

/// A key, as an integer for types that want one, and as text for the others.
struct KeyReader<'de>(Key<'de>);

impl<'de> KeyReader<'de> {
    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Key::Int(key) => visitor.visit_string(key.to_string()),
            Key::Text(key) => match key.as_str() {
                Some(text) => visitor.visit_borrowed_str(text),
                None => visitor.visit_borrowed_bytes(key.as_bytes()),
            },
        }
    }
}

impl<'de> Deserializer<'de> for KeyReader<'de> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Key::Int(key) => visitor.visit_i64(key),
            Key::Text(_) => self.text(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.text(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.text(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match self.0 {
            Key::Int(key) => visitor.visit_enum(key.to_string().into_deserializer()),
            Key::Text(key) => match key.as_str() {
                Some(text) => visitor.visit_enum(BorrowedStrDeserializer::new(text)),
                None => visitor.visit_borrowed_bytes(key.as_bytes()),
            },
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct ignored_any
    }
}
