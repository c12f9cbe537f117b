//! What must hold for any message, and for any text.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;
use wsrv_wamp::message::{encode_call_result, encode_event};
use wsrv_wamp::{
    Arguments, ClientMessage, CurieJoin, Dialect, Exclude, MessageLimits, Prefixes, RawValue, Recipients, ServerMessage,
};

/// Any string, often one with what JSON escapes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z:/#]{0,12}", "[\\x00-\\x1f\"\\\\/é€😀\u{2028}]{0,8}", "\\PC{0,20}"]
}

/// JSON in many ways to write it: blanks, escapes, numbers as no program would print them.
fn json() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?";
    let string = r#""([a-z\[\]{},:é😀]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,8}""#;
    let leaf = prop_oneof![number, string, "null|true|false"];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let blank = "[ \t\r\n]{0,2}";
        let member = (string, blank, inner.clone()).prop_map(|(key, blank, value)| format!("{key}{blank}:{value}"));
        prop_oneof![
            (vec(inner, 0..4), blank).prop_map(|(items, blank)| format!("[{}{blank}]", items.join(","))),
            (vec(member, 0..4), blank).prop_map(|(items, blank)| format!("{{{blank}{}}}", items.join(","))),
        ]
    })
}

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap()
}

/// A list of session ids, as JSON.
fn ids() -> impl Strategy<Value = String> {
    vec(text(), 0..12).prop_map(|ids| serde_json::to_string(&ids).unwrap())
}

/// The elements of good messages, each as it is written.
fn good() -> impl Strategy<Value = Vec<String>> {
    let string = || text().prop_map(|text| serde_json::to_string(&text).unwrap());
    let fixed = |id: &'static str, mut rest: Vec<String>| {
        rest.insert(0, id.to_owned());
        rest
    };
    prop_oneof![
        (string(), any::<u64>(), string()).prop_map(move |(a, b, c)| fixed("0", vec![a, b.to_string(), c])),
        (string(), string()).prop_map(move |(a, b)| fixed("1", vec![a, b])),
        (string(), string(), vec(json(), 0..6)).prop_map(move |(a, b, more)| fixed("2", [vec![a, b], more].concat())),
        (string(), json()).prop_map(move |(a, b)| fixed("3", vec![a, b])),
        (string(), string(), string(), option::of(json().prop_filter("null is none", |json| json != "null")))
            .prop_map(move |(a, b, c, d)| fixed("4", [a, b, c].into_iter().chain(d).collect())),
        string().prop_map(move |a| fixed("5", vec![a])),
        string().prop_map(move |a| fixed("6", vec![a])),
        (string(), json()).prop_map(move |(a, b)| fixed("7", vec![a, b])),
        (string(), json(), prop_oneof![ids(), "true|false".boxed()], option::of(ids()))
            .prop_map(move |(a, b, c, d)| fixed("7", [a, b, c].into_iter().chain(d).collect())),
        (string(), json()).prop_map(move |(a, b)| fixed("8", vec![a, b])),
    ]
}

fn encoded(text: &str) -> Option<String> {
    let limits = MessageLimits::default();
    let client = ClientMessage::parse(text, &limits).map(|message| message.encode());
    let server = ServerMessage::parse(text, &limits).map(|message| message.encode());
    assert!(client.is_err() || server.is_err(), "{text}");
    client.or(server).ok()
}

proptest! {
    /// Payloads come out byte for byte. So do strings, because they are written as serde_json writes them.
    #[test]
    fn messages_come_out_as_they_went_in(elements in good(), blank in "[ \t\r\n]{0,2}") {
        let text = format!("[{}]", elements.join(","));
        prop_assert_eq!(encoded(&text), Some(text.clone()));
        let spaced = format!("{blank}[{blank}{}{blank}]{blank}", elements.join(&format!("{blank},{blank}")));
        prop_assert_eq!(encoded(&spaced), Some(text));
    }

    /// What is parsed can be written, and then is what it was.
    #[test]
    fn messages_that_are_nearly_right_never_panic(
        mut elements in good(), strange in json(), at in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(), how in 0..5,
    ) {
        let at = at.index(elements.len());
        match how {
            0 => drop(elements.remove(at)),
            1 => elements.insert(at, strange),
            2 => elements[at] = strange,
            _ => {}
        }
        let mut text = format!("[{}]", elements.join(","));
        if how == 4 {
            let cut = cut.index(text.len());
            text = text.chars().take(cut).collect();
        }
        if let Some(once) = encoded(&text) {
            prop_assert_eq!(encoded(&once), Some(once));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,60}", punctuation in "[\\[\\]{}\",:\\\\0-9 a]{0,40}") {
        for text in [text, punctuation] {
            let _ = (encoded(&text), Arguments::new(&text, 1));
            let wrong = Arguments::from_parts(&text, 1, 2);
            let _ = (wrong.iter().len(), wrong.deserialize::<Vec<Value>>(), wrong.unwrapped());
        }
    }

    /// Whatever the payload, it is in the message as it is.
    #[test]
    fn payloads_are_not_touched(topic in text(), payload in json()) {
        let name = serde_json::to_string(&topic).unwrap();
        let event = encode_event(&topic, raw(&payload));
        prop_assert_eq!(&event, &format!("[8,{name},{payload}]"));
        let limits = MessageLimits::default();
        let Ok(ServerMessage::Event { topic: arrived, event }) = ServerMessage::parse(&event, &limits) else { panic!() };
        prop_assert_eq!((&*arrived, event.get()), (&*topic, &*payload));
        prop_assert_eq!(encode_call_result(&topic, raw(&payload)), format!("[3,{name},{payload}]"));
    }

    /// The elements are those that serde_json finds.
    #[test]
    fn arguments_are_the_rest_of_the_list(list in vec(json(), 0..8), skip in 0..10_usize) {
        let text = format!("[{}]", list.join(","));
        let arguments = Arguments::new(&text, skip).unwrap();
        let rest = list.get(skip..).unwrap_or_default();
        prop_assert_eq!(arguments.len(), rest.len());
        prop_assert_eq!(arguments.iter().map(RawValue::get).collect::<Vec<_>>(), rest);
        if let Ok(all) = serde_json::from_str::<Vec<Value>>(&text) {
            prop_assert_eq!(arguments.deserialize::<Vec<Value>>().unwrap(), all.get(skip..).unwrap_or_default());
        }
    }

    /// Too deep is what a count of the brackets outside strings says.
    #[test]
    fn depth_is_that_of_the_brackets(payload in json(), max in 0..7_usize) {
        let text = format!("[7,\"t\",{payload}]");
        let parsed = ClientMessage::parse(&text, &MessageLimits::default().with_max_depth(max));
        prop_assert_eq!(parsed.is_ok(), depth(&text) <= max);
    }
}

/// How deep JSON is, character by character.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0, 0, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_string = !in_string,
            '[' | '{' if !in_string => depth += 1,
            ']' | '}' if !in_string => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// CURIEs and names of prefixes that meet often.
fn name() -> impl Strategy<Value = String> {
    "[ab:]{0,3}|http|[ab]"
}

fn uri() -> impl Strategy<Value = String> {
    "(http://)?[ab/#:]{0,4}"
}

fn join() -> impl Strategy<Value = CurieJoin> {
    prop::sample::select(vec![CurieJoin::Concatenate, CurieJoin::Hash, CurieJoin::Tolerant])
}

proptest! {
    #[test]
    fn prefixes_are_a_map_with_a_rule(
        join in join(), set in vec((name(), uri()), 0..12), asked in vec("[ab]{0,2}:?[ab/#:]{0,4}|http://[ab]{0,2}", 1..20),
    ) {
        let mut prefixes = Prefixes::new().with_join(join).with_max_len(4);
        let mut model = BTreeMap::new();
        for (name, uri) in &set {
            let may = !name.is_empty() && !name.contains(':') && name != "http" && (model.len() < 4 || model.contains_key(name));
            prop_assert_eq!(prefixes.set(name, uri).is_ok(), may, "{}", name);
            if may {
                model.insert(name.clone(), uri.clone());
            }
        }
        prop_assert_eq!(prefixes.iter().collect::<BTreeMap<_, _>>(), model.iter().map(|(n, u)| (&**n, &**u)).collect());
        for curie in &asked {
            let colon = curie.find(':').unwrap_or(0);
            let (name, reference) = (&curie[..colon], curie[colon..].strip_prefix(':').unwrap_or_default());
            let expected = match model.get(name) {
                Some(uri) if !reference.starts_with("//") => match join {
                    CurieJoin::Hash => format!("{uri}#{reference}"),
                    CurieJoin::Tolerant if !uri.ends_with('#') && !uri.ends_with('/') && !reference.starts_with('#') => {
                        format!("{uri}#{reference}")
                    }
                    _ => format!("{uri}{reference}"),
                },
                _ => curie.clone(),
            };
            prop_assert_eq!(prefixes.resolve(curie), expected);
        }
    }

    /// A CURIE made of a URI means that URI, and no prefix with a longer URI would have done.
    #[test]
    fn shrunk_uris_resolve_again(join in join(), set in vec(("[a-c]", uri()), 0..6), uri in uri()) {
        let mut prefixes = Prefixes::new().with_join(join);
        for (name, uri) in &set {
            prefixes.set(name, uri).unwrap();
        }
        let short = prefixes.shrink(&uri);
        let used = match &short {
            Cow::Owned(curie) => {
                prop_assert_eq!(prefixes.resolve(curie), &*uri);
                let (name, _) = curie.split_once(':').unwrap();
                prefixes.iter().find(|(known, _)| *known == name).map(|(_, base)| base.len())
            }
            Cow::Borrowed(same) => {
                prop_assert_eq!(*same, &*uri);
                None
            }
        };
        for (name, base) in prefixes.iter().filter(|(_, base)| Some(base.len()) > used) {
            // All that could follow the colon.
            for (at, _) in uri.char_indices().chain([(uri.len(), ' ')]) {
                let curie = format!("{name}:{}", &uri[at..]);
                // What is borrowed was not resolved, but has been the URI all along.
                let resolved = prefixes.resolve(&curie);
                prop_assert!(!matches!(&resolved, Cow::Owned(made) if *made == uri), "{} by {}", curie, base);
            }
        }
    }

    /// Receivers are the subscribers less the excluded ones, as far as they are eligible. Long lists as short ones.
    #[test]
    fn receivers_are_a_difference_and_an_intersection(
        excluded in option::of(vec("[a-d]{1,2}", 0..16)),
        flag in option::of(any::<bool>()),
        eligible in option::of(vec("[a-d]{1,2}", 0..16)),
        publisher in option::of("[a-d]"),
        ratchet in any::<bool>(),
    ) {
        let dialect = if ratchet { Dialect::ratchet() } else { Dialect::autobahn() };
        let cows = |ids: &[String]| ids.iter().cloned().map(Cow::Owned).collect::<Vec<_>>();
        let exclude = match (&excluded, flag) {
            (Some(ids), _) => Exclude::Sessions(cows(ids)),
            (None, Some(flag)) => Exclude::Me(flag),
            (None, None) => Exclude::Default,
        };
        let list = eligible.as_deref().map(cows);
        let recipients = Recipients::new(&exclude, list.as_deref(), publisher.as_deref(), &dialect);

        let letters = ["a", "b", "c", "d"];
        let subscribers: BTreeSet<String> =
            letters.iter().flat_map(|a| letters.map(|b| format!("{a}{b}"))).chain(letters.map(String::from)).collect();
        let out: BTreeSet<String> = match excluded {
            Some(ids) => ids.into_iter().collect(),
            None if flag.unwrap_or(!ratchet) => publisher.clone().into_iter().collect(),
            None => BTreeSet::new(),
        };
        let eligible: BTreeSet<String> = match eligible {
            Some(ids) if !(ids.is_empty() && ratchet) => ids.into_iter().collect(),
            _ => subscribers.clone(),
        };
        let expected: BTreeSet<String> = &(&subscribers - &out) & &eligible;
        let got: BTreeSet<String> = subscribers.iter().filter(|id| recipients.includes(id)).cloned().collect();
        prop_assert_eq!(&got, &expected);
        prop_assert!(!recipients.is_everybody() || got == subscribers);
    }
}
