//! What proxies tell of the way a request has come: `X-Forwarded-For` and `Forwarded` (RFC 7239).

use crate::RemoteAddr;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use wsrv_rfc6455::handshake::RequestHead;

/// More stations than a request has on any honest way.
const MAX_HOPS: usize = 64;

/// One station of the way, as the next one has seen it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hop {
    /// `None`: it is unknown or hidden, or what was written there is no address.
    pub(crate) addr: Option<SocketAddr>,
    /// Whether it has used TLS, if that is told.
    pub(crate) secure: Option<bool>,
}

/// What is told of the way cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("a Forwarded header is malformed")]
    Malformed,
    #[error("the request has come through too many proxies")]
    TooLong,
}

/// The stations by `X-Forwarded-For`, the farthest first. `None` without such a header.
///
/// Several lines are one list. Whether the last of them has used TLS is what `X-Forwarded-Proto` says last, because
/// only that was written by the peer itself.
pub(crate) fn x_forwarded_for(request: &RequestHead) -> Result<Option<Vec<Hop>>, Unreadable> {
    let mut hops = Vec::new();
    for element in request.headers("x-forwarded-for").flat_map(|line| line.split(|&byte| byte == b',')) {
        let text = std::str::from_utf8(element.trim_ascii()).unwrap_or_default();
        add(&mut hops, Hop { addr: node(text), secure: None })?;
    }
    let proto = request.headers("x-forwarded-proto").last();
    let proto = proto.and_then(|line| line.rsplit(|&byte| byte == b',').next());
    let secure = proto.and_then(|proto| is_secure(proto.trim_ascii()));
    // Which of several stations is meant, nobody tells; the client is the one that is asked for.
    hops.iter_mut().for_each(|hop| hop.secure = secure);
    Ok((!hops.is_empty()).then_some(hops))
}

/// The stations by `Forwarded`, the farthest first. `None` without such a header.
///
/// Each element must be well-formed. The client may have written the first ones, and one that does not end where it
/// seems to could swallow what a proxy has put behind it.
///
/// # Source
///
/// RFC 7239 §4. Beyond it, blanks around `;` and values with colons and brackets outside of quotes are taken; both are
/// common, and there is only one way to read them.
pub(crate) fn forwarded(request: &RequestHead) -> Result<Option<Vec<Hop>>, Unreadable> {
    let mut hops = Vec::new();
    for line in request.headers("forwarded") {
        let mut rest = line;
        loop {
            let (hop, behind) = element(rest).ok_or(Unreadable::Malformed)?;
            add(&mut hops, hop)?;
            match behind {
                Some(behind) => rest = behind,
                None => break,
            }
        }
    }
    Ok((!hops.is_empty()).then_some(hops))
}

fn add(hops: &mut Vec<Hop>, hop: Hop) -> Result<(), Unreadable> {
    if hops.len() == MAX_HOPS {
        return Err(Unreadable::TooLong);
    }
    hops.push(hop);
    Ok(())
}

/// Reads one element of `Forwarded`, and tells what is behind its comma, if there is one. `None`: it is malformed.
fn element(mut rest: &[u8]) -> Option<(Hop, Option<&[u8]>)> {
    let mut hop = Hop::default();
    let (mut has_for, mut has_proto) = (false, false);
    loop {
        rest = rest.trim_ascii_start();
        if !matches!(rest.first(), None | Some(b';' | b',')) {
            let (name, value, behind) = pair(rest)?;
            let value = value.as_deref().unwrap_or_default();
            if name.eq_ignore_ascii_case(b"for") {
                hop.addr = node(value);
                // Once at most (§4), or nobody knows which one counts.
                (!std::mem::replace(&mut has_for, true)).then_some(())?;
            } else if name.eq_ignore_ascii_case(b"proto") {
                hop.secure = is_secure(value.as_bytes());
                (!std::mem::replace(&mut has_proto, true)).then_some(())?;
            }
            rest = behind.trim_ascii_start();
        }
        match rest.split_first() {
            None => return Some((hop, None)),
            Some((b',', behind)) => return Some((hop, Some(behind))),
            Some((b';', behind)) => rest = behind,
            Some(_) => return None,
        }
    }
}

/// A name, its value (`None` if that is not UTF-8), and what is behind.
type Pair<'a> = (&'a [u8], Option<String>, &'a [u8]);

/// Reads `name=value`, with or without quotes.
fn pair(text: &[u8]) -> Option<Pair<'_>> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = text.iter().position(|byte| !is_name(byte)).filter(|&end| end > 0)?;
    let (name, rest) = text.split_at(end);
    let rest = rest.strip_prefix(b"=")?;
    let Some(mut rest) = rest.strip_prefix(b"\"") else {
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || b",;".contains(byte);
        let (value, rest) = rest.split_at(rest.iter().position(is_end).unwrap_or(rest.len()));
        let is_clear = !value.is_empty() && !value.iter().any(|byte| b"\"\\=".contains(byte));
        return is_clear.then(|| (name, std::str::from_utf8(value).ok().map(str::to_owned), rest));
    };
    let mut value = Vec::new();
    loop {
        match rest {
            [b'"', behind @ ..] => return Some((name, String::from_utf8(value).ok(), behind)),
            [] | [b'\\'] => return None,
            [b'\\', byte, behind @ ..] | [byte, behind @ ..] => {
                value.push(*byte);
                rest = behind;
            }
        }
    }
}

fn is_secure(proto: &[u8]) -> Option<bool> {
    let is = |name: &str| proto.eq_ignore_ascii_case(name.as_bytes());
    if is("https") || is("wss") { Some(true) } else { (is("http") || is("ws")).then_some(false) }
}

/// An address with or without a port: `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]:80`.
///
/// A port that is hidden (`_x`) or left out is 0, a zone is left out.
fn node(text: &str) -> Option<SocketAddr> {
    let (addr, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (addr, port) = rest.split_once(']')?;
            (v6(addr)?, port)
        }
        None => match v6(text) {
            Some(addr) => (addr, ""),
            None => {
                let (addr, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (IpAddr::V4(addr.parse().ok()?), port)
            }
        },
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => 0,
        Some(hidden) if hidden.starts_with('_') => 0,
        // `parse` alone would let a sign pass.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    Some(RemoteAddr::canonical(SocketAddr::new(addr, port)))
}

fn v6(text: &str) -> Option<IpAddr> {
    let addr = text.split_once('%').map_or(text, |(addr, _)| addr);
    Some(addr.parse::<Ipv6Addr>().ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::opening;

    fn addr(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn addresses_are_found_with_and_without_ports() {
        for (text, found) in [
            ("192.0.2.7", addr("192.0.2.7:0")),
            ("192.0.2.7:80", addr("192.0.2.7:80")),
            ("2001:db8::7", addr("[2001:db8::7]:0")),
            ("[2001:db8::7]", addr("[2001:db8::7]:0")),
            ("[2001:DB8::7]:80", addr("[2001:db8::7]:80")),
            ("[2001:db8::7]:_hidden", addr("[2001:db8::7]:0")),
            ("::ffff:192.0.2.7", addr("192.0.2.7:0")),
            ("fe80::1%eth0", addr("[fe80::1]:0")),
            ("unknown", None),
            ("_hidden", None),
            ("", None),
            ("192.0.2.7:", None),
            ("192.0.2.7:+80", None),
            ("192.0.2.7:65536", None),
            ("192.0.2.7:80:80", None),
            ("192.0.2.07", None),
            ("192.0.2", None),
            ("[192.0.2.7]", None),
            ("[2001:db8::7", None),
            ("[2001:db8::7]x", None),
            ("192.0.2.7%eth0", None),
            ("example.com", None),
        ] {
            assert_eq!(node(text), found, "{text:?}");
        }
    }

    fn by_forwarded(lines: &[&str]) -> Result<Option<Vec<Hop>>, Unreadable> {
        let lines: String = lines.iter().map(|line| format!("Forwarded: {line}\r\n")).collect();
        forwarded(opening(&lines).request())
    }

    #[test]
    fn elements_of_forwarded_are_read_as_the_rfc_writes_them() {
        let hop = |text: &str, secure| Hop { addr: if text.is_empty() { None } else { addr(text) }, secure };
        for (line, hops) in [
            (r#"for="_gazonk""#, vec![hop("", None)]),
            (r#"For="[2001:db8:cafe::17]:4711""#, vec![hop("[2001:db8:cafe::17]:4711", None)]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", vec![hop("192.0.2.60:0", Some(false))]),
            ("for=192.0.2.43, for=198.51.100.17", vec![hop("192.0.2.43:0", None), hop("198.51.100.17:0", None)]),
            ("for=192.0.2.43;proto=HTTPS,for=unknown", vec![hop("192.0.2.43:0", Some(true)), hop("", None)]),
            (r#"for="192\.0.2.43";host="a,b;c=\"d\"""#, vec![hop("192.0.2.43:0", None)]),
            ("for=[2001:db8::7]:80 ; proto=ftp;", vec![hop("[2001:db8::7]:80", None)]),
            ("proto=https", vec![hop("", Some(true))]),
            ("", vec![hop("", None)]),
            (",for=192.0.2.1", vec![hop("", None), hop("192.0.2.1:0", None)]),
            (r#"for="""#, vec![hop("", None)]),
        ] {
            assert_eq!(by_forwarded(&[line]), Ok(Some(hops)), "{line}");
        }
        assert_eq!(by_forwarded(&["for=192.0.2.1", "for=192.0.2.2"]), by_forwarded(&["for=192.0.2.1,for=192.0.2.2"]));
        assert_eq!(by_forwarded(&[]), Ok(None));
    }

    #[test]
    fn what_does_not_end_where_it_seems_to_is_malformed() {
        for line in [
            r#"for=""#,
            r#"for="a"#,
            r#"for="a\"#,
            r#"for="a\""#,
            r#"for="a"b"#,
            "for",
            "for=",
            "=a",
            "for =a",
            "for= a",
            "for=a b",
            r#"for=a"b"#,
            "for=a;for=b",
            "for=a;FOR=a",
            "proto=http;proto=https",
            "for=a=b",
            "for=a\\",
            "for==a",
        ] {
            assert_eq!(by_forwarded(&[line]), Err(Unreadable::Malformed), "{line}");
            assert_eq!(by_forwarded(&[line, "for=192.0.2.1"]), Err(Unreadable::Malformed), "{line}");
        }
    }

    #[test]
    fn a_way_without_end_is_refused() {
        let lines =
            |count| ["X-Forwarded-For: 192.0.2.1\r\n", "Forwarded: for=192.0.2.1\r\n"].map(|line| line.repeat(count));
        let [by_for, by_rfc] = lines(MAX_HOPS);
        assert_eq!(x_forwarded_for(opening(&by_for).request()).unwrap().unwrap().len(), MAX_HOPS);
        assert_eq!(forwarded(opening(&by_rfc).request()).unwrap().unwrap().len(), MAX_HOPS);
        let commas = format!("X-Forwarded-For: {}\r\n", ",".repeat(MAX_HOPS));
        assert_eq!(x_forwarded_for(opening(&commas).request()), Err(Unreadable::TooLong));
        let [by_for, by_rfc] = lines(MAX_HOPS + 1);
        assert_eq!(x_forwarded_for(opening(&by_for).request()), Err(Unreadable::TooLong));
        assert_eq!(forwarded(opening(&by_rfc).request()), Err(Unreadable::TooLong));
    }
}
