//! Arguments of calls, read into the types of procedures.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use wsrv_wamp::{Arguments, ArgumentsError, RawValue};

fn arguments(text: &str) -> Arguments<'_> {
    Arguments::new(text, 3).unwrap()
}

fn error<T: DeserializeOwned>(text: &str) -> ArgumentsError {
    arguments(text).deserialize::<T>().map(|_| ()).unwrap_err()
}

#[derive(Debug, PartialEq, Deserialize)]
struct Search<'a> {
    words: &'a str,
    #[serde(default)]
    page: u32,
    #[serde(default)]
    exact: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Numbers(Vec<i32>);

#[derive(Debug, PartialEq, Deserialize)]
struct Nothing;

#[test]
fn arguments_become_tuples_lists_and_structs() {
    let none = arguments(r#"[2,"id","f"]"#);
    assert_eq!(none.deserialize::<()>(), Ok(()));
    assert_eq!(none.deserialize::<Nothing>(), Ok(Nothing));
    assert_eq!(none.deserialize::<[u8; 0]>(), Ok([]));
    assert_eq!(none.deserialize::<Vec<u8>>(), Ok(vec![]));

    let two = arguments(r#" [ 2 , "id" , "f" , 1 , 2 ] "#);
    assert_eq!(two.deserialize::<(i32, u8)>(), Ok((1, 2)));
    assert_eq!(two.deserialize::<[i64; 2]>(), Ok([1, 2]));
    assert_eq!(two.deserialize::<Vec<f64>>(), Ok(vec![1.0, 2.0]));
    assert_eq!(two.deserialize::<Numbers>(), Ok(Numbers(vec![1, 2])));
    assert_eq!(two.deserialize::<Value>(), Ok(serde_json::json!([1, 2])));
    assert!(two.deserialize::<IgnoredAny>().is_ok());

    let one = arguments(r#"[2,"id","f",[9,1,3,4]]"#);
    assert_eq!(one.deserialize::<(Vec<i32>,)>(), Ok((vec![9, 1, 3, 4],)));

    let text = String::from(r#"[2,"id","f","red wine",2]"#);
    let search = arguments(&text).deserialize::<Search<'_>>();
    assert_eq!(search, Ok(Search { words: "red wine", page: 2, exact: false }));
    let (raw, _) = arguments(r#"[2,"id","f",{"b":1.0, "a":2},0]"#).deserialize::<(&RawValue, u8)>().unwrap();
    assert_eq!(raw.get(), r#"{"b":1.0, "a":2}"#);
}

#[test]
fn errors_say_which_argument_it_is() {
    let two = r#"[2,"id","f",1,"x"]"#;
    assert_eq!(error::<()>(two), ArgumentsError::TooMany { given: 2, taken: 0 });
    assert_eq!(error::<(i32,)>(two), ArgumentsError::TooMany { given: 2, taken: 1 });
    assert_eq!(error::<Nothing>(two), ArgumentsError::TooMany { given: 2, taken: 0 });
    assert_eq!(error::<(i32,)>(two).to_string(), "too many arguments: 2, and 1 at most are taken");

    let reason = "expected a tuple of size 3".to_owned();
    assert_eq!(error::<(i32, String, i32)>(two), ArgumentsError::TooFew { given: 2, reason });
    let few = error::<(i32, String, i32)>(two).to_string();
    assert_eq!(few, "too few arguments: 2; expected a tuple of size 3");
    let reason = "expected a tuple of size 1".to_owned();
    assert_eq!(error::<(i32,)>(r#"[2,"id","f"]"#), ArgumentsError::TooFew { given: 0, reason });

    let reason = r#"invalid type: string "x", expected i32"#.to_owned();
    assert_eq!(error::<(i32, i32)>(two), ArgumentsError::Mismatch { index: 1, reason: reason.clone() });
    assert_eq!(error::<Vec<i32>>(two), ArgumentsError::Mismatch { index: 1, reason });
    let reason = "invalid value: integer `300`, expected u8".to_owned();
    assert_eq!(error::<(u8, u8)>(r#"[2,"id","f",300,1]"#), ArgumentsError::Mismatch { index: 0, reason });

    let reason = "invalid type: sequence, expected a string".to_owned();
    assert_eq!(error::<String>(two), ArgumentsError::Other { reason });
}

#[test]
fn deep_arguments_are_an_error_and_no_overflow() {
    let text = format!(r#"[2,"id","f",{}{}]"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(error::<Vec<Value>>(&text), ArgumentsError::Mismatch { index: 0, .. }));
    assert!(arguments(&text).deserialize::<IgnoredAny>().is_ok());
}

#[test]
fn arguments_can_be_looked_at_as_they_are_written() {
    let text = r#"[2,"id","f", 1.50 ,{"b" : 1},"a\u0062"]"#;
    let given = arguments(text);
    assert_eq!((given.len(), given.is_empty(), given.skip(), given.text()), (3, false, 3, text));
    let all: Vec<&str> = given.iter().map(RawValue::get).collect();
    assert_eq!(all, ["1.50", r#"{"b" : 1}"#, r#""a\u0062""#]);
    for (index, expected) in all.into_iter().enumerate() {
        assert_eq!(given.get(index).unwrap().get(), expected);
    }
    assert!(given.get(3).is_none());
    assert!(given.get(usize::MAX).is_none());
    assert_eq!(Arguments::new("[1]", 3).unwrap().len(), 0);
    assert!(Arguments::new("[1", 0).is_err());
    assert!(Arguments::new("{}", 0).is_err());
    assert!(Arguments::new("[] []", 0).is_err());
}

#[test]
fn parts_that_do_not_fit_the_text_do_no_harm() {
    for (text, skip, len) in [("[1,2]", 1, 5), ("[1,2]", 9, 2), ("[1,2]", 0, 1), ("x", 0, 1), ("[1,", 0, 2), ("", 3, 3)]
    {
        let wrong = Arguments::from_parts(text, skip, len);
        let _ = (wrong.iter().len(), wrong.get(0), wrong.unwrapped(), format!("{wrong:?}"));
        assert!(wrong.deserialize::<(u8, u8, u8, u8)>().is_err());
        let _ = (wrong.deserialize::<Vec<u8>>(), wrong.deserialize::<()>());
    }
}

#[test]
fn a_single_list_can_be_unwrapped() {
    let unwrapped = |text| Some(arguments(text).unwrapped()?.iter().map(RawValue::get).collect::<Vec<_>>());
    assert_eq!(unwrapped(r#"[2,"id","f",[1,[2]]]"#), Some(vec!["1", "[2]"]));
    assert_eq!(unwrapped(r#"[2,"id","f",[]]"#), Some(vec![]));
    for text in [r#"[2,"id","f",{"a":1}]"#, r#"[2,"id","f","[1]"]"#, r#"[2,"id","f",[1],[2]]"#, r#"[2,"id","f"]"#] {
        assert_eq!(unwrapped(text), None, "{text}");
    }
    assert_eq!(arguments(r#"[2,"id","f",[3,4]]"#).unwrapped().unwrap().deserialize::<(i32, i32)>(), Ok((3, 4)));
}
