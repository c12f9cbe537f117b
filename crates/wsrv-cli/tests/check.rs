//! `wsrv check`, run as a program, beside the demo whose answers it foretells.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What `wsrv check` prints, each row as its title and its text, and its exit status.
fn check(args: &[&str]) -> (Vec<(String, String)>, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_wsrv")).arg("check").args(args).output().unwrap();
    let rows = String::from_utf8(output.stdout).unwrap();
    let rows = rows.lines().map(|line| (line[..12].trim().to_owned(), line[13..].to_owned())).collect();
    (rows, output.status.code().unwrap())
}

fn row<'a>(rows: &'a [(String, String)], title: &str) -> Option<&'a str> {
    rows.iter().find(|(known, _)| known == title).map(|(_, text)| &**text)
}

#[test]
fn a_request_that_is_let_in_is_told_with_its_gates_its_client_and_its_route() {
    let edge = ["--trusted-proxy", "10.0.0.0/8", "--allow", "203.0.113.0/24", "--allow-origin", "https://*.example"];
    let request = ["--from", "10.0.0.1", "--header", "X-Forwarded-For: 6.6.6.6, 203.0.113.9"];
    let (rows, status) = check(&[&edge[..], &request, &["--header", "Origin: https://a.example"]].concat());
    let rows: Vec<_> = rows.iter().map(|(title, text)| (&**title, &**text)).collect();
    assert_eq!(
        rows,
        [
            ("request", "a WebSocket at /chat/lobby"),
            ("from", "10.0.0.1"),
            ("gate", "proxy        TrustedProxies: passed"),
            ("gate", "address      Addresses: passed"),
            ("gate", "origin       AllowedOrigins: passed"),
            ("gate", "origin       LocalHost: passed"),
            ("gate", "application  KnownRoom: passed"),
            ("client", "203.0.113.9"),
            ("route", "/chat/{room}  room=lobby"),
            ("subprotocol", "none"),
            ("extensions", "none"),
            ("let in", "101 Switching Protocols"),
        ]
    );
    assert_eq!(status, 0);
}

#[test]
fn compression_is_told_as_it_would_be_answered() {
    let (rows, status) =
        check(&["--header", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12"]);
    let answer =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12";
    assert_eq!((row(&rows, "extensions"), status), (Some(answer), 0));
}

#[test]
fn a_refusal_is_told_with_its_rule_and_its_note() {
    for (args, gate, rule, note, refused) in [
        (
            &["--block", "203.0.113.0/24", "--from", "203.0.113.9"][..],
            Some("address      the address list, before the request"),
            "address",
            Some("203.0.113.9 is on the block list"),
            "403 Forbidden: this address may not connect",
        ),
        (
            &["--header", "Origin: https://evil.example", "ws://127.0.0.1:8080/chat/lobby"],
            Some("origin       AllowedOrigins"),
            "origin",
            Some(r#"origin "https://evil.example" is on no list, nor that of this server at "127.0.0.1:8080""#),
            "403 Forbidden: this origin may not connect",
        ),
        (
            &["--trusted-proxy", "127.0.0.1", "--header", &"X-Forwarded-For: 1.2.3.4,".repeat(65)],
            Some("proxy        TrustedProxies"),
            "proxy",
            None,
            "400 Bad Request: ",
        ),
        (&["/chat/attic"], Some("application  KnownRoom"), "room", None, "404 Not Found: no such room"),
        (&["/nowhere"], None, "route", None, "404 Not Found: no such route"),
        (&["--header", "Sec-WebSocket-Key:"], None, "handshake", None, "400 Bad Request: "),
        (&["--header", &format!("X: {}", "x".repeat(20_000))], None, "handshake", None, "431 "),
    ] {
        let (rows, status) = check(args);
        let refused_by =
            rows.iter().filter(|(title, _)| title == "gate").find_map(|(_, text)| text.split_once(": refused, "));
        assert_eq!(refused_by.map(|(by, _)| by), gate, "{args:?}");
        assert_eq!((row(&rows, "rule"), row(&rows, "note")), (Some(rule), note), "{args:?}");
        let last = rows.last().unwrap();
        assert!(last.0 == "refused" && last.1.starts_with(refused), "{args:?}: {last:?}");
        assert_eq!(status, 1, "{args:?}");
    }
}

#[test]
fn pages_meet_fewer_gates() {
    let (rows, status) = check(&["--header", "Origin: https://evil.example", "http://localhost/"]);
    assert_eq!((row(&rows, "gate"), row(&rows, "let in")), (None, Some("to the pages, which answer")));
    assert_eq!(status, 0);
    let (rows, status) = check(&["--block", "127.0.0.1", "http://localhost/"]);
    let gate = row(&rows, "gate").unwrap();
    assert!(gate.starts_with("address      the address list, before the request: refused, 403 Forbidden: "), "{gate}");
    assert_eq!(status, 1);
}

#[test]
fn what_cannot_be_understood_ends_with_2_and_without_an_answer() {
    for args in [
        &["--block", "203.0.113.0/33"][..],
        &["--allow-origin", "https://a.example/path"],
        &["--from", "somewhere"],
        &["--header", "no colon"],
        &["--header", "X: a\r\nY: b"],
        &["wss://localhost/chat/lobby"],
        &["chat/lobby"],
        &["/a b"],
    ] {
        assert_eq!(check(args), (vec![], 2), "{args:?}");
    }
}

struct Demo {
    child: Child,
    addr: String,
}

impl Demo {
    fn start(edge: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wsrv"))
            .args(["demo", "--listen", "127.0.0.1:0"])
            .args(edge)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let ready = lines.map(|line| line.strip_prefix("ready http://").map(str::to_owned)).find_map(|addr| addr);
        Demo { child, addr: ready.unwrap().trim_end_matches('/').to_owned() }
    }

    /// The status that this request is answered with.
    fn ask(&self, path: &str, headers: &[&str]) -> u16 {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        std::str::from_utf8(&status[9..]).unwrap().parse().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_demo_answers_as_check_has_told() {
    let edge = ["--trusted-proxy", "127.0.0.1", "--block", "203.0.113.0/24", "--allow-origin", "https://app.example"];
    let requests = [
        ("/chat/lobby", &[][..]),
        ("/stats", &["Origin: https://app.example"]),
        ("/stats", &["Origin: https://evil.example"]),
        ("/stats", &["X-Forwarded-For: 203.0.113.9"]),
        ("/stats", &["X-Forwarded-For: 203.0.113.9, 192.0.2.7"]),
        ("/chat/attic", &[]),
        ("/nowhere", &[]),
        ("/stats", &["Content-Length: 1"]),
        ("/stats", &["Host: two hosts"]),
    ];
    assert_eq!(answers(&edge, &requests), [101, 101, 403, 403, 101, 404, 404, 400, 400]);
    // At the accept, whatever the request is.
    assert_eq!(answers(&["--block", "127.0.0.1"], &requests), [403; 9]);
}

/// What the demo answers to these requests, which is what `wsrv check` tells of them.
fn answers(edge: &[&str], requests: &[(&str, &[&str])]) -> Vec<u16> {
    let demo = Demo::start(edge);
    let mut seen = Vec::new();
    for &(path, headers) in requests {
        let answered = demo.ask(path, headers);
        let headers: Vec<_> = headers.iter().flat_map(|header| ["--header", header]).collect();
        let (rows, status) = check(&[edge, &headers, &[path]].concat());
        let told = row(&rows, "let in").or(row(&rows, "refused")).unwrap();
        assert!(told.starts_with(&answered.to_string()), "{path} {headers:?}: {answered}, but {told}");
        assert_eq!(status == 0, answered == 101);
        seen.push(answered);
    }
    seen
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let (_, shown) = readme.split_once("$ wsrv check ").unwrap();
    let (command, rest) = shown.split_once('\n').unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    // Quoted are whole words only.
    let quoted = command.split('\'').enumerate();
    let words = quoted.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    let output = Command::new(env!("CARGO_BIN_EXE_wsrv")).arg("check").args(words).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown);
}
