//! What the fuzzer once found interesting, checked again by an ordinary compiler. `fuzz/README.md` tells how a file
//! gets there.

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the fuzz programs reach it")]
mod targets;

use std::fs;
use std::path::Path;

/// Runs the target over each file of its corpus.
#[track_caller]
fn replay(target: fn(&[u8]), name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| target(&input));
        assert!(outcome.is_ok(), "{name} fails on {}", path.display());
        files += 1;
    }
    assert!(files > 0, "{} is empty", folder.display());
}

#[test]
fn frames_of_the_corpus_mean_the_same_in_all_reads() {
    replay(targets::message_stream, "message_stream");
}

#[test]
fn frames_of_the_corpus_mean_the_same_to_a_client_in_all_reads() {
    replay(targets::client_stream, "client_stream");
}

#[test]
fn compressed_frames_of_the_corpus_mean_the_same_in_all_reads_and_arrive_again() {
    replay(targets::deflate_stream, "deflate_stream");
}

#[test]
fn request_heads_of_the_corpus_are_the_same_in_all_reads() {
    replay(targets::request_head, "request_head");
}

#[test]
fn answers_of_the_corpus_are_the_same_in_all_reads_and_judged_by_the_rules() {
    replay(targets::answer_head, "answer_head");
}

#[test]
fn handshakes_of_the_corpus_are_judged_by_the_rules() {
    replay(targets::handshake, "handshake");
}

#[test]
fn origins_of_the_corpus_get_in_if_they_are_listed() {
    replay(targets::origin, "origin");
}

#[test]
fn ways_of_the_corpus_never_lead_to_another_client() {
    replay(targets::forwarded, "forwarded");
}

#[test]
fn proxy_headers_of_the_corpus_are_the_same_in_all_reads() {
    replay(targets::proxy_header, "proxy_header");
}

#[test]
fn wamp_messages_of_the_corpus_are_those_that_the_rules_allow() {
    replay(targets::wamp_message, "wamp_message");
}

#[test]
fn sessions_of_the_corpus_keep_to_their_limits() {
    replay(targets::session_php, "session_php");
}

#[test]
fn cookies_of_the_corpus_are_believed_if_the_key_vouches_for_them() {
    replay(targets::session_cookie, "session_cookie");
}

#[test]
fn records_of_the_corpus_are_sessions_to_others_too() {
    replay(targets::session_record, "session_record");
}
