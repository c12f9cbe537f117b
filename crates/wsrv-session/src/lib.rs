//! The session of the web front end: who is logged in there, is logged in here.
//!
//! What comes over the wire and out of stores is hostile or damaged until it is shown to be neither: lengths are
//! checked before memory is taken, nothing recurses, signatures are compared in constant time and before anything that
//! they cover is looked at.
#![forbid(unsafe_code)]

mod codec;
mod data;
mod error;
mod json;
mod limits;
#[cfg(feature = "msgpack")]
mod msgpack;
mod php;

pub use codec::{Codec, Record};
pub use data::{Entries, Key, Kind, Properties, Property, SessionData, Text, Value, ValueError, Visibility};
pub use error::SessionError;
pub use limits::Limits;
