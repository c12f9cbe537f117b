//! Whether a pattern means a URI, without anything being made of the pattern before.

/// Whether the URI is meant: `{name}` stands for one or more characters but `/` and `#`, `{*name}` at the end for all that
/// follows. What has braces and is no pattern means nothing.
pub(crate) fn means(pattern: &str, uri: &str) -> bool {
    let Some((literal, mut behind)) = pattern.split_once('{') else { return pattern == uri };
    let Some(mut rest) = uri.strip_prefix(literal) else { return false };
    loop {
        let Some((name, next)) = behind.split_once('}').filter(|(name, _)| !name.contains('{')) else { return false };
        if let Some(name) = name.strip_prefix('*') {
            return !name.is_empty() && next.is_empty();
        }
        let Some(first) = rest.chars().next().filter(|_| !name.is_empty()) else { return false };
        // Up to where the parameter goes. The first place is as good as any: what it leaves over the next parameter takes,
        // and neither reaches beyond a `/` or `#`.
        let (literal, param) = next.split_once('{').map_or((next, None), |(literal, param)| (literal, Some(param)));
        let end = match param {
            Some(_) => rest[first.len_utf8()..].find(literal).map(|at| at + first.len_utf8()),
            None => rest.strip_suffix(literal).map(str::len).filter(|end| *end > 0),
        };
        let Some(end) = end.filter(|end| !rest[..*end].contains(['/', '#'])) else { return false };
        let Some(param) = param else { return true };
        (rest, behind) = (&rest[end + literal.len()..], param);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pattern_means_nothing() {
        for bad in ["{", "}", "a{b", "a}b", "{}", "{*}", "{*a}b", "x/{*a}/{b}", "{a{b}}", "{a}{"] {
            for uri in ["", "a", "ab", "b", "x/", "x/1/2"] {
                assert!(!means(bad, uri), "{bad} {uri}");
            }
        }
    }
}
