//! An echo server on tokio, with a task for each connection.
//!
//! `Protocol` has the buffers, answers pings and carries out the closing handshake. What is left are the stream and the
//! clock: every wait for a peer has an end here, as it must in any server. How many connections there may be is not
//! limited, though it should be on the Internet.

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use wsrv_rfc6455::handshake::{self, HeadLimits, HeadReader};
use wsrv_rfc6455::{CloseCode, CloseFrame, Closed, Event, Limits, Protocol};

/// For the request, for taking what we write, and for answering our close.
const PATIENCE: Duration = Duration::from_secs(10);
/// For saying anything at all. Longer silence ends the connection.
const IDLE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(addr).await?;
    println!("ws://{}/", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(async {
                match serve(stream).await {
                    Ok(closed) => println!("{:?} closed: {} {:?}", closed.began, closed.code, closed.reason.as_str()),
                    Err(error) => println!("failed: {error}"),
                }
            })),
            // Lost before it was accepted, or no descriptor left; the next one may do better.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(mut stream: TcpStream) -> Result<Closed> {
    let mut buffer = BytesMut::new();
    timeout(PATIENCE, open(&mut stream, &mut buffer)).await??;
    let mut server = Protocol::server(Limits::default());
    server.received(&buffer); // frames that came together with the request

    let mut until = None; // when the closing handshake that we have begun must be over
    loop {
        // Events end with `None`, or with a fault; then the output tells the peer about it.
        while let Ok(Some(event)) = server.next() {
            if let Event::Message(message) = event
                && !server.is_closing()
            {
                server.send(message).map_err(Error::other)?;
            }
        }
        timeout(PATIENCE, stream.write_all(server.output())).await??;
        server.written(server.output().len());
        if server.is_finished() {
            break;
        }
        let deadline = until.unwrap_or_else(|| Instant::now() + IDLE);
        match timeout_at(deadline, stream.read_buf(server.read_buffer())).await.ok().transpose()? {
            Some(1..) => {}
            None if until.is_none() => {
                server.close(Some(&CloseFrame::new(CloseCode::NORMAL, "idle"))).map_err(Error::other)?;
                until = Some(Instant::now() + PATIENCE);
            }
            // The stream has ended, or the peer does not answer our close.
            _ => drop(server.ended()),
        }
    }

    finish(&mut stream).await?;
    Ok(server.closed().cloned().expect("the loop ends with it"))
}

async fn finish(stream: &mut TcpStream) -> Result<()> {
    stream.shutdown().await?;
    // A socket closed with unread input is reset, and what was written last may be lost with it.
    let _ = timeout(PATIENCE, tokio::io::copy(stream, &mut tokio::io::sink())).await;
    Ok(())
}

/// The opening handshake. What follows the request stays in the buffer.
async fn open(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<()> {
    let mut reader = HeadReader::new(HeadLimits::default());
    let head = loop {
        match reader.read(buffer) {
            Ok(Some(head)) => break head,
            Ok(None) if stream.read_buf(buffer).await? > 0 => {}
            Ok(None) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) => return refuse(stream, error.status(), HeaderMap::new(), error).await,
        }
    };
    match handshake::check(&head) {
        Ok(offer) => {
            let mut answer = BytesMut::new();
            handshake::encode_accept(&offer, None, &HeaderMap::new(), &mut answer).map_err(Error::other)?;
            stream.write_all(&answer).await
        }
        Err(error) => refuse(stream, error.status(), error.headers().collect(), error).await,
    }
}

/// Answers with a status and no page. After that the connection must be closed.
async fn refuse(
    stream: &mut TcpStream,
    status: StatusCode,
    headers: HeaderMap,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Result<()> {
    let mut answer = format!("HTTP/1.1 {status}\r\nConnection: close, upgrade\r\nContent-Length: 0\r\n");
    for (name, value) in &headers {
        answer += &format!("{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    answer += "\r\n";
    stream.write_all(answer.as_bytes()).await?;
    finish(stream).await?;
    Err(Error::other(error))
}
