//! What a client's clones, its subscriptions and its task have in common.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use wsrv_rfc6455::{CloseCode, CloseFrame};

use super::socket::{Orders, Outgoing};
use super::subscription::Queue;
use super::{CallFailure, ClientOptions, ConnectionFault, Disconnected, Ended, RemoteError, SendFailure};
use crate::{CallId, ClientError, ClientEvent, ClientSession, Exclude};

/// Room for one message that waits to be written.
pub(super) type Room = OwnedSemaphorePermit;

/// What a call is answered with.
pub(super) type Answer = Result<Box<RawValue>, RemoteError>;

/// The server's WELCOME.
pub(super) struct Welcome {
    pub(super) session_id: Box<str>,
    pub(super) server: Box<str>,
}

/// Held by clients and subscriptions: when the last is gone, the connection is closed.
pub(super) struct Handle {
    pub(super) guard: CloseOnDrop,
    pub(super) welcome: Welcome,
    pub(super) options: ClientOptions,
}

impl Handle {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.guard.0
    }
}

/// Closes the connection when it is dropped.
pub(super) struct CloseOnDrop(pub(super) Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(CloseCode::NORMAL.into());
    }
}

/// Ends everything when the task is dropped, whatever the way.
pub(super) struct EndOnDrop {
    shared: Arc<Shared>,
    ended: Option<Ended>,
}

impl EndOnDrop {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, ended: None }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The task has come to its end.
    pub(super) fn ended_with(mut self, ended: Ended) {
        self.ended = Some(ended);
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.shared.end(self.ended.take().unwrap_or_else(|| Ended::abnormally(ConnectionFault::Dropped)));
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    room: Arc<Semaphore>,
    ended: watch::Sender<Option<Ended>>,
}

/// All that changes, under one lock: a message is queued in the same moment in which the session takes note of it, so
/// the server sees them in the session's order.
struct State {
    session: ClientSession,
    welcome: Option<oneshot::Sender<Welcome>>,
    calls: BTreeMap<CallId, oneshot::Sender<Answer>>,
    topics: HashMap<Box<str>, Vec<Arc<Queue>>>,
    /// `None` once the connection is being closed.
    line: Option<Line>,
}

/// The way to the task.
struct Line {
    queue: mpsc::UnboundedSender<Outgoing>,
    close: oneshot::Sender<CloseFrame>,
}

impl Shared {
    pub(super) fn new(options: &ClientOptions) -> (Arc<Self>, Orders, oneshot::Receiver<Welcome>) {
        let (queue, queued) = mpsc::unbounded_channel();
        let (close, asked) = oneshot::channel();
        let (welcome, welcomed) = oneshot::channel();
        let session =
            ClientSession::new().with_limits(options.wamp_limits).with_join(options.join).with_shrink(options.shrink);
        let state = State {
            session,
            welcome: Some(welcome),
            calls: BTreeMap::new(),
            topics: HashMap::new(),
            line: Some(Line { queue, close }),
        };
        let room = options.max_waiting.clamp(1, Semaphore::MAX_PERMITS);
        let shared =
            Self { state: Mutex::new(state), room: Arc::new(Semaphore::new(room)), ended: watch::Sender::new(None) };
        (Arc::new(shared), Orders { queue: queued, close: asked }, welcomed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, as long as something may be sent.
    fn open(&self) -> Result<MutexGuard<'_, State>, Disconnected> {
        let state = self.state();
        if state.line.is_some() {
            return Ok(state);
        }
        drop(state);
        Err(self.disconnected())
    }

    /// Waits until one more message may wait.
    pub(super) async fn room(&self) -> Result<Room, Disconnected> {
        self.room.clone().acquire_owned().await.map_err(|_| self.disconnected())
    }

    pub(super) fn disconnected(&self) -> Disconnected {
        Disconnected { ended: self.ended.borrow().clone() }
    }

    pub(super) async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        let ended = ended.wait_for(Option::is_some).await.expect("the sender is here");
        ended.clone().expect("waited for")
    }

    // --- from the application ---

    pub(super) fn prefix(&self, room: Room, prefix: &str, uri: &str) -> Result<(), SendFailure> {
        let mut state = self.open()?;
        let text = state.session.prefix(prefix, uri)?;
        state.send(text, Some(room));
        Ok(())
    }

    pub(super) fn call(
        &self,
        room: Room,
        procedure: &str,
        arguments: &RawValue,
    ) -> Result<(CallId, oneshot::Receiver<Answer>), CallFailure> {
        let mut state = self.open()?;
        let (call, text) = state.session.call(procedure, arguments).map_err(CallFailure::Arguments)?;
        let (answer, answered) = oneshot::channel();
        state.calls.insert(call, answer);
        state.send(text, Some(room));
        Ok((call, answered))
    }

    /// Nobody waits for the answer any more.
    pub(super) fn forget(&self, call: CallId) {
        let mut state = self.state();
        state.session.forget(call);
        state.calls.remove(&call);
    }

    pub(super) fn outstanding(&self) -> usize {
        self.state().session.outstanding().len()
    }

    pub(super) fn publish(
        &self,
        room: Room,
        topic: &str,
        event: &RawValue,
        exclude: &Exclude<'_>,
        eligible: Option<&[Cow<'_, str>]>,
    ) -> Result<(), SendFailure> {
        let state = self.open()?;
        let text = state.session.publish_to(topic, event, exclude, eligible).map_err(SendFailure::Event)?;
        state.send(text, Some(room));
        Ok(())
    }

    /// The topic's full URI.
    pub(super) fn subscribe(&self, room: Room, topic: &str, queue: &Arc<Queue>) -> Result<Box<str>, Disconnected> {
        let mut state = self.open()?;
        let topic: Box<str> = state.session.prefixes().resolve(topic).into();
        state.topics.entry(topic.clone()).or_default().push(queue.clone());
        // Each time: the server may have refused before, or have ended the subscription, and says neither.
        let text = state.session.subscribe(&topic);
        state.send(text, Some(room));
        Ok(topic)
    }

    /// Needs no room, for it cannot wait; there are no more of them than there were subscriptions.
    pub(super) fn unsubscribe(&self, topic: &str, queue: &Arc<Queue>) {
        let mut state = self.state();
        let Some(queues) = state.topics.get_mut(topic) else { return };
        queues.retain(|other| !Arc::ptr_eq(other, queue));
        if queues.is_empty() {
            state.topics.remove(topic);
            let text = state.session.unsubscribe(topic);
            state.send(text, None);
        }
    }

    /// Has the task send what waits, and then this. Only the first one counts.
    pub(super) fn close(&self, frame: CloseFrame) {
        if let Some(line) = self.state().line.take() {
            // First the frame: the end of the queue is where the task sends it.
            let _ = line.close.send(frame);
        }
        self.room.close();
    }

    // --- from the task ---

    pub(super) fn receive(&self, text: &str) -> Result<(), ClientError> {
        let mut state = self.state();
        match state.session.receive(text)? {
            None => {}
            Some(ClientEvent::Welcome { session_id, server }) => {
                let welcome = Welcome { session_id: (*session_id).into(), server: (*server).into() };
                if let Some(welcomed) = state.welcome.take() {
                    let _ = welcomed.send(welcome);
                }
            }
            Some(ClientEvent::CallResult { call, result }) => state.answer(call, || Ok(result.to_owned())),
            Some(ClientEvent::CallError { call, uri, description, details }) => state.answer(call, || {
                let details = details.map(ToOwned::to_owned);
                Err(RemoteError { uri: (*uri).into(), description: (*description).into(), details })
            }),
            Some(ClientEvent::Event { topic, event }) => {
                if let Some(queues) = state.topics.get(&*topic) {
                    let event: Arc<RawValue> = event.to_owned().into();
                    queues.iter().for_each(|queue| queue.push(event.clone()));
                }
            }
        }
        Ok(())
    }

    /// Everybody who waits is told.
    pub(super) fn end(&self, ended: Ended) {
        self.ended.send_replace(Some(ended));
        self.room.close();
        let mut state = self.state();
        state.line = None;
        state.welcome = None;
        state.session.fail_all();
        state.calls.clear();
        for queue in std::mem::take(&mut state.topics).values().flatten() {
            queue.end();
        }
    }
}

impl State {
    fn send(&self, text: String, room: Option<Room>) {
        if let Some(line) = &self.line {
            // Refused only if the task has ended, and then there is nobody to be told.
            let _ = line.queue.send(Outgoing { text, _room: room });
        }
    }

    fn answer(&mut self, call: CallId, answer: impl FnOnce() -> Answer) {
        if let Some(waiting) = self.calls.remove(&call) {
            let _ = waiting.send(answer());
        }
    }
}
