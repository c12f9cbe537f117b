//! The session of the web front end: who is logged in there, is logged in here.
//!
//! What comes over the wire and out of stores is hostile or damaged until it is shown to be neither: lengths are
//! checked before memory is taken, nothing recurses, signatures are compared in constant time and before anything that
//! they cover is looked at.
#![forbid(unsafe_code)]

pub mod cookie;
mod error;
mod id;
mod limits;

pub use error::SessionError;
pub use id::{IdPolicy, SessionId};
pub use limits::Limits;
