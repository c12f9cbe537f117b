//! The arguments of a call: read where they are, into whatever type the procedure takes.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::json;

/// The positional arguments of a call, not copied and not read yet: a JSON array, and how many of its first elements
/// are none of them.
///
/// [`text`](Self::text), [`skip`](Self::skip) and [`len`](Self::len) are all there is to it. Who has to keep arguments
/// keeps the text and the two numbers, and makes them again with [`from_parts`](Self::from_parts), which costs nothing.
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    text: &'a str,
    skip: usize,
    len: usize,
}

/// Why arguments do not fit a procedure.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArgumentsError {
    /// There are more than the type takes.
    #[error("too many arguments: {given}, and {taken} at most are taken")]
    TooMany {
        /// How many there are.
        given: usize,
        /// How many the type takes.
        taken: usize,
    },
    /// There are fewer than the type takes.
    #[error("too few arguments: {given}; {reason}")]
    TooFew {
        /// How many there are.
        given: usize,
        /// What the type says.
        reason: String,
    },
    /// One of them is not what the type takes.
    #[error("argument {index}: {reason}")]
    Mismatch {
        /// Which one, counted from 0.
        index: usize,
        /// What the type says.
        reason: String,
    },
    /// The type is none that a list of arguments can be read into.
    #[error("{reason}")]
    Other {
        /// What the type says.
        reason: String,
    },
}

impl<'a> Arguments<'a> {
    /// The elements of a JSON array behind the first `skip`.
    ///
    /// # Errors
    ///
    /// The text is not a JSON array. An array of fewer elements than `skip` holds no arguments.
    pub fn new(text: &'a str, skip: usize) -> serde_json::Result<Self> {
        let mut elements = 0_usize;
        json::visit_array(text, |_, _| elements += 1)?;
        Ok(Self { text, skip, len: elements.saturating_sub(skip) })
    }

    /// The same without a look at the text, which is a JSON array of `skip + len` elements.
    ///
    /// If it is not, nothing worse happens than that the methods err or find nothing.
    pub const fn from_parts(text: &'a str, skip: usize, len: usize) -> Self {
        Self { text, skip, len }
    }

    /// The JSON array that the arguments are in.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// How many elements of the array come before the first argument.
    pub const fn skip(&self) -> usize {
        self.skip
    }

    /// How many arguments there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One argument as it is written, counted from 0.
    pub fn get(&self, index: usize) -> Option<&'a RawValue> {
        let (wanted, mut found) = (self.skip.checked_add(index)?, None);
        json::visit_array(self.text, |at, raw| {
            if at == wanted {
                found = Some(raw);
            }
        })
        .ok()?;
        found
    }

    /// All arguments as they are written. The text is read once.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a RawValue> + DoubleEndedIterator + use<'a> {
        let (skip, mut found) = (self.skip, Vec::new());
        let read = json::visit_array(self.text, |at, raw| {
            if at >= skip {
                found.push(raw);
            }
        });
        if read.is_err() {
            found.clear();
        }
        found.into_iter()
    }

    /// The elements of an argument that is an array, if it is the only one. `None`: the arguments are what they are.
    ///
    /// Ratchet calls procedures so, for which `f([1,2])` and `f(1,2)` are the same: see
    /// [`Dialect::unwrap_arguments`](crate::Dialect::unwrap_arguments). A single object stays an argument, because its
    /// members have names and no places.
    pub fn unwrapped(self) -> Option<Self> {
        if self.len != 1 {
            return None;
        }
        Self::new(self.get(0)?.get(), 0).ok()
    }

    /// Reads the arguments into a type: a tuple with one element for each, a `Vec`, a struct with one field for each,
    /// in this order, or `()` for none.
    ///
    /// Arguments that may be missing at the end take a struct whose last fields have `#[serde(default)]`. Strings
    /// without escapes can be borrowed.
    ///
    /// ```
    /// use wsrv_wamp::{Arguments, ArgumentsError};
    ///
    /// let arguments = Arguments::new(r#"[2,"id","http://example.com/repeat","ho",3]"#, 3)?;
    /// let (text, times) = arguments.deserialize::<(&str, usize)>()?;
    /// assert_eq!(text.repeat(times), "hohoho");
    ///
    /// let error = arguments.deserialize::<(&str, &str)>().unwrap_err();
    /// assert_eq!(error.to_string(), "argument 1: invalid type: integer `3`, expected a borrowed string");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An [`ArgumentsError`] that says which argument does not fit, or how many were expected.
    pub fn deserialize<T: Deserialize<'a>>(&self) -> Result<T, ArgumentsError> {
        let progress = Progress::default();
        let visitor = ArgumentsVisitor { arguments: self, progress: &progress, into: PhantomData };
        let mut json = serde_json::Deserializer::from_str(self.text);
        json.deserialize_seq(visitor).map_err(|error| self.explain(&error, &progress))
    }

    fn explain(&self, error: &serde_json::Error, progress: &Progress) -> ArgumentsError {
        let (given, begun) = (self.len, progress.begun.get());
        // Where in the text is of no use to someone who sees the arguments.
        let mut reason = error.to_string();
        if let Some(at) = reason.rfind(" at line ") {
            reason.truncate(at);
        }
        match progress.stage.get() {
            _ if progress.done.get() => ArgumentsError::TooMany { given, taken: begun },
            Stage::Within => ArgumentsError::Mismatch { index: begun - 1, reason },
            Stage::Out => {
                // How many there are is said already.
                let counted = format!("invalid length {given}, ");
                let reason = reason.strip_prefix(&counted).map(str::to_owned).unwrap_or(reason);
                ArgumentsError::TooFew { given, reason }
            }
            Stage::Between => ArgumentsError::Other { reason },
        }
    }
}

impl fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|raw| raw.get())).finish()
    }
}

/// How far reading has come, for errors.
#[derive(Default)]
struct Progress {
    begun: Cell<usize>,
    stage: Cell<Stage>,
    /// The type has all it takes.
    done: Cell<bool>,
}

#[derive(Clone, Copy, Default)]
enum Stage {
    /// An argument has been read, or none yet.
    #[default]
    Between,
    /// An argument is being read.
    Within,
    /// One more was asked for than there are.
    Out,
}

struct ArgumentsVisitor<'a, 'p, T> {
    arguments: &'p Arguments<'a>,
    progress: &'p Progress,
    into: PhantomData<T>,
}

impl<'a, T: Deserialize<'a>> Visitor<'a> for ArgumentsVisitor<'a, '_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of arguments")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<T, A::Error> {
        for _ in 0..self.arguments.skip {
            seq.next_element::<IgnoredAny>()?;
        }
        let list = List { seq: &mut seq, len: self.arguments.len, progress: self.progress };
        let value = T::deserialize(list)?;
        self.progress.done.set(true);
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(value),
            Some(_) => Err(A::Error::custom("too many arguments")),
        }
    }
}

/// The arguments as something to be read: a sequence, or nothing at all if there are none.
struct List<'p, A> {
    seq: &'p mut A,
    len: usize,
    progress: &'p Progress,
}

impl<'de, A: SeqAccess<'de>> Deserializer<'de> for List<'_, A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        SeqAccessDeserializer::new(self).deserialize_any(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

impl<'a, A: SeqAccess<'a>> SeqAccess<'a> for List<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let begun = self.progress.begun.get();
        if begun >= self.len {
            self.progress.stage.set(Stage::Out);
            return Ok(None);
        }
        self.progress.begun.set(begun + 1);
        self.progress.stage.set(Stage::Within);
        let element = self.seq.next_element_seed(seed)?;
        self.progress.stage.set(Stage::Between);
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len.saturating_sub(self.progress.begun.get()))
    }
}
