//! One visitor's session, as the server's application sees it.

use crate::front::{Front, is_over};
use crate::{
    Draft, ReadOnly, Record, SessionData, SessionError, SessionId, StoreError, UpdateError, Value, ValueError,
};
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// The visitor's session at the web front end, as it was when it was read. Clones are the same one.
///
/// It stays as it was: reading it again ([`reload`](Session::reload)) gives another one, and so does changing it
/// ([`update`](Session::update)), which is never done unless the application asks for it.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    front: Front,
    id: Option<SessionId>,
    state: State,
    data: SessionData,
    expires: Option<SystemTime>,
    /// The record itself says when it ends, whatever the store is told.
    names_its_end: bool,
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
    pub(crate) fn present(front: Front, id: Option<SessionId>, record: Record, expires: Option<SystemTime>) -> Self {
        let Record { data, expires_at, .. } = record;
        let names_its_end = expires_at.is_some();
        Session(Arc::new(Inner { front, id, state: State::Present, data, expires, names_its_end }))
    }

    /// The same session with these values.
    pub(crate) fn with_data(&self, data: SessionData) -> Self {
        let Inner { front, id, state, expires, names_its_end, .. } = &*self.0;
        let (front, id) = (front.clone(), id.clone());
        Session(Arc::new(Inner { front, id, state: *state, data, expires: *expires, names_its_end: *names_its_end }))
    }

    pub(crate) fn absent(front: Front, id: Option<SessionId>, state: State) -> Self {
        let data = SessionData::default();
        Session(Arc::new(Inner { front, id, state, data, expires: None, names_its_end: false }))
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

    /// Has it end later at the front end, as if the visitor had come back now. Whether it is there: one that has expired
    /// stays so.
    ///
    /// [`SessionWatch::touch_every`](crate::SessionWatch::touch_every) does it as long as somebody is connected.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`]: it is in a cookie, its record says itself when it ends, or its store cannot do that
    /// or was not told for how long. Others: the store cannot tell.
    ///
    /// # Cancel safety
    ///
    /// If dropped, it may have been touched, or not.
    pub async fn touch(&self) -> Result<bool, StoreError> {
        match &self.0.id {
            Some(_) if self.0.names_its_end => Err(StoreError::Unsupported),
            Some(id) => self.0.front.touch(id).await,
            None if self.is_present() => Err(StoreError::Unsupported),
            None => Ok(false),
        }
    }

    /// Changes it at the front end: reads it anew, under the lock that the front end takes itself, applies this change
    /// and writes what comes of it. Returns the session after the change.
    ///
    /// ```
    /// # use wsrv_session::{Session, UpdateError};
    /// async fn add(session: &Session, item: u64) -> Result<Session, UpdateError> {
    ///     session.update(|draft| {
    ///         let mut cart = draft.get::<Vec<u64>>("cart")?.unwrap_or_default();
    ///         cart.push(item);
    ///         draft.set("cart", &cart)
    ///     })
    ///     .await
    /// }
    /// ```
    ///
    /// The change **may run more than once**, each time on the session as it is then: if somebody has written in between,
    /// nothing of the first run stays. If it changes nothing, or fails, nothing is written. It runs while the session is
    /// locked, so it should only compute.
    ///
    /// No session is made, and none that has expired is written. How long it lives stays the same, but for files, which
    /// count from when they were written.
    ///
    /// Where the front end locks nothing, as Laravel and phpredis by default, a request of it that is under way may
    /// still write what it has read before, and the change is lost.
    ///
    /// # Errors
    ///
    /// An [`UpdateError`], of the change itself, too.
    ///
    /// # Cancel safety
    ///
    /// If dropped, all of the change is written or nothing.
    pub async fn update(
        &self,
        change: impl FnMut(&mut Draft<'_>) -> Result<(), UpdateError> + Send,
    ) -> Result<Session, UpdateError> {
        match &self.0.id {
            Some(id) => self.0.front.update(id, change).await,
            None if self.is_present() => Err(ReadOnly::InCookie.into()),
            None => Err(UpdateError::Gone),
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
        let record = Record { data: session.data().clone(), expires_at: Some(now), id: None };
        let old = Session::present(session.0.front.clone(), None, record, Some(now));
        assert_eq!(old.reload().await.unwrap().state(), State::Gone);
    }
}
