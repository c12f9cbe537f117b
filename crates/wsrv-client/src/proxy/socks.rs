//! A tunnel through a SOCKS 5 proxy.

use super::ProxyError;
use crate::target::Credentials;
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;
use url::Host;
use wsrv_core::Accepted;

pub(super) async fn tunnel(
    stream: Accepted,
    host: &Host<&str>,
    port: u16,
    credentials: Option<&Credentials>,
) -> Result<Accepted, ProxyError> {
    let target = match host {
        Host::Domain(name) => TargetAddr::Domain((*name).into(), port),
        Host::Ipv4(ip) => TargetAddr::Ip((*ip, port).into()),
        Host::Ipv6(ip) => TargetAddr::Ip((*ip, port).into()),
    };
    let connected = match credentials {
        None => Socks5Stream::connect_with_socket(stream, target).await,
        Some(Credentials { user, password }) => {
            Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
        }
    };
    match connected {
        Ok(stream) => Ok(stream.into_inner()),
        Err(tokio_socks::Error::Io(error)) => Err(ProxyError::Lost(error)),
        Err(error) => Err(ProxyError::Socks(Box::new(error))),
    }
}
