//! URIs with parameters.

use crate::uri_pattern::means;
use regex_lite::Regex;
use std::fmt;
use std::sync::Arc;

/// The parameters of a URI, as its pattern names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UriParams(Vec<(Arc<str>, String)>);

impl UriParams {
    /// The value of the parameter of this name. Nothing is decoded: it is a part of the URI as it came.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All of them in the pattern's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_str()))
    }
}

/// A pattern of URIs that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no pattern of URIs: {why}")]
pub struct InvalidPattern {
    pattern: String,
    why: &'static str,
}

/// A URI, or many: `{name}` stands for one or more characters but `/` and `#`, `{*name}` at the end for all that
/// follows, which may be nothing.
///
/// ```
/// use wsrv_wamp::Pattern;
///
/// let rooms = Pattern::new("http://example.com/rooms/{room}#{event}")?;
/// let params = rooms.matches("http://example.com/rooms/12#joined").unwrap();
/// assert_eq!((params.get("room"), params.get("event")), (Some("12"), Some("joined")));
/// assert!(Pattern::new("http://example.com/simple{*rest}")?.matches("http://example.com/simple").is_some());
/// # Ok::<(), wsrv_wamp::InvalidPattern>(())
/// ```
#[derive(Clone)]
pub struct Pattern {
    text: String,
    meaning: Meaning,
}

#[derive(Clone)]
enum Meaning {
    /// The URI itself.
    Exact,
    /// All that begin so, and the name of what follows. Many patterns are this simple, and a regex costs a microsecond.
    Prefix(String, Arc<str>),
    /// Others, with the names of what the groups find.
    Regex(Regex, Vec<Arc<str>>),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// A brace without its counterpart, a parameter without a name or with one that was used before, or `{*name}`
    /// anywhere but at the end.
    pub fn new(pattern: impl Into<String>) -> Result<Self, InvalidPattern> {
        let text = pattern.into();
        match compile(&text) {
            Ok(meaning) => Ok(Pattern { text, meaning }),
            Err(why) => Err(InvalidPattern { pattern: text, why }),
        }
    }

    /// The parameters of this URI, if the pattern means it.
    pub fn matches(&self, uri: &str) -> Option<UriParams> {
        match &self.meaning {
            Meaning::Exact => (self.text == uri).then(UriParams::default),
            Meaning::Prefix(prefix, name) => {
                let rest = uri.strip_prefix(&**prefix)?;
                Some(UriParams(vec![(name.clone(), rest.to_owned())]))
            }
            Meaning::Regex(regex, names) => {
                let found = regex.captures(uri)?;
                let values = found.iter().skip(1).map(|value| value.map_or("", |value| value.as_str()).to_owned());
                Some(UriParams(names.iter().cloned().zip(values).collect()))
            }
        }
    }

    /// Whether the pattern means this URI. Where the parameters do not matter: nothing is kept of them.
    pub fn is_match(&self, uri: &str) -> bool {
        means(&self.text, uri)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern without the names of its parameters: alike for those that mean the same.
    pub(super) fn shape(&self) -> String {
        let mut parts = self.text.split('{');
        let mut shape = parts.next().unwrap_or_default().to_owned();
        for (name, literal) in parts.filter_map(|part| part.split_once('}')) {
            shape.push_str(if name.starts_with('*') { "{*}" } else { "{}" });
            shape.push_str(literal);
        }
        shape
    }

    /// Whether it means one URI only: itself.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.meaning, Meaning::Exact)
    }
}

fn compile(text: &str) -> Result<Meaning, &'static str> {
    let (mut regex, mut names, mut rest) = (String::from("^"), Vec::<Arc<str>>::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (literal, param) = rest.split_at(at);
        regex.push_str(&regex_lite::escape(literal));
        let (name, behind) =
            param.strip_prefix('{').and_then(|param| param.split_once('}')).ok_or("a brace stands alone")?;
        let (name, group) = match name.strip_prefix('*') {
            Some(_) if !behind.is_empty() => return Err("what stands for all that follows is last"),
            Some(name) => (name, "((?s:.*))"),
            None => (name, "([^/#]+)"),
        };
        if name.is_empty() || name.contains('{') {
            return Err("a parameter has a name");
        }
        if names.iter().any(|known| **known == *name) {
            return Err("two parameters have one name");
        }
        names.push(name.into());
        regex.push_str(group);
        rest = behind;
    }
    if names.is_empty() {
        return Ok(Meaning::Exact);
    }
    if let ([name], Some((prefix, _))) = (&*names, text.split_once("{*")) {
        return Ok(Meaning::Prefix(prefix.to_owned(), name.clone()));
    }
    regex.push_str(&regex_lite::escape(rest));
    regex.push('$');
    Ok(Meaning::Regex(Regex::new(&regex).map_err(|_| "it is too long")?, names))
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_mean_what_they_say() {
        for (pattern, uri, params) in [
            ("http://a/b#c", "http://a/b#c", Some(vec![])),
            ("http://a/b#c", "http://a/b#d", None),
            ("http://a/{x}", "http://a/b", Some(vec![("x", "b")])),
            ("http://a/{x}", "http://a/b/c", None),
            ("http://a/{x}", "http://a/", None),
            ("http://a/{x}", "http://a/b#c", None),
            ("http://a/room#{n}", "http://a/room#1", Some(vec![("n", "1")])),
            ("http://a/room#{n}", "http://a.room#1", None),
            ("http://a/{x}.{y}", "http://a/b.c", Some(vec![("x", "b"), ("y", "c")])),
            ("event#{*rest}", "event#", Some(vec![("rest", "")])),
            ("event#{*rest}", "event#a/b#c\n", Some(vec![("rest", "a/b#c\n")])),
            ("event#{*rest}", "events", None),
            ("{*all}", "", Some(vec![("all", "")])),
            ("a.c(", "abc(", None),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            let found = pattern.matches(uri);
            assert_eq!(pattern.is_match(uri), found.is_some(), "{pattern:?} {uri}");
            let found = found.as_ref().map(|found| found.iter().collect::<Vec<_>>());
            assert_eq!(found, params, "{pattern:?} {uri}");
        }
        for bad in ["{", "}", "a{b", "a}b", "{}", "{*}", "{a}{a}", "{*a}b", "{a{b}}"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn a_uri_is_meant_if_parameters_can_be_found_in_it(
            parts in proptest::collection::vec("[ab/é#.]{0,2}", 1..5),
            rest in any::<bool>(),
            uri in "[ab/é#.]{0,9}",
        ) {
            let names = (0..parts.len()).map(|n| format!("{{p{n}}}"));
            let mut text: String = parts.into_iter().zip(names).map(|(part, name)| part + &name).collect();
            text.push_str(if rest { "{*rest}" } else { &uri[..uri.char_indices().nth(1).map_or(0, |(at, _)| at)] });
            let pattern = Pattern::new(text).unwrap();
            prop_assert_eq!(pattern.is_match(&uri), pattern.matches(&uri).is_some(), "{:?} {}", pattern, uri);
        }
    }
}
