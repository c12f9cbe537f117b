//! What holds when sessions are changed, whatever is in them.

mod trees;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::time::{Duration, SystemTime};
use trees::{PIECES, Tree, TreeKey, json_values, serialize, trees};
use wsrv_session::cookie::{Credentials, Extracted, Extractor, Plain};
use wsrv_session::{
    Codec, Draft, Limits, MemoryStore, RawSession, ReadOnly, Session, SessionError, SessionId, Sessions, State, Store,
    StoreError, UpdateError, ValueError,
};

fn wait<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

async fn find(sessions: Sessions) -> Session {
    sessions.find(&Credentials::new([("cookie", &b"S=ada"[..])])).await.unwrap()
}

/// Changes a record, and says what the store has then.
fn updated(
    codec: &Codec,
    record: &[u8],
    change: impl FnMut(&mut Draft<'_>) -> Result<(), UpdateError> + Send,
) -> Result<Vec<u8>, UpdateError> {
    let store = MemoryStore::new();
    let (outcome, after) = wait(async {
        // Before it is there: it may be one that cannot be read.
        let session = find(Sessions::new(Plain::php("S"), store.clone(), codec.clone())).await;
        store.insert("ada", record.to_vec(), None);
        let outcome = session.update(change).await;
        (outcome, store.load(session.id().unwrap()).await.unwrap().unwrap().bytes.to_vec())
    });
    match outcome {
        Ok(session) => {
            let record = codec.decode(after.clone().into(), &Limits::default()).unwrap();
            assert_eq!(
                session.data().root().to_json(),
                record.data.root().to_json(),
                "what was returned is what is there"
            );
            Ok(after)
        }
        Err(error) => {
            assert_eq!(after, record, "after {error}");
            Err(error)
        }
    }
}

/// What an application does.
#[derive(Clone, Debug)]
enum Act {
    Set(String, Json),
    Remove(String),
}

/// On keys that are there, mostly.
fn acts() -> impl Strategy<Value = Vec<Act>> {
    let key = || "[a-e]x|[ -{}~é]{1,6}x";
    vec(
        prop_oneof![
            (key(), json_values().prop_map(without_floats)).prop_map(|(key, value)| Act::Set(key, value)),
            key().prop_map(Act::Remove),
        ],
        0..6,
    )
}

/// The test's own spelling of floats is another one.
fn without_floats(value: Json) -> Json {
    match value {
        Json::Number(number) => number.as_i64().into(),
        Json::Array(values) => values.into_iter().map(without_floats).collect(),
        Json::Object(entries) => {
            Json::Object(entries.into_iter().map(|(key, value)| (key, without_floats(value))).collect())
        }
        value => value,
    }
}

fn apply(draft: &mut Draft<'_>, acts: &[Act]) -> Result<(), UpdateError> {
    for act in acts {
        match act {
            Act::Set(key, value) => draft.set(key, value)?,
            Act::Remove(key) => drop(draft.remove(key)?),
        }
    }
    Ok(())
}

/// The same on a list of entries.
fn model<T: Clone>(entries: &mut Vec<(String, T)>, acts: &[Act], written: impl Fn(&Json) -> T) {
    for act in acts {
        match act {
            Act::Set(key, value) => match entries.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => *old = written(value),
                None => entries.push((key.clone(), written(value))),
            },
            Act::Remove(key) => entries.retain(|(name, _)| name != key),
        }
    }
}

fn php(value: &Json) -> Tree {
    match value {
        Json::Null => Tree::Null,
        Json::Bool(value) => Tree::Bool(*value),
        Json::Number(number) => Tree::Int(number.as_i64().unwrap()),
        Json::String(text) => Tree::String(text.clone().into()),
        Json::Array(values) => Tree::Array((0..).map(TreeKey::Int).zip(values.iter().map(php)).collect()),
        Json::Object(entries) => Tree::Array(entries.iter().map(|(key, value)| (tree_key(key), php(value))).collect()),
    }
}

fn tree_key(key: &str) -> TreeKey {
    match key.parse::<i64>() {
        Ok(number) if number.to_string() == key => TreeKey::Int(number),
        _ => TreeKey::Text(key.into()),
    }
}

fn has_custom(value: &Tree) -> bool {
    format!("{value:?}").contains("Custom(")
}

fn written(codec: &str, entries: &[(String, Tree)]) -> Vec<u8> {
    let mut out = Vec::new();
    match codec {
        "php" | "php_binary" => {
            for (key, value) in entries {
                match codec {
                    "php" => out.extend(format!("{key}|").bytes()),
                    _ => {
                        out.push(key.len() as u8);
                        out.extend(key.bytes());
                    }
                }
                serialize(value, &mut out);
            }
        }
        _ => {
            let entries = entries.iter().map(|(key, value)| (tree_key(key), value.clone()));
            serialize(&Tree::Array(entries.collect()), &mut out);
        }
    }
    out
}

proptest! {
    #[test]
    fn a_change_of_a_php_session_leaves_all_other_bytes_as_they_are(
        entries in vec(("[a-e]x|[^|\0]{0,10}x", trees()), 0..6), acts in acts(),
    ) {
        let entries = unique_keys(entries);
        let mut after: Vec<_> = entries.clone();
        model(&mut after, &acts, php);
        let codecs = [("php", Codec::php()), ("php_binary", Codec::php_binary()), ("", Codec::php_serialize())];
        for (name, codec) in codecs {
            let outcome = updated(&codec, &written(name, &entries), |draft| apply(draft, &acts));
            if entries.iter().any(|(_, value)| has_custom(value)) {
                prop_assert!(matches!(outcome, Err(UpdateError::ReadOnly(ReadOnly::References))));
            } else {
                prop_assert_eq!(outcome.unwrap().escape_ascii().to_string(), written(name, &after).escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn a_change_of_a_json_session_leaves_all_other_members_as_they_are(
        entries in vec(("[a-e]x|\\PC{0,6}x", json_texts()), 0..6), acts in acts(),
    ) {
        let entries = unique_keys(entries);
        let mut after: Vec<_> = entries.clone();
        model(&mut after, &acts, Json::to_string);
        let written = |entries: &[(String, String)]| {
            let members: Vec<_> = entries.iter().map(|(key, value)| format!("{}:{value}", json!(key))).collect();
            format!("{{{}}}", members.join(","))
        };
        let outcome = updated(&Codec::json(), written(&entries).as_bytes(), |draft| apply(draft, &acts)).unwrap();
        prop_assert_eq!(String::from_utf8(outcome).unwrap(), written(&after));
    }

    #[test]
    fn no_record_that_somebody_has_made_up_makes_a_change_panic_or_do_damage(
        pieces in vec(prop::sample::select(PIECES), 0..12), acts in acts(), path in vec("[ab01]", 0..3),
    ) {
        let record = pieces.concat();
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        for codec in [
            Codec::php(),
            Codec::php_binary(),
            Codec::php_serialize(),
            Codec::php_value(),
            Codec::json(),
            Codec::express(),
            Codec::php_serialize().in_php_string(),
        ] {
            // That it can be read again is looked at there.
            drop(updated(&codec, &record, |draft| {
                apply(draft, &acts)?;
                draft.remove_at(&path)?;
                draft.set_at(&path, &json!([1, {"a": null}]))
            }));
        }
    }
}

/// JSON as others may spell it.
fn json_texts() -> impl Strategy<Value = String> {
    let spelled =
        ["1.50", "1E+5", "-0.0", "[ 1 , {\"a\" : [ ]} ]", "\"\\u0061\\/\\\"}{\"", "{ }", "18446744073709551615"];
    prop_oneof![
        json_values().prop_map(|value| value.to_string()),
        prop::sample::select(spelled.to_vec()).prop_map(str::to_owned)
    ]
}

fn unique_keys<T>(entries: Vec<(String, T)>) -> Vec<(String, T)> {
    let mut kept: Vec<(String, T)> = Vec::new();
    for (key, value) in entries {
        if kept.iter().all(|(other, _)| *other != key) {
            kept.push((key, value));
        }
    }
    kept
}

#[test]
fn values_are_written_as_each_format_has_them() {
    #[derive(serde::Serialize)]
    struct Cart {
        items: Vec<u32>,
        total: f64,
        note: Option<&'static str>,
        #[serde(rename = "7")]
        seven: bool,
    }
    let cart = Cart { items: vec![3, 5], total: 0.1, note: None, seven: true };
    for (codec, before, after) in [
        (Codec::php(), "", r#"cart|a:4:{s:5:"items";a:2:{i:0;i:3;i:1;i:5;}s:5:"total";d:0.1;s:4:"note";N;i:7;b:1;}"#),
        (
            Codec::php_serialize(),
            "",
            r#"a:1:{s:4:"cart";a:4:{s:5:"items";a:2:{i:0;i:3;i:1;i:5;}s:5:"total";d:0.1;s:4:"note";N;i:7;b:1;}}"#,
        ),
        (Codec::json(), "[]", r#"{"cart":{"items":[3,5],"total":0.1,"note":null,"7":true}}"#),
    ] {
        let written = updated(&codec, before.as_bytes(), |draft| draft.set("cart", &cart)).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), after);
    }
    for (number, written) in [(1e25, "d:1e25;"), (-0.0, "d:-0.0;"), (2.0, "d:2.0;"), (f64::INFINITY, "N;")] {
        let after = updated(&Codec::php(), b"", |draft| draft.set("n", &number)).unwrap();
        assert_eq!(String::from_utf8(after).unwrap(), format!("n|{written}"));
    }
}

#[test]
fn what_is_around_a_session_is_put_around_it_again() {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let (before, after) = (r#"a:1:{s:1:"a";d:0.10;}"#, r#"a:2:{s:1:"a";d:0.10;s:1:"b";i:1;}"#);
    let string = |text: &str| format!("s:{}:\"{text}\";", text.len());
    for (codec, wrapped) in [
        (Codec::php_serialize().in_base64(), &base64 as &dyn Fn(&str) -> String),
        (Codec::php_serialize().in_php_string(), &string),
        (Codec::php_serialize().in_php_string().in_base64(), &|text| base64(&string(text))),
    ] {
        let written = updated(&codec, wrapped(before).as_bytes(), |draft| draft.set("b", &1)).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), wrapped(after));
    }
}

#[test]
fn entries_within_arrays_and_objects_are_changed_alone() {
    let symfony =
        r#"_sf2_attributes|a:2:{s:1:"o";O:1:"A":1:{s:4:" * p";d:0.10;}s:3:"a.b";i:1;}_sf2_meta|a:1:{s:1:"u";i:5;}"#;
    for (before, path, after) in [
        (symfony, &["_sf2_attributes", "a.b"][..], symfony.replace("i:1;}_", "s:1:\"x\";}_")),
        (
            symfony,
            &["_sf2_attributes", "c"],
            symfony.replace("a:2:", "a:3:").replace("i:1;}_", "i:1;s:1:\"c\";s:1:\"x\";}_"),
        ),
        (
            "_sf2_meta|i:1;",
            &["_sf2_attributes", "c", "0"],
            r#"_sf2_meta|i:1;_sf2_attributes|a:1:{s:1:"c";a:1:{i:0;s:1:"x";}}"#.into(),
        ),
        ("l|a:1:{i:0;N;}", &["l", "0"], r#"l|a:1:{i:0;s:1:"x";}"#.into()),
    ] {
        let written = updated(&Codec::php(), before.as_bytes(), |draft| draft.set_at(path, "x")).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), after);
    }
    let written = updated(&Codec::php(), symfony.as_bytes(), |draft| {
        assert!(draft.remove_at(&["_sf2_attributes", "a.b"])?);
        assert!(!draft.remove_at(&["_sf2_attributes", "a.b"])?);
        assert!(!draft.remove_at(&["nothing", "a.b"])?);
        Ok(())
    });
    let after = symfony.replace("a:2:", "a:1:").replace("s:3:\"a.b\";i:1;", "");
    assert_eq!(String::from_utf8(written.unwrap()).unwrap(), after);
    let json = r#"{"a":{"b":1.0,"c":[1]},"d":2}"#;
    let written = updated(&Codec::json(), json.as_bytes(), |draft| {
        draft.set_at(&["a", "b"], "x")?;
        draft.set_at(&["e", "f"], &1)
    });
    assert_eq!(String::from_utf8(written.unwrap()).unwrap(), r#"{"a":{"b":"x","c":[1]},"d":2,"e":{"f":1}}"#);
    // How PHP writes an array with nothing in it.
    let written = updated(&Codec::json(), br#"{"a":{"b": [ ] },"c":[]}"#, |draft| {
        assert!(!draft.remove_at(&["c", "x"])?);
        draft.set_at(&["a", "b", "x"], &1)
    });
    assert_eq!(String::from_utf8(written.unwrap()).unwrap(), r#"{"a":{"b": {"x":1} },"c":[]}"#);
    for (codec, before, path) in [
        (Codec::json(), json, &["a", "c", "0"][..]),
        (Codec::json(), json, &["d", "x"]),
        (Codec::json(), json, &[]),
        (Codec::php(), symfony, &["_sf2_attributes", "o", "p"]),
        (Codec::php(), symfony, &["_sf2_attributes", "a.b", "p"]),
    ] {
        let outcome = updated(&codec, before.as_bytes(), |draft| draft.set_at(path, "x"));
        assert!(matches!(outcome, Err(UpdateError::Key)), "{path:?}");
    }
}

#[test]
fn of_keys_that_are_there_twice_one_is_left() {
    for (codec, before, after) in [
        (Codec::php(), "a|i:1;b|i:2;a|i:3;", "a|i:9;b|i:2;"),
        (Codec::php_serialize(), "a:3:{s:1:\"a\";i:1;i:5;i:2;s:1:\"a\";i:3;}", "a:2:{s:1:\"a\";i:9;i:5;i:2;}"),
        (Codec::json(), r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"a":9,"b":2}"#),
    ] {
        let written = updated(&codec, before.as_bytes(), |draft| draft.set("a", &9)).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), after);
    }
}

#[test]
fn references_and_what_has_a_format_of_its_own_make_a_session_read_only() {
    for before in ["a|i:1;b|R:1;", "a|O:1:\"A\":0:{}b|r:1;", "a|C:1:\"A\":1:{x}", "a|a:1:{i:0;a:1:{i:0;R:2;}}"] {
        let outcome = updated(&Codec::php(), before.as_bytes(), |_| panic!("the change is not asked"));
        assert!(matches!(outcome, Err(UpdateError::ReadOnly(ReadOnly::References))), "{before}");
    }
    // Where it only looks like that.
    for before in ["a|s:4:\"R:1;\";", "R:1;|i:1;", "a|E:4:\"R:r1\";", "a|S:4:\"R:1\\3b\";"] {
        let written = updated(&Codec::php(), before.as_bytes(), |draft| draft.set("z", &1)).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), format!("{before}z|i:1;"));
    }
}

#[test]
fn keys_and_values_that_a_format_cannot_hold_are_refused() {
    let long = "k".repeat(128);
    for (codec, before, key) in [
        (Codec::php(), "", "a|b"),
        (Codec::php(), "", "5"),
        (Codec::php(), "", "-5"),
        (Codec::php_binary(), "", "5"),
        (Codec::php_binary(), "", &long),
        (Codec::express(), "{}", "cookie"),
    ] {
        let outcome = updated(&codec, before.as_bytes(), |draft| draft.set(key, &1));
        assert!(matches!(outcome, Err(UpdateError::Key)), "{key}");
    }
    let php = updated(&Codec::php_serialize(), b"", |draft| draft.set("5", &1)).unwrap();
    assert_eq!(php, b"a:1:{i:5;i:1;}");
    assert!(updated(&Codec::php(), b"", |draft| draft.set("05", &1)).is_ok(), "no integer");
    assert!(updated(&Codec::php_binary(), b"", |draft| draft.set(&long[1..], &1)).is_ok());
    let refused = |outcome| matches!(outcome, Err(UpdateError::Value(_)));
    assert!(refused(updated(&Codec::php(), b"", |draft| draft.set("n", &u64::MAX))), "no integer of PHP");
    for number in [u64::MAX as u128 + 1, u128::MAX] {
        assert!(refused(updated(&Codec::php(), b"", |draft| draft.set("n", &[number]))), "{number}");
    }
    assert!(refused(updated(&Codec::php(), b"", |draft| draft.set("n", &i128::MIN))));
    assert_eq!(updated(&Codec::php(), b"", |draft| draft.set("n", &7u128)).unwrap(), b"n|i:7;");
    let pairs = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(refused(updated(&Codec::php(), b"", |draft| draft.set("n", &pairs))), "no keys");
    let limit = |outcome| matches!(outcome, Err(UpdateError::Value(ValueError::Limit)));
    let large = "x".repeat(Limits::default().max_input - 50);
    assert!(limit(updated(&Codec::php(), b"", |draft| draft.set("n", &vec![&large; 2]))));
    assert!(limit(updated(&Codec::json(), b"{}", |draft| draft.set("n", &vec![&large; 2]))));
    assert!(limit(updated(&Codec::php_serialize().in_base64(), b"", |draft| draft.set("n", &large))), "in base64");
    assert!(limit(updated(&Codec::php(), b"", |draft| draft.set("n", &vec![0; Limits::default().max_nodes]))));
    let deep = (0..600).fold(json!(1), |inner, _| json!([inner]));
    assert!(limit(updated(&Codec::php(), b"", |draft| draft.set("n", &deep))));
}

/// A whole session that a cookie contains.
struct Holding;

impl Extractor for Holding {
    fn extract(&self, _: &Credentials<'_>, _: SystemTime) -> Result<Extracted, SessionError> {
        Ok(Extracted::Inline { data: "{}".into(), expires: None })
    }
}

/// A store that can only read.
struct Reading(MemoryStore);

impl Store for Reading {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        self.0.load(id).await
    }
}

#[tokio::test]
async fn what_cannot_be_written_or_touched_says_so() {
    let store = MemoryStore::new().lifetime(Duration::from_secs(60));
    store.insert("ada", "{}", None);
    let sessions = || Sessions::new(Plain::php("S"), store.clone(), Codec::json());
    let set = |draft: &mut Draft<'_>| draft.set("a", &1);
    let in_cookie = find(Sessions::in_cookie(Holding, Codec::json())).await;
    assert!(matches!(in_cookie.update(set).await, Err(UpdateError::ReadOnly(ReadOnly::InCookie))));
    assert!(matches!(in_cookie.touch().await, Err(StoreError::Unsupported)));
    let sealed = find(sessions().codec(Codec::json().opened_by(|bytes| Ok(bytes.to_vec().into())))).await;
    assert!(matches!(sealed.update(set).await, Err(UpdateError::ReadOnly(ReadOnly::Sealed))));
    assert!(sealed.touch().await.unwrap(), "the seal is no matter for that");
    let read_only = find(Sessions::new(Plain::php("S"), Reading(store.clone()), Codec::json())).await;
    assert!(matches!(read_only.update(set).await, Err(UpdateError::Store(StoreError::Unsupported))));
    assert!(matches!(read_only.touch().await, Err(StoreError::Unsupported)));
    store.insert("ada", r#"{"cookie":{"expires":"2100-01-01T00:00:00Z"}}"#, None);
    let express = find(Sessions::new(Plain::php("S"), store.clone(), Codec::express())).await;
    assert!(matches!(express.touch().await, Err(StoreError::Unsupported)), "nothing but itself says when it ends");
    assert_eq!(express.update(set).await.unwrap().get::<u8>("a").unwrap(), Some(1));
    let nobody = sessions().find(&Credentials::default()).await.unwrap();
    assert!(matches!(nobody.update(set).await, Err(UpdateError::Gone)));
    assert!(!nobody.touch().await.unwrap());
    let id = sealed.id().unwrap();
    let bytes = store.load(id).await.unwrap().unwrap().bytes;
    assert_eq!(&bytes[..], br#"{"cookie":{"expires":"2100-01-01T00:00:00Z"},"a":1}"#);
}

#[cfg(feature = "msgpack")]
#[tokio::test]
async fn records_of_tower_sessions_are_not_written() {
    // A record with no values, of this id, that ends in the year 3000.
    let id = [7u8; 16];
    let mut record = vec![0x93, 0xc4, 16];
    record.extend(id);
    record.extend(b"\x80\x99\xcd\x0b\xb8\x01\x00\x00\x00\x00\x00\x00\x00");
    let reversed: Vec<u8> = id.iter().rev().copied().collect();
    let name = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, reversed);
    let store = MemoryStore::new().lifetime(Duration::from_secs(60));
    store.insert(name.clone(), record.clone(), None);
    let cookie = format!("id={name}");
    let session =
        Sessions::tower_sessions(store).find(&Credentials::new([("cookie", cookie.as_bytes())])).await.unwrap();
    assert!(session.is_present());
    let outcome = session.update(|draft| draft.set("a", &1)).await;
    assert!(matches!(outcome, Err(UpdateError::ReadOnly(ReadOnly::Format))), "{outcome:?}");
    assert!(matches!(session.touch().await, Err(StoreError::Unsupported)));
}

#[tokio::test]
async fn a_session_that_has_ended_is_not_made_again_and_a_change_that_fails_or_changes_nothing_writes_nothing() {
    let store = MemoryStore::new().lifetime(Duration::from_secs(60));
    store.insert("ada", "a|i:1;", None);
    let sessions = Sessions::new(Plain::php("S"), store.clone(), Codec::php());
    let ada = find(sessions).await;
    let failed = ada
        .update(|draft| {
            draft.set("b", &1)?;
            assert_eq!(draft.get::<u8>("b")?, Some(1));
            draft.get::<String>("a").map(drop).map_err(UpdateError::from)
        })
        .await;
    assert!(matches!(failed, Err(UpdateError::Value(_))));
    assert_eq!(ada.update(|_| Ok(())).await.unwrap().get::<u8>("a").unwrap(), Some(1));
    let bytes = async || store.load(ada.id().unwrap()).await.unwrap().map(|raw| raw.bytes.to_vec());
    assert_eq!(bytes().await.unwrap(), b"a|i:1;");
    store.insert("ada", "broken", None);
    let damaged = ada.update(|_| panic!("not asked")).await;
    assert!(matches!(damaged, Err(UpdateError::Store(StoreError::Data(SessionError::CorruptData)))));
    store.insert("ada", "a|i:1;", Some(SystemTime::UNIX_EPOCH));
    assert!(matches!(ada.update(|_| panic!("not asked")).await, Err(UpdateError::Gone)));
    assert!(!ada.touch().await.unwrap());
    assert_eq!(ada.reload().await.unwrap().state(), State::Gone, "touched too late");
    store.remove("ada");
    assert!(matches!(ada.update(|draft| draft.set("a", &1)).await, Err(UpdateError::Gone)));
    assert_eq!(bytes().await, None);
}

#[tokio::test]
async fn a_change_is_made_again_on_what_somebody_else_has_written() {
    let store = MemoryStore::new();
    store.insert("ada", "n|i:1;", None);
    let ada = find(Sessions::new(Plain::php("S"), store.clone(), Codec::php())).await;
    let mut runs = 0;
    let after = ada
        .update(|draft| {
            runs += 1;
            if runs == 1 {
                store.insert("ada", "n|i:5;m|i:0;", None);
            }
            let n = draft.get::<u8>("n")?.unwrap();
            draft.set("n", &(n + 1))
        })
        .await;
    assert_eq!(after.unwrap().get::<u8>("n").unwrap(), Some(6));
    assert_eq!(runs, 2);
    let bytes = store.load(ada.id().unwrap()).await.unwrap().unwrap().bytes;
    assert_eq!(&bytes[..], b"n|i:6;m|i:0;");
    // One that makes itself run again is not run for ever.
    let mut runs = 0;
    let outcome = ada
        .update(|draft| {
            runs += 1;
            assert!(runs < 100_000, "without end");
            store.insert("ada", format!("n|i:{runs};"), None);
            draft.set("n", &0)
        })
        .await;
    assert!(matches!(outcome, Err(UpdateError::Store(StoreError::Busy))));
}

#[tokio::test]
async fn a_session_of_express_ends_when_its_store_says_so() {
    // As connect-redis leaves it: it was written an hour ago, and since then its key alone was prolonged.
    let (now, minute) = (SystemTime::now(), Duration::from_secs(60));
    let store = MemoryStore::new().lifetime(60 * minute);
    store.insert("ada", r#"{"cookie":{"expires":"2020-01-01T00:00:00Z"}}"#, Some(now + minute));
    let session = find(Sessions::new(Plain::php("S"), store.clone(), Codec::express())).await;
    assert_eq!((session.state(), session.expires()), (State::Present, Some(now + minute)));
    let session = session.update(|draft| draft.set("a", &1)).await.unwrap();
    assert_eq!(session.expires(), Some(now + minute));
    assert!(session.touch().await.unwrap());
    assert!(session.reload().await.unwrap().expires().unwrap() > now + 59 * minute);
    store.insert("ada", r#"{"cookie":{"expires":"2020-01-01T00:00:00Z"}}"#, None);
    assert_eq!(session.reload().await.unwrap().state(), State::Gone, "nothing else says when it ends");
}

#[cfg(feature = "files")]
#[tokio::test]
async fn a_session_of_session_file_store_ends_when_its_record_says_so_or_its_file_is_too_old() {
    use wsrv_session::{FileNames, FilesStore};
    let (dir, hour) = (tempfile::tempdir().unwrap(), Duration::from_secs(3600));
    let store = FilesStore::new(dir.path(), FileNames::Json, hour);
    let sessions = || Sessions::new(Plain::php("S"), store.clone(), Codec::express());
    let file = dir.path().join("ada.json");
    let put = |expires: &str| std::fs::write(&file, format!(r#"{{"cookie":{{"expires":{expires}}}}}"#)).unwrap();
    put(r#""2020-01-01T00:00:00Z""#);
    assert_eq!(find(sessions()).await.state(), State::Gone, "just written, and over");
    let soon = humantime::format_rfc3339_seconds(SystemTime::now() + hour / 2).to_string();
    put(&json!(soon).to_string());
    assert_eq!(find(sessions()).await.expires(), Some(humantime::parse_rfc3339(&soon).unwrap()));
    for later in ["null", r#""2100-01-01T00:00:00Z""#] {
        put(later);
        let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
        assert_eq!(find(sessions()).await.expires(), Some(modified + hour), "{later}");
    }
}
