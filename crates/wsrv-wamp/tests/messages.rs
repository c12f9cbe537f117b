//! Every message in both directions, and every way to get one wrong.

use std::time::{Duration, Instant};

use wsrv_wamp::message::{
    EncodeError, encode_call_error, encode_event, encode_welcome, serialize_call, serialize_call_error,
    serialize_call_result, serialize_event,
};
use wsrv_wamp::{
    ClientMessage, Dialect, ErrorKind, Exclude, MessageError, MessageLimits, MessageType, RawValue, ServerMessage,
};

fn client(text: &str) -> Result<ClientMessage<'_>, MessageError> {
    ClientMessage::parse(text, &MessageLimits::default())
}

fn server(text: &str) -> Result<ServerMessage<'_>, MessageError> {
    ServerMessage::parse(text, &MessageLimits::default())
}

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap()
}

#[test]
fn each_message_of_a_client_comes_out_as_it_went_in() {
    for (text, shown) in [
        (r#"[1,"p","http://a/#"]"#, r#"Prefix { prefix: "p", uri: "http://a/#" }"#),
        (r#"[2,"id","p:f"]"#, r#"Call { id: "id", procedure: "p:f", arguments: [] }"#),
        (
            r#"[2,"","f",null,[1, 2],{"b":1.50,"a":1e400}]"#,
            r#"Call { id: "", procedure: "f", arguments: ["null", "[1, 2]", "{\"b\":1.50,\"a\":1e400}"] }"#,
        ),
        (r#"[5,"t"]"#, r#"Subscribe { topic: "t" }"#),
        (r#"[6,""]"#, r#"Unsubscribe { topic: "" }"#),
        (r#"[7,"t",null]"#, r#"Publish { topic: "t", event: RawValue(null), exclude: Default, eligible: None }"#),
        (r#"[7,"t",0,true]"#, r#"Publish { topic: "t", event: RawValue(0), exclude: Me(true), eligible: None }"#),
        (r#"[7,"t",0,false]"#, r#"Publish { topic: "t", event: RawValue(0), exclude: Me(false), eligible: None }"#),
        (r#"[7,"t",0,[]]"#, r#"Publish { topic: "t", event: RawValue(0), exclude: Sessions([]), eligible: None }"#),
        (
            r#"[7,"t",{ },["a","b"],["c"]]"#,
            r#"Publish { topic: "t", event: RawValue({ }), exclude: Sessions(["a", "b"]), eligible: Some(["c"]) }"#,
        ),
        (
            r#"[7,"t",0,true,[]]"#,
            r#"Publish { topic: "t", event: RawValue(0), exclude: Me(true), eligible: Some([]) }"#,
        ),
        (
            r#"[7,"t",0,null,["a"]]"#,
            r#"Publish { topic: "t", event: RawValue(0), exclude: Default, eligible: Some(["a"]) }"#,
        ),
    ] {
        let message = client(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(format!("{message:?}"), shown);
        assert_eq!(message.encode(), text);
    }
}

#[test]
fn each_message_of_a_server_comes_out_as_it_went_in() {
    for (text, shown) in [
        (r#"[0,"s",1,"wsrv"]"#, r#"Welcome { session_id: "s", version: 1, server: "wsrv" }"#),
        (r#"[3,"id",null]"#, r#"CallResult { id: "id", result: RawValue(null) }"#),
        (r#"[4,"id","u",""]"#, r#"CallError { id: "id", uri: "u", description: "", details: None }"#),
        (
            r#"[4,"id","u","d",{"a":1}]"#,
            r#"CallError { id: "id", uri: "u", description: "d", details: Some(RawValue({"a":1})) }"#,
        ),
        (r#"[8,"t","€"]"#, r#"Event { topic: "t", event: RawValue("€") }"#),
    ] {
        let message = server(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(format!("{message:?}"), shown);
        assert_eq!(message.encode(), text);
    }
}

#[test]
fn what_is_tolerated_is_written_properly() {
    for (text, proper) in [(r#"[7,"t",0,null]"#, r#"[7,"t",0]"#), (" [ 5 , \"t\" ]\r\n", r#"[5,"t"]"#)] {
        assert_eq!(client(text).unwrap().encode(), proper);
    }
    for (text, proper) in [
        (r#"[0,"s"]"#, r#"[0,"s",1,""]"#),
        (r#"[0,"s",2]"#, r#"[0,"s",2,""]"#),
        (r#"[4,"id","u","d",null]"#, r#"[4,"id","u","d"]"#),
    ] {
        assert_eq!(server(text).unwrap().encode(), proper);
    }
}

#[test]
fn escapes_in_strings_are_resolved_and_those_in_payloads_are_kept() {
    let text = r#"[7,"a\/\u00e9\n",{"\u0061":"\/"},["\ud83d\ude00"]]"#;
    let Ok(ClientMessage::Publish { topic, event, exclude, .. }) = client(text) else { panic!() };
    assert_eq!(topic, "a/é\n");
    assert_eq!(event.get(), r#"{"\u0061":"\/"}"#);
    assert_eq!(exclude, Exclude::Sessions(vec!["😀".into()]));
}

const FLAG_OR_LIST: ErrorKind = ErrorKind::WrongType { expected: "a boolean or a list of session ids" };
const LIST: ErrorKind = ErrorKind::WrongType { expected: "a list of session ids" };
const STRING: ErrorKind = ErrorKind::WrongType { expected: "a string" };
const INTEGER: ErrorKind = ErrorKind::WrongType { expected: "an integer" };
const VERSION: ErrorKind = ErrorKind::WrongType { expected: "a version number" };

const NO_MESSAGE: &[(&str, ErrorKind, Option<usize>)] = &[
    ("", ErrorKind::NotJson, None),
    ("hello", ErrorKind::NotJson, None),
    ("[5,\"t\"", ErrorKind::NotJson, None),
    ("[5,\"t\"]]", ErrorKind::NotJson, None),
    ("[5,\"t\",]", ErrorKind::NotJson, None),
    ("[5,\"t]", ErrorKind::NotJson, None),
    ("[5,\"t\"][]", ErrorKind::NotJson, None),
    ("[05,\"t\"]", ErrorKind::NotJson, None),
    ("[5 \"t\"]", ErrorKind::NotJson, None),
    ("\u{feff}[5,\"t\"]", ErrorKind::NotJson, None),
    ("[5,\"\n\"]", ErrorKind::NotJson, None),
    ("null", ErrorKind::NotAnArray, None),
    ("\"[5]\"", ErrorKind::NotAnArray, None),
    (r#"{"0":5}"#, ErrorKind::NotAnArray, None),
    ("5", ErrorKind::NotAnArray, None),
    ("[]", ErrorKind::Empty, None),
    (r#"["5","t"]"#, INTEGER, Some(0)),
    (r#"[5.5,"t"]"#, INTEGER, Some(0)),
    (r#"[5.0,"t"]"#, INTEGER, Some(0)),
    (r#"[5e0,"t"]"#, INTEGER, Some(0)),
    (r#"[null,"t"]"#, INTEGER, Some(0)),
    (r#"[[5],"t"]"#, INTEGER, Some(0)),
    (r#"[99,"t"]"#, ErrorKind::UnknownType, Some(0)),
    (r#"[9,"t"]"#, ErrorKind::UnknownType, Some(0)),
    (r#"[-1,"t"]"#, ErrorKind::UnknownType, Some(0)),
    (r#"[261,"t"]"#, ErrorKind::UnknownType, Some(0)),
    (r#"[99999999999999999999999,"t"]"#, ErrorKind::UnknownType, Some(0)),
];

#[test]
fn what_is_no_message_is_none_in_both_directions() {
    for &(text, kind, element) in NO_MESSAGE {
        for error in [client(text).unwrap_err(), server(text).unwrap_err()] {
            assert_eq!((error.kind, error.element, error.call_id()), (kind, element, None), "{text}");
        }
    }
}

#[test]
fn malformed_messages_of_clients_are_refused() {
    let too_few = |min| (ErrorKind::TooFew { min }, None);
    let too_many = |max| (ErrorKind::TooMany { max }, None);
    let at = |element, kind| (kind, Some(element));
    for (text, (kind, element)) in [
        ("[1]", too_few(3)),
        (r#"[1,"p"]"#, too_few(3)),
        (r#"[1,"p","u",1]"#, too_many(3)),
        (r#"[1,1,"u"]"#, at(1, STRING)),
        (r#"[1,"p",null]"#, at(2, STRING)),
        ("[2]", too_few(3)),
        (r#"[2,["id"],"f"]"#, at(1, STRING)),
        (r#"[2,7,"f"]"#, at(1, STRING)),
        (r#"[2,"\ud800","f"]"#, at(1, STRING)),
        ("[5]", too_few(2)),
        (r#"[5,"t",1]"#, too_many(2)),
        ("[5,[\"t\"]]", at(1, STRING)),
        (r#"[5,"\udc00"]"#, at(1, STRING)),
        ("[6]", too_few(2)),
        (r#"[6,"t","t"]"#, too_many(2)),
        ("[6,{}]", at(1, STRING)),
        ("[7]", too_few(3)),
        (r#"[7,"t"]"#, too_few(3)),
        (r#"[7,"t",0,[],[],0]"#, too_many(5)),
        ("[7,7,0]", at(1, STRING)),
        (r#"[7,"t",0,"yes"]"#, at(3, FLAG_OR_LIST)),
        (r#"[7,"t",0,1]"#, at(3, FLAG_OR_LIST)),
        (r#"[7,"t",0,{}]"#, at(3, FLAG_OR_LIST)),
        (r#"[7,"t",0,["a",1]]"#, at(3, FLAG_OR_LIST)),
        (r#"[7,"t",0,[null]]"#, at(3, FLAG_OR_LIST)),
        (r#"[7,"t",0,[],"yes"]"#, at(4, LIST)),
        (r#"[7,"t",0,[],true]"#, at(4, LIST)),
        (r#"[7,"t",0,[],null]"#, at(4, LIST)),
        (r#"[7,"t",0,[],[["a"]]]"#, at(4, LIST)),
        (r#"[0,"s",1,"x"]"#, at(0, ErrorKind::WrongDirection(MessageType::Welcome))),
        (r#"[3,"id",1]"#, at(0, ErrorKind::WrongDirection(MessageType::CallResult))),
        (r#"[4,"id","u","d"]"#, at(0, ErrorKind::WrongDirection(MessageType::CallError))),
        (r#"[8,"t",1]"#, at(0, ErrorKind::WrongDirection(MessageType::Event))),
    ] {
        let error = client(text).unwrap_err();
        assert_eq!((error.kind, error.element, error.call_id()), (kind, element, None), "{text}");
    }
}

#[test]
fn malformed_messages_of_servers_are_refused() {
    let too_few = |min| (ErrorKind::TooFew { min }, None);
    let too_many = |max| (ErrorKind::TooMany { max }, None);
    let at = |element, kind| (kind, Some(element));
    for (text, (kind, element)) in [
        ("[0]", too_few(2)),
        (r#"[0,"s",1,"x",0]"#, too_many(4)),
        ("[0,1]", at(1, STRING)),
        (r#"[0,"s","1","x"]"#, at(2, VERSION)),
        (r#"[0,"s",-1,"x"]"#, at(2, VERSION)),
        (r#"[0,"s",1.0,"x"]"#, at(2, VERSION)),
        (r#"[0,"s",1,null]"#, at(3, STRING)),
        (r#"[3,"id"]"#, too_few(3)),
        (r#"[3,"id",1,2]"#, too_many(3)),
        ("[3,1,1]", at(1, STRING)),
        (r#"[4,"id","u"]"#, too_few(4)),
        (r#"[4,"id","u","d",1,2]"#, too_many(5)),
        (r#"[4,1,"u","d"]"#, at(1, STRING)),
        (r#"[4,"id",1,"d"]"#, at(2, STRING)),
        (r#"[4,"id","u",1]"#, at(3, STRING)),
        (r#"[8,"t"]"#, too_few(3)),
        (r#"[8,"t",1,2]"#, too_many(3)),
        ("[8,1,1]", at(1, STRING)),
        (r#"[1,"p","u"]"#, at(0, ErrorKind::WrongDirection(MessageType::Prefix))),
        (r#"[2,"id","f"]"#, at(0, ErrorKind::WrongDirection(MessageType::Call))),
        (r#"[5,"t"]"#, at(0, ErrorKind::WrongDirection(MessageType::Subscribe))),
        (r#"[6,"t"]"#, at(0, ErrorKind::WrongDirection(MessageType::Unsubscribe))),
        (r#"[7,"t",1]"#, at(0, ErrorKind::WrongDirection(MessageType::Publish))),
    ] {
        let error = server(text).unwrap_err();
        assert_eq!((error.kind, error.element, error.call_id()), (kind, element, None), "{text}");
    }
}

#[test]
fn a_malformed_call_can_be_answered_if_its_id_can_be_read() {
    let deep = format!(r#"[2,"id","f",0,{}1{}]"#, "[".repeat(64), "]".repeat(64));
    let long = format!(r#"[2,"id","{}"]"#, "u".repeat(1025));
    for (text, kind, element) in [
        (r#"[2,"id"]"#, ErrorKind::TooFew { min: 3 }, None),
        (r#"[2,"id",5]"#, STRING, Some(2)),
        (r#"[2,"id",null,1]"#, STRING, Some(2)),
        (&*deep, ErrorKind::TooDeep { max: 64 }, Some(4)),
        (&*long, ErrorKind::UriTooLong { max: 1024 }, Some(2)),
    ] {
        let error = client(text).unwrap_err();
        assert_eq!((error.kind, error.element, error.call_id()), (kind, element, Some("id")), "{text}");
    }
    assert_eq!(client(r#"[2,"\"\u00e9"]"#).unwrap_err().call_id(), Some("\"é"));
    assert_eq!(client(r#"[2,1,"f"]"#).unwrap_err().call_id(), None);
    assert_eq!(client(r#"[5,"id",5]"#).unwrap_err().call_id(), None);
}

#[test]
fn each_limit_holds_at_its_border() {
    let limits = MessageLimits::default().with_max_call_id(3).with_max_depth(3).with_max_list(2).with_max_uri(4);
    for (fits, beyond, kind, element) in [
        (r#"[5,"1€"]"#, r#"[5,"é€"]"#, ErrorKind::UriTooLong { max: 4 }, 1),
        (r#"[5,"é"]"#, r#"[5,"12345"]"#, ErrorKind::UriTooLong { max: 4 }, 1),
        (r#"[6,"\u0061bcd"]"#, r#"[6,"\u0061bcde"]"#, ErrorKind::UriTooLong { max: 4 }, 1),
        (r#"[7,"1234",0]"#, r#"[7,"12345",0]"#, ErrorKind::UriTooLong { max: 4 }, 1),
        (r#"[1,"1234","1234"]"#, r#"[1,"12345","1234"]"#, ErrorKind::UriTooLong { max: 4 }, 1),
        (r#"[1,"1234","1234"]"#, r#"[1,"1234","12345"]"#, ErrorKind::UriTooLong { max: 4 }, 2),
        (r#"[2,"123","f"]"#, r#"[2,"1234","f"]"#, ErrorKind::CallIdTooLong { max: 3 }, 1),
        (r#"[2,"1","1234"]"#, r#"[2,"1","12345"]"#, ErrorKind::UriTooLong { max: 4 }, 2),
        (r#"[7,"t",0,["a","b"]]"#, r#"[7,"t",0,["a","b","c"]]"#, ErrorKind::ListTooLong { max: 2 }, 3),
        (r#"[7,"t",0,[],["a","b"]]"#, r#"[7,"t",0,[],["a","b","c"]]"#, ErrorKind::ListTooLong { max: 2 }, 4),
        (r#"[7,"t",[{"[[[":"[[["}]]"#, r#"[7,"t",[{"a":[]}]]"#, ErrorKind::TooDeep { max: 3 }, 2),
        (r#"[2,"1","f",[[]]]"#, r#"[2,"1","f",[[[]]]]"#, ErrorKind::TooDeep { max: 3 }, 3),
    ] {
        ClientMessage::parse(fits, &limits).unwrap_or_else(|error| panic!("{fits}: {error}"));
        let error = ClientMessage::parse(beyond, &limits).unwrap_err();
        assert_eq!((error.kind, error.element), (kind, Some(element)), "{beyond}");
    }
    let error = ClientMessage::parse(r#"[2,"1234","f"]"#, &limits).unwrap_err();
    assert_eq!(error.call_id(), None, "an id that is too long goes nowhere");
    let error = ServerMessage::parse(r#"[8,"12345",0]"#, &limits).unwrap_err();
    assert_eq!(error.kind, ErrorKind::UriTooLong { max: 4 });
    let error = ServerMessage::parse(r#"[3,"1234",0]"#, &limits).unwrap_err();
    assert_eq!(error.kind, ErrorKind::CallIdTooLong { max: 3 });
}

#[test]
fn depth_costs_neither_stack_nor_time() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let objects = "{\"a\":".repeat(100_000);
    let hostile = [
        format!(r#"[2,"id","f",{open}{close}]"#),
        format!(r#"[7,"t",{open}{close}]"#),
        format!("{open}{close}"),
        open.clone(),
        format!(r#"[7,"t",{objects}0{}]"#, "}".repeat(100_000)),
        objects,
        format!(r#"[7,"t",0,{}{}]"#, open, close),
        format!("[7,\"{}\",0]", "\\\\".repeat(200_000)),
    ];
    let begun = Instant::now();
    let all = MessageLimits::default().with_max_depth(usize::MAX).with_max_uri(usize::MAX);
    for text in &hostile {
        assert!(client(text).is_err());
        assert!(server(text).is_err());
        let _ = ClientMessage::parse(text, &all).map(|message| message.encode());
    }
    // Quadratic, it would be minutes.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_dialect_may_take_numbers_and_strings_for_flags() {
    let parse = |fourth: &str| {
        let text = format!(r#"[7,"t",0,{fourth}]"#);
        ClientMessage::parse_in(&text, &MessageLimits::default(), &Dialect::ratchet()).map(|message| match message {
            ClientMessage::Publish { exclude: Exclude::Me(me), .. } => me,
            other => panic!("{other:?}"),
        })
    };
    for truthy in ["1", "-1", "0.5", "1e9", r#""yes""#, r#"" ""#, r#""00""#, "true"] {
        assert_eq!(parse(truthy), Ok(true), "{truthy}");
    }
    for falsy in ["0", "-0", "0.0", "0e5", r#""""#, r#""0""#, r#""\u0030""#, "false"] {
        assert_eq!(parse(falsy), Ok(false), "{falsy}");
    }
    assert_eq!(parse("{}").unwrap_err().kind, FLAG_OR_LIST);
}

#[test]
fn values_become_messages() {
    assert_eq!(encode_welcome("s\"", "wsrv/0.1"), r#"[0,"s\"",1,"wsrv/0.1"]"#);
    assert_eq!(serialize_call("1", "f", &("a", 2, [()])).unwrap(), r#"[2,"1","f","a",2,[null]]"#);
    assert_eq!(serialize_call("1", "f", &vec![1, 2]).unwrap(), r#"[2,"1","f",1,2]"#);
    assert_eq!(serialize_call("1", "f", &()).unwrap(), r#"[2,"1","f"]"#);
    assert_eq!(serialize_call("1", "f", &((),)).unwrap(), r#"[2,"1","f",null]"#);
    assert!(matches!(serialize_call("1", "f", "text"), Err(EncodeError::NotAList)));
    assert_eq!(serialize_call_result("1", &Some(0.5)).unwrap(), r#"[3,"1",0.5]"#);
    assert_eq!(serialize_call_error("1", "u", "d", &[1]).unwrap(), r#"[4,"1","u","d",[1]]"#);
    assert_eq!(serialize_call_error("1", "u", "d", &()).unwrap(), r#"[4,"1","u","d"]"#);
    assert_eq!(encode_call_error("1", "u", "d", Some(raw("null"))), r#"[4,"1","u","d"]"#);
    assert_eq!(encode_event("t\u{1}", raw("[1.10]")), r#"[8,"t\u0001",[1.10]]"#);
    assert_eq!(serialize_event("t", &["a"]).unwrap(), r#"[8,"t",["a"]]"#);
    let no_key = std::collections::BTreeMap::from([((), 1)]);
    assert!(serialize_event("t", &no_key).is_err());
    assert!(serialize_call_result("1", &no_key).is_err());
}

#[test]
fn errors_say_what_and_where() {
    for (text, shown) in [
        ("x", "not JSON"),
        ("[]", "an empty array"),
        (r#"[7,"t",0,"yes"]"#, "a boolean or a list of session ids expected, at element 3"),
        (r#"[8,"t",0]"#, "EVENT comes from the other side only, at element 0"),
        ("[5]", "at least 2 elements expected"),
    ] {
        assert_eq!(client(text).unwrap_err().to_string(), shown);
    }
}
