//! What holds for any session, and for any bytes.

mod trees;

use proptest::collection::vec;
use proptest::prelude::*;
use std::time::SystemTime;
use trees::{PIECES, Tree, TreeKey, json_values, same, serialize, string, tree, trees, unique};
use wsrv_session::cookie::{Credentials, Extracted, Extractor};
use wsrv_session::{Codec, Key, Limits, SessionError, Sessions};

fn codecs() -> impl Iterator<Item = Codec> {
    let codecs = [
        Codec::php(),
        Codec::php_binary(),
        Codec::php_serialize(),
        Codec::php_value(),
        Codec::json(),
        Codec::express(),
        Codec::json().in_laravel_cookie(),
        Codec::json().in_php_string(),
        Codec::php_value().in_base64(),
        #[cfg(feature = "msgpack")]
        Codec::tower(),
    ];
    codecs.into_iter()
}

/// Reads the bytes as every format, and does all that can be done with what comes of it.
fn play(input: &[u8]) {
    let mut limits = Limits::default();
    (limits.max_nodes, limits.max_depth) = (2000, 50);
    for codec in codecs() {
        let Ok(record) = codec.decode(bytes::Bytes::copy_from_slice(input), &limits) else { continue };
        let root = record.data.root();
        assert!(format!("{root:?}").len() < 200_000);
        if let Ok(json) = root.to_json() {
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok() || json.matches(['[', '{']).count() > 100);
        }
        drop(root.to::<serde_json::Value>());
        for (key, value) in root.entries() {
            if let Key::Text(key) = key
                && let Some(key) = key.as_str()
            {
                assert!(root.get(key).is_some_and(|found| found.is_same(value)), "{key:?}");
            }
        }
        root.properties().for_each(drop);
    }
    play_token(input);
}

/// A cookie with this session in it.
struct Holding(Vec<u8>);

impl Extractor for Holding {
    fn extract(&self, _: &Credentials<'_>, _: SystemTime) -> Result<Extracted, SessionError> {
        Ok(Extracted::Inline { data: self.0.clone().into(), expires: None })
    }
}

/// Reads the bytes as a security token of Symfony, and looks for all that may be in one. Returns whether it is one.
fn play_token(token: &[u8]) -> bool {
    let mut session = b"_sf2_attributes|a:1:{".to_vec();
    string(b"_security_main", &mut session);
    string(token, &mut session);
    session.push(b'}');
    let sessions = Sessions::in_cookie(Holding(session), Codec::php());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let session = runtime.block_on(sessions.find(&Credentials::default())).unwrap();
    let Ok(token) = session.symfony().token("main") else { return false };
    let token = token.expect("the session has a token");
    drop((token.roles(), token.user_property::<String>("0")));
    token.user().is_none_or(|user| user.class().is_some())
}

proptest! {
    #[test]
    fn what_php_writes_is_read_again(value in trees()) {
        let mut input = Vec::new();
        serialize(&value, &mut input);
        let record = Codec::php_value().decode(input.into(), &Limits::default()).unwrap();
        let read = tree(record.data.root());
        prop_assert!(same(&read, &value), "{read:?} instead of {value:?}");
    }

    #[test]
    fn all_handlers_of_php_hold_the_same_session(entries in vec(("[^|\0]{0,10}x", trees()), 0..5)) {
        let entries = unique(entries);
        let (mut php, mut binary) = (Vec::new(), Vec::new());
        for (key, value) in &entries {
            php.extend(key.bytes());
            php.push(b'|');
            serialize(value, &mut php);
            binary.push(key.len() as u8);
            binary.extend(key.bytes());
            serialize(value, &mut binary);
        }
        let session: Vec<_> =
            entries.into_iter().map(|(key, value)| (TreeKey::Text(key.into_bytes()), value)).collect();
        let session = Tree::Array(session);
        let mut whole = Vec::new();
        serialize(&session, &mut whole);
        for (codec, input) in [(Codec::php(), php), (Codec::php_binary(), binary), (Codec::php_serialize(), whole)] {
            let record = codec.decode(input.into(), &Limits::default()).unwrap();
            prop_assert!(same(&tree(record.data.root()), &session));
        }
    }

    #[test]
    fn a_reference_means_the_value_it_counts_to(values in vec(trees(), 1..6), wanted in any::<prop::sample::Index>()) {
        // A payload may be serialized by chance, and then counts more.
        let counted = |value: &Tree| !format!("{value:?}").contains("Custom");
        let values: Vec<Tree> = values.into_iter().filter(counted).collect();
        prop_assume!(!values.is_empty());
        let wanted = wanted.index(values.len());
        let mut input = format!("a:{}:{{", values.len() + 1).into_bytes();
        let mut slot = 2;
        for (at, value) in values.iter().enumerate() {
            input.extend(format!("i:{at};").bytes());
            serialize(value, &mut input);
            slot += if at < wanted { count(value) } else { 0 };
        }
        input.extend(format!("i:{};R:{slot};}}", values.len()).bytes());
        let record = Codec::php_serialize().decode(input.into(), &Limits::default()).unwrap();
        let reference = record.data.get(&values.len().to_string()).unwrap();
        prop_assert!(reference.is_same(record.data.get(&wanted.to_string()).unwrap()));
    }

    #[test]
    fn json_is_what_serde_json_reads(value in json_values()) {
        let text = serde_json::json!({ "value": value }).to_string();
        let record = Codec::json().decode(text.into(), &Limits::default()).unwrap();
        let read = record.data.get("value").unwrap();
        prop_assert_eq!(&read.to::<serde_json::Value>().unwrap(), &value);
        prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&read.to_json().unwrap()).unwrap(), &value);
    }

    #[test]
    fn no_bytes_make_it_panic(input in vec(any::<u8>(), 0..200)) {
        play(&input);
    }

    #[test]
    fn no_text_makes_it_panic(input in "[ -~]{0,80}") {
        play(input.as_bytes());
    }

    #[test]
    fn no_row_of_pieces_makes_it_panic(pieces in vec(prop::sample::select(PIECES), 0..30)) {
        play(&pieces.concat());
    }

    #[test]
    fn no_token_of_lists_within_lists_is_walked_for_ever(
        levels in vec("i:[01];(N;i:2;)?", 1..12),
        back in any::<prop::sample::Index>(),
    ) {
        let mut token = b"O:1:\"A\":1:{i:0;".to_vec();
        levels.iter().for_each(|level| token.extend(format!("a:{}:{{{level}", level.matches("i:").count()).bytes()));
        // Any of the levels, or the token itself. What is before a level is an item too.
        let slots = 1 + levels.iter().map(|level| level.matches("i:").count()).sum::<usize>();
        token.extend(format!("R:{};", 1 + back.index(slots)).bytes());
        token.extend(vec![b'}'; levels.len() + 1]);
        prop_assert!(play_token(&token), "{}", token.escape_ascii());
    }

    #[test]
    fn no_damage_makes_it_panic(value in trees(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut input = b"a|".to_vec();
        serialize(&value, &mut input);
        let at = at.index(input.len());
        play(&input[..at]);
        input[at] = byte;
        play(&input);
    }
}

/// The slots that a value takes.
fn count(value: &Tree) -> usize {
    1 + match value {
        Tree::Array(entries) => entries.iter().map(|(_, value)| count(value)).sum(),
        Tree::Object(_, entries) => entries.iter().map(|(_, value)| count(value)).sum(),
        _ => 0,
    }
}
