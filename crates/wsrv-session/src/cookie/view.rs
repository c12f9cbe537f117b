//! Reading `Cookie` headers, each front end's way.

use percent_encoding::percent_decode;
use std::borrow::Cow;
use std::fmt;

/// A request's cookies.
///
/// Nothing in a `Cookie` header is an error: a part without `=` is skipped, anything else is somebody else's cookie.
#[derive(Clone, Default)]
pub struct CookieView<'h>(Vec<&'h [u8]>);

/// How a front end reads cookies. Where it takes one value and we another, two users could be mixed up.
///
/// | | of equal names | percent-encoding | quotes around the value | blanks |
/// |---|---|---|---|---|
/// | `Php` | the first | decoded | kept | kept, but in front of the name |
/// | `Node` | the first | decoded | dropped | dropped |
/// | `Keygrip` | the first | kept | dropped | kept, but in front of the name |
/// | `Werkzeug` | the first | kept | dropped | dropped |
/// | `Rack` | the first | decoded | kept | dropped |
/// | `Python` | the last | kept | dropped | dropped |
/// | `Rust` | the last | decoded | kept | dropped |
///
/// Names are case-sensitive everywhere. Percent signs that encode nothing stay, and `+` is never a blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieDialect {
    /// PHP's `$_COOKIE`. It reads a `.` and a blank in a name as `_`, but makes no `__Host-` or `__Secure-` that way:
    /// browsers vouch for cookies whose names begin so (PHP from 7.4.31, 8.0.24 and 8.1.11 on).
    Php,
    /// `cookie` of npm: express.
    Node,
    /// `cookies` of npm: cookie-session, koa.
    Keygrip,
    /// Django and Starlette.
    Python,
    /// Werkzeug: Flask.
    Werkzeug,
    /// Rack: Rails.
    Rack,
    /// The crates `cookie` and `tower-cookies`.
    Rust,
}

impl<'h> CookieView<'h> {
    /// The cookies of these header values, as if they were one.
    pub fn new(headers: impl IntoIterator<Item = &'h [u8]>) -> Self {
        CookieView(headers.into_iter().collect())
    }

    pub(super) fn push(&mut self, header: &'h [u8]) {
        self.0.push(header);
    }

    /// The value of the cookie with this name, as this front end reads it. It may be empty.
    pub fn get(&self, name: &str, dialect: CookieDialect) -> Option<Cow<'h, [u8]>> {
        let parts = self.0.iter().flat_map(|header| header.split(|&byte| byte == b';'));
        let mut values = parts.filter_map(|part| dialect.value(part, name.as_bytes()));
        let value = if dialect.takes_last() { values.next_back() } else { values.next() }?;
        Some(if dialect.decodes() { percent_decode(value).into() } else { value.into() })
    }
}

impl fmt::Debug for CookieView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieView").finish_non_exhaustive()
    }
}

impl CookieDialect {
    /// The value of this part of a header, if it is the cookie of this name.
    fn value<'h>(self, part: &'h [u8], wanted: &[u8]) -> Option<&'h [u8]> {
        let at = part.iter().position(|&byte| byte == b'=')?;
        let (mut name, mut value) = (part[..at].trim_ascii_start(), &part[at + 1..]);
        if !matches!(self, CookieDialect::Php | CookieDialect::Keygrip) {
            (name, value) = (name.trim_ascii_end(), value.trim_ascii());
        }
        if self.unquotes() {
            value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
        }
        let as_read = |byte: &u8| match byte {
            b'.' | b' ' if self == CookieDialect::Php => b'_',
            other => *other,
        };
        // A browser lets only the site itself set a cookie with such a name, but anybody one that PHP turns into it.
        let is_forged = |prefix: &&[u8]| wanted.starts_with(prefix) && !name.starts_with(prefix);
        if [&b"__Host-"[..], b"__Secure-"].iter().any(is_forged) {
            return None;
        }
        name.iter().map(as_read).eq(wanted.iter().copied()).then_some(value)
    }

    fn takes_last(self) -> bool {
        matches!(self, CookieDialect::Python | CookieDialect::Rust)
    }

    fn decodes(self) -> bool {
        matches!(self, CookieDialect::Php | CookieDialect::Node | CookieDialect::Rack | CookieDialect::Rust)
    }

    fn unquotes(self) -> bool {
        matches!(self, CookieDialect::Node | CookieDialect::Keygrip | CookieDialect::Python | CookieDialect::Werkzeug)
    }
}

#[cfg(test)]
mod tests {
    use super::CookieDialect::*;
    use super::*;

    const ALL: [CookieDialect; 7] = [Php, Node, Keygrip, Python, Werkzeug, Rack, Rust];

    fn get(headers: &[&str], dialect: CookieDialect) -> Option<String> {
        let value = CookieView::new(headers.iter().map(|header| header.as_bytes())).get("sid", dialect)?;
        Some(String::from_utf8(value.into_owned()).unwrap())
    }

    #[test]
    fn a_cookie_is_found_wherever_it_stands() {
        for dialect in ALL {
            for headers in [&["sid=abc"][..], &["a=b; sid=abc"], &["a=b;sid=abc;c=d"], &["a=b", "sid=abc"]] {
                assert_eq!(get(headers, dialect).as_deref(), Some("abc"), "{dialect:?} {headers:?}");
            }
            assert_eq!(get(&["sid="], dialect).as_deref(), Some(""), "{dialect:?}");
            assert_eq!(get(&["sid=a=b=="], dialect).as_deref(), Some("a=b=="), "{dialect:?}");
        }
    }

    #[test]
    fn other_names_and_cases_are_other_cookies() {
        for dialect in ALL {
            for header in ["", "SID=x", "xsid=x", "sid2=x", "a=sid=x", "sid[0]=x", "%73id=x", "=x", ";;;", "sid"] {
                assert_eq!(get(&[header], dialect), None, "{dialect:?} {header}");
            }
        }
    }

    #[test]
    fn a_part_without_an_equals_sign_is_skipped() {
        for dialect in ALL {
            assert_eq!(get(&["sid; junk; sid=abc; \u{e9}"], dialect).as_deref(), Some("abc"), "{dialect:?}");
        }
    }

    #[test]
    fn of_equal_names_each_takes_the_one_that_its_front_end_takes() {
        for dialect in ALL {
            let expected = if matches!(dialect, Python | Rust) { "last" } else { "first" };
            assert_eq!(get(&["sid=first; sid=mid", "sid=last"], dialect).as_deref(), Some(expected), "{dialect:?}");
        }
    }

    #[test]
    fn percent_signs_are_decoded_where_the_front_end_does() {
        for dialect in ALL {
            let expected = if matches!(dialect, Php | Node | Rack | Rust) { "a,+%zz%2" } else { "a%2C+%zz%2" };
            assert_eq!(get(&["sid=a%2C+%zz%2"], dialect).as_deref(), Some(expected), "{dialect:?}");
        }
    }

    #[test]
    fn quotes_are_dropped_where_the_front_end_does() {
        for dialect in ALL {
            let expected = if matches!(dialect, Php | Rack | Rust) { "\"a b\"" } else { "a b" };
            assert_eq!(get(&["sid=\"a b\""], dialect).as_deref(), Some(expected), "{dialect:?}");
            assert_eq!(get(&["sid=\""], dialect).as_deref(), Some("\""), "{dialect:?}");
        }
    }

    #[test]
    fn blanks_are_part_of_names_and_values_where_the_front_end_says_so() {
        for dialect in ALL {
            let keeps = matches!(dialect, Php | Keygrip);
            assert_eq!(get(&["  sid = abc "], dialect).as_deref(), (!keeps).then_some("abc"), "{dialect:?}");
            let value = if keeps { " abc " } else { "abc" };
            assert_eq!(get(&["a=b;  sid= abc ;"], dialect).as_deref(), Some(value), "{dialect:?}");
        }
    }

    #[test]
    fn php_reads_dots_and_blanks_in_names_as_underscores() {
        for header in ["my_id=1", "my.id=1", " my id=1"] {
            let view = CookieView::new([header.as_bytes()]);
            assert_eq!(view.get("my_id", Php).as_deref(), Some(&b"1"[..]), "{header}");
            assert_eq!(view.get("my.id", Php), None, "{header}");
        }
        assert_eq!(CookieView::new([&b"connect.sid=1"[..]]).get("connect.sid", Node).as_deref(), Some(&b"1"[..]));
    }

    #[test]
    fn a_name_that_browsers_protect_is_not_made_of_another() {
        for wanted in ["__Host-s_id", "__Secure-s_id"] {
            for (from, to) in [("__", ".."), ("__", "_."), ("__", "._"), ("__", "_ ")] {
                let forged = format!("{}=evil", wanted.replacen(from, to, 1));
                assert_eq!(CookieView::new([forged.as_bytes()]).get(wanted, Php), None, "{forged}");
                let both = format!("{forged}; {wanted}=good");
                assert_eq!(
                    CookieView::new([both.as_bytes()]).get(wanted, Php).as_deref(),
                    Some(&b"good"[..]),
                    "{both}"
                );
            }
            let dot = format!("{}=1", wanted.replace("s_id", "s.id"));
            assert_eq!(CookieView::new([dot.as_bytes()]).get(wanted, Php).as_deref(), Some(&b"1"[..]), "{dot}");
        }
    }
}
