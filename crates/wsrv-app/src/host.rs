//! What all hosts of an app share: whatever brings the requests, this is what they meet.

use crate::admission::Admitted;
use crate::app::Settings;
use crate::life::Life;
use crate::route::Route;
use crate::transport::Transport;
use bytes::BytesMut;
use std::net::SocketAddr;
use std::sync::Arc;
use wsrv_core::{NoPlace, Place, Places, Reason};
use wsrv_http::{Gates, Rejection, Router};
use wsrv_rfc6455::handshake::SharedLines;

/// Sockets that are told at the same time that there is no place for them; any more are closed without a word.
const MAX_FAREWELLS: usize = 1_024;

/// Why requests are refused during the end.
pub(crate) const STOPS: &str = "the server stops";

/// What every connection and request of an app needs to know.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) router: Router<Arc<Route>>,
    /// Those that are asked about every request.
    pub(crate) request_gates: Gates,
    /// Those that are asked about upgrades only, behind them.
    pub(crate) upgrade_gates: Gates,
    #[cfg(feature = "http")]
    pub(crate) fallback: Option<crate::fallback::Fallback>,
    pub(crate) settings: Settings,
    pub(crate) life: Arc<Life>,
    pub(crate) farewells: Places,
    /// What requests have alike, kept once.
    pub(crate) shared_lines: SharedLines,
    /// Somebody was told that addresses are missing.
    #[cfg(feature = "http")]
    unaddressed: std::sync::Once,
}

impl Host {
    pub(crate) fn new(
        router: Router<Arc<Route>>,
        request_gates: Gates,
        upgrade_gates: Gates,
        settings: Settings,
        life: Life,
    ) -> Self {
        let farewells = Places::new();
        farewells.set_total(Some(MAX_FAREWELLS));
        Host {
            router,
            request_gates,
            upgrade_gates,
            #[cfg(feature = "http")]
            fallback: None,
            settings,
            life: Arc::new(life),
            farewells,
            shared_lines: SharedLines::new(),
            #[cfg(feature = "http")]
            unaddressed: std::sync::Once::new(),
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn with_fallback(mut self, fallback: Option<crate::fallback::Fallback>) -> Self {
        self.fallback = fallback;
        self
    }

    /// Whether a PROXY header comes first from there, which tells whom the socket stands for.
    pub(crate) fn expects_proxy_header(&self, peer: Option<SocketAddr>) -> bool {
        let addr = peer.map(|peer| peer.ip());
        self.settings.proxy_protocol.as_ref().is_some_and(|proxies| proxies.trusts_peer(addr))
    }

    /// A place among the opening handshakes, for a socket or a request from there. Sockets of proxies that tell whom they
    /// stand for count in all only, until they have told.
    pub(crate) fn begin_handshake(&self, peer: Option<SocketAddr>) -> Result<Place, Rejection> {
        if self.expects_proxy_header(peer) {
            return self.life.handshakes.take(None).map_err(no_place);
        }
        self.begin_handshake_of(peer)
    }

    /// The same for a peer that is known.
    pub(crate) fn begin_handshake_of(&self, peer: Option<SocketAddr>) -> Result<Place, Rejection> {
        self.judge(peer)?;
        self.life.handshakes.take(peer.map(|peer| peer.ip())).map_err(no_place)
    }

    /// Has a place that was taken for a proxy count for the peer that it stands for.
    pub(crate) fn assign_handshake(&self, place: &mut Place, peer: Option<SocketAddr>) -> Result<(), Rejection> {
        self.judge(peer)?;
        place.assign(peer.map(|peer| peer.ip())).map_err(no_place)
    }

    /// What is said about a peer before its request: by lists, and by how often it comes.
    fn judge(&self, peer: Option<SocketAddr>) -> Result<(), Rejection> {
        self.check_address(peer)?;
        match self.life.connections.rates().admit_handshake(peer.map(|peer| peer.ip())) {
            true => Ok(()),
            false => Err(Rejection::too_fast("too many requests from one address")),
        }
    }

    /// What the address lists say before there is a request. Nothing about a proxy's address: the request will tell for
    /// whom it is.
    pub(crate) fn check_address(&self, peer: Option<SocketAddr>) -> Result<(), Rejection> {
        let addr = peer.map(|peer| peer.ip());
        if self.settings.proxies.iter().any(|proxies| proxies.trusts_peer(addr)) {
            return Ok(());
        }
        self.settings.addresses.iter().try_for_each(|addresses| addresses.check(addr))
    }

    /// Tells of a refusal, whatever the host.
    pub(crate) fn refused(&self, peer: Option<SocketAddr>, rejection: &Rejection) {
        let (status, reason, why) = (rejection.status().as_u16(), rejection.reason(), rejection.why());
        tracing::debug!(?peer, status, reason, why, note = rejection.log_note(), "refused");
        self.life.connections.tell(|observer| observer.refused(peer, status, reason));
    }

    /// A place among those who are told that there is no other.
    pub(crate) fn begin_farewell(&self) -> Option<Place> {
        self.farewells.take(None).ok()
    }

    /// Says once that a request has no address, if something was set that needs it.
    #[cfg(feature = "http")]
    pub(crate) fn miss_address(&self, is_needed: bool) {
        if is_needed {
            self.unaddressed.call_once(|| {
                tracing::warn!(
                    "a limit per address or a list of addresses is set, but requests come without an address: limits \
                     count nobody, block lists block nobody, and an allow list lets nobody in; use the feature `axum` \
                     and serve the router with `into_make_service_with_connect_info::<SocketAddr>()`, or insert a \
                     `RemoteAddr` into the extensions of each request"
                );
            });
        }
    }

    /// Begins the connection, unless everything is being cut.
    pub(crate) fn start(&self, admitted: Box<Admitted>, transport: Transport, received: BytesMut) {
        let addr = admitted.remote_addr();
        self.life.begin(|| admitted.start(transport, received, &self.shared_lines));
        if self.settings.addresses.iter().any(|addresses| !addresses.admits(addr.map(|addr| addr.ip()))) {
            // Blocked while its request was decided about, so the one who blocked it may not have found it.
            self.life.connections.close_where(|other| other == addr, Reason::Policy);
        }
    }
}

fn no_place(full: NoPlace) -> Rejection {
    Rejection::overloaded(match full {
        NoPlace::Address => "too many requests from one address at once",
        _ => "too many requests at once",
    })
}
