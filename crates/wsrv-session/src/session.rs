//! One visitor's session, as the server's application sees it.

use crate::front::{Front, is_over};
use crate::{SessionData, SessionError, SessionId, StoreError, Value, ValueError};
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// The visitor's session at the web front end, as it was when it was read. Clones are the same one.
///
/// It is never written, and reading it again ([`reload`](Session::reload)) gives another one.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    front: Front,
    id: Option<SessionId>,
    state: State,
    data: SessionData,
    expires: Option<SystemTime>,
}

/// Whether there is a session, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// There is one. It may still be empty, or of somebody who has not logged in.
    Present,
    /// The request names none.
    NoCredentials,
    /// The front end has none of this name: it has expired, was ended by a log-out, or never was.
    Gone,
    /// It could not be read, and [counts as none](crate::Sessions::anonymous_on_failure).
    Unread,
    /// What the request names it by is of no use.
    Refused(SessionError),
}

impl Session {
    pub(crate) fn present(front: Front, id: Option<SessionId>, data: SessionData, expires: Option<SystemTime>) -> Self {
        Session(Arc::new(Inner { front, id, state: State::Present, data, expires }))
    }

    pub(crate) fn absent(front: Front, id: Option<SessionId>, state: State) -> Self {
        Session(Arc::new(Inner { front, id, state, data: SessionData::default(), expires: None }))
    }

    /// Whether there is one, and if not, why.
    pub fn state(&self) -> State {
        self.0.state
    }

    /// Whether there is one.
    pub fn is_present(&self) -> bool {
        self.0.state == State::Present
    }

    /// Its id, if it is kept in a store and the visitor has told one.
    pub fn id(&self) -> Option<&SessionId> {
        self.0.id.as_ref()
    }

    /// When it ends if the visitor does not come back, as far as the front end tells.
    pub fn expires(&self) -> Option<SystemTime> {
        self.0.expires
    }

    /// All its values; none if there is no session.
    pub fn data(&self) -> &SessionData {
        &self.0.data
    }

    /// The value under this key. `None`: there is none, or no session.
    ///
    /// # Errors
    ///
    /// It is not of this type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ValueError> {
        self.0.data.get(key).map(Value::to).transpose()
    }

    /// The value at this path, such as `user.roles.0`. `None`: there is none, or no session.
    ///
    /// # Errors
    ///
    /// It is not of this type.
    pub fn path<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ValueError> {
        self.0.data.path(path).map(Value::to).transpose()
    }

    /// Reads it again. One that the visitor's cookie itself contains is the same again, since a new cookie comes with a
    /// new request only; but it may have [expired](State::Gone).
    ///
    /// # Errors
    ///
    /// The store cannot tell, or what it has cannot be read. That says nothing about the session.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn reload(&self) -> Result<Session, StoreError> {
        match &self.0.id {
            Some(id) => self.0.front.load(id.clone()).await,
            None if is_over(self.0.expires) => Ok(Session::absent(self.0.front.clone(), None, State::Gone)),
            None => Ok(self.clone()),
        }
    }
}

/// Says which one it is, and not what is in it.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.id)
            .field("state", &self.0.state)
            .field("expires", &self.0.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::{Credentials, Extracted, Extractor};
    use crate::{Codec, Sessions};
    use std::time::Duration;

    /// A token with a session in it, which ends then.
    struct Token(SystemTime);

    impl Extractor for Token {
        fn extract(&self, _: &Credentials<'_>, _: SystemTime) -> Result<Extracted, SessionError> {
            Ok(Extracted::Inline { data: "{}".into(), expires: Some(self.0) })
        }
    }

    #[tokio::test]
    async fn a_session_inside_a_token_ends_with_it() {
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
        let find =
            async |end| Sessions::in_cookie(Token(end), Codec::json()).find(&Credentials::default()).await.unwrap();
        let session = find(now + hour).await;
        assert_eq!(session.expires(), Some(now + hour));
        assert_eq!(session.reload().await.unwrap().state(), State::Present);
        assert_eq!(find(now).await.state(), State::Gone);
        // As if an hour had passed since it was found.
        let old = Session::present(session.0.front.clone(), None, session.data().clone(), Some(now));
        assert_eq!(old.reload().await.unwrap().state(), State::Gone);
    }
}
