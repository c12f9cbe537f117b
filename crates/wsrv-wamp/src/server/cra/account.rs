//! Who may sign in, and where that is known.

use crate::cra::{Grant, Salting, derive_key};
use crate::server::random::random;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use wsrv_core::{AttributeStore, Connection};
use wsrv_rfc6455::connection::WebSocketConnection;
use wsrv_rfc6455::handshake::RequestHead;

/// Whoever signs in, as the server knows it.
///
/// What else the application knows of an account, above all its role, is given [along](Account::with).
#[derive(Clone)]
pub struct Account {
    /// What the client signs with.
    pub secret: Secret,
    /// What it may do then.
    pub grant: Grant,
    pub(super) along: Along,
}

/// What an account brings along, each a way to put one value into a connection's attributes.
pub(super) type Along = Vec<Arc<dyn Fn(&AttributeStore) + Send + Sync>>;

impl Account {
    /// With this secret, somebody may do this.
    pub fn new(secret: Secret, grant: Grant) -> Self {
        Account { secret, grant, along: Vec::new() }
    }

    /// Gives a value along, such as a role: it is put into the connection's [attributes](AttributeStore) when the client
    /// has signed in, and only then. Procedures take it as [`Attribute<T>`](crate::Attribute), and the rules of
    /// [`Permissions`](crate::Permissions) may ask for it. One of each type; a later one replaces it.
    pub fn with<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.along.push(Arc::new(move |attributes| drop(attributes.set(value.clone()))));
        self
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { secret, grant, along } = self;
        f.debug_struct("Account")
            .field("secret", secret)
            .field("grant", grant)
            .field("along", &along.len())
            .finish_non_exhaustive()
    }
}

/// The secret that client and server share.
#[derive(Clone)]
pub struct Secret {
    key: String,
    salting: Option<Salting>,
}

impl Secret {
    /// The secret itself, such as a token that a program has.
    pub fn plain(secret: impl Into<String>) -> Self {
        Secret { key: secret.into(), salting: None }
    }

    /// What [`derive_key`] has made of a password, as it was stored.
    pub fn derived(key: impl Into<String>, salting: Salting) -> Self {
        Secret { key: key.into(), salting: Some(salting) }
    }

    /// Makes one of a password, with a salt of 128 random bits, to store its [key](Self::key) and its
    /// [salting](Self::salting). More iterations make it harder to find the password to a stolen key; each client does
    /// that work when it signs in, this server does it here only.
    ///
    /// # Panics
    ///
    /// If the operating system has no random numbers.
    pub fn salted(password: &str, iterations: u32) -> Self {
        let salting = Salting::new(salt(random())).with_iterations(iterations);
        Secret { key: derive_key(password, &salting), salting: Some(salting) }
    }

    /// The key that signatures are made with. It is as good as the password: who has it can sign in.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the client makes the key of its password.
    pub fn salting(&self) -> Option<&Salting> {
        self.salting.as_ref()
    }
}

/// The form in which all salts are made here, real or not.
pub(super) fn salt(bits: [u8; 16]) -> String {
    BASE64.encode(bits)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("salting", &self.salting).finish_non_exhaustive()
    }
}

/// Who wants to sign in. Nothing of it is proven yet, so the connection itself is not in it: whatever a
/// [`Store`] kept there would be kept for those, too, who do not know the secret.
#[derive(Clone, Copy, Debug)]
pub struct SignInRequest<'a> {
    /// The key: the name of an account.
    pub key: &'a str,
    /// What the client says about itself. Nobody has checked it.
    pub extra: &'a Map<String, Value>,
    conn: &'a WebSocketConnection,
}

impl<'a> SignInRequest<'a> {
    pub(super) fn new(key: &'a str, extra: &'a Map<String, Value>, conn: &'a WebSocketConnection) -> Self {
        SignInRequest { key, extra, conn }
    }

    /// The request that the connection began with.
    pub fn request(&self) -> &'a RequestHead {
        self.conn.request()
    }

    /// What a gate has attached to that request.
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&'a T> {
        self.conn.extensions().get()
    }

    /// The client's address, if it has one.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.conn.remote_addr()
    }
}

/// Why an account could not be looked up. It goes to the log, as a warning, and never to the client.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Knows the accounts.
///
/// ```
/// use wsrv_wamp::cra::{Account, Grant, Secret, SignInRequest, Store, StoreError};
///
/// #[derive(Clone)]
/// enum Role { Device, Admin }
///
/// struct Tokens;
///
/// impl Store for Tokens {
///     async fn find(&self, request: SignInRequest<'_>) -> Result<Option<Account>, StoreError> {
///         // Here one asks a database.
///         let token = if request.key == "thermometer" { "OYjU1KzV" } else { return Ok(None) };
///         let grant = Grant::none().call("http://example.com/report");
///         Ok(Some(Account::new(Secret::plain(token), grant).with(Role::Device)))
///     }
/// }
/// ```
pub trait Store: Send + Sync + 'static {
    /// The account of this key, if there is one. While it is looked up, only its client waits.
    ///
    /// Whoever knows the name of a key can have it looked up: that the client has the secret as well is found out
    /// afterwards. So nothing is to be done here for the sake of who is signing in. What the client may do, and the role
    /// it has, belongs into the [`Account`], which counts when the signature was right.
    ///
    /// # Errors
    ///
    /// It is not known whether there is one. The client is told
    /// [`auth-permissions-error`](crate::uris::AUTH_PERMISSIONS_ERROR), and may ask again.
    fn find(&self, request: SignInRequest<'_>) -> impl Future<Output = Result<Option<Account>, StoreError>> + Send;
}

/// A few accounts, all known from the beginning.
impl Store for HashMap<String, Account> {
    fn find(&self, request: SignInRequest<'_>) -> impl Future<Output = Result<Option<Account>, StoreError>> + Send {
        ready(Ok(self.get(request.key).cloned()))
    }
}
