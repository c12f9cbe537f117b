//! What can be chosen for a client.

use std::time::Duration;

use wsrv_rfc6455::Limits;
use wsrv_rfc6455::handshake::HeadLimits;
use wsrv_rfc6455::http::{HeaderMap, HeaderName, HeaderValue};

use crate::{CurieJoin, MessageLimits};

/// Times, limits and the server's ways, for one connection of a [`WampClient`](super::WampClient).
///
/// ```
/// use std::time::Duration;
/// use wsrv_wamp::ClientOptions;
///
/// let options = ClientOptions::default().with_call_timeout(None).with_close_timeout(Duration::from_secs(1));
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// How long it may take from the first packet to the server's WELCOME. Default 10 s.
    pub connect_timeout: Duration,
    /// How long an answer to a call may take, if the call does not say it, with the time for room to send in it. Default
    /// 60 s; `None`: for as long as the connection lasts.
    pub call_timeout: Option<Duration>,
    /// How long the closing handshake may take, with what is to be sent before it. Default 5 s. Then the stream is
    /// closed without.
    pub close_timeout: Duration,
    /// After how much silence the server is pinged. Default 30 s; `None`: never.
    pub ping_after: Option<Duration>,
    /// How long a pinged server may stay silent. Default 30 s. Then it counts as lost.
    pub pong_timeout: Duration,
    /// Messages that may wait to be written. Default 64. Beyond them, whatever sends waits.
    pub max_waiting: usize,
    /// Events that may wait in one subscription. Default 4096. Beyond them, the oldest are lost.
    pub max_events: usize,
    /// Bytes of the events that may wait in one subscription, if there are more events than one. Default 4 MiB.
    pub max_event_bytes: usize,
    /// What one message of the server may be, as a WebSocket message.
    pub message_limits: Limits,
    /// What one message of the server may contain, as a WAMP message.
    pub wamp_limits: MessageLimits,
    /// What the head of the server's answer may be.
    pub head_limits: HeadLimits,
    /// How the server joins prefixes and what follows them.
    pub join: CurieJoin,
    /// Whether URIs are sent as CURIEs where a prefix fits. Default false.
    pub shrink: bool,
    /// Further headers of the opening request, such as `Origin`, `Cookie` or `Authorization`.
    pub headers: HeaderMap,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            call_timeout: Some(Duration::from_secs(60)),
            close_timeout: Duration::from_secs(5),
            ping_after: Some(Duration::from_secs(30)),
            pong_timeout: Duration::from_secs(30),
            max_waiting: 64,
            max_events: 4096,
            max_event_bytes: 4 << 20,
            message_limits: Limits::default(),
            wamp_limits: MessageLimits::default(),
            head_limits: HeadLimits::default(),
            join: CurieJoin::default(),
            shrink: false,
            headers: HeaderMap::new(),
        }
    }
}

impl ClientOptions {
    /// Sets [`connect_timeout`](Self::connect_timeout).
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`call_timeout`](Self::call_timeout).
    pub const fn with_call_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sets [`close_timeout`](Self::close_timeout).
    pub const fn with_close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Sets [`ping_after`](Self::ping_after).
    pub const fn with_ping_after(mut self, silence: Option<Duration>) -> Self {
        self.ping_after = silence;
        self
    }

    /// Sets [`pong_timeout`](Self::pong_timeout).
    pub const fn with_pong_timeout(mut self, timeout: Duration) -> Self {
        self.pong_timeout = timeout;
        self
    }

    /// Sets [`max_waiting`](Self::max_waiting). 0 counts as 1.
    pub const fn with_max_waiting(mut self, messages: usize) -> Self {
        self.max_waiting = messages;
        self
    }

    /// Sets [`max_events`](Self::max_events) and [`max_event_bytes`](Self::max_event_bytes). The newest event always has
    /// room.
    pub const fn with_max_events(mut self, events: usize, bytes: usize) -> Self {
        self.max_events = events;
        self.max_event_bytes = bytes;
        self
    }

    /// Sets [`message_limits`](Self::message_limits).
    pub const fn with_message_limits(mut self, limits: Limits) -> Self {
        self.message_limits = limits;
        self
    }

    /// Sets [`wamp_limits`](Self::wamp_limits).
    pub const fn with_wamp_limits(mut self, limits: MessageLimits) -> Self {
        self.wamp_limits = limits;
        self
    }

    /// Sets [`head_limits`](Self::head_limits).
    pub const fn with_head_limits(mut self, limits: HeadLimits) -> Self {
        self.head_limits = limits;
        self
    }

    /// Sets [`join`](Self::join).
    pub const fn with_join(mut self, join: CurieJoin) -> Self {
        self.join = join;
        self
    }

    /// Sets [`shrink`](Self::shrink).
    pub const fn with_shrink(mut self, shrink: bool) -> Self {
        self.shrink = shrink;
        self
    }

    /// Adds a header to the opening request. One that belongs to the handshake itself makes connecting fail.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}
