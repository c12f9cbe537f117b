//! The way from a request to a session, for one front end.

use crate::cookie::{Credentials, Extracted, Extractor};
use crate::{
    BoxStore, Codec, Draft, Limits, RawSession, ReadOnly, Record, Session, SessionError, SessionId, State, Store,
    StoreError, UpdateError,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// How a front end names its sessions, where it keeps them, and what they are written in. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Front(Arc<Parts>);

#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) extractor: Arc<dyn Extractor>,
    /// `None`: the cookie has all.
    pub(crate) store: Option<BoxStore>,
    pub(crate) codec: Codec,
    pub(crate) limits: Limits,
    pub(crate) store_timeout: Duration,
}

impl Front {
    pub(crate) fn new(parts: Parts) -> Self {
        Front(Arc::new(parts))
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Parts)) {
        change(Arc::make_mut(&mut self.0));
    }

    /// The session of a request.
    pub(crate) async fn find(&self, credentials: &Credentials<'_>) -> Result<Session, StoreError> {
        self.look_up(self.extract(credentials)).await
    }

    /// What a request names its session by.
    pub(crate) fn extract(&self, credentials: &Credentials<'_>) -> Result<Extracted, SessionError> {
        self.0.extractor.extract(credentials, SystemTime::now())
    }

    /// The session that was named like this.
    pub(crate) async fn look_up(&self, named: Result<Extracted, SessionError>) -> Result<Session, StoreError> {
        match named {
            Ok(Extracted::Id(id)) => self.load(id).await,
            Ok(Extracted::Inline { data, expires }) => self.read(None, RawSession::new(data, expires)),
            Ok(Extracted::None) => Ok(Session::absent(self.clone(), None, State::NoCredentials)),
            Err(error) => Ok(Session::absent(self.clone(), None, State::Refused(error))),
        }
    }

    pub(crate) async fn load(&self, id: SessionId) -> Result<Session, StoreError> {
        let Some(store) = &self.0.store else {
            // The cookie of a front end that keeps all of it there is no place to look something up.
            return Ok(Session::absent(self.clone(), Some(id), State::Gone));
        };
        match timeout(self.0.store_timeout, store.load(&id)).await.map_err(|_| StoreError::Timeout)?? {
            Some(raw) => self.read(Some(id), raw),
            None => Ok(Session::absent(self.clone(), Some(id), State::Gone)),
        }
    }

    fn read(&self, id: Option<SessionId>, raw: RawSession) -> Result<Session, StoreError> {
        let record = self.0.codec.decode(raw.bytes.clone(), &self.0.limits)?;
        self.judge(id, record, &raw)
    }

    /// What the record itself says of its end counts beside what the store says, unless it is an old copy of that.
    fn judge(&self, id: Option<SessionId>, record: Record, raw: &RawSession) -> Result<Session, StoreError> {
        let is_old_copy = self.0.codec.end_is_a_copy() && raw.expires.is_some() && !raw.is_estimate;
        let record = Record { expires_at: record.expires_at.filter(|_| !is_old_copy), ..record };
        let expires = raw.expires.into_iter().chain(record.expires_at).min();
        if is_over(expires) {
            return Ok(Session::absent(self.clone(), id, State::Gone));
        }
        if let (Some(id), Some(named)) = (&id, record.id)
            && !names(id, named)
        {
            return Err(SessionError::CorruptData.into());
        }
        Ok(Session::present(self.clone(), id, record, expires))
    }

    pub(crate) async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        let Some(store) = &self.0.store else { return Err(StoreError::Unsupported) };
        timeout(self.0.store_timeout, store.touch(id)).await.map_err(|_| StoreError::Timeout)?
    }

    pub(crate) async fn update(
        &self,
        id: &SessionId,
        mut change: impl FnMut(&mut Draft<'_>) -> Result<(), UpdateError> + Send,
    ) -> Result<Session, UpdateError> {
        let Some(store) = &self.0.store else { return Err(ReadOnly::InCookie.into()) };
        self.0.codec.container()?;
        let mut outcome = Err(UpdateError::Gone);
        let mut apply = |raw: &RawSession| match self.changed(id, raw, &mut change) {
            Ok((session, bytes)) => {
                outcome = Ok(session);
                bytes
            }
            Err(error) => {
                outcome = Err(error);
                None
            }
        };
        let is_there = timeout(self.0.store_timeout, store.update(id, &mut apply)).await;
        if is_there.map_err(|_| StoreError::Timeout)?? { outcome } else { Err(UpdateError::Gone) }
    }

    /// The session after the change, and its record if that is another one.
    fn changed(
        &self,
        id: &SessionId,
        raw: &RawSession,
        change: impl FnOnce(&mut Draft<'_>) -> Result<(), UpdateError>,
    ) -> Result<(Session, Option<Bytes>), UpdateError> {
        let Parts { codec, limits, .. } = &*self.0;
        let (text, record) = codec.open(raw.bytes.clone(), limits)?;
        let session = self.judge(Some(id.clone()), record.clone(), raw)?;
        if !session.is_present() {
            return Err(UpdateError::Gone);
        }
        let mut draft = Draft::new(codec, limits, text, &record)?;
        change(&mut draft)?;
        Ok((session.with_data(draft.data().clone()), draft.finish()?))
    }
}

/// From its end on, a session is over.
pub(crate) fn is_over(end: Option<SystemTime>) -> bool {
    end.is_some_and(|end| end <= SystemTime::now())
}

/// Whether this is the id that a record of tower-sessions has in it: a number, which the cookie has in the other order.
fn names(id: &SessionId, mut number: [u8; 16]) -> bool {
    number.reverse();
    URL_SAFE_NO_PAD.encode(number) == id.as_str()
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("store", &self.0.store).field("codec", &self.0.codec).finish_non_exhaustive()
    }
}
