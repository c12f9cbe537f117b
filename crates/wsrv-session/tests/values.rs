//! What can be done with values: looking, serde, JSON, printing.

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, HashMap};
use wsrv_session::{Codec, Kind, Limits, SessionData, Value, ValueError};

fn php(input: impl AsRef<[u8]>) -> SessionData {
    let input = bytes::Bytes::copy_from_slice(input.as_ref());
    Codec::php_value().decode(input, &Limits::default()).unwrap().data
}

fn json(input: &str) -> SessionData {
    Codec::json().decode(input.to_owned().into(), &Limits::default()).unwrap().data
}

/// Arrays of two, in each of which both are the same: so many leaves as there are levels of doubling.
fn bomb(levels: usize, leaf: &str) -> String {
    // The array of each level has the slot of its place from outside, from 1.
    let close: String = (1..levels).rev().map(|level| format!("i:1;R:{};}}", level + 1)).collect();
    "a:2:{i:0;".repeat(levels - 1) + leaf + &close
}

#[test]
fn paths_lead_through_arrays_maps_and_objects() {
    let data = php("a:1:{s:1:\"a\";O:1:\"X\":1:{s:4:\"\0*\0b\";a:2:{i:0;i:10;i:1;i:11;}}}");
    assert_eq!(data.path("a.b.1").and_then(Value::as_i64), Some(11));
    for missing in ["a.b.2", "a.b.-1", "a.b.01", "a.c", "b", "", "a.b.1.0"] {
        assert!(data.path(missing).is_none(), "{missing}");
    }
    assert_eq!(json(r#"{"a":{"b":[{"c":true}]}}"#).path("a.b.0.c").and_then(Value::as_bool), Some(true));
    assert_eq!(json(r#"{"a.b":1}"#).get("a.b").and_then(Value::as_i64), Some(1));
}

#[test]
fn getters_convert_nothing() {
    let data = json(r#"{"s":"1","i":1,"f":1.0,"b":true,"n":null,"u":18446744073709551615,"m":-1}"#);
    let get = |key| data.get(key).unwrap();
    assert_eq!((get("s").as_i64(), get("s").as_bool(), get("s").as_f64()), (None, None, None));
    assert_eq!((get("i").as_str(), get("i").as_f64(), get("i").as_u64()), (None, None, Some(1)));
    assert_eq!((get("f").as_i64(), get("f").as_f64()), (None, Some(1.0)));
    assert_eq!((get("u").as_u64(), get("u").as_i64(), get("u").kind()), (Some(u64::MAX), None, Kind::Int));
    assert_eq!((get("m").as_u64(), get("m").as_i64()), (None, Some(-1)));
    assert!(get("n").is_null() && !get("b").is_null());
}

#[derive(Debug, PartialEq, Deserialize)]
struct User {
    id: u32,
    name: String,
    #[serde(default)]
    roles: Vec<String>,
    suit: Option<Suit>,
}

#[derive(Debug, PartialEq, Deserialize)]
enum Suit {
    Hearts,
    Named(String),
}

#[test]
fn types_of_the_application_are_made_of_values() {
    let alice = User { id: 7, name: "alice".into(), roles: vec!["a".into(), "b".into()], suit: Some(Suit::Hearts) };
    let object = "O:4:\"User\":5:{s:8:\"\0Base\0id\";s:1:\"x\";s:5:\"\0*\0id\";i:7;s:4:\"name\";s:5:\"alice\";\
                  s:5:\"roles\";a:2:{i:0;s:1:\"a\";i:1;s:1:\"b\";}s:4:\"suit\";E:11:\"Suit:Hearts\";}";
    assert_eq!(php(object).root().to::<User>(), Ok(alice));
    let alice = User { id: 7, name: "alice".into(), roles: vec!["a".into(), "b".into()], suit: Some(Suit::Hearts) };
    let data = json(r#"{"user":{"id":7,"name":"alice","roles":["a","b"],"suit":"Hearts"}}"#);
    assert_eq!(data.get("user").unwrap().to::<User>(), Ok(alice));
    assert_eq!(json(r#"{"s":{"Named":"x"}}"#).get("s").unwrap().to::<Suit>(), Ok(Suit::Named("x".into())));
    // An empty array is whatever is wanted of it.
    let empty = php("a:0:{}");
    assert_eq!(empty.root().to::<Vec<u8>>(), Ok(vec![]));
    assert_eq!(empty.root().to::<HashMap<String, u8>>(), Ok(HashMap::new()));
    // Borrowed, tuples, integer keys, and integers as text.
    assert_eq!(php("s:2:\"ab\";").root().to::<&str>(), Ok("ab"));
    assert_eq!(php("a:2:{i:0;i:1;i:1;s:1:\"x\";}").root().to::<(i64, String)>(), Ok((1, "x".into())));
    let sparse = php("a:2:{i:5;b:1;i:-7;b:0;}");
    assert_eq!(sparse.root().to::<BTreeMap<i64, bool>>(), Ok(BTreeMap::from([(5, true), (-7, false)])));
    assert_eq!(
        sparse.root().to::<BTreeMap<String, bool>>(),
        Ok(BTreeMap::from([("5".to_owned(), true), ("-7".to_owned(), false)]))
    );
    assert_eq!(php("a:1:{i:0;b:1;}").root().to::<BTreeMap<i64, bool>>(), Ok(BTreeMap::from([(0, true)])));
}

#[test]
fn other_types_are_an_error_that_tells_no_secret() {
    let data = json(r#"{"token":"secret","n":"5","short":[1,2,3],"suit":"secret"}"#);
    let get = |key| data.get(key).unwrap();
    let errors = [
        get("token").to::<u32>().unwrap_err(),
        get("n").to::<u32>().unwrap_err(),
        get("suit").to::<Suit>().unwrap_err(),
        get("token").to::<Vec<String>>().unwrap_err(),
        get("token").to::<HashMap<String, String>>().unwrap_err(),
        get("short").to::<(u8, u8)>().unwrap_err(),
        get("token").to::<char>().unwrap_err(),
        data.root().to::<HashMap<String, u8>>().unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, ValueError::Mismatch(_)), "{error:?}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert!(php("i:1;").root().to::<bool>().is_err());
    assert!(php("b:1;").root().to::<u8>().is_err());
    assert!(php("d:1;").root().to::<u8>().is_err());
    assert!(php("a:1:{i:1;b:1;}").root().to::<Vec<bool>>().is_err(), "no list");
}

#[test]
fn strings_that_are_not_utf8_become_bytes_only() {
    #[derive(Debug, PartialEq)]
    struct Raw(Vec<u8>);
    impl<'de> Deserialize<'de> for Raw {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl serde::de::Visitor<'_> for Visitor {
                type Value = Raw;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Raw, E> {
                    Ok(Raw(bytes.to_vec()))
                }
            }
            deserializer.deserialize_byte_buf(Visitor)
        }
    }
    let data = php(b"s:2:\"\xff\xfe\";");
    assert!(data.root().to::<String>().is_err());
    assert_eq!(data.root().to::<Raw>(), Ok(Raw(b"\xff\xfe".to_vec())));
    assert_eq!(php("s:2:\"ok\";").root().to::<Raw>(), Ok(Raw(b"ok".to_vec())));
    assert_eq!(php("C:1:\"A\":2:{\0x}").root().to::<Raw>(), Ok(Raw(b"\0x".to_vec())));
}

#[test]
fn what_contains_itself_is_an_error_for_this_path_only() {
    let data = php("a:2:{s:4:\"self\";R:1;s:2:\"id\";i:5;}");
    assert_eq!(data.get("id").unwrap().to::<u8>(), Ok(5));
    assert_eq!(data.root().to::<serde_json::Value>().unwrap_err(), ValueError::Recursion);
    assert_eq!(data.root().to_json().unwrap_err(), ValueError::Recursion);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Wanted {
        id: u8,
    }
    assert_eq!(data.root().to::<Wanted>(), Ok(Wanted { id: 5 }), "what is not wanted is not looked into");
    // What is shared and does not contain itself is no recursion.
    assert_eq!(php("a:2:{i:0;a:1:{i:0;i:1;}i:1;R:2;}").root().to::<Vec<Vec<u8>>>(), Ok(vec![vec![1], vec![1]]));
}

#[test]
fn bombs_of_references_are_held_and_not_expanded() {
    let data = php(bomb(60, "i:1;"));
    let begin = std::time::Instant::now();
    let mut value = data.root();
    while value.kind() == Kind::Array {
        assert!(value.len() < 2 || value.get("0").unwrap().is_same(value.get("1").unwrap()));
        value = value.get("1").unwrap();
    }
    assert_eq!(value.as_i64(), Some(1));
    assert_eq!(data.root().to_json().unwrap_err(), ValueError::Limit);
    assert_eq!(data.root().to::<serde_json::Value>().unwrap_err(), ValueError::Limit);
    assert!(data.root().to::<IgnoredAny>().is_ok());
    assert!(format!("{:?}", data.root()).len() < 10_000);
    assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn long_strings_count_each_time_they_are_referred_to() {
    let text = "x".repeat(200_000);
    let mut input = format!("a:101:{{i:0;s:{}:\"{text}\";", text.len());
    (1..=100).for_each(|at| input += &format!("i:{at};R:2;"));
    let data = php(input + "}");
    assert_eq!(data.root().to::<Vec<String>>().unwrap_err(), ValueError::Limit);
    assert_eq!(data.root().to_json().unwrap_err(), ValueError::Limit);
    assert_eq!(data.get("100").unwrap().to::<String>().unwrap().len(), text.len());
    assert!(format!("{:?}", data.root()).len() < 100_000);
    // So do long keys.
    let mut input = format!("a:101:{{i:0;a:1:{{s:{}:\"{text}\";N;}}", text.len());
    (1..=100).for_each(|at| input += &format!("i:{at};R:2;"));
    let data = php(input + "}");
    assert_eq!(data.root().to::<Vec<HashMap<String, ()>>>().unwrap_err(), ValueError::Limit);
    assert_eq!(data.root().to_json().unwrap_err(), ValueError::Limit);
}

#[test]
fn types_that_recurse_stop_in_time() {
    let nested = |levels: usize| "a:1:{i:0;".repeat(levels) + "N;" + &"}".repeat(levels);
    assert!(php(nested(128)).root().to::<serde_json::Value>().is_ok());
    assert_eq!(php(nested(129)).root().to::<serde_json::Value>().unwrap_err(), ValueError::Limit);
    assert!(php(nested(500)).root().to_json().is_ok());
}

#[test]
fn json_is_written_as_others_read_it() {
    let data = php(
        b"a:9:{s:1:\"i\";i:-5;s:1:\"f\";d:2;s:3:\"inf\";d:INF;s:1:\"s\";s:5:\"\"\\\n\0\xff\";s:1:\"l\";a:2:{i:0;b:1;i:1;N;}\
          s:1:\"m\";a:1:{i:5;b:0;}s:1:\"o\";O:1:\"X\":1:{s:4:\"\0*\0p\";d:0.1;}s:4:\"none\";a:0:{}s:1:\"e\";E:3:\"A:B\";}",
    );
    let expected = serde_json::json!({
        "i": -5, "f": 2.0, "inf": null, "s": "\"\\\n\0\u{fffd}", "l": [true, null], "m": {"5": false}, "o": {"p": 0.1},
        "none": [], "e": "B",
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&data.root().to_json().unwrap()).unwrap(), expected);
    assert_eq!(json("{\"a\":[],\"b\":{}}").root().to_json().unwrap(), "{\"a\":[],\"b\":{}}");
}

#[test]
fn what_is_printed_tells_no_secrets() {
    let data = php("a:3:{s:1:\"a\";O:1:\"X\":1:{s:1:\"p\";i:12345;}s:1:\"l\";a:1:{i:0;N;}s:1:\"t\";s:6:\"secret\";}");
    assert_eq!(format!("{:?}", data.root()), "Value { kind: Array, entries: 3, .. }");
    assert_eq!(format!("{:?}", data.path("a.p").unwrap()), "Value { kind: Int, entries: 0, .. }");
    let entries: Vec<_> = data.root().entries().chain(data.get("a").unwrap().entries()).collect();
    let properties: Vec<_> = data.get("a").unwrap().properties().collect();
    let printed = format!("{data:?} {entries:?} {properties:?} {:?}", data.root().entries());
    assert!(!printed.contains("secret") && !printed.contains("12345"), "{printed}");
}

#[test]
fn an_empty_session_is_empty() {
    let empty = SessionData::default();
    assert!(empty.root().is_empty() && empty.get("a").is_none() && empty.path("a.b").is_none());
    assert_eq!(empty.root().to_json().unwrap(), "[]");
}
