//! The nine messages, and their texts.
//!
//! A message is one JSON array in one WebSocket text message. [`ClientMessage`] is what clients send, [`ServerMessage`]
//! what servers send. Both borrow from the text: what an application has put into a message stays as it was written,
//! with the digits of its numbers and the order of its keys.
//!
//! Who sends rather than parses needs no value of them: the functions [`encode_event`] and so on write a message at
//! once, and [`serialize_event`] and so on take what is not JSON yet.

mod arguments;
mod client;
mod elements;
mod encode;
mod error;
mod message_type;
mod server;

pub use arguments::{Arguments, ArgumentsError};
pub use client::{ClientMessage, Exclude};
pub use encode::{
    EncodeError, encode_call, encode_call_error, encode_call_result, encode_event, encode_prefix, encode_publish,
    encode_subscribe, encode_unsubscribe, encode_welcome, serialize_call, serialize_call_error, serialize_call_result,
    serialize_event, serialize_publish,
};
pub use error::{ErrorKind, MessageError};
pub use message_type::MessageType;
pub use server::ServerMessage;
