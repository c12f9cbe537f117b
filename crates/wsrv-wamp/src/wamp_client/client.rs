//! The client itself.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wsrv_rfc6455::handshake::ClientRequest;
use wsrv_rfc6455::{CloseCode, CloseFrame, SendError, Text};

use super::address::Address;
use super::shared::{CloseOnDrop, EndOnDrop, Handle, Shared};
use super::subscription::Queue;
use super::{CallFailure, ClientOptions, ConnectFailure, Disconnected, Ended, SendFailure, Subscription, socket};
use crate::message::EncodeError;
use crate::{CallId, Exclude, uris};

/// A client of WAMP version 1: calls, and topics. Clones are the same client, and may be used at the same time.
///
/// It is connected from the beginning, and is never connected again: [`closed`](Self::closed) tells when it has ended,
/// and how. A task of its own reads and writes, answers pings, and looks whether the server is still there. The
/// connection is closed when the last client and the last [`Subscription`] are gone.
///
/// Messages go out in the order in which they were asked for. If more than
/// [`max_waiting`](ClientOptions::max_waiting) of them wait to be written, the methods wait for room. What still waits
/// when the connection is lost is lost with it.
///
/// ```no_run
/// use wsrv_wamp::WampClient;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = WampClient::connect("ws://localhost:8080/wamp").await?;
/// client.prefix("calc", "http://example.com/calc#").await?;
/// let sum: i32 = client.call("calc:add", &(3, 4)).await?;
/// assert_eq!(sum, 7);
///
/// let mut news = client.subscribe("http://example.com/news").await?;
/// client.publish("http://example.com/news", "it rains").await?;
/// while let Some(event) = news.recv().await {
///     println!("{}", event.deserialize::<String>()?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WampClient {
    handle: Arc<Handle>,
}

impl WampClient {
    /// Connects to `ws://host:port/path` by TCP, and waits for the server's WELCOME. With the default options.
    ///
    /// # Errors
    ///
    /// A [`ConnectFailure`]. If the future is dropped, so is the connection.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time and I/O.
    pub async fn connect(url: &str) -> Result<Self, ConnectFailure> {
        Self::connect_with(url, ClientOptions::default()).await
    }

    /// As [`connect`](Self::connect), with these options.
    ///
    /// # Errors
    ///
    /// A [`ConnectFailure`]. If the future is dropped, so is the connection.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time and I/O.
    pub async fn connect_with(url: &str, options: ClientOptions) -> Result<Self, ConnectFailure> {
        let address = Address::parse(url)?;
        let within = options.connect_timeout;
        let connecting = async {
            let stream = TcpStream::connect((&*address.name, address.port)).await?;
            // Messages are small, and somebody waits for each.
            stream.set_nodelay(true)?;
            Self::open(stream, &address.host, &address.target, options).await
        };
        timeout(within, connecting).await.unwrap_or(Err(ConnectFailure::Timeout))
    }

    /// A client over a stream that is open already, such as one with TLS. `host` is what the URL names, with the port if
    /// that is not the scheme's own; `target` is its path and query.
    ///
    /// # Errors
    ///
    /// A [`ConnectFailure`]. If the future is dropped, so is the stream.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time.
    pub async fn over<S>(stream: S, host: &str, target: &str, options: ClientOptions) -> Result<Self, ConnectFailure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let within = options.connect_timeout;
        let opening = Self::open(stream, host, target, options);
        timeout(within, opening).await.unwrap_or(Err(ConnectFailure::Timeout))
    }

    async fn open<S>(mut stream: S, host: &str, target: &str, options: ClientOptions) -> Result<Self, ConnectFailure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut request = ClientRequest::new(host, target)?.with_subprotocol(uris::SUBPROTOCOL)?;
        for (name, value) in &options.headers {
            request = request.with_header(name.clone(), value.clone())?;
        }
        let early = socket::open(&mut stream, &request, options.head_limits).await?;

        let (shared, orders, welcomed) = Shared::new(&options);
        let guard = CloseOnDrop(shared.clone());
        let settings = socket::Settings::new(&options);
        let end = EndOnDrop::new(shared.clone());
        tokio::spawn(async move {
            let on_text = |text: &str| end.shared().receive(text);
            let (ended, rest) = socket::drive(stream, early, settings, orders, on_text).await;
            end.ended_with(ended);
            rest.close().await;
        });
        match welcomed.await {
            Ok(welcome) => Ok(Self { handle: Arc::new(Handle { guard, welcome, options }) }),
            Err(_) => Err(ConnectFailure::Ended(shared.ended().await)),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.handle.shared()
    }

    /// The session's id, as the server has chosen it.
    pub fn session_id(&self) -> &str {
        &self.handle.welcome.session_id
    }

    /// What the server calls itself. May be empty.
    pub fn server(&self) -> &str {
        &self.handle.welcome.server
    }

    /// Declares a prefix, for this connection and from here on: `calc:add` stands for its URI and `add`. The server does
    /// not answer.
    ///
    /// Cancel safe: if the future is dropped before it is ready, nothing was sent.
    ///
    /// # Errors
    ///
    /// [`SendFailure::Prefix`] if it can be none, [`SendFailure::Disconnected`].
    pub async fn prefix(&self, prefix: &str, uri: &str) -> Result<(), SendFailure> {
        let room = self.shared().room().await?;
        self.shared().prefix(room, prefix, uri)
    }

    /// Calls a procedure, by URI or CURIE, and waits for its result, for at most
    /// [`call_timeout`](ClientOptions::call_timeout). The arguments are a tuple or a list; `&()` is none, and `&(7,)`
    /// one.
    ///
    /// Calls run at the same time, if their futures do. If a future is dropped, its call is forgotten: an answer that
    /// comes nevertheless is ignored. There is no message to tell the server so, and it may carry the call out, or have
    /// done so.
    ///
    /// # Errors
    ///
    /// A [`CallFailure`]; [`CallFailure::Refused`] is the server's own error.
    pub async fn call<T: DeserializeOwned>(
        &self,
        procedure: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<T, CallFailure> {
        self.call_within(self.handle.options.call_timeout, procedure, arguments).await
    }

    /// As [`call`](Self::call), with a time limit of its own; `None` for none.
    ///
    /// # Errors
    ///
    /// A [`CallFailure`].
    pub async fn call_within<T: DeserializeOwned>(
        &self,
        limit: Option<Duration>,
        procedure: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<T, CallFailure> {
        // Not under the lock, for the types' own code runs here.
        let arguments =
            to_raw_value(arguments).map_err(|error| CallFailure::Arguments(EncodeError::Serialize(error)))?;
        let answer = self.answer(procedure, &arguments);
        let result = match limit {
            Some(limit) => timeout(limit, answer).await.unwrap_or(Err(CallFailure::Timeout)),
            None => answer.await,
        };
        serde_json::from_str(result?.get()).map_err(CallFailure::Result)
    }

    async fn answer(&self, procedure: &str, arguments: &RawValue) -> Result<Box<RawValue>, CallFailure> {
        let room = self.shared().room().await?;
        let (call, answer) = self.shared().call(room, procedure, arguments)?;
        let _forget = Forget(self.shared(), call);
        match answer.await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(self.shared().disconnected().into()),
        }
    }

    /// How many calls wait for an answer.
    pub fn outstanding_calls(&self) -> usize {
        self.shared().outstanding()
    }

    /// Subscribes to a topic, by URI or CURIE.
    ///
    /// The server does not answer, not even if it refuses. An answer to a call that was made later, on this client,
    /// shows that the subscription was dealt with.
    ///
    /// The server is asked each time. Where it has refused, or has ended the subscription, another one can be had so, such as
    /// after signing in, and earlier [`Subscription`]s to the topic get its events, too. A server that has a subscription
    /// does nothing.
    ///
    /// Cancel safe: if the future is dropped before it is ready, nothing was sent.
    ///
    /// # Errors
    ///
    /// [`Disconnected`].
    pub async fn subscribe(&self, topic: &str) -> Result<Subscription, Disconnected> {
        let options = &self.handle.options;
        let queue = Arc::new(Queue::new(options.max_events, options.max_event_bytes));
        let room = self.shared().room().await?;
        let topic = self.shared().subscribe(room, topic, &queue)?;
        Ok(Subscription::new(self.handle.clone(), topic, queue))
    }

    /// Publishes an event, and leaves it to the server whether this client receives it, too. The server does not answer.
    ///
    /// Cancel safe: if the future is dropped before it is ready, nothing was sent.
    ///
    /// # Errors
    ///
    /// [`SendFailure::Event`] if the event cannot be written as JSON, [`SendFailure::Disconnected`].
    pub async fn publish(&self, topic: &str, event: &(impl Serialize + ?Sized)) -> Result<(), SendFailure> {
        self.publish_to(topic, event, &Exclude::Default, None).await
    }

    /// Publishes an event to those sessions that are eligible and not excluded; without a list, all are eligible.
    ///
    /// With eligible sessions, [`Exclude::Default`] is `Exclude::Me(true)`.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub async fn publish_to(
        &self,
        topic: &str,
        event: &(impl Serialize + ?Sized),
        exclude: &Exclude<'_>,
        eligible: Option<&[Cow<'_, str>]>,
    ) -> Result<(), SendFailure> {
        let event = to_raw_value(event).map_err(SendFailure::Event)?;
        let room = self.shared().room().await?;
        self.shared().publish(room, topic, &event, exclude, eligible)
    }

    /// Closes the connection with close code 1000, and waits for the end. What was sent before goes out before; calls
    /// that the server has not answered by then fail.
    ///
    /// Takes [`close_timeout`](ClientOptions::close_timeout) at most. The close goes on if the future is dropped.
    pub async fn close(&self) -> Ended {
        self.shared().close(CloseCode::NORMAL.into());
        self.closed().await
    }

    /// As [`close`](Self::close), with a close code and reason of one's own. Only the first close counts. A reason longer
    /// than 123 bytes is cut.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if this code [may not be sent](CloseCode::is_sendable). Then nothing is closed.
    pub async fn close_with(&self, code: CloseCode, reason: impl Into<Text>) -> Result<Ended, SendError> {
        if !code.is_sendable() {
            return Err(SendError::InvalidCloseCode);
        }
        self.shared().close(CloseFrame::new(code, reason));
        Ok(self.closed().await)
    }

    /// Waits for the end of the connection, whoever ends it.
    pub async fn closed(&self) -> Ended {
        self.shared().ended().await
    }
}

impl fmt::Debug for WampClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WampClient")
            .field("session_id", &self.session_id())
            .field("server", &self.server())
            .finish_non_exhaustive()
    }
}

/// Forgets a call when nobody waits for it any more.
struct Forget<'a>(&'a Shared, CallId);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}
