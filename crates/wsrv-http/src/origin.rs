//! Which web pages may connect.

use crate::shared::Shared;
use crate::{Gate, Opening, Rejection, Stage};
use std::collections::HashSet;
use wsrv_rfc6455::handshake::split_host;

/// Lets in pages of the listed origins only.
///
/// A browser names the origin of the page that opens a WebSocket, and lets any page open one to any server, with the
/// user's cookies. So a server that trusts cookies has to look. An entry of the list is one of these, in any case:
///
/// | entry | lets in |
/// |---|---|
/// | `https://example.com`, `http://localhost:3000` | this origin: scheme, host and port; one that is the scheme's default may be left out |
/// | `https://*.example.com` | those with exactly one label in place of the star: `https://a.example.com`, not `https://example.com` |
/// | `example.com`, `*.example.com` | these hosts, whatever the scheme and the port |
/// | `null` | pages without an origin of their own: files, sandboxed frames, some redirects. Anybody can make one |
///
/// A client that is no browser sends no origin at all and is refused too, unless
/// [`allow_missing`](AllowedOrigins::allow_missing) says otherwise.
///
/// Clones are handles to the same list, and a change holds for every request from then on. A refusal tells the peer
/// little and the log what was sent ([`Rejection::log_note`]).
///
/// ```
/// # fn main() -> Result<(), wsrv_http::InvalidOrigin> {
/// let gate = wsrv_http::AllowedOrigins::new(["https://example.com", "http://localhost:3000"])?;
/// gate.clone().allow("https://*.example.com")?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins(Shared<Rules>);

#[derive(Clone, Debug, Default)]
struct Rules {
    /// In the form in which [`keys`] names what matches.
    entries: HashSet<String>,
    same: bool,
    missing: bool,
}

/// An entry of an origin list is none of `scheme://host[:port]`, a host, one of them with `*.` in front of the host, or
/// `null`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin: expected scheme://host[:port], a host, or null; the host's first label may be a star")]
pub struct InvalidOrigin(String);

impl AllowedOrigins {
    /// The origins of this list.
    ///
    /// # Errors
    ///
    /// An entry is no origin.
    pub fn new<S: AsRef<str>>(origins: impl IntoIterator<Item = S>) -> Result<Self, InvalidOrigin> {
        let entries = origins.into_iter().map(|origin| entry(origin.as_ref())).collect::<Result<_, _>>()?;
        Ok(AllowedOrigins(Shared::new(Rules { entries, ..Rules::default() })))
    }

    /// The pages of this server itself: an origin whose host and port are those of the request's `Host`, over
    /// `https` if the client has used TLS, over `http` if it has not, and over either where
    /// [nobody knows](Opening::is_secure).
    ///
    /// This believes the `Host` that the browser names; a proxy in front has to pass it on. A site whose name its owner
    /// lets point at this server passes ("DNS rebinding"); it has none of the user's cookies, but where that is not
    /// enough, list the origins, or give the route its host.
    pub fn same_origin() -> Self {
        Self::default().allow_same(true)
    }

    /// Whether the pages of this server itself are let in, as by [`same_origin`](Self::same_origin), besides those on
    /// the list. By default they are not.
    pub fn allow_same(self, allow: bool) -> Self {
        self.0.change(|rules| rules.same = allow);
        self
    }

    /// Whether clients that send no origin, which browsers never do, are let in. By default they are not.
    pub fn allow_missing(self, allow: bool) -> Self {
        self.0.change(|rules| rules.missing = allow);
        self
    }

    /// Puts an entry on the list. Whether it was not there yet.
    ///
    /// # Errors
    ///
    /// It is no origin.
    pub fn allow(&self, origin: &str) -> Result<bool, InvalidOrigin> {
        let entry = entry(origin)?;
        Ok(self.0.change(|rules| rules.entries.insert(entry)))
    }

    /// Takes an entry off the list, in whatever way it was written. Whether it was there: an origin that another entry
    /// covers is not.
    ///
    /// # Errors
    ///
    /// It is no origin.
    pub fn remove(&self, origin: &str) -> Result<bool, InvalidOrigin> {
        let entry = entry(origin)?;
        Ok(self.0.change(|rules| rules.entries.remove(&entry)))
    }

    /// The entries of the list as they are compared: in lower case, without default ports. In alphabetic order.
    pub fn entries(&self) -> Vec<String> {
        let rules = self.0.get();
        let mut entries: Vec<_> =
            rules.entries.iter().map(|entry| entry.strip_prefix(ANY_SCHEME).unwrap_or(entry).to_owned()).collect();
        entries.sort_unstable();
        entries
    }

    fn check(&self, opening: &Opening) -> Result<(), Rejection> {
        let rules = self.0.get();
        let mut sent = opening.request().headers("origin");
        let origin = match (sent.next(), sent.next()) {
            (None, _) if rules.missing => return Ok(()),
            (None, _) => return Err(refused("the request names no origin", "no Origin header".to_owned())),
            (Some(origin), None) => origin,
            (Some(first), Some(second)) => {
                let note = format!("Origin headers {} and {}", shown(first), shown(second));
                return Err(refused("the request names more than one origin", note));
            }
        };
        match std::str::from_utf8(origin).ok().and_then(Origin::parse) {
            None => Err(refused("the origin is malformed", format!("origin {}", shown(origin)))),
            Some(page) if page.keys().iter().any(|key| rules.entries.contains(key)) => Ok(()),
            Some(page) if rules.same && page.is_of(opening) => Ok(()),
            Some(_) => {
                let mut note = format!("origin {} is on no list", shown(origin));
                if !rules.entries.is_empty() {
                    note = format!("origin {} is none of {} on the list", shown(origin), rules.entries.len());
                }
                if rules.same {
                    let host = opening.request().host().unwrap_or_default().as_bytes();
                    let tls = match opening.is_secure() {
                        Some(true) => " with TLS",
                        Some(false) => " without TLS",
                        None => "",
                    };
                    note += &format!(", nor that of this server at {}{tls}", shown(host));
                }
                Err(refused("this origin may not connect", note))
            }
        }
    }
}

impl Gate for AllowedOrigins {
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        self.check(opening)?;
        opening.extensions_mut().insert(OriginChecked);
        Ok(())
    }

    fn stage(&self) -> Stage {
        Stage::Origin
    }
}

/// Attached to an [`Opening`] by a gate that has looked at its origin, for gates that believe cookies. A gate of your own
/// that does the same attaches it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginChecked;

fn refused(why: &'static str, note: String) -> Rejection {
    Rejection::forbidden(why).because("origin").note(note)
}

/// What the peer has sent, fit for a log.
fn shown(sent: &[u8]) -> String {
    const MOST: usize = 128;
    let more = if sent.len() > MOST { "…" } else { "" };
    format!("\"{}{more}\"", sent[..sent.len().min(MOST)].escape_ascii())
}

/// What an entry for a host begins with. No origin does.
const ANY_SCHEME: &str = "//";

/// An entry of the list as it is compared.
fn entry(text: &str) -> Result<String, InvalidOrigin> {
    let normal = || {
        if text.eq_ignore_ascii_case("null") {
            return Some("null".to_owned());
        }
        let (scheme, authority) = text.split_once("://").map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
        let (star, authority) = authority.strip_prefix("*.").map_or(("", authority), |rest| ("*.", rest));
        let (host, port) = normal_host(scheme.unwrap_or_default(), authority)?;
        // The last labels of an IP address are no domain, and a port belongs to a scheme.
        let is_domain =
            !host.starts_with('[') && host.rsplit('.').next()?.contains(|last: char| !last.is_ascii_digit());
        if !star.is_empty() && !is_domain {
            return None;
        }
        match scheme {
            Some(scheme) => Some(format!("{}://{star}{host}{port}", normal_scheme(scheme)?)),
            None => port.is_empty().then(|| format!("{ANY_SCHEME}{star}{host}")),
        }
    };
    normal().ok_or_else(|| InvalidOrigin(text.to_owned()))
}

/// The origin of a page, in lower case and without a default port (RFC 6454 §4).
enum Origin {
    /// `null`.
    Opaque,
    /// `port` begins with a colon, or is empty if it is the scheme's own.
    Page { scheme: String, host: String, port: String },
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Origin::Opaque);
        }
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = normal_host(scheme, authority)?;
        Some(Origin::Page { scheme: normal_scheme(scheme)?, host, port })
    }

    /// The entries by which it is let in.
    fn keys(&self) -> Vec<String> {
        let Origin::Page { scheme, host, port } = self else { return vec!["null".to_owned()] };
        let mut keys = vec![format!("{scheme}://{host}{port}"), format!("{ANY_SCHEME}{host}")];
        if let Some((_, domain)) = host.split_once('.').filter(|(label, _)| !label.is_empty()) {
            keys.extend([format!("{scheme}://*.{domain}{port}"), format!("{ANY_SCHEME}*.{domain}")]);
        }
        keys
    }

    /// Whether the page is from where the request was sent to.
    fn is_of(&self, opening: &Opening) -> bool {
        let Origin::Page { scheme, host: name, port } = self else { return false };
        let may_be = match scheme.as_str() {
            "https" => opening.is_secure() != Some(false),
            "http" => opening.is_secure() != Some(true),
            _ => false,
        };
        let own = opening.request().host().and_then(|own| normal_host(scheme, own));
        may_be && own.is_some_and(|(own_name, own_port)| (&own_name, &own_port) == (name, port))
    }
}

fn normal_scheme(text: &str) -> Option<String> {
    let is_scheme = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (is_scheme && text.starts_with(|first: char| first.is_ascii_alphabetic())).then(|| text.to_ascii_lowercase())
}

/// The host in lower case, and `:port` if it is not the scheme's own.
fn normal_host(scheme: &str, authority: &str) -> Option<(String, String)> {
    let (host, port) = split_host(authority)?;
    // A star is a character of names, but whoever writes one here means a pattern.
    if authority.ends_with(':') || host.contains('*') {
        return None;
    }
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    let default_port = match () {
        () if is("http") || is("ws") => Some(80),
        () if is("https") || is("wss") => Some(443),
        () => None,
    };
    let port = port.filter(|port| Some(*port) != default_port).map_or_else(String::new, |port| format!(":{port}"));
    Some((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn opening(host: &str, origins: &[&str]) -> Opening {
        let origins: String = origins.iter().map(|origin| format!("Origin: {origin}\r\n")).collect();
        testing::opening(&format!("Host: {host}\r\n{origins}"))
    }

    fn admits(gate: &AllowedOrigins, host: &str, origins: &[&str]) -> bool {
        gate.check(&opening(host, origins)).is_ok()
    }

    #[test]
    fn the_whole_origin_is_compared() {
        let gate = AllowedOrigins::new(["https://Example.com", "http://localhost:3000", "http://[::1]:80"]).unwrap();
        for (origin, admitted) in [
            ("https://example.com", true),
            ("https://EXAMPLE.com:443", true),
            ("http://example.com", false),
            ("https://example.com:8443", false),
            ("https://sub.example.com", false),
            ("https://example.com.evil.test", false),
            ("https://evil.test@example.com", false),
            ("https://example.com@evil.test", false),
            ("https://example.com/path", false),
            ("http://localhost:3000", true),
            ("http://localhost:30000", false),
            ("http://localhost", false),
            ("http://[::1]", true),
            ("null", false),
            ("", false),
            ("example.com", false),
        ] {
            assert_eq!(admits(&gate, "example.com", &[origin]), admitted, "{origin}");
        }
        assert!(!admits(&gate, "x", &[]), "no origin at all");
        assert!(!admits(&gate, "x", &["https://example.com", "https://example.com"]), "two of them");
        assert!(admits(&gate.allow_missing(true), "x", &[]));
        let odd = AllowedOrigins::new(["null", "moz-extension://ab-cd", "https://a:0443"]).unwrap();
        for origin in ["null", "moz-extension://ab-cd", "https://a"] {
            assert!(admits(&odd, "x", &[origin]), "{origin}");
        }
    }

    #[test]
    fn same_origin_compares_with_the_host_that_was_asked_for() {
        let gate = AllowedOrigins::same_origin();
        assert!(admits(&gate, "127.0.0.1:8080", &["http://127.0.0.1:8080"]));
        assert!(admits(&gate, "example.com", &["https://example.com"]));
        assert!(admits(&gate, "example.com:443", &["https://example.com"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &["http://127.0.0.1:8081"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &["http://127.0.0.1"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &["http://localhost:8080"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &["null"]));
        assert!(!admits(&gate, "127.0.0.1:8080", &[]));
    }

    #[test]
    fn same_origin_compares_the_scheme_as_far_as_it_is_known() {
        let gate = AllowedOrigins::same_origin();
        for (secure, http, https) in [(None, true, true), (Some(true), false, true), (Some(false), true, false)] {
            for (origin, admitted) in [("http://a", http), ("https://a", https), ("ftp://a", false), ("ws://a", false)]
            {
                let mut opening = opening("a", &[origin]);
                opening.set_secure(secure);
                assert_eq!(gate.check(&opening).is_ok(), admitted, "{origin}, TLS: {secure:?}");
            }
        }
        let both = AllowedOrigins::new(["https://b"]).unwrap().allow_same(true);
        assert!(admits(&both, "a", &["http://a"]) && admits(&both, "a", &["https://b"]));
        assert!(!admits(&both, "a", &["http://b"]));
    }

    #[test]
    fn a_host_alone_stands_for_all_its_schemes_and_ports() {
        let gate = AllowedOrigins::new(["Example.com", "[::1]", "127.0.0.1"]).unwrap();
        for (origin, admitted) in [
            ("https://example.com", true),
            ("http://EXAMPLE.com:8080", true),
            ("moz-extension://example.com", true),
            ("http://[::1]:80", true),
            ("https://127.0.0.1:1", true),
            ("https://sub.example.com", false),
            ("https://example.com.evil.test", false),
            ("https://example.com:80@evil.test", false),
            ("example.com", false),
            ("null", false),
        ] {
            assert_eq!(admits(&gate, "x", &[origin]), admitted, "{origin}");
        }
        for null in ["null", "Null"] {
            let gate = AllowedOrigins::new([null]).unwrap();
            assert!(admits(&gate, "x", &["null"]) && !admits(&gate, "x", &["http://null"]), "{null}");
        }
        assert!(!admits(&AllowedOrigins::new(["http://a", "any://a"]).unwrap(), "x", &["https://a"]));
        assert_eq!(gate.entries(), ["127.0.0.1", "[::1]", "example.com"]);
    }

    #[test]
    fn a_star_stands_for_exactly_one_label() {
        let gate = AllowedOrigins::new(["https://*.Example.com", "*.wild.test", "http://*.localhost:3000"]).unwrap();
        for (origin, admitted) in [
            ("https://a.example.com", true),
            ("https://A.EXAMPLE.COM:443", true),
            ("https://example.com", false),
            ("https://a.b.example.com", false),
            ("https://.example.com", false),
            ("https://*.example.com", false),
            ("http://a.example.com", false),
            ("https://a.example.com:8443", false),
            ("https://aexample.com", false),
            ("https://a.example.com.evil.test", false),
            ("gopher://a.wild.test:70", true),
            ("gopher://wild.test:70", false),
            ("http://a.localhost:3000", true),
            ("http://a.localhost", false),
        ] {
            assert_eq!(admits(&gate, "x", &[origin]), admitted, "{origin}");
        }
    }

    #[test]
    fn the_list_can_be_changed_while_it_is_in_use() {
        let gate = AllowedOrigins::new(["https://a.example"]).unwrap();
        let handle = gate.clone();
        assert_eq!(handle.allow("https://B.example:443"), Ok(true));
        assert_eq!(handle.allow("https://b.example"), Ok(false));
        assert!(admits(&gate, "x", &["https://b.example"]));
        assert_eq!(handle.remove("HTTPS://a.example:443"), Ok(true));
        assert_eq!(handle.remove("a.example"), Ok(false), "another entry, though for the same host");
        assert!(!admits(&gate, "x", &["https://a.example"]));
        assert!(handle.allow("https://").is_err() && handle.remove("https://").is_err());
        assert_eq!(gate.entries(), ["https://b.example"]);
        assert!(!admits(&AllowedOrigins::default(), "x", &["https://x"]), "a list of none lets nobody in");
    }

    #[test]
    fn the_log_is_told_what_was_sent_and_the_peer_is_not() {
        let gate = AllowedOrigins::new(["https://example.com"]).unwrap();
        let note = |gate: &AllowedOrigins, origins: &[&str]| {
            let rejection = gate.check(&opening("own.test", origins)).unwrap_err();
            assert_eq!((rejection.status().as_u16(), rejection.reason()), (403, "origin"));
            let answer = String::from_utf8(rejection.encode("GET").to_vec()).unwrap();
            assert!(!answer.contains("evil") && !answer.contains("example.com"), "{answer}");
            rejection.log_note().unwrap().to_owned()
        };
        assert_eq!(note(&gate, &["https://evil.test"]), "origin \"https://evil.test\" is none of 1 on the list");
        assert_eq!(note(&gate, &["\u{e9}vil"]), "origin \"\\xc3\\xa9vil\"");
        assert_eq!(note(&gate, &[]), "no Origin header");
        assert_eq!(note(&gate, &["a", "evil"]), "Origin headers \"a\" and \"evil\"");
        assert!(note(&gate, &["evil".repeat(1000).as_str()]).len() < 200);
        let same = AllowedOrigins::same_origin();
        let expected = "origin \"https://evil.test\" is on no list, nor that of this server at \"own.test\"";
        assert_eq!(note(&same, &["https://evil.test"]), expected);
    }

    #[test]
    fn an_entry_that_is_no_origin_is_an_error() {
        for entry in [
            "https://",
            "https://a/b",
            "https://a:b",
            "https://u@a",
            "://a",
            "",
            "https://a:",
            "a:80",
            "a:",
            "[::1]:80",
            "[::1]:",
            "a/b",
            "u@a",
            "*",
            "*.",
            "https://*",
            "https://*.",
            "a.*.b",
            "https://*a.b",
            "https://*.*.a",
            "*.0.0.1",
            "https://*.[::1]",
            "https://*.0.0.1",
            "1a://b",
            "NULL://",
            "https://a b",
        ] {
            assert!(AllowedOrigins::new([entry]).is_err(), "{entry:?}");
        }
    }
}
