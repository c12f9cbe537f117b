//! JSON, MessagePack, and what is wrapped around a format.

use std::time::{Duration, SystemTime};
use wsrv_session::{Codec, Kind, Limits, Record, SessionError, Value};

fn decode(codec: Codec, input: impl AsRef<[u8]>) -> Result<Record, SessionError> {
    codec.decode(bytes::Bytes::copy_from_slice(input.as_ref()), &Limits::default())
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn json_is_read_with_its_types() {
    let input = " {\"a\" : [1, -2.5e1 ,\ttrue,false,null,\"x\"],\n\"\":{},\"\\u00e9\\n\\ud83d\\ude00\":\"\u{e9}\"}\r\n";
    let data = decode(Codec::json(), input).unwrap().data;
    assert_eq!(data.path("a.0").and_then(Value::as_i64), Some(1));
    assert_eq!(data.path("a.1").and_then(Value::as_f64), Some(-25.0));
    assert_eq!(data.path("a.2").and_then(Value::as_bool), Some(true));
    assert_eq!(data.path("a.3").and_then(Value::as_bool), Some(false));
    assert!(data.path("a.4").unwrap().is_null());
    assert_eq!(data.path("a.5").and_then(Value::as_str), Some("x"));
    assert_eq!(data.get("").unwrap().kind(), Kind::Map);
    assert_eq!(data.get("é\n😀").and_then(Value::as_str), Some("é"));
    assert_eq!(data.root().len(), 3);
    let twice = decode(Codec::json(), r#"{"a":1,"b":2,"a":3}"#).unwrap().data;
    let entries: Vec<_> = twice.root().entries().map(|(_, value)| value.as_i64().unwrap()).collect();
    assert_eq!(entries, [3, 2]);
}

#[test]
fn numbers_of_json_are_exact() {
    let numbers = [
        ("0.1", 0.1f64),
        ("123456789012345680000.5", 123456789012345680000.5),
        ("9007199254740993.0", 9007199254740992.0),
        ("1e-7", 1e-7),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", f64::MAX),
        ("18446744073709551616", 18446744073709551616.0),
        // As JavaScript and Python read it.
        ("1e999", f64::INFINITY),
    ];
    for (text, number) in numbers {
        let data = decode(Codec::json(), format!("{{\"n\":{text}}}")).unwrap().data;
        assert_eq!(data.get("n").and_then(Value::as_f64).map(f64::to_bits), Some(number.to_bits()), "{text}");
    }
}

#[test]
fn json_that_is_none_is_refused() {
    let inputs: &[&[u8]] = &[
        b"",
        b" ",
        b"{",
        b"}",
        b"[",
        b"{]",
        b"[}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{,}",
        b"{a:1}",
        b"{\"a\" 1}",
        b"{\"a\":1 \"b\":2}",
        b"{\"a\":[1 2]}",
        b"{\"a\":[1,]}",
        b"{\"a\":[,]}",
        b"{}{}",
        b"{} x",
        b"{}\0",
        b"{\"a\":01}",
        b"{\"a\":+1}",
        b"{\"a\":.5}",
        b"{\"a\":1.}",
        b"{\"a\":1e}",
        b"{\"a\":--1}",
        b"{\"a\":NaN}",
        b"{\"a\":tru}",
        b"{\"a\":truex}",
        b"{\"a\":\"}",
        b"{\"a\":\"\\\"}",
        b"{\"a\":\"\\x\"}",
        b"{\"a\":\"\\ud83d\"}",
        b"{\"a\":\"\\ude00\"}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\xff\"}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":1}/**/",
        b"1",
        b"\"a\"",
        b"null",
        b"[1]",
    ];
    for input in inputs {
        for codec in [Codec::json(), Codec::express()] {
            assert_eq!(decode(codec, input).err(), Some(SessionError::CorruptData), "{}", input.escape_ascii());
        }
    }
}

#[test]
fn an_empty_list_is_an_empty_session_of_php_only() {
    assert!(decode(Codec::json(), "[]").unwrap().data.root().is_empty());
    assert_eq!(decode(Codec::express(), "[]").err(), Some(SessionError::CorruptData));
}

#[test]
fn pickles_are_named_as_unsupported() {
    assert_eq!(decode(Codec::json(), b"\x80\x05}\x94.").err(), Some(SessionError::Unsupported));
}

#[test]
fn json_of_any_depth_fails_without_recursion() {
    let run = || {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels: usize| format!("{{\"a\":{}1{}}}", open.repeat(levels), close.repeat(levels));
            assert!(decode(Codec::json(), nested(511)).is_ok());
            assert_eq!(decode(Codec::json(), nested(512)).err(), Some(SessionError::Limit));
            assert_eq!(decode(Codec::json(), nested(50_000)).err(), Some(SessionError::Limit));
        }
    };
    std::thread::Builder::new().stack_size(128 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn express_says_when_a_session_ends() {
    let expires = |cookie: &str| decode(Codec::express(), format!("{{\"cookie\":{cookie}}}")).map(|it| it.expires_at);
    assert_eq!(expires("{\"expires\":\"2024-02-29T12:00:00.000Z\"}"), Ok(Some(at(1_709_208_000))));
    assert_eq!(expires("{\"expires\":null}"), Ok(None));
    assert_eq!(expires("{\"expires\":false}"), Ok(None));
    assert_eq!(expires("{}"), Ok(None));
    assert_eq!(expires("{\"expires\":\"soon\"}"), Err(SessionError::CorruptData));
}

#[test]
fn wrappers_are_taken_off_from_outside() {
    let id = |codec: Codec, input: &str| decode(codec, input).map(|record| record.data.get("id").unwrap().as_i64());
    let php = "a:1:{s:2:\"id\";i:5;}";
    assert_eq!(id(Codec::php_serialize().in_php_string(), &format!("s:{}:\"{php}\";", php.len())), Ok(Some(5)));
    assert_eq!(id(Codec::json().in_base64(), "eyJpZCI6NX0="), Ok(Some(5)));
    assert_eq!(id(Codec::json().in_base64(), "eyJpZCI6NX0"), Ok(Some(5)));
    assert_eq!(id(Codec::json().in_php_string().in_base64(), "czo4OiJ7ImlkIjo1fSI7"), Ok(Some(5)));
    for damaged in ["eyJpZCI6NX0*", "eyJpZCI6NX1=", "eyJpZCI6NX0=x", "e"] {
        assert_eq!(id(Codec::json().in_base64(), damaged), Err(SessionError::CorruptData), "{damaged}");
    }
    for damaged in ["s:8:\"{\"id\":5}\";;", "s:7:\"{\"id\":5}\";", "i:5;", "", "s:8:\"{\"id\":5}\""] {
        assert_eq!(id(Codec::json().in_php_string(), damaged), Err(SessionError::CorruptData), "{damaged}");
    }
}

#[cfg(feature = "laravel")]
#[test]
fn laravels_seal_is_between_the_format_and_what_the_driver_wraps_around_it() {
    use wsrv_session::cookie::{LaravelCipher, LaravelKeys};
    let id = |codec: Codec, input: &str| decode(codec, input).map(|record| record.data.get("id").unwrap().as_i64());
    let keys = |key: &str| LaravelKeys::new(LaravelCipher::Aes256Cbc, key).unwrap();
    let codec = || Codec::php_serialize().encrypted_by_laravel(keys(&"\u{1}".repeat(32)));
    // Made by PHP's functions, in the way of Laravel's encrypter.
    let envelope = "eyJpdiI6Ik1ERXlNelExTmpjNE9XRmlZMlJsWmc9PSIsInZhbHVlIjoiNk0xZFhTRFZRQzJMWmNJSkJyUkRyOHkvaTkxeVFyVkhYeDhqRGxReFdNQT0iLCJtYWMiOiI3ZDBiZWNhN2YyMGNlMjIwNTU3ODcwZTEyZmMwZjZjY2YyNGRmN2Q4Zjg3MjRlMjBkMDdmNDE1ZmE1OGEwY2U0IiwidGFnIjoiIn0=";
    assert_eq!(id(codec(), envelope), Ok(Some(5)), "driver file");
    let cached = format!("s:{}:\"{envelope}\";", envelope.len());
    assert_eq!(id(codec().in_php_string(), &cached), Ok(Some(5)), "driver redis");
    let row = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, envelope);
    assert_eq!(id(codec().in_base64(), &row), Ok(Some(5)), "driver database");
    assert_eq!(id(codec(), &row), Err(SessionError::CorruptData));
    assert_eq!(id(codec().in_base64(), envelope), Err(SessionError::CorruptData));
    let other = Codec::php_serialize().encrypted_by_laravel(keys(&"\u{2}".repeat(32)));
    assert_eq!(id(other, envelope), Err(SessionError::BadSignature));
    // What is not sealed is not read, whatever it is.
    assert_eq!(id(codec(), "a:1:{s:2:\"id\";i:5;}"), Err(SessionError::CorruptData));
}

#[cfg(feature = "django")]
#[test]
fn djangos_records_are_signed_and_an_empty_one_is_a_session_with_nothing_in_it() {
    use wsrv_session::cookie::{DjangoSigner, Secret};
    let codec = |key: &str| Codec::django(DjangoSigner::records(Secret::new(key).unwrap()));
    let record = "eyJpZCI6NX0:1xUyPS:xUUUGWfAXIL4tVASf8J7CEUSubkJ5DQBhpqT9ogodFU";
    let read = decode(codec("not so secret"), record).unwrap();
    assert_eq!(read.data.get("id").and_then(Value::as_i64), Some(5));
    assert_eq!(decode(codec("another"), record).err(), Some(SessionError::BadSignature));
    assert!(decode(codec("not so secret"), "").unwrap().data.root().is_empty());
}

#[test]
fn laravels_cookie_sessions_say_when_they_end() {
    let codec = || Codec::php_serialize().in_laravel_cookie();
    let input = r#"{"data":"a:1:{s:2:\"id\";i:5;}","expires":1700000000}"#;
    let record = decode(codec(), input).unwrap();
    assert_eq!(record.data.get("id").and_then(Value::as_i64), Some(5));
    assert_eq!(record.expires_at, Some(at(1_700_000_001)), "the second itself is still good");
    for damaged in ["{}", r#"{"data":"a:0:{}"}"#, r#"{"expires":5}"#, r#"{"data":5,"expires":5}"#, "[]"] {
        assert_eq!(decode(codec(), damaged).err(), Some(SessionError::CorruptData), "{damaged}");
    }
}

#[test]
fn input_is_limited_before_anything_is_done_with_it() {
    let mut limits = Limits::default();
    limits.max_input = 8;
    let error = Codec::php_serialize().in_base64().decode("YTowOnt9YTowOnt9".into(), &limits).err();
    assert_eq!(error, Some(SessionError::Limit));
}

#[cfg(feature = "msgpack")]
mod tower {
    use super::*;

    /// A record of so many parts.
    fn record(map: &[u8], expiry: &[u8]) -> Vec<u8> {
        [b"\x93\xc4\x10", &[7; 16][..], map, expiry].concat()
    }

    /// 29 February 2024, 12:00 UTC, told as 14:30 of a place two and a half hours to the east.
    const EXPIRY: &[u8] = b"\x99\xcd\x07\xe8\x3c\x0e\x1e\x00\x00\x02\x1e\x00";

    #[test]
    fn records_have_an_id_values_and_an_end() {
        let map = b"\x84\xa1a\x94\x01\xff\xcb\x3f\xe0\0\0\0\0\0\0\xc3\xa1b\x81\xa1c\xc0\xa1d\xcf\xff\xff\xff\xff\xff\xff\xff\xff\
                    \xa1e\xd9\x02\xc3\xa9";
        let record = decode(Codec::tower(), record(map, EXPIRY)).unwrap();
        assert_eq!(record.id, Some([7; 16]));
        assert!(!format!("{record:?}").contains("id"), "{record:?}");
        assert_eq!(record.expires_at, Some(at(1_709_208_000)));
        assert_eq!(
            record.data.root().to_json().unwrap(),
            r#"{"a":[1,-1,0.5,true],"b":{"c":null},"d":18446744073709551615,"e":"é"}"#
        );
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let expires = |year: i16, day: i16| {
            let [(year, low), (day, second)] =
                [year, day].map(|number| (number.to_be_bytes()[0], number.to_be_bytes()[1]));
            let expiry = [0x99, 0xd1, year, low, 0xd1, day, second, 0, 0, 0, 0, 0, 0, 0];
            decode(Codec::tower(), record(b"\x80", &expiry)).unwrap().expires_at.unwrap()
        };
        assert_eq!(expires(1970, 1), at(0));
        assert_eq!(expires(1972, 366), at(94_608_000));
        assert_eq!(expires(2000, 60), at(951_782_400));
        assert_eq!(expires(2001, 1), at(978_307_200));
        assert_eq!(expires(2100, 365), at(4_133_894_400));
        assert_eq!(expires(1969, 365), SystemTime::UNIX_EPOCH - Duration::from_secs(86_400));
    }

    #[test]
    fn records_that_are_damaged_are_refused() {
        let good = record(b"\x81\xa1a\x91\xc0", EXPIRY);
        assert!(decode(Codec::tower(), &good).is_ok());
        for length in 0..good.len() {
            assert_eq!(decode(Codec::tower(), &good[..length]).err(), Some(SessionError::CorruptData), "{length}");
        }
        let maps: &[&[u8]] = &[
            b"\x90",
            b"\xc0",
            b"\x01",
            b"\x81\x01\x01",
            b"\x81\xc4\x01a\x01",
            b"\x81\xa1\xff\x01",
            b"\x81\xa1a\xa1\xff",
            b"\x81\xa1a\xc4\x01\0",
            b"\x81\xa1a\xd4\x01\0",
            b"\x81\xa1a\xc1",
            b"\xdf\xff\xff\xff\xff",
            b"\x81\xa1a\xdd\xff\xff\xff\xff",
            b"\x81\xa1a\xdb\xff\xff\xff\xff",
        ];
        for map in maps {
            let outcome = decode(Codec::tower(), record(map, EXPIRY)).err();
            assert_eq!(outcome, Some(SessionError::CorruptData), "{}", map.escape_ascii());
        }
        let expiries: &[&[u8]] = &[
            b"\x98\xcd\x07\xe8\x3c\x0e\x1e\x00\x00\x02\x1e",
            b"\x99\xcd\x07\xe8\x00\x0e\x1e\x00\x00\x02\x1e\x00",
            b"\x99\xcd\x07\xe8\x3c\x18\x1e\x00\x00\x02\x1e\x00",
            b"\x99\xa1a\x3c\x0e\x1e\x00\x00\x02\x1e\x00",
            b"\x99\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x3c\x0e\x1e\x00\x00\x02\x1e\x00",
            b"\xc0",
            b"\x99\xcd\x07\xe8\x3c\x0e\x1e\x00\x00\x02\x1e\x00\xc0",
        ];
        for expiry in expiries {
            let outcome = decode(Codec::tower(), record(b"\x80", expiry)).err();
            assert_eq!(outcome, Some(SessionError::CorruptData), "{}", expiry.escape_ascii());
        }
        // A number of entries for which there is no room is known to be wrong before they are read.
        let mut limits = Limits::default();
        limits.max_nodes = 3;
        for map in [&b"\x81\xa1a\xdc\xff\xff\xc0\xc0\xc0"[..], b"\xde\xff\xff\xa1a\xc0\xa1b\xc0\xa1c\xc0"] {
            let outcome = Codec::tower().decode(record(map, EXPIRY).into(), &limits).err();
            assert_eq!(outcome, Some(SessionError::CorruptData), "{}", map.escape_ascii());
        }
        let short_id = [&b"\x93\xc4\x0f"[..], &[7; 15], b"\x80", EXPIRY].concat();
        assert_eq!(decode(Codec::tower(), short_id).err(), Some(SessionError::CorruptData));
    }

    #[test]
    fn records_of_any_depth_fail_without_recursion() {
        let run = || {
            let nested = |levels: usize| record(&[b"\x81\xa1a", &vec![0x91; levels][..], b"\xc0"].concat(), EXPIRY);
            assert!(decode(Codec::tower(), nested(511)).is_ok());
            assert_eq!(decode(Codec::tower(), nested(512)).err(), Some(SessionError::Limit));
            assert_eq!(decode(Codec::tower(), nested(200_000)).err(), Some(SessionError::Limit));
        };
        std::thread::Builder::new().stack_size(128 << 10).spawn(run).unwrap().join().unwrap();
    }
}
