//! How clients sign in.

use super::account::{Account, Secret, salt};
use crate::cra::{Grant, Salting, mac};
use crate::server::random::random;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::Mac;
use std::fmt;
use std::time::Duration;

/// How clients sign in: [`WampLayer::sign_in`](crate::WampLayer::sign_in) has the whole story.
#[derive(Debug)]
pub struct Cra<S> {
    pub(super) store: S,
    pub(super) anonymous: Option<Grant>,
    pub(super) time_limit: Option<Duration>,
    pub(super) mean_delay: Duration,
    pub(super) decoy: Option<Decoy>,
}

impl<S> Cra<S> {
    /// With the accounts of this [`Store`](super::Store). Nobody gets in without one.
    pub fn new(store: S) -> Self {
        Cra { store, anonymous: None, time_limit: None, mean_delay: Duration::from_millis(800), decoy: None }
    }

    /// Lets clients in that have no key, to do this. They have to ask for it too. Default: they are refused.
    pub fn anonymous(mut self, grant: Grant) -> Self {
        self.anonymous = Some(grant);
        self
    }

    /// Who has not signed in after this time is closed, with 1008. Default: there is time as long as the connection
    /// lives.
    pub fn time_limit(mut self, time: Duration) -> Self {
        self.time_limit = Some(time);
        self
    }

    /// After how long, on average, a wrong signature is answered. The time is random, up to four times this. It makes
    /// guessing slow: what the client sends meanwhile waits, and nobody else does. Default 800 ms.
    pub fn failure_delay(mut self, mean: Duration) -> Self {
        self.mean_delay = mean;
        self
    }

    /// Does not let clients find out which keys there are: one that does not exist gets a challenge too, which nobody can
    /// answer, and challenges do not tell what the key may do. By default such a key is answered with
    /// [`no-such-authkey`](crate::uris::NO_SUCH_AUTHKEY).
    ///
    /// The [`Store`](super::Store) has to take its part: if it is faster for keys that do not exist, that tells them.
    pub fn hide_keys(mut self, decoy: Decoy) -> Self {
        self.decoy = Some(decoy);
        self
    }

    /// When a wrong signature is answered: exponentially distributed, but never later than four times the average.
    pub(super) fn delay(&self) -> Duration {
        // From 53 bits, more than 0 and at most 1.
        let uniform = ((u64::from_le_bytes(random()) >> 11) + 1) as f64 / (1u64 << 53) as f64;
        let seconds = self.mean_delay.as_secs_f64() * (-uniform.ln()).clamp(0.0, 4.0);
        // One that is too long to be told is for ever.
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// What the challenge for a key looks like that does not exist: as those of real accounts, or it is known for what it is.
#[derive(Clone)]
pub struct Decoy {
    secret: [u8; 32],
    /// Iterations and bytes of the key.
    salted: Option<(u32, u32)>,
}

impl Decoy {
    /// Where all secrets are [plain](Secret::plain).
    pub fn plain() -> Self {
        Decoy { secret: random(), salted: None }
    }

    /// Where all secrets are [salted](Secret::salted) with so many iterations, and salts have the form that
    /// [`Secret::salted`] gives them. A key that does not exist has always the same salt, as real ones have.
    ///
    /// # Panics
    ///
    /// If the operating system has no random numbers.
    pub fn salted(iterations: u32) -> Self {
        Decoy { secret: random(), salted: Some((iterations, 32)) }
    }

    /// What salts are made of. Servers of the same accounts have the same, and keep it: otherwise the salt of a key that
    /// does not exist changes from one to the other. Default: random, until this server ends.
    pub fn seed(mut self, secret: [u8; 32]) -> Self {
        self.secret = secret;
        self
    }

    /// An account to which nobody knows the secret.
    pub(super) fn account(&self, key: &str) -> Account {
        let unknown = BASE64.encode(random::<32>());
        let secret = match self.salted {
            None => Secret::plain(unknown),
            Some((iterations, keylen)) => {
                let bits: [u8; 32] = mac(&BASE64.encode(self.secret), key).finalize().into_bytes().into();
                let salt = salt(std::array::from_fn(|at| bits[at]));
                Secret::derived(unknown, Salting { salt, keylen, iterations })
            }
        };
        Account::new(secret, Grant::none())
    }
}

impl fmt::Debug for Decoy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoy").field("salted", &self.salted).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_random_with_the_mean_that_was_asked_for_and_never_long() {
        let cra = Cra::new(()).failure_delay(Duration::from_secs(1));
        let delays: Vec<f64> = (0..20_000).map(|_| cra.delay().as_secs_f64()).collect();
        let mean = delays.iter().sum::<f64>() / 20_000.0;
        // What is cut off at four times the mean takes off 1.8 %.
        assert!((0.94..1.03).contains(&mean), "{mean}");
        assert!(delays.iter().all(|delay| (0.0..=4.0).contains(delay)));
        assert!(delays.iter().any(|delay| *delay > 2.0) && delays.iter().any(|delay| *delay < 0.1));
        assert_eq!(Cra::new(()).failure_delay(Duration::ZERO).delay(), Duration::ZERO);
        let endless = Cra::new(()).failure_delay(Duration::MAX);
        assert!((0..100).any(|_| endless.delay() == Duration::MAX), "too long is for ever");
    }

    #[test]
    fn a_decoy_has_one_salt_for_each_key_in_the_form_of_real_ones() {
        let salt = |decoy: &Decoy, key| decoy.account(key).secret.salting().cloned().unwrap();
        let decoy = Decoy::salted(1000);
        assert_eq!(salt(&decoy, "a"), salt(&decoy, "a"));
        assert_ne!(salt(&decoy, "a").salt, salt(&decoy, "b").salt);
        assert_ne!(salt(&decoy, "a").salt, salt(&Decoy::salted(1000), "a").salt, "two servers");
        let seeded = || Decoy::salted(1000).seed([7; 32]);
        assert_eq!(salt(&seeded(), "a"), salt(&seeded(), "a"), "two servers of the same accounts");
        let real = Secret::salted("password", 1000).salting().cloned().unwrap();
        assert_eq!(
            Salting { salt: String::new(), ..salt(&decoy, "a") },
            Salting { salt: String::new(), ..real.clone() }
        );
        assert_eq!((salt(&decoy, "a").salt.len(), real.salt.len()), (24, 24));
        assert_ne!(decoy.account("a").secret.key(), decoy.account("a").secret.key(), "nobody can know it");
        assert_eq!(Decoy::plain().account("a").secret.salting(), None);
    }
}
