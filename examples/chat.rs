//! Rooms at `ws://127.0.0.1:8080/rooms/{room}`: what one says, the others in the room hear.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use wsrv_app::prelude::*;

#[derive(Default)]
struct Chat {
    rooms: Mutex<HashMap<String, Group<WebSocketConnection>>>,
}

impl Chat {
    /// Enters the room of that name. Rooms that nobody is in any more are forgotten on the way, so there are never
    /// more than people.
    fn join(&self, name: &str, conn: &WebSocketConnection) -> Membership<WebSocketConnection> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.retain(|_, room| !room.is_empty());
        rooms.entry(name.to_owned()).or_default().join(conn)
    }
}

impl Handler<WebSocketConnection> for Chat {
    /// Leaves the room when dropped.
    type State = Membership<WebSocketConnection>;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Self::State, Error> {
        let me = self.join(conn.param("room").unwrap_or_default(), conn);
        me.send_to_others(format!("{} has joined", conn.id()));
        conn.send(format!("{} others are here", me.group().len() - 1)).await?;
        Ok(me)
    }

    async fn on_message(&self, conn: &WebSocketConnection, me: &mut Self::State, said: Message) -> Result<(), Error> {
        let said = said.as_text().ok_or_else(|| Error::new(Reason::BadData, "this chat is for text"))?;
        me.send_to_others(format!("{}: {said}", conn.id()));
        Ok(())
    }

    async fn on_close(&self, conn: &WebSocketConnection, me: Self::State, _: Closed) {
        me.send_to_others(format!("{} has left", conn.id()));
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let server = App::new().route("/rooms/{room}", Chat::default()).bind(addr).await?;
    println!("ws://{}/rooms/lobby", server.local_addr()?);
    server.serve().await;
    Ok(())
}
