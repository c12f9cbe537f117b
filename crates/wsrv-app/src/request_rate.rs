//! How many requests one client may make.

use wsrv_core::{Rate, RateLimits, Rates};
use wsrv_http::{Gate, Opening, Rejection, Stage};

/// A gate that answers 429 to a client whose requests come too fast.
///
/// It counts for the client as the gates of [`Stage::Proxy`] have found it out, where the
/// [handshakes of an app](crate::App::rate_limits) are counted for the socket's address: behind a proxy that tells the
/// client in headers, this is the one that tells its clients apart. Every request counts, pages too, and those that
/// other gates refuse later; IPv6 addresses with the same first 64 bits are one client. Requests without an address
/// pass.
///
/// Clones are handles to the same accounts, so that one limit may stand in front of several apps and routers.
///
/// ```
/// use wsrv_app::RequestRate;
/// use wsrv_app::prelude::*;
///
/// let rate = RequestRate::new(Rate::per_second(5).with_burst(50));
/// let app = App::new()
///     .trusted_proxies(TrustedProxies::new(TrustedNetworks::loopback()))
///     .gate(rate.clone());
/// // Later, while it runs:
/// rate.set(Rate::per_second(1));
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
pub struct RequestRate(Rates);

impl RequestRate {
    /// So many requests from each client.
    pub fn new(rate: Rate) -> Self {
        let requests = RequestRate(Rates::new());
        requests.set(rate);
        requests
    }

    /// Changes the rate, for all clones. What has come already still counts.
    pub fn set(&self, rate: Rate) {
        self.0.set(RateLimits::default().with_handshakes(rate));
    }
}

impl Gate for RequestRate {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        match self.0.admit_handshake(opening.remote_addr().map(|addr| addr.ip())) {
            true => Ok(()),
            false => Err(Rejection::too_fast("too many requests from one client")),
        }
    }

    fn stage(&self) -> Stage {
        Stage::Limit
    }
}
