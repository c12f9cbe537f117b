//! A client on a blocking socket: it sends one message, shows what comes back, and closes.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use wsrv_rfc6455::handshake::{AnswerReader, ClientRequest, HeadLimits};
use wsrv_rfc6455::{CloseCode, Event, Limits, Protocol};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let host = args.next().unwrap_or("127.0.0.1:8080".into());
    let message = args.next().unwrap_or("hello".into());
    let mut stream = TcpStream::connect(&host)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?; // reading fails then, and so does the client

    let mut buffer = BytesMut::new();
    let expected = ClientRequest::new(&host, "/")?.encode(&mut buffer)?;
    stream.write_all(&buffer.split())?;
    let mut reader = AnswerReader::new(HeadLimits::default());
    let head = loop {
        match reader.read(&mut buffer)? {
            Some(head) => break head,
            None if read(&mut stream, &mut buffer)? > 0 => {}
            None => return Err("the server is gone".into()),
        }
    };
    expected.check(&head)?;

    let mut client = Protocol::client(Limits::default());
    client.received(&buffer); // frames that came together with the answer
    client.send(message)?;
    while !client.is_finished() {
        // Events end with `None`, or with a fault; then the output tells the server about it.
        while let Ok(Some(event)) = client.next() {
            if let Event::Message(message) = event {
                println!("{}", message.as_text().unwrap_or("something binary"));
                if !client.is_closing() {
                    client.close(Some(&CloseCode::NORMAL.into()))?;
                }
            }
        }
        stream.write_all(client.output())?;
        client.written(client.output().len());
        if client.closed().is_none() && read(&mut stream, client.read_buffer())? == 0 {
            client.ended();
        }
    }
    let closed = client.closed().expect("the loop ends with it");
    println!("closed: {}{}", closed.code, if closed.clean { "" } else { ", not in good order" });

    // The server is to end the stream first, so that the ports wait at its side.
    while read(&mut stream, &mut buffer)? > 0 {
        buffer.clear();
    }
    Ok(())
}

fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> std::io::Result<usize> {
    let mut bytes = [0; 16 * 1024];
    let size = stream.read(&mut bytes)?;
    buffer.extend_from_slice(&bytes[..size]);
    Ok(size)
}
