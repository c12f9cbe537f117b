//! What is decided by a request's host, origin and path, once it is known to be sound.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use wsrv_http::{AllowedOrigins, Gate, Opening, Router};
use wsrv_rfc6455::handshake::{HeadLimits, HeadReader, RequestHead, split_host};

/// No origin gets in that is not on the list, and no request gets to a route that is not its own.
///
/// The input has NUL between its parts: the host, the target, and then the request's origins. Those behind an empty
/// part are the server's list: origins, hosts, and either with a star. None at all stands for the server's own pages.
pub fn origin(data: &[u8]) {
    let mut parts = data.split(|&byte| byte == 0);
    let (host, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let sent: Vec<&[u8]> = parts.by_ref().take_while(|part| !part.is_empty()).collect();
    let listed: Vec<&str> = parts.filter_map(|part| std::str::from_utf8(part).ok()).collect();

    let mut request = [b"GET ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\n"].concat();
    for origin in sent {
        request.extend([b"Origin: ", origin, b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    let mut buffer = BytesMut::from(&request[..]);
    let Ok(Some(head)) = HeadReader::new(HeadLimits::default()).read(&mut buffer) else { return };
    check_route(&head);

    let gate = if listed.is_empty() { Ok(AllowedOrigins::same_origin()) } else { AllowedOrigins::new(&listed) };
    let Ok(gate) = gate else { return };
    let listed: Option<Vec<Entry>> = listed.into_iter().map(Entry::parse).collect();
    let listed = listed.expect("an entry that is taken is an origin");
    let origins: Vec<&[u8]> = head.headers("origin").collect();
    let may_enter = match &origins[..] {
        [origin] => std::str::from_utf8(origin).ok().and_then(Origin::parse).is_some_and(|page| {
            if listed.is_empty() { page.is_of(&head) } else { listed.iter().any(|l| l.is_for(&page)) }
        }),
        _ => false,
    };
    assert_eq!(admits(&gate, &head), may_enter, "{origins:?} at {:?}, {listed:?} are listed", head.host());
    let may_enter = may_enter || origins.is_empty();
    assert_eq!(admits(&gate.clone().allow_missing(true), &head), may_enter);

    // Entry by entry, in whatever way each is written, the list becomes empty.
    for entry in gate.entries() {
        assert_eq!(gate.remove(&entry.to_ascii_uppercase()), Ok(true), "{entry}");
    }
    assert_eq!(gate.entries(), Vec::<String>::new());
}

fn admits(gate: &AllowedOrigins, head: &RequestHead) -> bool {
    let mut opening = Opening::new(head.clone(), None);
    let Poll::Ready(admitted) = pin!(gate.admit(&mut opening)).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing is waited for");
    };
    admitted.is_ok()
}

/// An origin as RFC 6454 §4 compares it: scheme, host and port, or none of them for `null`.
#[derive(Debug, PartialEq)]
struct Origin(Option<(String, String, Option<u16>)>);

impl Origin {
    fn parse(origin: &str) -> Option<Self> {
        if origin == "null" {
            return Some(Self(None));
        }
        let (scheme, host) = origin.split_once("://")?;
        let (scheme, (host, port)) = (scheme.to_ascii_lowercase(), split_host(host)?);
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let is_exact = !origin.ends_with(':') && !host.contains('*');
        let port = port.or(default_port(&scheme));
        (is_scheme && is_exact).then(|| Self(Some((scheme, host.to_ascii_lowercase(), port))))
    }

    /// Whether the page is from the host that the request was sent to.
    fn is_of(&self, head: &RequestHead) -> bool {
        let Some((scheme, host, port)) = &self.0 else { return false };
        let asked = head.host().filter(|asked| !asked.ends_with(':')).and_then(split_host);
        matches!(&**scheme, "http" | "https")
            && asked
                .is_some_and(|(name, asked)| name.eq_ignore_ascii_case(host) && asked.or(default_port(scheme)) == *port)
    }
}

/// An entry of the list, taken apart.
#[derive(Debug)]
enum Entry {
    /// Neither scheme nor port is told.
    Host { host: String, star: bool },
    /// With a star, the host is what follows it.
    Origin { origin: Origin, star: bool },
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let without_star = text.replacen("://*.", "://", 1);
        let star = without_star != text;
        if text.eq_ignore_ascii_case("null") {
            return Some(Self::Origin { origin: Origin(None), star: false });
        }
        if text.contains("://") {
            let origin = Origin::parse(&without_star)?;
            let is_good = !star || origin.0.as_ref().is_some_and(|(_, host, _)| is_domain(host));
            return is_good.then_some(Self::Origin { origin, star });
        }
        let (star, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let (host, port) = split_host(name)?;
        let is_good = host == name && port.is_none() && !host.contains('*') && (!star || is_domain(host));
        is_good.then(|| Self::Host { host: host.to_ascii_lowercase(), star })
    }

    fn is_for(&self, page: &Origin) -> bool {
        let is_host = |listed: &str, star: bool, page: &str| match page.strip_suffix(listed).filter(|_| star) {
            Some(front) => front.strip_suffix('.').is_some_and(|label| !label.is_empty() && !label.contains('.')),
            None => listed == page && !star,
        };
        match (self, &page.0) {
            (Self::Origin { origin: Origin(None), .. }, None) => true,
            (Self::Origin { origin: Origin(Some(listed)), star }, Some(page)) => {
                (&listed.0, listed.2) == (&page.0, page.2) && is_host(&listed.1, *star, &page.1)
            }
            (Self::Host { host, star }, Some(page)) => is_host(host, *star, &page.1),
            _ => false,
        }
    }
}

/// Whether a name may have a label in front: an address may not.
fn is_domain(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    !host.starts_with('[') && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// The router's answer follows from the path alone, but for the one route that belongs to a host.
fn check_route(head: &RequestHead) {
    let mut router = Router::new();
    for (host, path) in
        [(None, "/chat"), (None, "/rooms/{room}"), (None, "/files/{*path}"), (Some("a.example"), "/chat")]
    {
        router.add(host, path, (host, path)).expect("a good route");
    }
    let host = head.host().and_then(split_host).map(|(host, _)| host.trim_end_matches('.').to_ascii_lowercase());
    let segments: Vec<&str> = head.path().split('/').collect();
    let expected = match segments[..] {
        ["", "chat"] if host.as_deref() == Some("a.example") => Some(((Some("a.example"), "/chat"), None)),
        ["", "chat"] => Some(((None, "/chat"), None)),
        ["", "rooms", room] if !room.is_empty() => Some(((None, "/rooms/{room}"), Some(("room", room.to_owned())))),
        ["", "files", ref rest @ ..] if !rest.join("/").is_empty() => {
            Some(((None, "/files/{*path}"), Some(("path", rest.join("/")))))
        }
        _ => None,
    };
    // A parameter that is not UTF-8 belongs to no route.
    let expected = expected.and_then(|(route, param)| match param {
        Some((name, value)) => Some((route, vec![(name.to_owned(), decode(&value)?)])),
        None => Some((route, Vec::new())),
    });
    let found = router.find(head).map(|found| {
        let params: Vec<_> = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        (*found.value, params)
    });
    assert_eq!(found, expected, "{} at {host:?}", head.path());
}

/// A path's text without its percent encoding, if that is UTF-8.
fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, later @ ..] = rest {
        let digit = |at: usize| later.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        let decoded = digit(0).zip(digit(1)).filter(|_| *first == b'%').map(|(high, low)| (high * 16 + low) as u8);
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &later[2..] } else { later };
    }
    String::from_utf8(bytes).ok()
}
