//! Who may connect.

use crate::{Opening, Rejection};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Decides about a request before it becomes a connection.
///
/// A gate may look something up and wait for it; the time counts against the opening handshake's deadline. What it
/// learns, it attaches to [`Opening::extensions_mut`].
///
/// A function `Fn(&mut Opening) -> Result<(), Rejection>` is a gate that does not wait. One that waits is a type:
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
}

impl<F: Fn(&mut Opening) -> Result<(), Rejection> + Send + Sync + 'static> Gate for F {
    fn admit(&self, opening: &mut Opening) -> impl Future<Output = Result<(), Rejection>> + Send {
        let verdict = self(opening);
        async { verdict }
    }
}

/// Gates one behind the other. Clones share them.
#[derive(Clone, Default)]
pub struct Gates(Vec<Arc<dyn DynGate>>);

impl Gates {
    /// No gate: everybody passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a gate behind those that are there.
    pub fn push(&mut self, gate: impl Gate) {
        self.0.push(Arc::new(gate));
    }
}

impl Gate for Gates {
    /// Asks the gates in their order, up to the first that refuses.
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        for gate in &self.0 {
            gate.admit_boxed(opening).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gates").field("count", &self.0.len()).finish()
    }
}

/// [`Gate`] behind a pointer: one box per gate and opening.
trait DynGate: Send + Sync {
    fn admit_boxed<'a>(
        &'a self,
        opening: &'a mut Opening,
    ) -> Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>>;
}

impl<G: Gate> DynGate for G {
    fn admit_boxed<'a>(
        &'a self,
        opening: &'a mut Opening,
    ) -> Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>> {
        Box::pin(self.admit(opening))
    }
}
