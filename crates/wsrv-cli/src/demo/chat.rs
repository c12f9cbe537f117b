//! The chat rooms.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wsrv_app::prelude::*;

pub(crate) const ROOMS: [&str; 3] = ["lobby", "engine-room", "garden"];
const MAX_NAME: usize = 32;
const MAX_TEXT: usize = 2000;

pub(crate) struct Rooms {
    rooms: [Arc<Room>; ROOMS.len()],
}

pub(crate) struct Room {
    name: &'static str,
    group: Group<WebSocketConnection>,
    members: Mutex<BTreeMap<ConnectionId, String>>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        let room = |name| Arc::new(Room { name, group: Group::new(), members: Mutex::default() });
        Rooms { rooms: ROOMS.map(room) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Room>> {
        self.rooms.iter().find(|room| room.name == name)
    }
}

impl Room {
    /// Says something here; `id` 0 is nobody who is connected. False: there is nothing to say.
    pub(crate) fn say(&self, name: &str, id: u64, text: &str) -> bool {
        let text: String = text.trim().chars().take(MAX_TEXT).collect();
        if text.is_empty() {
            return false;
        }
        self.tell(&json!({ "type": "said", "name": name, "text": text, "id": id }));
        true
    }

    fn tell(&self, what: &Value) {
        self.group.send(what.to_string());
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, String>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> Vec<String> {
        self.members().values().cloned().collect()
    }
}

/// Handles the connections of all rooms.
pub(crate) struct Chat(Arc<Rooms>);

impl Chat {
    pub(crate) fn new(rooms: Arc<Rooms>) -> Self {
        Chat(rooms)
    }
}

/// A place in a room. Its drop gives it up, however the connection ends, and tells the others.
pub(crate) struct Seat {
    room: Arc<Room>,
    id: ConnectionId,
    name: String,
    membership: Option<Membership<WebSocketConnection>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Out of the group first: who has left hears nothing any more.
        drop(self.membership.take());
        self.room.members().remove(&self.id);
        self.room.tell(&json!({ "type": "left", "name": self.name, "members": self.room.names() }));
    }
}

impl Handler<WebSocketConnection> for Chat {
    type State = Seat;

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<Seat, Error> {
        let room = conn.param("room").and_then(|room| self.0.get(room)).ok_or("the gate lets nobody into no room")?;
        let name = name_of(conn);
        let mut seat = Seat { room: room.clone(), id: conn.id(), name, membership: None };
        room.members().insert(conn.id(), seat.name.clone());
        let members = room.names();
        room.tell(&json!({ "type": "joined", "name": seat.name, "members": members }));
        let welcome = json!({
            "type": "welcome", "id": conn.id().as_u64(), "room": room.name, "name": seat.name, "members": members,
        });
        conn.try_send(welcome.to_string())?;
        seat.membership = Some(room.group.join(conn));
        Ok(seat)
    }

    async fn on_message(&self, _: &WebSocketConnection, seat: &mut Seat, message: Message) -> Result<(), Error> {
        let text = message.as_text().ok_or_else(|| Error::new(Reason::BadData, "not a text message"))?;
        let what: Value = serde_json::from_str(text).map_err(|error| Error::new(Reason::BadData, error))?;
        match (what["type"].as_str(), what["text"].as_str()) {
            (Some("say"), Some(text)) => seat.room.say(&seat.name, seat.id.as_u64(), text),
            _ => return Err(Error::new(Reason::Policy, "not a message of the chat")),
        };
        Ok(())
    }
}

/// The name in the query, or one that is made up.
fn name_of(conn: &WebSocketConnection) -> String {
    let query = conn.request().query().unwrap_or_default().as_bytes();
    let given = form_urlencoded::parse(query).find(|(key, _)| key == "name").map(|(_, name)| name);
    let name: String = given.iter().flat_map(|name| name.trim().chars()).take(MAX_NAME).collect();
    if name.is_empty() { format!("guest {}", conn.id()) } else { name }
}
