//! Where a request comes from, told between servers and services.

use http::Extensions;
use std::net::SocketAddr;

/// The peer's address, as an extension of a request.
///
/// The server around a [`WebSocketService`](crate::WebSocketService) puts it in, so that gates and limits know the
/// peer before its connection begins; a server of this crate puts it into requests for
/// [`App::http`](crate::App::http). (With the feature `axum`, axum's `ConnectInfo<SocketAddr>` does as well.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

impl RemoteAddr {
    /// Tells an HTTP service.
    pub(crate) fn attach(addr: Option<SocketAddr>, extensions: &mut Extensions) {
        let Some(addr) = addr else { return };
        extensions.insert(RemoteAddr(addr));
        #[cfg(feature = "axum")]
        extensions.insert(axum::extract::ConnectInfo(addr));
    }

    /// What another server tells. IPv4 addresses in IPv6 clothes are undressed.
    pub(crate) fn of(extensions: &Extensions) -> Option<SocketAddr> {
        let told = extensions.get::<RemoteAddr>().map(|told| told.0);
        #[cfg(feature = "axum")]
        let told = told.or_else(|| extensions.get::<axum::extract::ConnectInfo<SocketAddr>>().map(|told| told.0));
        told.map(|addr| SocketAddr::new(addr.ip().to_canonical(), addr.port()))
    }
}
