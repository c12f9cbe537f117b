//! Signing in by challenge and response: WAMP-CRA (feature `cra`).
//!
//! A client asks for a challenge with the procedure [`uris::AUTHREQ`](crate::uris::AUTHREQ) and its key, signs the
//! challenge with its secret, and gives the signature to [`uris::AUTH`](crate::uris::AUTH). The secret itself stays where
//! it is. If it is a password, the challenge may say how to make the secret of it, so that the server need not know the
//! password.
//!
//! Here are the signatures, for both sides. With the feature `server` there is also the layer that lets nobody in who
//! has not signed in: [`WampLayer::sign_in`](crate::WampLayer::sign_in).
//!
//! ```
//! use wsrv_wamp::cra;
//!
//! let challenge = r#"{"authid":"gDkGlrOLTjwHbmyN","authkey":"bob","authextra":{"salt":"x","iterations":1000}}"#;
//! let signature = cra::respond(challenge, "pa55word")?;
//! assert_eq!(signature.len(), 44);
//! # Ok::<(), wsrv_wamp::cra::ChallengeError>(())
//! ```

mod grant;
mod signature;

pub use grant::{CallGrant, Grant, TopicGrant};
pub use signature::{ChallengeError, Salting, derive_key, respond, sign};

#[cfg(feature = "server")]
pub use crate::server::cra::{
    Account, Cra, CraLayer, CraState, Decoy, Secret, SignInRequest, SignedIn, Store, StoreError,
};
#[cfg(feature = "server")]
pub(crate) use signature::{mac, verifies};
