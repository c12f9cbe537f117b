//! WAMP-CRA: who somebody is, by a secret that does not travel.

use serde::Deserialize;
use serde::Serialize;

use super::{SignInFailure, WampClient};
use crate::signature::{derive_key, sign};
use crate::uris;

/// What the server lets a signed-in session do. Servers differ in how much of it they tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Granted {
    /// Procedures.
    pub rpc: Vec<GrantedProcedure>,
    /// Topics.
    pub pubsub: Vec<GrantedTopic>,
}

/// A procedure, and whether it may be called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct GrantedProcedure {
    /// The procedure's URI.
    pub uri: String,
    /// Whether it may be called.
    pub call: bool,
}

/// A topic, or all whose URIs begin alike, and what may be done with them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct GrantedTopic {
    /// The topic's URI, or its beginning.
    pub uri: String,
    /// Whether all topics are meant whose URIs begin with this.
    pub prefix: bool,
    /// Whether events may be published.
    #[serde(rename = "pub")]
    pub publish: bool,
    /// Whether it may be subscribed to.
    #[serde(rename = "sub")]
    pub subscribe: bool,
}

/// The part of a challenge that a client needs.
#[derive(Deserialize)]
struct Challenge {
    #[serde(default)]
    authextra: Option<Salted>,
}

/// How the key is made of the secret.
#[derive(Deserialize)]
struct Salted {
    salt: Option<String>,
    #[serde(default = "default_iterations")]
    iterations: u32,
    #[serde(default = "default_key_len")]
    keylen: usize,
}

const fn default_iterations() -> u32 {
    10_000
}

const fn default_key_len() -> usize {
    32
}

/// Rounds of hashing that a server may ask for: about a second of work.
const MAX_ROUNDS: u64 = 1_000_000;

/// Bytes that one run of the key derivation makes.
const BLOCK: usize = 32;

impl WampClient {
    /// Signs this session in: asks for a challenge, and answers it with the secret's signature. If the server stores the
    /// secret with salt, the key is derived from it as the challenge says, on a thread for blocking work.
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
    pub async fn sign_in(&self, key: &str, secret: &str) -> Result<Granted, SignInFailure> {
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
    ) -> Result<Granted, SignInFailure> {
        let challenge: Option<String> = self.call(uris::AUTHREQ, &(Some(key), extra)).await?;
        let challenge = challenge.ok_or(SignInFailure::Challenge("there is none"))?;
        let signature = match salted(&challenge)? {
            Some((salt, iterations, key_len)) => {
                let secret = secret.to_owned();
                let derived =
                    tokio::task::spawn_blocking(move || derive_key(&secret, &salt, iterations, key_len)).await;
                sign(&derived.map_err(|_| SignInFailure::Challenge("the key cannot be derived"))?, &challenge)
            }
            None => sign(secret, &challenge),
        };
        Ok(self.call(uris::AUTH, &(signature,)).await?)
    }

    /// Signs this session in as nobody, where the server wants even that.
    ///
    /// # Errors
    ///
    /// A [`SignInFailure`], with [`uris::ANONYMOUS_AUTH_FORBIDDEN`] if the server wants a name.
    pub async fn sign_in_anonymously(&self) -> Result<Granted, SignInFailure> {
        let nobody = None::<&str>;
        let _: serde::de::IgnoredAny = self.call(uris::AUTHREQ, &(nobody, nobody)).await?;
        Ok(self.call(uris::AUTH, &(nobody,)).await?)
    }
}

/// Salt, iterations and length of the key, if the secret has to be derived.
fn salted(challenge: &str) -> Result<Option<(String, u32, usize)>, SignInFailure> {
    let challenge: Challenge =
        serde_json::from_str(challenge).map_err(|_| SignInFailure::Challenge("it is malformed"))?;
    let Some(Salted { salt: Some(salt), iterations, keylen }) = challenge.authextra else { return Ok(None) };
    let rounds = u64::from(iterations).saturating_mul(keylen.div_ceil(BLOCK) as u64);
    if rounds == 0 || rounds > MAX_ROUNDS {
        return Err(SignInFailure::Challenge("it asks for no work, or for too much"));
    }
    Ok(Some((salt, iterations, keylen)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_say_how_the_key_is_made() {
        for (challenge, expected) in [
            (r#"{"authid":"x"}"#, None),
            (r#"{"authextra":null}"#, None),
            (r#"{"authextra":{}}"#, None),
            (r#"{"authextra":{"salt":null}}"#, None),
            (r#"{"authextra":{"salt":"s"}}"#, Some(("s".to_owned(), 10_000, 32))),
            (r#"{"authextra":{"salt":"","iterations":7,"keylen":33}}"#, Some((String::new(), 7, 33))),
        ] {
            assert_eq!(salted(challenge).unwrap(), expected, "{challenge}");
        }
    }

    #[test]
    fn a_server_cannot_make_a_client_work_for_ever() {
        for extra in [
            r#""iterations":1000001"#,
            r#""iterations":4294967295"#,
            r#""iterations":500001,"keylen":33"#,
            r#""keylen":18446744073709551615"#,
            r#""iterations":0"#,
            r#""keylen":0"#,
            r#""iterations":-1"#,
        ] {
            let challenge = format!(r#"{{"authextra":{{"salt":"s",{extra}}}}}"#);
            assert!(matches!(salted(&challenge), Err(SignInFailure::Challenge(_))), "{extra}");
        }
        assert!(salted(r#"{"authextra":{"salt":"s","iterations":1000000}}"#).unwrap().is_some());
        assert!(salted("null").is_err() && salted("{").is_err());
    }
}
