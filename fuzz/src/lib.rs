//! What must hold for any bytes a peer may send, as one function per fuzz target. A function returns if all is well
//! and panics if not.
//!
//! The programs in `fuzz_targets` call them with what the fuzzer makes up, and `tests/corpora.rs` of the workspace with
//! what is kept in `corpus`, on a stable compiler. So nothing in here knows of a fuzzer.
#![forbid(unsafe_code)]

mod answer_head;
mod deflate_stream;
mod forwarded;
mod handshake;
mod heads;
mod message_stream;
mod origin;
mod proxy_header;
mod reads;
mod request_head;
mod session_cookie;
mod session_php;
mod session_record;
mod wamp_message;

pub use answer_head::answer_head;
pub use deflate_stream::deflate_stream;
pub use forwarded::forwarded;
pub use handshake::handshake;
pub use message_stream::{client_stream, message_stream};
pub use origin::origin;
pub use proxy_header::proxy_header;
pub use request_head::request_head;
pub use session_cookie::session_cookie;
pub use session_php::session_php;
pub use session_record::session_record;
pub use wamp_message::wamp_message;
