//! What functions take out of calls.

use super::{CallArguments, CallError, Fault, FromCall, Invocation, SessionId, UriParams, WampConnection};
use serde::de::DeserializeOwned;
use std::ops::Deref;
use std::sync::Arc;
use wsrv_core::Connection;

/// All positional arguments, as a tuple: `Args<(f64, f64)>` for two numbers, `Args<(String,)>` for one text, `Args<()>`
/// for none; as a `Vec` for any number of one kind. Others are answered with [`Fault::InvalidArguments`].
///
/// What stands in `Args` is read from the list of them, so `Args<i32>`, without the comma and parentheses of a tuple, fails
/// for each call.
///
/// Arguments that **may be missing** at the end are the last fields of a struct, each with a default. A tuple wants all of
/// its elements: `Args<(i32, Option<i32>)>` takes a null for the second, but not its absence.
///
/// ```
/// use wsrv_wamp::{Args, CallError};
///
/// #[derive(serde::Deserialize)]
/// struct Search {
///     words: String,
///     #[serde(default)]
///     page: u32,
/// }
///
/// // Called with ("tea") or ("tea", 2).
/// async fn search(Args(Search { words, page }): Args<Search>) -> Result<String, CallError> {
///     Ok(format!("{words}, page {page}"))
/// }
/// # let _ = wsrv_wamp::Wamp::new().procedure("search", search);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Args<T>(pub T);

impl<T: DeserializeOwned> FromCall for Args<T> {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        let read = call.arguments().deserialize();
        Ok(Args(read.map_err(|error| Fault::InvalidArguments { why: error.to_string() })?))
    }
}

/// As they came, for those who read them by themselves.
impl FromCall for CallArguments {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Ok(call.arguments().clone())
    }
}

/// Who calls.
impl FromCall for WampConnection {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Ok(call.connection().clone())
    }
}

/// The caller's session.
impl FromCall for SessionId {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Ok(call.connection().session_id().clone())
    }
}

/// The parameters of the URI.
impl FromCall for UriParams {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Ok(call.params().clone())
    }
}

/// The call itself, with all there is to know.
impl FromCall for Invocation {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Ok(call.clone())
    }
}

/// What the application has given to [`Wamp::state`](crate::Wamp::state), by value or in an [`Arc`]. Without it, the call
/// fails with [`Fault::Failed`] and the log tells why, as a warning.
#[derive(Debug)]
pub struct State<T>(pub Arc<T>);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        State(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> FromCall for State<T> {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        call.state().cloned().map(State).ok_or_else(|| missing::<T>("state"))
    }
}

/// What a gate has attached to the connection's [extensions](wsrv_rfc6455::connection::WebSocketConnection::extensions).
/// `Option<Extension<T>>` for what may be missing; without it, the call fails and the log tells why, as a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromCall for Extension<T> {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Option::from_call(call)?.ok_or_else(|| missing::<T>("extension"))
    }
}

impl<T: Clone + Send + Sync + 'static> FromCall for Option<Extension<T>> {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Ok(call.connection().websocket().extensions().get::<T>().cloned().map(Extension))
    }
}

/// What somebody has put into the connection's [attributes](wsrv_core::AttributeStore). `Option<Attribute<T>>` for what
/// may be missing; without it, the call fails and the log tells why, as a warning. What an account of WAMP-CRA
/// [brings along](crate::cra::Account::with) is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromCall for Attribute<T> {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Option::from_call(call)?.ok_or_else(|| missing::<T>("attribute"))
    }
}

impl<T: Clone + Send + Sync + 'static> FromCall for Option<Attribute<T>> {
    fn from_call(call: &Invocation) -> Result<Self, CallError> {
        Ok(call.connection().link().attributes().get::<T>().map(Attribute))
    }
}

fn missing<T>(what: &str) -> CallError {
    CallError::internal(format_args!("it asks for the {what} {}, and there is none", std::any::type_name::<T>()))
}
