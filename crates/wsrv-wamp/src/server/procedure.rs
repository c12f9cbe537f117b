//! Procedures: what answers calls.

use super::states::States;
use super::{CallArguments, CallError, UriParams, WampConnection};
use crate::RawValue;
use serde::Serialize;
use serde_json::value::to_raw_value;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a procedure returns: its result as JSON, or an error.
pub type Outcome = Result<Box<RawValue>, CallError>;

/// A call on its way to its procedure: who calls, what, and with which arguments.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub(crate) conn: WampConnection,
    pub(crate) procedure: String,
    pub(crate) arguments: CallArguments,
    pub(crate) params: UriParams,
    pub(crate) states: Arc<States>,
    pub(crate) deadline: Option<Instant>,
}

impl Invocation {
    /// Who calls.
    pub fn connection(&self) -> &WampConnection {
        &self.conn
    }

    /// The procedure's URI, with the client's prefixes replaced.
    pub fn procedure(&self) -> &str {
        &self.procedure
    }

    /// The positional arguments.
    pub fn arguments(&self) -> &CallArguments {
        &self.arguments
    }

    /// Other arguments in their place.
    pub fn set_arguments(&mut self, arguments: CallArguments) {
        self.arguments = arguments;
    }

    /// The parameters of the URI, as the procedure's pattern names them.
    pub fn params(&self) -> &UriParams {
        &self.params
    }

    /// When its [time](ProcedureRoute::timeout) is over. `None`: it has time as long as the connection lives.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What [`Wamp::state`](crate::Wamp::state) was given of this type.
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<&Arc<T>> {
        self.states.get()
    }
}

/// Answers calls. An async function of [extractors](crate::FromCall) is one, and so is a middleware: a procedure that
/// contains another, looks at the call before it and at the outcome after it.
///
/// ```
/// use wsrv_wamp::{BoxProcedure, CallError, Invocation, Outcome, Procedure};
///
/// /// Lets nobody call who has not said who it is.
/// struct Named { next: BoxProcedure }
///
/// impl Procedure for Named {
///     async fn call(&self, call: Invocation) -> Outcome {
///         if call.connection().websocket().request().header_str("x-name").is_none() {
///             return Err(CallError::new("http://example.com/error#nameless", "say who you are"));
///         }
///         self.next.call(call).await
///     }
/// }
/// ```
///
/// # Cancel safety
///
/// The future is dropped if the connection ends before it is ready, or its time is up. If it is the server that goes (1000,
/// 1001 or 1012), calls have half of [`Limits::on_close_timeout`](wsrv_core::Limits::on_close_timeout) to be answered.
///
/// # Panics
///
/// A panic is answered as [`Fault::Failed`](super::Fault::Failed), and harms nobody else.
pub trait Procedure: Send + Sync + 'static {
    /// Answers a call. Calls of one connection run side by side.
    fn call(&self, call: Invocation) -> impl Future<Output = Outcome> + Send;
}

/// Any procedure. Clones are the same one.
#[derive(Clone)]
pub struct BoxProcedure(Arc<dyn Start>);

trait Start: Send + Sync {
    fn start(self: Arc<Self>, call: Invocation) -> Started;
}

/// A call that goes on by itself.
pub(crate) type Started = Pin<Box<dyn Future<Output = Outcome> + Send>>;

impl<P: Procedure> Start for P {
    fn start(self: Arc<Self>, call: Invocation) -> Started {
        Box::pin(async move { self.call(call).await })
    }
}

impl BoxProcedure {
    /// Boxes a procedure, or a function that is one.
    pub fn new<M>(procedure: impl IntoProcedure<M>) -> Self {
        BoxProcedure(Arc::new(procedure.into_procedure()))
    }

    pub(crate) fn start(&self, call: Invocation) -> Started {
        self.0.clone().start(call)
    }
}

impl Procedure for BoxProcedure {
    fn call(&self, call: Invocation) -> impl Future<Output = Outcome> + Send {
        self.start(call)
    }
}

impl fmt::Debug for BoxProcedure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxProcedure")
    }
}

/// What becomes a [`Procedure`]: one itself, or an async function of up to eight [extractors](crate::FromCall) that
/// returns a `Result` of something that serde can write, and an error that becomes a [`CallError`]. `M` tells the two
/// apart and is found by the compiler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no procedure",
    label = "not a procedure",
    note = "a procedure is an async function of up to eight extractors: `Args<(A, B)>` for its arguments, `WampConnection`, `State<T>`, …",
    note = "it returns a `Result`: the value implements `Serialize`, the error implements `std::error::Error` or is a `CallError` (`map_err(CallError::internal)` makes one of a box or of `anyhow`'s)",
    note = "its future is `Send`, so nothing like an `Rc` or a guard of a `std::sync::Mutex` is held over an `await`"
)]
pub trait IntoProcedure<M> {
    /// The procedure it becomes.
    type Procedure: Procedure;

    /// Makes the procedure.
    fn into_procedure(self) -> Self::Procedure;
}

/// That it is a procedure already.
#[derive(Debug)]
pub enum Already {}

impl<P: Procedure> IntoProcedure<Already> for P {
    type Procedure = P;

    fn into_procedure(self) -> P {
        self
    }
}

/// A function as a procedure.
pub struct FunctionProcedure<F, M> {
    function: F,
    extracted: PhantomData<fn(M)>,
}

impl<F, M> fmt::Debug for FunctionProcedure<F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FunctionProcedure")
    }
}

/// What is taken out of a call for a function's argument.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken out of a call",
    note = "the arguments of a call are taken with `Args<(A, B)>`"
)]
pub trait FromCall: Sized {
    /// Takes it out.
    ///
    /// # Errors
    ///
    /// The answer to the call, if it is not there.
    fn from_call(call: &Invocation) -> Result<Self, CallError>;
}

macro_rules! functions {
    ($($extracted:ident)*) => {
        impl<Fun, Fut, T, E, $($extracted),*> Procedure for FunctionProcedure<Fun, ($($extracted,)*)>
        where
            Fun: Fn($($extracted),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<T, E>> + Send,
            T: Serialize,
            E: Into<CallError>,
            $($extracted: FromCall + 'static,)*
        {
            fn call(&self, call: Invocation) -> impl Future<Output = Outcome> + Send {
                // All is taken out before it runs, so that it keeps only what it asked for.
                let begun = self.begin(&call);
                async move { written(&begun?.await.map_err(Into::into)?) }
            }
        }

        impl<Fun, Fut, $($extracted),*> FunctionProcedure<Fun, ($($extracted,)*)>
        where
            Fun: Fn($($extracted),*) -> Fut,
            $($extracted: FromCall,)*
        {
            #[allow(unused_variables, reason = "a function of nothing takes nothing out")]
            fn begin(&self, call: &Invocation) -> Result<Fut, CallError> {
                Ok((self.function)($($extracted::from_call(call)?),*))
            }
        }

        impl<Fun, Fut, T, E, $($extracted),*> IntoProcedure<($($extracted,)*)> for Fun
        where
            Fun: Fn($($extracted),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<T, E>> + Send,
            T: Serialize,
            E: Into<CallError>,
            $($extracted: FromCall + 'static,)*
        {
            type Procedure = FunctionProcedure<Fun, ($($extracted,)*)>;

            fn into_procedure(self) -> Self::Procedure {
                FunctionProcedure { function: self, extracted: PhantomData }
            }
        }
    };
}

functions!();
functions!(A);
functions!(A B);
functions!(A B C);
functions!(A B C D);
functions!(A B C D G);
functions!(A B C D G H);
functions!(A B C D G H I);
functions!(A B C D G H I J);

fn written(result: &impl Serialize) -> Outcome {
    to_raw_value(result).map_err(|error| CallError::internal(format_args!("the result is no JSON: {error}")))
}

/// A procedure with settings of its own.
#[derive(Debug)]
pub struct ProcedureRoute {
    pub(crate) procedure: BoxProcedure,
    pub(crate) timeout: Option<Duration>,
    pub(crate) priority: i32,
    /// The pattern, for the log.
    pub(crate) name: Arc<str>,
}

impl ProcedureRoute {
    /// This procedure with the usual settings.
    pub fn new<M>(procedure: impl IntoProcedure<M>) -> Self {
        ProcedureRoute { procedure: BoxProcedure::new(procedure), timeout: None, priority: 0, name: "".into() }
    }

    /// How long a call may take. Then it is dropped and answered with [`Fault::Timeout`](super::Fault::Timeout). Default: as long as the
    /// connection lives.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Which pattern wins if several mean a URI: that of the highest priority; among equals the URI itself, then the first
    /// that was added. Default 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }
}

/// What [`Wamp::procedure`](crate::Wamp::procedure) takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no procedure",
    label = "not a procedure",
    note = "a procedure is an async function of up to eight extractors: `Args<(A, B)>` for its arguments, `WampConnection`, `State<T>`, …",
    note = "it returns a `Result`: the value implements `Serialize`, the error implements `std::error::Error` or is a `CallError` (`map_err(CallError::internal)` makes one of a box or of `anyhow`'s)",
    note = "its future is `Send`, so nothing like an `Rc` or a guard of a `std::sync::Mutex` is held over an `await`"
)]
pub trait IntoProcedureRoute<M> {
    /// Makes the route.
    fn into_route(self) -> ProcedureRoute;
}

impl<M, P: IntoProcedure<M>> IntoProcedureRoute<M> for P {
    fn into_route(self) -> ProcedureRoute {
        ProcedureRoute::new(self)
    }
}

/// That it is a route already.
#[derive(Debug)]
pub enum Routed {}

impl IntoProcedureRoute<Routed> for ProcedureRoute {
    fn into_route(self) -> ProcedureRoute {
        self
    }
}
