//! Names that servers and clients of WAMP version 1 know each other by.

/// The WebSocket subprotocol of WAMP version 1.
pub const SUBPROTOCOL: &str = "wamp";

/// The version that a WELCOME names.
pub const PROTOCOL_VERSION: u64 = 1;

/// What the error URIs begin with. As a prefix it makes them short: `error:generic`.
pub const ERROR: &str = "http://api.wamp.ws/error#";

/// A call failed, and nothing more is known about why.
pub const GENERIC: &str = "http://api.wamp.ws/error#generic";

/// A call failed by a fault of the server, such as a result that cannot be written as JSON.
pub const INTERNAL: &str = "http://api.wamp.ws/error#internal";

/// There is no such procedure.
pub const NO_SUCH_RPC_ENDPOINT: &str = "http://api.wamp.ws/error#NoSuchRPCEndpoint";

/// The procedure takes other arguments, or another number of them.
pub const INVALID_ARGUMENT: &str = "http://api.wamp.ws/error#invalid-argument";

/// The session has logged in before.
pub const ALREADY_AUTHENTICATED: &str = "http://api.wamp.ws/error#already-authenticated";

/// A challenge is open already, and not answered yet.
pub const AUTHENTICATION_ALREADY_REQUESTED: &str = "http://api.wamp.ws/error#authentication-already-requested";

/// An answer came to which there is no challenge.
pub const NO_AUTHENTICATION_REQUESTED: &str = "http://api.wamp.ws/error#no-authentication-requested";

/// Sessions without a key are not let in.
pub const ANONYMOUS_AUTH_FORBIDDEN: &str = "http://api.wamp.ws/error#anonymous-auth-forbidden";

/// Nobody has this authentication key.
pub const NO_SUCH_AUTHKEY: &str = "http://api.wamp.ws/error#no-such-authkey";

/// The answer to the challenge is wrong.
pub const INVALID_SIGNATURE: &str = "http://api.wamp.ws/error#invalid-signature";

/// What the key may do could not be found out.
pub const AUTH_PERMISSIONS_ERROR: &str = "http://api.wamp.ws/error#auth-permissions-error";

/// The procedure by which a client asks for a challenge.
pub const AUTHREQ: &str = "http://api.wamp.ws/procedure#authreq";

/// The procedure by which a client answers it.
pub const AUTH: &str = "http://api.wamp.ws/procedure#auth";

/// The call took longer than its procedure may. This server's own.
pub const TIMEOUT: &str = "http://api.wamp.ws/error#timeout";

/// Who calls may not. This server's own.
pub const NOT_AUTHORIZED: &str = "http://api.wamp.ws/error#not-authorized";

/// The connection calls too often. The details tell after how many seconds it may again: `{"retryAfter": 0.5}`. This
/// server's own.
pub const TOO_MANY_CALLS: &str = "http://api.wamp.ws/error#too-many-calls";
