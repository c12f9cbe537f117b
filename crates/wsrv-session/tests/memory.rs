//! What a session costs while it is held: every connection has one.

use allocation_counter::measure;
use wsrv_session::{Codec, Limits, SessionData};

/// Bytes of a value and of its place in what holds it.
const VALUE: u64 = 48;

/// The session in these bytes, and how many bytes are taken for it, with the bytes that it came in.
fn held(codec: &Codec, input: &str) -> u64 {
    let mut data = SessionData::default();
    let info = measure(|| data = codec.decode(input.to_owned().into(), &Limits::default()).unwrap().data);
    assert!(!data.root().is_empty());
    info.bytes_current as u64
}

/// A list of so many zeros and one text.
fn php(zeros: usize, text: &str) -> String {
    let entries: String = (0..zeros).map(|at| format!("i:{at};N;")).collect();
    format!("a:{}:{{{entries}i:{zeros};s:{}:\"{text}\";}}", zeros + 1, text.len())
}

#[test]
fn the_largest_session_by_default_takes_two_mebibytes() {
    let limits = Limits::default();
    // The object and the list are values too.
    let zeros = limits.max_nodes - 2;
    let numbers = format!("{{\"a\":[{}\"", "0,".repeat(zeros - 1));
    // Text with escapes is kept beside the source.
    let json = format!("{numbers}{}\"]}}", "\\n".repeat((limits.max_input - numbers.len() - 3) / 2));
    let shorter = php(limits.max_nodes / 2, "");
    let php = php(limits.max_nodes / 2, &"x".repeat(limits.max_input - shorter.len() - 5));
    for (codec, input) in [(Codec::json(), json), (Codec::php_serialize(), php)] {
        assert!(limits.max_input - input.len() < 3, "{}", input.len());
        let held = held(&codec, &input);
        assert!(held <= 2 << 20, "{held}");
    }
    let one_more = format!("{{\"a\":[{}0]}}", "0,".repeat(zeros));
    assert!(Codec::json().decode(one_more.into(), &limits).is_err());
}

#[test]
fn a_session_takes_no_more_than_it_needs() {
    // Above a power of two, where what grows by doubling has most in reserve.
    let (php, escapes) = (php(4100, "x"), format!("{{\"a\":\"{}\"}}", "\\n".repeat(4100)));
    for (codec, input, values, extra) in [(Codec::php_serialize(), php, 4102, 0), (Codec::json(), escapes, 2, 4100)] {
        let needed = values * VALUE + input.len() as u64 + extra;
        let held = held(&codec, &input);
        assert!(held <= needed + 500, "{held} instead of {needed}");
    }
}
