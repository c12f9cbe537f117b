//! The headers that say who is asking.

use super::CookieView;
use std::fmt;

/// What a request brings to show whose session it belongs to: its `Cookie`, `Authorization` and
/// `Sec-WebSocket-Protocol` headers.
#[derive(Clone, Default)]
pub struct Credentials<'h> {
    cookies: CookieView<'h>,
    authorization: Vec<&'h [u8]>,
    subprotocols: Vec<&'h [u8]>,
}

impl<'h> Credentials<'h> {
    /// Those among these headers, which are pairs of a name, in any case, and a value. All others are left alone.
    ///
    /// ```
    /// # use wsrv_session::cookie::Credentials;
    /// let headers = [("host", &b"example.com"[..]), ("cookie", b"PHPSESSID=0123456789abcdef")];
    /// let credentials = Credentials::new(headers);
    /// ```
    pub fn new(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Self {
        let mut credentials = Self::default();
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("cookie") {
                credentials.cookies.push(value);
            } else if name.eq_ignore_ascii_case("authorization") {
                credentials.authorization.push(value);
            } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
                credentials.subprotocols.push(value);
            }
        }
        credentials
    }

    /// The cookies.
    pub fn cookies(&self) -> &CookieView<'h> {
        &self.cookies
    }

    /// The token of `Authorization: Bearer` (RFC 6750 §2.1). `None` if there is none, or if there are several such
    /// headers, of which nobody knows which one counts.
    pub fn bearer(&self) -> Option<&'h [u8]> {
        let [value] = self.authorization[..] else { return None };
        let (scheme, token) = value.trim_ascii().split_at_checked(6)?;
        let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && token.first() == Some(&b' ');
        is_bearer.then(|| token.trim_ascii())
    }

    /// The subprotocols that the client offers, in its order.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h [u8]> {
        let lines = self.subprotocols.iter().flat_map(|line| line.split(|&byte| byte == b','));
        lines.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorization<'h>(values: &[&'h str]) -> Option<&'h str> {
        let credentials = Credentials::new(values.iter().map(|value| ("Authorization", value.as_bytes())));
        credentials.bearer().map(|token| str::from_utf8(token).unwrap())
    }

    #[test]
    fn a_bearer_token_is_found() {
        assert_eq!(authorization(&["Bearer a.b.c"]), Some("a.b.c"));
        assert_eq!(authorization(&["bEARER  a.b.c "]), Some("a.b.c"));
    }

    #[test]
    fn other_schemes_and_two_headers_are_no_bearer_token() {
        for values in
            [&[][..], &[""], &["Basic YTpi"], &["Bearera.b.c"], &["Bearer"], &["Bearer a", "Bearer b"], &["é"]]
        {
            assert_eq!(authorization(values), None, "{values:?}");
        }
    }

    #[test]
    fn subprotocols_come_in_their_order_from_all_lines() {
        let credentials = Credentials::new([
            ("sec-websocket-protocol", &b"chat, bearer.x ,,"[..]),
            ("Sec-WebSocket-Protocol", b"wamp"),
            ("sec-websocket-protocols", b"no"),
        ]);
        assert_eq!(credentials.subprotocols().collect::<Vec<_>>(), [&b"chat"[..], b"bearer.x", b"wamp"]);
    }

    #[test]
    fn nothing_of_them_is_printed() {
        let credentials = Credentials::new([("cookie", &b"a=secret"[..]), ("authorization", b"Bearer secret")]);
        assert!(!format!("{credentials:?}{:?}", credentials.cookies()).contains("secret"));
    }
}
