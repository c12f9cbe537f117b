//! fastwebsockets behind hyper, as in its example of an echo server.

use crate::Error;
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError, upgrade};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::unconstrained;

pub async fn serve(stream: TcpStream) -> Result<(), Error> {
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(accept));
    Ok(connection.with_upgrades().await?)
}

async fn accept(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (answer, upgrade) = upgrade::upgrade(&mut request)?;
    tokio::spawn(unconstrained(echo(upgrade)));
    Ok(answer)
}

async fn echo(upgrade: upgrade::UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(upgrade.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
