#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod codec;
#[cfg(feature = "connection")]
mod connection;
pub mod cookie;
mod data;
mod draft;
mod edit;
mod error;
mod front;
mod id;
mod json;
mod lazy;
mod limits;
#[cfg(feature = "msgpack")]
mod msgpack;
mod php;
mod presets;
mod session;
mod sessions;
mod store;
mod views;

pub use codec::{Codec, Record};
#[cfg(feature = "connection")]
pub use connection::{Around, AroundState, Keep, SessionOf, SessionWatch, UnderWatch, Users, WithUser, WithWatch};
pub use data::{Entries, Key, Kind, Properties, Property, SessionData, Text, Value, ValueError, Visibility};
pub use draft::{Draft, ReadOnly, UpdateError};
pub use error::SessionError;
pub use id::{IdPolicy, SessionId};
pub use lazy::{LazySession, LazySessions};
pub use limits::Limits;
pub use session::{Session, State};
pub use sessions::Sessions;
#[cfg(feature = "mysql")]
pub use store::MySqlStore;
#[cfg(feature = "postgres")]
pub use store::PostgresStore;
#[cfg(feature = "redis")]
pub use store::RedisStore;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub use store::SessionTable;
#[cfg(feature = "sqlite")]
pub use store::SqliteStore;
pub use store::{BoxStore, Change, MemoryStore, RawSession, Store, StoreError};
#[cfg(feature = "files")]
pub use store::{FileNames, FilesStore};
pub use views::{Laravel, Symfony, SymfonyToken};
