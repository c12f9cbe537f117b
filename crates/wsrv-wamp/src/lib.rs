#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod client_session;
#[cfg(feature = "cra")]
pub mod cra;
mod curie;
mod dialect;
mod json;
mod limits;
pub mod message;
mod recipients;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "test-util")]
pub mod testing;
#[cfg(any(feature = "cra", feature = "server"))]
mod uri_pattern;
pub mod uris;
#[cfg(feature = "client")]
mod wamp_client;

pub use serde_json::value::RawValue;

pub use client_session::{CallId, ClientError, ClientEvent, ClientSession};
pub use curie::{CurieJoin, PrefixError, Prefixes};
pub use dialect::{Dialect, Malformed};
pub use limits::MessageLimits;
pub use message::{
    Arguments, ArgumentsError, ClientMessage, ErrorKind, Exclude, MessageError, MessageType, ServerMessage,
};
pub use recipients::Recipients;

#[cfg(feature = "server")]
pub use server::*;

#[cfg(feature = "client")]
pub use wamp_client::{
    CallFailure, ClientOptions, ConnectFailure, ConnectionFault, Disconnected, Ended, RemoteError, SendFailure,
    SignInFailure, Subscription, TopicEvent, WampClient,
};
