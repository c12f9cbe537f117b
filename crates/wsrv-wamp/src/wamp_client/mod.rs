//! The client's side, over a stream of tokio.

mod address;
mod client;
mod end;
mod error;
mod options;
mod shared;
mod sign_in;
mod socket;
mod subscription;

pub use client::WampClient;
pub use end::{ConnectionFault, Disconnected, Ended};
pub use error::{CallFailure, ConnectFailure, RemoteError, SendFailure, SignInFailure};
pub use options::ClientOptions;
pub use subscription::{Subscription, TopicEvent};
