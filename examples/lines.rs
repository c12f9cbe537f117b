//! Plain TCP, one message a line, with the same driver and the same kind of handler as a WebSocket server.
//!
//! Try it with `nc 127.0.0.1 7000`; "quit" ends the conversation.

use bytes::Bytes;
use std::sync::Arc;
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{Connection, Driver, Error, Group, Handler, Listener, Membership, Reason};

#[derive(Default)]
struct Party {
    line: Group<LineConnection>,
}

impl Handler<LineConnection> for Party {
    type State = Membership<LineConnection>;

    async fn on_open(&self, conn: &LineConnection) -> Result<Self::State, Error> {
        conn.send(format!("welcome, you are {}", conn.id())).await?;
        Ok(self.line.join(conn))
    }

    async fn on_message(&self, conn: &LineConnection, me: &mut Self::State, line: Bytes) -> Result<(), Error> {
        if &line[..] == b"quit" {
            conn.send("goodbye").await?;
            conn.close(Reason::Done);
            return Ok(());
        }
        me.send_to_others([format!("{}: ", conn.id()).as_bytes(), &line].concat());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let party = Arc::new(Party::default());
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = Listener::bind(addr).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await;
        let party = party.clone();
        tokio::spawn(async move {
            let closed = Driver::accepted(stream, Lines::new(1024)).run(party).await;
            println!("{peer:?}: {closed}");
        });
    }
}
