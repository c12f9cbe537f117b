//! The formats of PHP: what is read, what its references mean, and what is refused.

use wsrv_session::{Codec, Key, Kind, Limits, SessionData, SessionError, Value, Visibility};

fn decode(codec: Codec, input: impl AsRef<[u8]>) -> Result<SessionData, SessionError> {
    let input = bytes::Bytes::copy_from_slice(input.as_ref());
    codec.decode(input, &Limits::default()).map(|record| record.data)
}

fn value(input: impl AsRef<[u8]>) -> SessionData {
    decode(Codec::php_value(), input.as_ref())
        .unwrap_or_else(|error| panic!("{}: {error}", input.as_ref().escape_ascii()))
}

#[track_caller]
fn check_corrupt(codec: Codec, inputs: &[&[u8]]) {
    for input in inputs {
        let outcome = decode(codec.clone(), input);
        assert_eq!(outcome.err(), Some(SessionError::CorruptData), "{}", input.escape_ascii());
    }
}

#[test]
fn scalars_are_read_with_their_types() {
    assert!(value("N;").root().is_null());
    assert_eq!(value("b:1;").root().as_bool(), Some(true));
    assert_eq!(value("b:0;").root().as_bool(), Some(false));
    for (input, number) in [("i:0;", 0), ("i:-12;", -12), ("i:9223372036854775807;", i64::MAX), ("i:007;", 7)] {
        assert_eq!(value(input).root().as_i64(), Some(number), "{input}");
    }
    assert_eq!(value("s:5:\"\";}\0\"\";").root().as_bytes(), Some(&b"\";}\0\""[..]));
    assert_eq!(value("s:0:\"\";").root().as_str(), Some(""));
    assert_eq!(value(b"s:2:\"\xff\xfe\";").root().as_str(), None);
    assert_eq!(value(b"s:2:\"\xff\xfe\";").root().as_bytes(), Some(&b"\xff\xfe"[..]));
    assert_eq!(value("S:4:\"a\\00\\fFb\";").root().as_bytes(), Some(&b"a\0\xffb"[..]));
}

#[test]
fn floats_are_read_to_the_last_bit() {
    let floats = [
        ("d:0.1;", 0.1),
        ("d:0.10000000000000001;", 0.1),
        ("d:1.0E+25;", 1e25),
        ("d:-1.5E-10;", -1.5e-10),
        ("d:2;", 2.0),
        ("d:-0;", -0.0),
        ("d:4.9E-324;", 5e-324),
        ("d:INF;", f64::INFINITY),
        ("d:-INF;", f64::NEG_INFINITY),
    ];
    for (input, number) in floats {
        assert_eq!(value(input).root().as_f64().map(f64::to_bits), Some(number.to_bits()), "{input}");
    }
    assert_eq!(value("d:NAN;").root().as_f64().map(f64::to_bits), Some(0x7ff8_0000_0000_0000));
    assert_eq!(value("d:2;").root().as_i64(), None);
    assert_eq!(value("i:2;").root().as_f64(), None);
}

#[test]
fn arrays_keep_their_order_and_tell_lists_apart() {
    let list = value("a:2:{i:0;s:1:\"x\";i:1;N;}");
    assert!(list.root().is_list());
    let map = value("a:3:{i:1;b:1;i:0;b:0;s:1:\"k\";i:3;}");
    assert!(!map.root().is_list());
    let keys: Vec<String> = map.root().entries().map(|(key, _)| format!("{key:?}")).collect();
    assert_eq!(keys, ["Int(1)", "Int(0)", "Text(\"k\")"]);
    assert_eq!(map.get("0").and_then(Value::as_bool), Some(false));
    assert_eq!(map.get("k").and_then(Value::as_i64), Some(3));
    assert!(map.get("00").is_none());
}

#[test]
fn text_that_is_an_integer_is_an_integer_key_of_an_array() {
    let data = value("a:4:{s:1:\"8\";i:1;s:2:\"08\";i:2;s:2:\"-0\";i:3;s:2:\"-1\";i:4;}");
    let keys: Vec<String> = data.root().entries().map(|(key, _)| format!("{key:?}")).collect();
    assert_eq!(keys, ["Int(8)", "Text(\"08\")", "Text(\"-0\")", "Int(-1)"]);
    let object = value("O:8:\"stdClass\":1:{s:1:\"8\";i:1;}");
    assert!(matches!(object.root().entries().next(), Some((Key::Text(name), _)) if name == "8"));
}

#[test]
fn of_equal_keys_the_last_value_and_the_first_place_are_kept() {
    let data = value("a:4:{s:1:\"a\";i:1;s:1:\"b\";i:2;s:1:\"a\";i:3;s:1:\"c\";i:4;}");
    let entries: Vec<_> = data.root().entries().map(|(key, value)| (format!("{key:?}"), value.as_i64())).collect();
    assert_eq!(
        entries,
        [("Text(\"a\")".into(), Some(3)), ("Text(\"b\")".into(), Some(2)), ("Text(\"c\")".into(), Some(4))]
    );
    assert!(value("a:2:{i:0;i:1;i:0;i:2;}").root().is_list());
    let session = decode(Codec::php(), "a|i:1;a|i:2;").unwrap();
    assert_eq!((session.root().len(), session.get("a").and_then(Value::as_i64)), (1, Some(2)));
}

#[test]
fn objects_have_properties_with_visibility() {
    let input = "O:5:\"Child\":5:{s:4:\"name\";i:1;s:5:\"\0*\0id\";i:2;s:8:\"\0Base\0pw\";i:3;s:9:\"\0Child\0pw\";i:4;i:0;i:5;}";
    let data = value(input);
    assert_eq!(data.root().class().unwrap(), "Child");
    let properties: Vec<_> = data.root().properties().collect();
    let visibilities: Vec<String> = properties.iter().map(|property| format!("{:?}", property.visibility)).collect();
    assert_eq!(
        visibilities,
        ["Public", "Protected", "Private { class: \"Base\" }", "Private { class: \"Child\" }", "Public"]
    );
    assert!(matches!(properties[1].name, Key::Text(name) if name == "id"));
    assert_eq!(data.get("name").and_then(Value::as_i64), Some(1));
    assert_eq!(data.get("id").and_then(Value::as_i64), Some(2));
    assert_eq!(data.get("pw").and_then(Value::as_i64), Some(4), "the child's own one");
    assert_eq!(data.get("0").and_then(Value::as_i64), Some(5));
    assert_eq!(data.root().entries().count(), 4, "what is hidden is not seen");
    assert!(matches!(properties[2].visibility, Visibility::Private { class } if class == "Base"));
}

#[test]
fn of_two_ancestors_the_nearest_is_seen() {
    let data = value("O:1:\"C\":2:{s:4:\"\0A\0x\";i:1;s:4:\"\0B\0x\";i:2;}");
    assert_eq!(data.get("x").and_then(Value::as_i64), Some(2));
    let data = value("O:1:\"C\":2:{s:1:\"x\";i:1;s:4:\"\0A\0x\";i:2;}");
    assert_eq!(data.get("x").and_then(Value::as_i64), Some(1));
}

#[test]
fn enums_and_custom_values_are_told_apart() {
    let suit = value("E:11:\"Suit:Hearts\";");
    assert_eq!((suit.root().kind(), suit.root().class().unwrap().as_str()), (Kind::Enum, Some("Suit")));
    assert_eq!(suit.root().case().unwrap(), "Hearts");
    let custom = value("C:3:\"Old\":4:{}\";x}");
    assert_eq!(custom.root().kind(), Kind::Custom);
    assert_eq!(custom.root().payload(), Some(&b"}\";x"[..]));
}

#[test]
fn references_are_the_same_value() {
    let data = value("a:3:{s:1:\"a\";a:1:{i:0;i:7;}s:1:\"b\";R:2;s:1:\"c\";R:3;}");
    assert!(data.get("a").unwrap().is_same(data.get("b").unwrap()));
    assert_eq!(data.get("c").and_then(Value::as_i64), Some(7));
    let data = value("a:2:{s:1:\"a\";i:7;s:1:\"b\";i:7;}");
    assert!(!data.get("a").unwrap().is_same(data.get("b").unwrap()));
}

#[test]
fn slots_are_numbered_as_php_numbers_them() {
    // In `php` and `php_binary` the array around all is not written and has no number.
    let session = decode(Codec::php(), "x|i:5;y|a:1:{s:1:\"k\";i:6;}z|R:1;w|R:3;").unwrap();
    assert_eq!(session.get("z").and_then(Value::as_i64), Some(5));
    assert_eq!(session.get("w").and_then(Value::as_i64), Some(6));
    let session = decode(Codec::php_binary(), "\x01xi:5;\x01yi:6;\x01zR:2;").unwrap();
    assert_eq!(session.get("z").and_then(Value::as_i64), Some(6));
    // In `php_serialize` it has.
    let session = decode(Codec::php_serialize(), "a:2:{s:1:\"x\";i:5;s:1:\"z\";R:2;}").unwrap();
    assert_eq!(session.get("z").and_then(Value::as_i64), Some(5));
    // `r` takes a number, `R` takes none, and so do keys.
    let session = decode(Codec::php(), "o|O:1:\"A\":0:{}p|r:1;x|i:5;q|R:3;y|i:6;z|R:4;").unwrap();
    assert!(session.get("p").unwrap().is_same(session.get("o").unwrap()));
    assert_eq!(session.get("q").and_then(Value::as_i64), Some(5));
    assert_eq!(session.get("z").and_then(Value::as_i64), Some(6));
    // An enum takes one, and may be referred to as an object.
    let session = decode(Codec::php(), "e|E:3:\"A:B\";f|r:1;x|i:5;z|R:3;").unwrap();
    assert_eq!(session.get("f").and_then(Value::case).unwrap(), "B");
    assert_eq!(session.get("z").and_then(Value::as_i64), Some(5));
}

#[test]
fn payloads_of_custom_values_count_if_they_are_serialized() {
    let counts = |payload: &str, slot: usize| {
        let input = format!("c|C:1:\"A\":{}:{{{payload}}}x|i:5;z|R:{slot};", payload.len());
        let session = decode(Codec::php(), &input).unwrap_or_else(|error| panic!("{input}: {error}"));
        assert_eq!(session.get("z").and_then(Value::as_i64), Some(5), "{input}");
        assert_eq!(session.get("c").and_then(Value::payload), Some(payload.as_bytes()));
        let beyond = input.replace(&format!("R:{slot};"), &format!("R:{};", slot + 1));
        assert_eq!(decode(Codec::php(), &beyond).err(), Some(SessionError::CorruptData), "{beyond}");
    };
    counts("a:2:{i:0;i:1;i:1;s:1:\"x\";}", 5);
    counts("opaque", 2);
    counts("", 2);
    counts("i:1;i:2;", 2);
    counts("a:2:{i:0;i:1;", 2);
    counts("C:1:\"B\":4:{i:1;}", 4);
    counts("C:1:\"B\":4:{i:1x}", 3);
    counts("a:1:{i:0;C:1:\"B\":1:{}}}", 4);
    // A payload that goes on after one that is read is given up as a whole.
    counts("a:1:{i:0;C:1:\"B\":4:{i:1;}}x", 2);
    // What is inside can be meant from outside, as PHP has one table for both.
    let session = decode(Codec::php(), "c|C:1:\"A\":12:{O:1:\"B\":0:{}}d|r:2;").unwrap();
    assert_eq!(session.get("d").and_then(Value::class).unwrap(), "B");
}

#[test]
fn values_may_contain_themselves() {
    let data = value("a:1:{i:0;R:1;}");
    assert!(data.root().get("0").unwrap().is_same(data.root()));
    assert!(data.path("0.".repeat(5000).trim_end_matches('.')).unwrap().is_same(data.root()));
    let object = value("O:1:\"A\":1:{s:4:\"self\";r:1;}");
    assert!(object.get("self").unwrap().is_same(object.root()));
}

#[test]
fn keys_of_sessions_are_any_bytes() {
    let session = decode(Codec::php(), b"a b!;\0\xff|i:1;|i:2;").unwrap();
    let keys: Vec<_> = session.root().entries().map(|(key, _)| key).collect();
    assert!(matches!(keys[0], Key::Text(key) if key.as_bytes() == b"a b!;\0\xff"));
    assert_eq!(session.get("").and_then(Value::as_i64), Some(2));
    let session = decode(Codec::php_binary(), b"\x00i:2;\x03a|bi:1;").unwrap();
    assert_eq!(session.get("a|b").and_then(Value::as_i64), Some(1));
    assert_eq!(session.get("").and_then(Value::as_i64), Some(2));
}

#[test]
fn no_bytes_are_an_empty_session() {
    for codec in [Codec::php(), Codec::php_binary(), Codec::php_serialize()] {
        assert!(decode(codec, "").unwrap().root().is_empty());
    }
    assert!(decode(Codec::php_serialize(), "a:0:{}").unwrap().root().is_empty());
}

#[test]
fn damaged_values_are_refused() {
    check_corrupt(
        Codec::php_value(),
        &[
            b"",
            b"N",
            b"n;",
            b"x:1;",
            b"b:2;",
            b"b:;",
            b"b:10;",
            b"i:;",
            b"i:+1;",
            b"i:1.0;",
            b"i:- 1;",
            b"i:1",
            b"i:9223372036854775808;",
            b"d:;",
            b"d:.;",
            b"d:inf;",
            b"d:infinity;",
            b"d:nan;",
            b"d:-NAN;",
            b"d:1e;",
            b"d:0x1;",
            b"d:1_0;",
            b"s:3:\"ab\";",
            b"s:1:\"ab\";",
            b"s:1:\"a\"",
            b"s:1:a;",
            b"s:-1:\"\";",
            b"s:+1:\"a\";",
            b"s::\"\";",
            b"s:18446744073709551616:\"\";",
            b"s:18446744073709551615:\"\";",
            b"S:1:\"\\0g\";",
            b"S:2:\"\\00\";",
            b"a:1:{}",
            b"a:0:{};",
            b"a:0:{",
            b"a:0:}",
            b"a:1:{i:0;N;i:1;N;}",
            b"a:2:{i:0;N;}",
            b"a:1:{N;N;}",
            b"a:1:{b:1;N;}",
            b"a:1:{d:1;N;}",
            b"a:1:{R:1;N;}",
            b"a:1:{a:0:{}N;}",
            b"a:-1:{}",
            b"a:18446744073709551615:{}",
            b"O:1:\"A B\":0:{}",
            b"O:0:\"\":0:{}",
            b"O:1:\"A\":1:{}",
            b"O:2:\"A\":0:{}",
            b"o:0:{}",
            b"E:1:\"A\";",
            b"E:2:\"A:\";",
            b"E:2:\":B\";",
            b"E:5:\"A:B:C\";",
            b"C:1:\"A\":5:{i:1;}",
            b"C:1:\"A\":4:{i:1;",
            b"C:1:\"A\":3:{i:1;}",
            b"R:1;",
            b"r:0;",
            b"a:1:{i:0;R:0;}",
            b"a:1:{i:0;R:2;}",
            b"a:1:{i:0;R:-1;}",
            b"a:2:{i:0;i:5;i:1;r:2;}",
            b"a:1:{i:0;r:1;}",
            b"a:1:{i:0;R:18446744073709551617;}",
            b"i:1;i:2;",
            b" i:1;",
            b"i:1; ",
        ],
    );
}

#[test]
fn damaged_sessions_are_refused_as_a_whole() {
    check_corrupt(Codec::php(), &[b"abc", b"a|", b"a|i:1;b", b"a|i:1;b|i:", b"a|i:1;;b|", b"a|i:1;?|"]);
    check_corrupt(Codec::php_binary(), &[b"\x01", b"\x02a", b"\x01a", b"\x01ai:1", b"\x01ai:1;\x01", b"\x80ai:1;"]);
    let long = |length: u8| [&[length][..], &vec![b'k'; length.into()], b"i:1;"].concat();
    assert!(decode(Codec::php_binary(), long(127)).is_ok());
    check_corrupt(Codec::php_binary(), &[&long(128), &long(255)]);
    check_corrupt(Codec::php_serialize(), &[b"i:1;", b"a:0:{}a:0:{}", b"O:8:\"stdClass\":0:{}", b"N;"]);
}

#[test]
fn another_serializer_is_named_as_unsupported() {
    let igbinary = b"\0\0\0\x02\x14\x01\x11\x01a\x06\x01";
    for codec in [Codec::php(), Codec::php_binary(), Codec::php_serialize()] {
        assert_eq!(decode(codec, igbinary).err(), Some(SessionError::Unsupported));
    }
    // The same bytes are a key that PHP may write.
    assert!(decode(Codec::php(), b"\0\0\0\x02|i:1;").is_ok());
}

#[test]
fn limits_hold() {
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let decode = |input: &str, limits: &Limits| Codec::php_value().decode(input.to_owned().into(), limits).err();
    let nested = "a:1:{i:0;a:1:{i:0;a:0:{}}}";
    assert_eq!(decode(nested, &limits(|limits| limits.max_depth = 3)), None);
    assert_eq!(decode(nested, &limits(|limits| limits.max_depth = 2)), Some(SessionError::Limit));
    assert_eq!(decode(nested, &limits(|limits| limits.max_nodes = 3)), None);
    assert_eq!(decode(nested, &limits(|limits| limits.max_nodes = 2)), Some(SessionError::Limit));
    assert_eq!(decode(nested, &limits(|limits| limits.max_input = 26)), None);
    assert_eq!(decode(nested, &limits(|limits| limits.max_input = 25)), Some(SessionError::Limit));
    // A number of entries for which there is no room is known to be wrong before they are read.
    assert_eq!(
        decode("a:4:{i:0;N;i:1;N;i:2;N;}", &limits(|limits| limits.max_nodes = 2)),
        Some(SessionError::CorruptData)
    );
    let references = "a:3:{i:0;i:1;i:1;R:2;i:2;R:2;}";
    assert_eq!(decode(references, &limits(|limits| limits.max_nodes = 3)), Some(SessionError::Limit));
    let inside = "C:1:\"A\":26:{a:1:{i:0;a:1:{i:0;a:0:{}}}}";
    assert_eq!(decode(inside, &limits(|limits| limits.max_depth = 3)), Some(SessionError::Limit));
}

/// A thread's stack in Rust is 2 MiB; this is far less than any recursion would need.
#[test]
fn a_small_stack_is_enough_for_any_depth() {
    let deep = |open: &str, close: &str, levels: usize| open.repeat(levels) + "N;" + &close.repeat(levels);
    let custom = (0..2000).fold("N;".to_owned(), |inner, _| format!("C:1:\"A\":{}:{{{inner}}}", inner.len()));
    let inputs = [
        deep("a:1:{i:0;", "}", 10_000),
        deep("O:1:\"A\":1:{s:1:\"a\";", "}", 10_000),
        deep("a:1:{i:0;", "}", 10_000).trim_end_matches('}').to_owned(),
        custom,
    ];
    let run = move || {
        for input in inputs {
            assert_eq!(decode(Codec::php_value(), &input).err(), Some(SessionError::Limit));
            // Somebody may well raise the limit.
            let mut limits = Limits::default();
            (limits.max_depth, limits.max_input) = (usize::MAX, usize::MAX);
            let Ok(record) = Codec::php_value().decode(input.clone().into(), &limits) else {
                assert!(!input.ends_with('}'));
                continue;
            };
            let copy = record.clone();
            assert!(format!("{copy:?} {:?}", copy.data.root()).len() < 10_000);
            assert!(copy.data.root().to_json().is_ok());
            assert!(
                copy.data.root().to::<Vec<serde::de::IgnoredAny>>().is_ok() || copy.data.root().kind() != Kind::Array
            );
        }
    };
    std::thread::Builder::new().stack_size(128 << 10).spawn(run).unwrap().join().unwrap();
}
