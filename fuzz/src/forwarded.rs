//! What a client writes in front of that which trusted proxies add.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use wsrv_http::{ForwardedHeaders, Gate, Network, Opening, TrustedNetworks, TrustedProxies};
use wsrv_rfc6455::handshake::{HeadLimits, HeadReader, RequestHead};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// No client is taken for another one, or for a proxy, whatever it writes.
///
/// The input has NUL between its parts: the client's lines of `X-Forwarded-For`, and behind an empty part those of
/// `Forwarded`.
pub fn forwarded(data: &[u8]) {
    let mut parts = data.split(|&byte| byte == 0);
    let by_for: Vec<&[u8]> = parts.by_ref().take_while(|part| !part.is_empty()).collect();
    let by_rfc: Vec<&[u8]> = parts.collect();
    // One proxy has seen the client; perhaps another one has seen that proxy.
    let way = ["192.0.2.7", "10.0.0.2"];
    for hops in [&way[..1], &way] {
        for same_line in [false, true] {
            let plain = hops.iter().map(|hop| hop.to_string());
            let for_lines = with_hops("X-Forwarded-For", &by_for, plain, same_line);
            let rfc = hops.iter().map(|hop| format!("for={hop};proto=https"));
            let rfc_lines = with_hops("Forwarded", &by_rfc, rfc, same_line);
            check(ForwardedHeaders::XForwardedFor, &for_lines, false);
            check(ForwardedHeaders::Forwarded, &rfc_lines, true);
            check(ForwardedHeaders::Both, &[for_lines, rfc_lines].concat(), true);
        }
    }
    for (headers, name, lines) in [
        (ForwardedHeaders::XForwardedFor, "X-Forwarded-For", by_for),
        (ForwardedHeaders::Forwarded, "Forwarded", by_rfc),
    ] {
        // Without a proxy in between there is nothing to hope for but that it ends.
        let _ = head(&with_hops(name, &lines, std::iter::empty(), false)).map(|head| resolve(headers, head, PROXY));
        // Who is not trusted can say what it wants.
        if let Some(head) = head(&with_hops(name, &lines, std::iter::empty(), false)) {
            let opening = resolve(headers, head, CLIENT).expect("it is not even read");
            assert_eq!((opening.remote_addr().map(|addr| addr.ip()), opening.is_secure()), (Some(CLIENT), None));
        }
    }
}

/// Header lines of a client, and what proxies have added: to the last line, or each in a line of its own.
fn with_hops(name: &str, lines: &[&[u8]], hops: impl Iterator<Item = String>, same_line: bool) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
    for hop in hops {
        match lines.last_mut().filter(|_| same_line) {
            Some(line) => line.extend(format!(", {hop}").into_bytes()),
            None => lines.push(hop.into_bytes()),
        }
    }
    lines.iter().flat_map(|line| [name.as_bytes(), b": ", line, b"\r\n"].concat()).collect()
}

/// The client is found, or the request is refused.
fn check(headers: ForwardedHeaders, lines: &[u8], tells_scheme: bool) {
    let Some(head) = head(lines) else { return };
    match resolve(headers, head, PROXY) {
        Ok(opening) => {
            assert_eq!(opening.remote_addr().map(|addr| addr.ip()), Some(CLIENT), "{}", lines.escape_ascii());
            assert_eq!(opening.is_secure(), tells_scheme.then_some(true), "{}", lines.escape_ascii());
        }
        Err(status) => assert_eq!(status, 400, "{}", lines.escape_ascii()),
    }
}

fn head(lines: &[u8]) -> Option<RequestHead> {
    let request = [b"GET / HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n"].concat();
    let mut buffer = BytesMut::from(&request[..]);
    let head = HeadReader::new(HeadLimits::default()).read(&mut buffer).ok()??;
    // Else the client's lines were not what they seem.
    buffer.is_empty().then_some(head)
}

fn resolve(headers: ForwardedHeaders, head: RequestHead, peer: IpAddr) -> Result<Opening, u16> {
    let trusted = TrustedNetworks::new();
    trusted.trust("10.0.0.0/8".parse::<Network>().expect("a network"));
    let gate = TrustedProxies::new(trusted).headers(headers);
    let mut opening = Opening::new(head, Some(SocketAddr::new(peer, 4000)));
    let resolved = {
        let mut resolve = pin!(gate.admit(&mut opening));
        match resolve.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(resolved) => resolved,
            Poll::Pending => panic!("nothing is waited for"),
        }
    };
    resolved.map(|()| opening).map_err(|rejection| rejection.status().as_u16())
}
