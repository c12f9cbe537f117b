//! The codec alone, without tokio and without the driver: an echo server with a thread for each connection.
//!
//! It shows the codec's use and is no server for the Internet: a thread is not much to ask of an attacker.

use bytes::BytesMut;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader};
use wsrv_rfc6455::{CloseCode, CloseFrame, Limits, Received, Receiver, Sender};

fn main() -> io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(addr)?;
    println!("ws://{}/", listener.local_addr()?);
    loop {
        match listener.accept() {
            Ok((stream, _)) => drop(std::thread::spawn(|| serve(stream).unwrap_or_else(|error| eprintln!("{error}")))),
            // Lost before it was accepted, or no descriptor left; the next one may do better.
            Err(error) => {
                eprintln!("{error}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    let mut input = BytesMut::new();
    let mut output = BytesMut::new();

    // The opening handshake. (A server that answers refusals too is in wsrv-app.)
    let mut reader = HeadReader::new(HeadLimits::default());
    let head = loop {
        read(&mut stream, &mut input)?;
        if let Some(head) = reader.read(&mut input).map_err(io::Error::other)? {
            break head;
        }
    };
    let offer = handshake::check(&head).map_err(io::Error::other)?;
    handshake::encode_accept(&offer, None, &Default::default(), &mut output).map_err(io::Error::other)?;

    // Bytes in, messages out, and back.
    let mut receiver = Receiver::server(Limits::default());
    let mut sender = Sender::server();
    while !sender.is_closed() {
        let done = match receiver.receive(&mut input) {
            Ok(Received::Message(found)) => sender.message(receiver.take(found, &mut input), &mut output),
            Ok(Received::Ping(payload)) => sender.pong(&payload, &mut output),
            Ok(Received::Pong(_)) => Ok(()),
            Ok(Received::Close(frame)) => sender.close(frame.map(|f| CloseFrame::from(f.code)).as_ref(), &mut output),
            Ok(Received::Incomplete { .. }) => {
                stream.write_all(&output.split())?;
                match read(&mut stream, &mut input) {
                    Ok(()) => Ok(()),
                    Err(_) => sender.close(Some(&CloseCode::GOING_AWAY.into()), &mut output),
                }
            }
            Err(error) => sender.close(Some(&CloseFrame::new(error.close_code(), error.to_string())), &mut output),
        };
        done.map_err(io::Error::other)?;
    }
    stream.write_all(&output)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // A socket closed with unread input is reset, and the close frame may be lost.
    while read(&mut stream, &mut input).is_ok() {
        input.clear();
    }
    Ok(())
}

fn read(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<()> {
    let mut chunk = [0; 16 * 1024];
    match stream.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => {
            input.extend_from_slice(&chunk[..n]);
            Ok(())
        }
    }
}
