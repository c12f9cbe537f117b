//! Who is meant by a URI.

use super::pattern::{Pattern, UriParams};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// What is meant by a URI: of those patterns that match, the one of the highest priority; among equals a URI itself
/// before any pattern, and then the one that was added first.
#[derive(Debug)]
pub(crate) struct PatternMap<T> {
    /// The highest priority first.
    levels: BTreeMap<Reverse<i32>, Level<T>>,
}

#[derive(Debug)]
struct Level<T> {
    exact: HashMap<String, T>,
    patterns: Vec<(Pattern, T)>,
}

impl<T> PatternMap<T> {
    pub(crate) fn new() -> Self {
        PatternMap { levels: BTreeMap::new() }
    }

    /// # Errors
    ///
    /// The pattern that is there with this priority and means the same.
    pub(crate) fn insert(&mut self, pattern: Pattern, priority: i32, value: T) -> Result<(), String> {
        let level = self.levels.entry(Reverse(priority));
        let level = level.or_insert_with(|| Level { exact: HashMap::new(), patterns: Vec::new() });
        if pattern.is_exact() {
            if level.exact.contains_key(pattern.as_str()) {
                return Err(pattern.as_str().to_owned());
            }
            level.exact.insert(pattern.as_str().to_owned(), value);
            return Ok(());
        }
        let shape = pattern.shape();
        if let Some((first, _)) = level.patterns.iter().find(|(known, _)| known.shape() == shape) {
            return Err(first.as_str().to_owned());
        }
        level.patterns.push((pattern, value));
        Ok(())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.levels.values().flat_map(|level| level.exact.values().chain(level.patterns.iter().map(|(_, value)| value)))
    }

    pub(crate) fn find(&self, uri: &str) -> Option<(&T, UriParams)> {
        self.levels.values().find_map(|level| {
            let exact = level.exact.get(uri).map(|value| (value, UriParams::default()));
            exact.or_else(|| level.patterns.iter().find_map(|(pattern, value)| Some((value, pattern.matches(uri)?))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_priority_wins_then_the_uri_itself_then_who_came_first() {
        let mut map = PatternMap::new();
        for (pattern, priority, value) in
            [("{*all}", 0, 1), ("a/{x}", 0, 2), ("a/b", 0, 3), ("a/{x}", 5, 4), ("low", -1, 5), ("c/{*x}", -1, 6)]
        {
            map.insert(Pattern::new(pattern).unwrap(), priority, value).unwrap();
        }
        for (same, first) in [("a/b", "a/b"), ("a/{x}", "a/{x}"), ("a/{other}", "a/{x}"), ("{*rest}", "{*all}")] {
            assert_eq!(map.insert(Pattern::new(same).unwrap(), 0, 9), Err(first.into()), "it is there");
        }
        let find = |uri| map.find(uri).map(|(value, _)| *value);
        assert_eq!((find("a/b"), find("a/b/c"), find("low"), find("c/d")), (Some(4), Some(1), Some(1), Some(1)));
    }
}
