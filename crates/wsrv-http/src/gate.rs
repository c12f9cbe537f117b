//! Who may connect.

use crate::{Opening, Rejection};
use http::Version;
use std::fmt;
use std::pin::Pin;
use wsrv_rfc6455::handshake::RequestHead;

/// Decides about a request before it becomes a connection.
///
/// A gate may look something up and wait for it; the time counts against the opening handshake's deadline. What it
/// learns, it attaches to [`Opening::extensions_mut`].
///
/// A function `Fn(&mut Opening) -> Result<(), Rejection>` is a gate that does not wait. One that waits is a type, or a
/// function given to [`gate_fn`]:
///
/// ```
/// use http::StatusCode;
/// use wsrv_http::{Gate, Opening, Rejection};
///
/// # struct Users;
/// # #[derive(Clone)] struct User;
/// # impl Users { async fn by_token(&self, _: &str) -> Option<User> { None } }
/// struct LogIn {
///     users: Users, // a database
/// }
///
/// impl Gate for LogIn {
///     async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
///         let refused = || Rejection::new(StatusCode::UNAUTHORIZED, "no user with this token");
///         let token = opening.request().header_str("x-token").ok_or_else(refused)?;
///         let user = self.users.by_token(token).await.ok_or_else(refused)?;
///         opening.extensions_mut().insert(user);
///         Ok(())
///     }
/// }
/// ```
pub trait Gate: Send + Sync + 'static {
    /// Lets the request pass or refuses it.
    ///
    /// # Errors
    ///
    /// The refusal, as it is to be answered.
    fn admit(&self, opening: &mut Opening) -> impl Future<Output = Result<(), Rejection>> + Send;

    /// When it is asked, and about which requests. Default: [`Stage::Application`], last and about upgrades only.
    fn stage(&self) -> Stage {
        Stage::Application
    }
}

/// The order in which [`Gates`](crate::Gates) are asked, first to last.
///
/// What costs least and knows least comes first; whoever decides by the client's address has to come behind the one
/// that finds it out. The first three are asked about every request, the others only about those that want to become
/// a connection: by [`Upgrade`](wsrv_rfc6455::handshake::RequestHead::is_upgrade), or in other versions than HTTP/1.1 by
/// `CONNECT` (RFC 8441).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Finds out who the client is: [`TrustedProxies`](crate::TrustedProxies).
    Proxy,
    /// Decides by the client's address: [`Addresses`](crate::Addresses).
    Address,
    /// Decides by what is going on already: rates and numbers.
    Limit,
    /// Decides by the page that connects: [`AllowedOrigins`](crate::AllowedOrigins).
    Origin,
    /// Finds out whose session it is.
    Session,
    /// Whatever the application asks for.
    #[default]
    Application,
}

impl Stage {
    /// Whether gates of this stage are asked about every request, not only about upgrades.
    pub fn is_for_every_request(self) -> bool {
        self <= Stage::Limit
    }
}

impl<F: Fn(&mut Opening) -> Result<(), Rejection> + Send + Sync + 'static> Gate for F {
    fn admit(&self, opening: &mut Opening) -> impl Future<Output = Result<(), Rejection>> + Send {
        let verdict = self(opening);
        async { verdict }
    }
}

/// A function that waits, as a gate.
///
/// ```
/// use std::sync::Arc;
/// use wsrv_http::{Rejection, gate_fn};
///
/// # struct Users;
/// # #[derive(Clone)] struct User;
/// # impl Users { async fn by_token(&self, _: &str) -> Option<User> { None } }
/// # let users = Arc::new(Users);
/// let log_in = gate_fn(move |opening| {
///     let users = users.clone();
///     Box::pin(async move {
///         let token = opening.request().header_str("x-token").unwrap_or_default();
///         let user = users.by_token(token).await.ok_or_else(|| Rejection::forbidden("no user with this token"))?;
///         opening.extensions_mut().insert(user);
///         Ok(())
///     })
/// });
/// # fn is_gate(_: impl wsrv_http::Gate) {}
/// # is_gate(log_in);
/// ```
pub fn gate_fn<F>(function: F) -> GateFn<F>
where
    F: for<'a> Fn(&'a mut Opening) -> Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>>,
    F: Send + Sync + 'static,
{
    GateFn(function)
}

/// The gate that [`gate_fn`] makes of a function.
#[derive(Clone, Copy)]
pub struct GateFn<F>(F);

impl<F> Gate for GateFn<F>
where
    F: for<'a> Fn(&'a mut Opening) -> Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>>,
    F: Send + Sync + 'static,
{
    fn admit(&self, opening: &mut Opening) -> impl Future<Output = Result<(), Rejection>> + Send {
        (self.0)(opening)
    }
}

impl<F> fmt::Debug for GateFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateFn").finish_non_exhaustive()
    }
}

/// Whether the request asks for a connection: by the header of HTTP/1.1, or by the `CONNECT` that other versions have for
/// it (RFC 8441).
pub(crate) fn wants_connection(head: &RequestHead) -> bool {
    head.is_upgrade() || (head.method() == "CONNECT" && head.version() > Version::HTTP_11)
}
