//! A chat as it was written for Ratchet, moved to wsrv method by method, for the same clients.
//!
//! The PHP it comes from is one class that implements `WampServerInterface`. Its rooms are topics. It keeps an array of
//! rooms with what was said in them, gives each connection a nickname in a property, answers calls in one long `switch`,
//! broadcasts by itself, tells who comes and goes, and lets whoever has created a room ban people by `IpBlackList`.
//!
//! | there | here |
//! |---|---|
//! | `onOpen`: a first nickname | [`nick`], made up when somebody asks for it |
//! | `onCall`: the `switch` | one function for each case: [`set_nick`], [`create_room`], [`members`], [`ban`] |
//! | … and its `default` | [`Wamp::faults`], since what there is not is known without us |
//! | `onSubscribe`: removes who has no business there | [`Rooms::on_subscribe`], which refuses before it happens |
//! | … sends what was said before, and tells the others | [`Rooms::on_subscribed`] |
//! | `onUnSubscribe`, and the loop over all rooms in `onClose` | [`Rooms::on_unsubscribed`], called for both |
//! | `onPublish` | [`Rooms::on_publish`] |
//! | `onError`: logs, closes | nothing: errors are logged, and end what has failed |
//! | the array of rooms | [`Chat`], behind a lock, since connections run on several threads |
//! | `new App(…)`, `route`, `IpBlackList` | [`main`] |
//!
//! A client registers prefixes as Ratchet's clients do, without the `#`: `chat` for `http://chat.example/chat` and `room`
//! for `http://chat.example/room`. It calls `chat:create-room` with a title, subscribes to `room:1`, publishes texts.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wsrv_app::prelude::*;
use wsrv_app::wsrv_wamp::{
    Args, CallError, Dialect, Event, Exclude, Fault, Publication, Recipients, SessionId, State, TopicContext,
    TopicHandler, TopicRefusal, TopicRegistry, Wamp, WampConnection,
};

const LOBBY: &str = "http://chat.example/chat#rooms";
/// Clients create them, so there is a limit.
const MAX_ROOMS: usize = 100;
const MAX_HISTORY: usize = 50;
const MAX_TITLE: usize = 60;
const MAX_TEXT: usize = 1_000;

struct Chat {
    topics: TopicRegistry,
    banned: Addresses,
    rooms: Mutex<AllRooms>,
}

#[derive(Default)]
struct AllRooms {
    /// By topic.
    rooms: BTreeMap<String, Room>,
    last: u64,
}

struct Room {
    title: String,
    operator: SessionId,
    history: VecDeque<Event>,
    /// How many events there have been: each has its number, by which a client knows what it has seen.
    events: u64,
}

impl Chat {
    fn rooms(&self) -> MutexGuard<'_, AllRooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends to a room and remembers it. All under the lock, so that numbers and events have one order. False: there is
    /// no such room.
    fn tell(&self, topic: &str, mut event: Value, recipients: &Recipients<'_>) -> bool {
        let mut all = self.rooms();
        let Some(room) = all.rooms.get_mut(topic) else { return false };
        room.events += 1;
        event["n"] = room.events.into();
        let Ok(event) = serde_json::value::to_raw_value(&event) else { return false };
        if room.history.len() == MAX_HISTORY {
            room.history.pop_front();
        }
        room.history.push_back(Event::raw(topic, &event));
        // Sending to a topic never waits: who is slow has a queue of its own.
        self.topics.topic(topic).publish_raw_to(&event, recipients);
        true
    }

    fn remove(&self, all: &mut AllRooms, topic: &str) {
        if all.rooms.remove(topic).is_some() {
            let _ = self.topics.topic(LOBBY).publish(&json!({ "gone": topic }));
        }
    }

    /// Removes those that somebody has created and nobody has entered.
    fn remove_empty(&self, all: &mut AllRooms) {
        let topics: Vec<String> = all.rooms.keys().cloned().collect();
        for topic in topics.iter().filter(|topic| self.topics.topic(topic.as_str()).is_empty()) {
            self.remove(all, topic);
        }
    }
}

// ---- onOpen: $conn->nick = … --------------------------------------------------------------------------------

/// What Ratchet keeps in a property of the connection is an attribute here: one value for each type.
#[derive(Clone)]
struct Nick(String);

fn nick(conn: &WampConnection) -> String {
    conn.attributes().get().map_or_else(|| format!("guest {}", conn.id()), |Nick(nick)| nick)
}

// ---- onCall -------------------------------------------------------------------------------------------------

fn refused(why: &'static str) -> CallError {
    CallError::new("http://chat.example/error#refused", why)
}

/// At most so many characters, without blanks around them. The page shows it as text, so nothing is escaped here.
fn shortened(text: &str, max: usize) -> Result<String, CallError> {
    let text: String = text.trim().chars().take(max).collect();
    if text.is_empty() { Err(refused("there is nothing in it")) } else { Ok(text) }
}

/// `case 'set-nick'`. There it took `$params[0]`, and a notice if there was none; here a call without a text never comes
/// this far.
async fn set_nick(caller: WampConnection, Args((wish,)): Args<(String,)>) -> Result<String, CallError> {
    let nick = shortened(&wish, MAX_TITLE)?;
    caller.attributes().set(Nick(nick.clone()));
    Ok(nick)
}

/// `case 'create-room'`: returns the room, and tells the lobby.
async fn create_room(
    caller: WampConnection,
    State(chat): State<Chat>,
    Args((title,)): Args<(String,)>,
) -> Result<Value, CallError> {
    let title = shortened(&title, MAX_TITLE)?;
    let topic = {
        let mut all = chat.rooms();
        if all.rooms.len() == MAX_ROOMS {
            chat.remove_empty(&mut all);
        }
        if all.rooms.len() == MAX_ROOMS {
            return Err(refused("there are enough rooms"));
        }
        all.last += 1;
        let topic = format!("http://chat.example/room#{}", all.last);
        let operator = caller.session_id().clone();
        let room = Room { title: title.clone(), operator, history: VecDeque::new(), events: 0 };
        all.rooms.insert(topic.clone(), room);
        topic
    };
    let room = json!({ "topic": topic, "title": title });
    chat.topics.topic(LOBBY).publish(&json!({ "created": room }))?;
    Ok(room)
}

/// `case 'members'`: `foreach ($topic as $conn)`. A room in the arguments may have a prefix, as it may everywhere else.
async fn members(
    caller: WampConnection,
    State(chat): State<Chat>,
    Args((room,)): Args<(String,)>,
) -> Result<Vec<String>, CallError> {
    let mut nicks = Vec::new();
    chat.topics.topic(&*caller.resolve(&room)).for_each(|member| nicks.push(nick(member)));
    nicks.sort();
    Ok(nicks)
}

/// `case 'ban'`: `$blackList->blockAddress(…)` for everybody of that name in the room. `$conn->close()` goes without
/// saying: who is connected from a blocked address is closed.
async fn ban(
    caller: WampConnection,
    State(chat): State<Chat>,
    Args((room, name)): Args<(String, String)>,
) -> Result<usize, CallError> {
    let topic = caller.resolve(&room);
    if chat.rooms().rooms.get(&*topic).is_none_or(|room| room.operator != *caller.session_id()) {
        return Err(refused("you have not created this room"));
    }
    let mut banned = Vec::new();
    chat.topics.topic(&*topic).for_each(|member| {
        if nick(member) == name {
            banned.extend(member.remote_addr().map(|addr| addr.ip()));
        }
    });
    chat.banned.block_all(banned.iter().copied());
    Ok(banned.len())
}

/// `default:`, with the procedure for its error's URI, as these clients know it.
fn no_such_call(fault: &Fault) -> Option<CallError> {
    match fault {
        Fault::NoSuchProcedure { uri } => Some(CallError::new(uri.clone(), "there is no such call")),
        _ => None,
    }
}

// ---- onSubscribe, onUnSubscribe, onPublish, onClose ---------------------------------------------------------

struct Rooms(Arc<Chat>);

impl Rooms {
    fn tell_others(&self, cx: &TopicContext, what: &str) {
        let conn = cx.connection();
        self.0.tell(cx.topic().uri(), json!({ what: nick(conn) }), &conn.recipients(&Exclude::Me(true), None));
    }
}

impl TopicHandler for Rooms {
    /// `onSubscribe`, as far as it refuses. There everybody has subscribed already and is removed again.
    async fn on_subscribe(&self, cx: &TopicContext) -> Result<(), TopicRefusal> {
        match self.0.rooms().rooms.contains_key(cx.topic().uri()) {
            true => Ok(()),
            false => Err(TopicRefusal::new("there is no such room")),
        }
    }

    /// `onSubscribe`, the rest: `$conn->event($topic, …)` for who comes late, `$topic->broadcast(…)` for the others.
    ///
    /// Others are served meanwhile, which a single thread in PHP rules out: an event may come to the new one by both
    /// ways. Its number tells.
    async fn on_subscribed(&self, cx: &TopicContext) {
        let history: Vec<Event> = {
            let all = self.0.rooms();
            all.rooms.get(cx.topic().uri()).into_iter().flat_map(|room| room.history.iter().cloned()).collect()
        };
        for event in &history {
            if cx.connection().event(event).await.is_err() {
                return;
            }
        }
        self.tell_others(cx, "joined");
    }

    /// `onUnSubscribe`, and what `onClose` did in a loop: it is called for each room of a connection that ends.
    async fn on_unsubscribed(&self, cx: &TopicContext) {
        self.tell_others(cx, "left");
        let mut all = self.0.rooms();
        if cx.topic().is_empty() {
            self.0.remove(&mut all, cx.topic().uri());
        }
    }

    /// `onPublish`, which broadcasts by itself, so that the history has the same order: `None` leaves nothing for the
    /// server to publish. What the client has said about who receives it counts as in
    /// `$topic->broadcast($event, $exclude, $eligible)`.
    async fn on_publish(
        &self,
        cx: &TopicContext,
        publication: Publication,
    ) -> Result<Option<Publication>, TopicRefusal> {
        if !cx.topic().contains(cx.connection()) {
            return Err(TopicRefusal::new("who is not in the room says nothing there"));
        }
        let said: Option<String> = serde_json::from_str(publication.event.get()).ok();
        let Some(text) = said.and_then(|said| shortened(&said, MAX_TEXT).ok()) else {
            return Err(TopicRefusal::new("not a text"));
        };
        let (conn, eligible) = (cx.connection(), publication.eligible.as_deref());
        let recipients = conn.recipients(&publication.exclude, eligible);
        self.0.tell(cx.topic().uri(), json!({ "said": text, "by": nick(conn) }), &recipients);
        Ok(None)
    }
}

/// The lobby: `case 'chat#rooms'` in the same methods. Only the server speaks there.
struct Lobby(Arc<Chat>);

impl TopicHandler for Lobby {
    async fn on_subscribed(&self, cx: &TopicContext) {
        let rooms: Vec<Value> = {
            let all = self.0.rooms();
            all.rooms.iter().map(|(topic, room)| json!({ "topic": topic, "title": room.title })).collect()
        };
        if let Ok(event) = Event::new(LOBBY, &json!({ "rooms": rooms })) {
            let _gone = cx.connection().event(&event).await;
        }
    }

    async fn on_publish(&self, _: &TopicContext, _: Publication) -> Result<Option<Publication>, TopicRefusal> {
        Err(TopicRefusal::new("only the server speaks in the lobby"))
    }
}

// ---- The script that ran it ---------------------------------------------------------------------------------

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let wamp = Wamp::new();
    let chat = Arc::new(Chat { topics: wamp.topics(), banned: Addresses::new(), rooms: Mutex::default() });
    let wamp = wamp
        .dialect(Dialect::ratchet())
        .faults(no_such_call)
        .state(chat.clone())
        .procedure("http://chat.example/chat#set-nick", set_nick)
        .procedure("http://chat.example/chat#create-room", create_room)
        .procedure("http://chat.example/chat#members", members)
        .procedure("http://chat.example/chat#ban", ban)
        .topic(LOBBY, Lobby(chat.clone()))
        .topic("http://chat.example/room#{id}", Rooms(chat.clone()));
    let server =
        App::new().addresses(chat.banned.clone()).route("/chat", Route::wamp(wamp.build()?)).bind(addr).await?;
    println!("ws://{}/chat", server.local_addr()?);
    server.serve().await;
    Ok(())
}
