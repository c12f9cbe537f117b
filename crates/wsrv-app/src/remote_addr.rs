//! Where a request comes from, told between servers and services.

use http::Extensions;
use std::net::SocketAddr;
use wsrv_http::RemoteAddr;

/// Tells an HTTP service.
pub(crate) fn attach(addr: Option<SocketAddr>, extensions: &mut Extensions) {
    let Some(addr) = addr else { return };
    extensions.insert(RemoteAddr(addr));
    #[cfg(feature = "axum")]
    extensions.insert(axum::extract::ConnectInfo(addr));
}

/// What another server tells, or gates in front of us.
pub(crate) fn of(extensions: &Extensions) -> Option<SocketAddr> {
    let told = extensions.get::<RemoteAddr>().map(|told| told.0);
    #[cfg(feature = "axum")]
    let told = told.or_else(|| extensions.get::<axum::extract::ConnectInfo<SocketAddr>>().map(|told| told.0));
    told.map(RemoteAddr::canonical)
}
