//! The server's side, on the connections of `wsrv-rfc6455`.

mod call_error;
mod call_log;
mod call_rate;
mod connection;
#[cfg(feature = "cra")]
pub(crate) mod cra;
mod extract;
mod handlers;
mod hooks;
mod layer;
mod pattern;
mod pattern_map;
mod permissions;
mod procedure;
mod random;
mod removals;
mod request;
mod router;
mod session_id;
mod settings;
mod states;
mod topic;
mod topic_handler;
mod wamp;

pub use call_error::{CallError, Fault};
pub use call_log::CallLog;
pub use call_rate::CallRate;
pub use connection::{Event, WampConnection};
pub use extract::{Args, Attribute, Extension, State};
pub use handlers::Handlers;
pub use layer::{WampLayer, WampState};
pub use pattern::{InvalidPattern, Pattern, UriParams};
pub use permissions::{Action, Decision, Permissions, Rule};
pub use procedure::{
    Already, BoxProcedure, FromCall, FunctionProcedure, IntoProcedure, IntoProcedureRoute, Invocation, Outcome,
    Procedure, ProcedureRoute, Routed,
};
pub use request::{Call, CallArguments, Publication, Request};
pub use router::{Router, RouterState};
pub use session_id::SessionId;
pub use topic::{Topic, TopicRegistry};
pub use topic_handler::{BoxTopicHandler, Open, TopicContext, TopicHandler, TopicRefusal, TopicRoute};
pub use wamp::{Offer, Wamp, WampError};
