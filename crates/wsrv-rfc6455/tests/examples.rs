//! Runs the examples and lets them talk to each other.

#![cfg(all(feature = "client", feature = "handshake"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

fn example(name: &str) -> Command {
    // Beside the folder this test program lies in.
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    Command::new(program.join("examples").join(name))
}

struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut server = example("tokio_server");
        let mut child = server.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().expect("the example is built");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, stdout, address: String::new() };
        let url = server.line();
        server.address = url.strip_prefix("ws://").and_then(|url| url.strip_suffix('/')).expect("a URL").to_owned();
        server
    }

    /// The next line that the server prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server sends until it ends the stream.
fn all(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn the_blocking_client_and_the_tokio_server_talk_and_close_in_good_order() {
    let mut server = Server::start();
    for text in ["größer als nichts", "", &"long ".repeat(20_000)] {
        let output = example("blocking_client").args([&server.address, text]).output().expect("the example is built");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{text}\nclosed: 1000 normal closure\n"));
        assert_eq!(server.line(), "Peer closed: 1000 normal closure \"\"");
    }
}

#[test]
fn the_tokio_server_tells_what_is_wrong_with_a_request_or_a_frame() {
    let mut server = Server::start();

    let mut stream = server.connect();
    stream.write_all(REQUEST.replace("Version: 13", "Version: 8").as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = String::from_utf8(all(stream)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
    assert!(answer.contains("\r\nsec-websocket-version: 13\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(server.line(), "failed: the WebSocket version must be 13");

    // A message and a frame that is not masked come together with the request.
    let mut stream = server.connect();
    stream.write_all(&[REQUEST.as_bytes(), b"\x82\x81\0\0\0\0a\x81\x05Hello"].concat()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = all(stream);
    assert!(answer.ends_with(b"\r\n\r\n\x82\x01a\x88\x1E\x03\xEAa client frame is not masked"), "{answer:?}");
    assert_eq!(server.line(), "Us closed: 1002 protocol error \"a client frame is not masked\"");
}

#[test]
fn the_blocking_client_tells_why_it_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = example("blocking_client").arg(address).stderr(Stdio::piped()).spawn().expect("the example is built");
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("403"), "{output:?}");
}
