//! Hosts, as requests and origins name them.

use std::net::Ipv6Addr;

/// Takes `host[:port]` apart: a name or an IPv4 address, or an IPv6 address in brackets, and a port.
///
/// `None` if it is anything else, such as one with a user in front. An empty port counts as none.
///
/// ```
/// use wsrv_rfc6455::handshake::split_host;
///
/// assert_eq!(split_host("example.com:8080"), Some(("example.com", Some(8080))));
/// assert_eq!(split_host("[::1]"), Some(("[::1]", None)));
/// assert_eq!(split_host("user@example.com"), None);
/// ```
///
/// # Source
///
/// RFC 3986 §3.2.2 and §3.2.3.
pub fn split_host(value: &str) -> Option<(&str, Option<u16>)> {
    let end_of_name = match value.strip_prefix('[') {
        Some(rest) => {
            let (address, _) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            address.len() + 2
        }
        None => value.find(':').unwrap_or(value.len()),
    };
    let (name, port) = value.split_at(end_of_name);
    if !name.starts_with('[') && !is_name(name.as_bytes()) {
        return None;
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some("") => None,
        // `parse` alone would let a sign pass.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    Some((name, port))
}

/// A registered name or an IPv4 address: letters, digits, a few marks and percent-encoded bytes.
fn is_name(mut name: &[u8]) -> bool {
    if name.is_empty() {
        return false;
    }
    loop {
        name = match name {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => rest,
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_an_optional_port() {
        for (value, parts) in [
            ("a", Some(("a", None))),
            ("a:", Some(("a", None))),
            ("127.0.0.1:65535", Some(("127.0.0.1", Some(65535)))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("b%C3%BCcher.example", Some(("b%C3%BCcher.example", None))),
            ("", None),
            (":80", None),
            ("a:65536", None),
            ("a:+80", None),
            ("a:80:80", None),
            ("[::1]x:80", None),
            ("[zz]", None),
            ("[::1", None),
            ("::1", None),
            ("a b", None),
            ("a/b", None),
            ("u@a", None),
            ("a%zz", None),
        ] {
            assert_eq!(split_host(value), parts, "{value}");
        }
    }
}
