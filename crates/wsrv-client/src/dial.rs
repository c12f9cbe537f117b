//! From a host to a TCP connection: all its addresses, the quickest wins.

use crate::{ConnectError, Unreachable};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, sleep};
use url::Host;

/// How long an address has before the next one is tried beside it (RFC 8305 §5 and §8).
const DELAY: Duration = Duration::from_millis(250);

/// The addresses of a host.
pub(crate) async fn resolve(host: &Host<&str>, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let name = match host {
        Host::Ipv4(ip) => return Ok(vec![(*ip, port).into()]),
        Host::Ipv6(ip) => return Ok(vec![(*ip, port).into()]),
        Host::Domain(name) => *name,
    };
    let failed = |source| ConnectError::Resolve { host: name.to_owned(), source };
    let addrs: Vec<SocketAddr> = lookup_host((name, port)).await.map_err(failed)?.collect();
    if addrs.is_empty() { Err(failed(io::ErrorKind::NotFound.into())) } else { Ok(addrs) }
}

/// Connects to one of these addresses: families in turn, the next one when the one before has failed or has had its 250 ms,
/// and those go on meanwhile.
///
/// Dropped, it leaves no attempt behind.
///
/// # Source
///
/// RFC 8305 §4 and §5. The system's resolver asks for both families at once, so §3 has no place here.
pub(crate) async fn dial(host: &str, addrs: Vec<SocketAddr>, local: Option<IpAddr>) -> Result<TcpStream, ConnectError> {
    let mut to_try = in_turn(addrs).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failed = Vec::new();
    let mut next = pin!(sleep(Duration::ZERO));
    loop {
        tokio::select! {
            biased;
            Some((addr, connected)) = attempts.next(), if !attempts.is_empty() => match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    failed.push((addr, error));
                    next.as_mut().reset(Instant::now());
                }
            },
            () = &mut next, if to_try.len() > 0 => {
                attempts.extend(to_try.next().map(|addr| async move { (addr, connect(addr, local).await) }));
                next.as_mut().reset(Instant::now() + DELAY);
            }
            else => return Err(ConnectError::Unreachable(Unreachable { host: host.to_owned(), attempts: failed })),
        }
    }
}

async fn connect(addr: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local {
        socket.bind((local, 0).into())?;
    }
    socket.connect(addr).await
}

/// One family after the other, beginning with that of the first address.
fn in_turn(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv4 = addrs.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| addr.is_ipv4() == first_is_ipv4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    while first.len() + second.len() > 0 {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_beginning_with_the_first() {
        let addrs = |list: &[&str]| list.iter().map(|addr| addr.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let given = addrs(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let expected = addrs(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(in_turn(given), expected);
        assert_eq!(in_turn(addrs(&["1.1.1.1:1", "2.2.2.2:1"])), addrs(&["1.1.1.1:1", "2.2.2.2:1"]));
        assert!(in_turn(Vec::new()).is_empty());
    }
}
