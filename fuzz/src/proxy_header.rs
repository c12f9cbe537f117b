//! The header of the PROXY protocol, in front of a connection.

use std::net::{IpAddr, SocketAddr};

use wsrv_http::ProxyHeader;

/// A header means the same however it arrives, and the same when it is written again in either version.
///
/// The input is what a connection begins with.
pub fn proxy_header(data: &[u8]) {
    let whole = ProxyHeader::parse(data);
    for end in 0..=data.len() {
        match ProxyHeader::parse(&data[..end]) {
            Ok(None) => {
                let most = if data.first() == Some(&b'P') { 107 } else { ProxyHeader::MAX_LENGTH };
                assert!(end < most, "it is never certain");
            }
            Ok(Some((header, length))) => {
                assert_eq!((Ok(Some((header, length))), length), (whole, end));
                check(header);
                return;
            }
            error => return assert_eq!(error, whole),
        }
    }
    assert_eq!(whole, Ok(None));
}

/// Whatever can be said in a version can be read from it again.
fn check(header: ProxyHeader) {
    let (Some(source), Some(destination)) = (header.source, header.destination) else {
        assert_eq!((header.source, header.destination), (None, None));
        return;
    };
    let bare = ProxyHeader::parse(&text(source, destination)).expect("a good line").expect("a whole one").0;
    assert_eq!((bare.source, bare.destination, bare.secure), (header.source, header.destination, None));
    let bytes = binary(source, destination, header.secure);
    assert_eq!(ProxyHeader::parse(&bytes), Ok(Some((header, bytes.len()))));
}

fn text(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let is_v4 = source.is_ipv4() && destination.is_ipv4();
    let addr = |addr: SocketAddr| if is_v4 { addr.ip() } else { IpAddr::V6(v6(addr)) };
    let kind = if is_v4 { "TCP4" } else { "TCP6" };
    let (from, to) = (addr(source), addr(destination));
    format!("PROXY {kind} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

fn binary(source: SocketAddr, destination: SocketAddr, secure: Option<bool>) -> Vec<u8> {
    let mut rest = Vec::new();
    rest.extend(v6(source).octets());
    rest.extend(v6(destination).octets());
    rest.extend(source.port().to_be_bytes());
    rest.extend(destination.port().to_be_bytes());
    if let Some(secure) = secure {
        rest.extend([0x20, 0, 5, u8::from(secure), 0, 0, 0, 0]);
    }
    let length = u16::try_from(rest.len()).expect("a few bytes");
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x21", &length.to_be_bytes()[..], &rest].concat()
}

fn v6(addr: SocketAddr) -> std::net::Ipv6Addr {
    match addr.ip() {
        IpAddr::V4(addr) => addr.to_ipv6_mapped(),
        IpAddr::V6(addr) => addr,
    }
}
