//! Lists of extensions with their parameters.

use std::borrow::Cow;

use super::tokens;

/// A parameter's name, and its value. A value that was quoted is given without that.
type Param<'a> = (&'a [u8], Option<Cow<'a, [u8]>>);

/// One element of a `Sec-WebSocket-Extensions` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extension<'a> {
    name: &'a [u8],
    params: Vec<Param<'a>>,
}

impl<'a> Extension<'a> {
    pub(crate) fn name(&self) -> &'a [u8] {
        self.name
    }

    pub(crate) fn params(&self) -> &[Param<'a>] {
        &self.params
    }

    fn parse(element: &'a [u8]) -> Option<Self> {
        let mut parts = split(element, b';');
        let name = parts.next().filter(|name| tokens::is_token(name))?;
        let params = parts.map(|part| {
            let (name, value) = match part.iter().position(|&byte| byte == b'=') {
                None => (part, None),
                // HTTP has no blanks around this sign, and lists of the older HTTP do.
                Some(at) => (part[..at].trim_ascii_end(), Some(value(part[at + 1..].trim_ascii_start())?)),
            };
            tokens::is_token(name).then_some((name, value))
        });
        Some(Self { name, params: params.collect::<Option<_>>()? })
    }
}

/// The elements of all lines in their order; `None` for one that is malformed. Linear in the input.
///
/// # Source
///
/// RFC 6455 §9.1.
pub(crate) fn extensions<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = Option<Extension<'a>>> {
    lines.flat_map(|line| split(line, b',')).map(Extension::parse)
}

/// The pieces between these separators, but for those in quotes, without the blanks around them.
fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = bytes.iter().position(|&byte| {
            let is_end = byte == separator && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            is_end
        });
        rest = end.map(|end| &bytes[end + 1..]);
        Some(bytes[..end.unwrap_or(bytes.len())].trim_ascii())
    })
}

/// A token, or one in quotes.
fn value(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let value = match bytes {
        [b'"', quoted @ .., b'"'] if quoted.contains(&b'\\') => {
            let mut plain = Vec::with_capacity(quoted.len());
            let mut bytes = quoted.iter();
            while let Some(&byte) = bytes.next() {
                plain.push(if byte == b'\\' { *bytes.next()? } else { byte });
            }
            Cow::Owned(plain)
        }
        [b'"', quoted @ .., b'"'] => Cow::Borrowed(quoted),
        token => Cow::Borrowed(token),
    };
    // Quotes that are not at both ends, or not two, are no part of a token.
    tokens::is_token(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Params<'a> = Vec<(&'a str, Option<&'a str>)>;

    /// A name, and parameters with their values.
    type Read = (String, Vec<(String, Option<String>)>);

    fn read(line: &str) -> Vec<Option<Read>> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        extensions([line.as_bytes()].into_iter())
            .map(|element| {
                let element = element?;
                let params = element.params().iter();
                let params = params.map(|(name, value)| (text(name), value.as_deref().map(text)));
                Some((text(element.name()), params.collect()))
            })
            .collect()
    }

    #[test]
    fn elements_and_parameters_are_told_apart() {
        let expected = |name: &str, params: Params<'_>| {
            let params = params.into_iter().map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
            Some((name.to_owned(), params.collect()))
        };
        assert_eq!(
            read("foo, bar; baz=2;\tqux , a;b=\"8\"; c=\"1\\5\""),
            [
                expected("foo", vec![]),
                expected("bar", vec![("baz", Some("2")), ("qux", None)]),
                expected("a", vec![("b", Some("8")), ("c", Some("15"))]),
            ]
        );
    }

    #[test]
    fn what_is_malformed_does_not_hide_what_follows() {
        for bad in
            ["", ";", "a b", "a;", "a;=1", "a;b=", "a;b=\"\"", "a;b=\"x y\"", "a;b=\"1\"2", "a;b=1=2", "a=1", "\"a\""]
        {
            let read = read(&format!("{bad}, good"));
            assert_eq!((read.len(), &read[0], read[1].is_some()), (2, &None, true), "{bad}");
        }
        assert_eq!(read("a;b=\"1, good").len(), 1, "the quotes are not closed");
        assert_eq!(read("a;b=\",;\", good").len(), 2);
    }
}
