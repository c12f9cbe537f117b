//! WAMP-CRA: who somebody is, by a secret that does not travel.

use serde::Serialize;

use super::{SignInFailure, WampClient};
use crate::cra::{ChallengeError, Grant, respond};
use crate::uris;

impl WampClient {
    /// Signs this session in: asks for a challenge, and answers it with the secret's signature. It is
    /// computed on a thread for blocking work, since a salted secret takes time.
    ///
    /// The secret does not travel. But whoever sees a challenge and its signature can try secrets, so a weak one wants
    /// TLS; and a server that is not the right one learns as much.
    ///
    /// Not cancel safe: a challenge that is not answered stays open, and some servers give no second one.
    ///
    /// # Errors
    ///
    /// A [`SignInFailure`]. After a wrong signature another try is allowed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn sign_in(&self, key: &str, secret: &str) -> Result<Grant, SignInFailure> {
        self.sign_in_with(key, secret, &()).await
    }

    /// As [`sign_in`](Self::sign_in), with something extra that the server wants to know: an object, or `&()`.
    ///
    /// # Errors
    ///
    /// A [`SignInFailure`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn sign_in_with(
        &self,
        key: &str,
        secret: &str,
        extra: &(impl Serialize + ?Sized),
    ) -> Result<Grant, SignInFailure> {
        let challenge: Option<String> = self.call(uris::AUTHREQ, &(Some(key), extra)).await?;
        let challenge = challenge.ok_or(SignInFailure::Challenge("there is none"))?;
        let secret = secret.to_owned();
        let signature = tokio::task::spawn_blocking(move || respond(&challenge, &secret)).await;
        let signature = signature.map_err(|_| SignInFailure::Challenge("the key cannot be derived"))?;
        let signature = signature.map_err(|error| match error {
            ChallengeError::Work => SignInFailure::Challenge("it asks for no work, or for too much"),
            _ => SignInFailure::Challenge("it is malformed"),
        })?;
        Ok(self.call(uris::AUTH, &(signature,)).await?)
    }

    /// Signs this session in as nobody, where the server wants even that.
    ///
    /// # Errors
    ///
    /// A [`SignInFailure`], with [`uris::ANONYMOUS_AUTH_FORBIDDEN`] if the server wants a name.
    pub async fn sign_in_anonymously(&self) -> Result<Grant, SignInFailure> {
        let nobody = None::<&str>;
        let _: serde::de::IgnoredAny = self.call(uris::AUTHREQ, &(nobody, nobody)).await?;
        Ok(self.call(uris::AUTH, &(nobody,)).await?)
    }
}
