//! A server and its clients, without a socket: texts go from hand to hand.
//!
//! Prints what is sent, each line in the direction it goes. `cargo run -p wsrv-wamp --example messages`

use std::collections::BTreeSet;

use wsrv_wamp::message::{
    encode_call_error, encode_event, encode_welcome, serialize_call_error, serialize_call_result,
};
use wsrv_wamp::{
    ClientEvent, ClientMessage, ClientSession, Dialect, Exclude, MessageLimits, Prefixes, Recipients, uris,
};

/// What a server keeps of one connection.
struct Session {
    id: &'static str,
    prefixes: Prefixes,
    topics: BTreeSet<String>,
}

/// A server of one procedure, on which every topic may be used.
struct Server {
    dialect: Dialect,
    limits: MessageLimits,
    sessions: Vec<Session>,
}

impl Server {
    /// Takes a message of one session. What comes out are texts, and the sessions they go to.
    fn receive(&mut self, from: usize, text: &str) -> Vec<(usize, String)> {
        let message = match ClientMessage::parse_in(text, &self.limits, &self.dialect) {
            Ok(message) => message,
            // A real server closes the connection if it is no call, see `Dialect::malformed`.
            Err(error) => {
                let answer = error.call_id().map(|id| encode_call_error(id, uris::GENERIC, &error.to_string(), None));
                return answer.map(|answer| (from, answer)).into_iter().collect();
            }
        };
        let session = &mut self.sessions[from];
        match message {
            ClientMessage::Prefix { prefix, uri } => {
                if let Err(error) = session.prefixes.set(&prefix, &uri) {
                    println!("     {error}");
                }
                Vec::new()
            }
            ClientMessage::Call { id, procedure, arguments } => {
                let arguments = match self.dialect.unwrap_arguments {
                    true => arguments.unwrapped().unwrap_or(arguments),
                    false => arguments,
                };
                let answer = match &*session.prefixes.resolve(&procedure) {
                    "http://example.com/calc#add" => match arguments.deserialize::<(f64, f64)>() {
                        Ok((a, b)) => serialize_call_result(&id, &(a + b)).expect("a number is JSON"),
                        Err(error) => encode_call_error(&id, uris::INVALID_ARGUMENT, &error.to_string(), None),
                    },
                    unknown => serialize_call_error(&id, uris::NO_SUCH_RPC_ENDPOINT, "no such procedure", unknown)
                        .expect("a string is JSON"),
                };
                vec![(from, answer)]
            }
            ClientMessage::Subscribe { topic } => {
                session.topics.insert(session.prefixes.resolve(&topic).into_owned());
                Vec::new()
            }
            ClientMessage::Unsubscribe { topic } => {
                session.topics.remove(&*session.prefixes.resolve(&topic));
                Vec::new()
            }
            ClientMessage::Publish { topic, event, exclude, eligible } => {
                let topic = session.prefixes.resolve(&topic);
                let recipients = Recipients::new(&exclude, eligible.as_deref(), Some(session.id), &self.dialect);
                // Written once, whatever the number of subscribers.
                let text = encode_event(&topic, event);
                let subscribers = (0..).zip(&self.sessions).filter(|(_, session)| session.topics.contains(&*topic));
                subscribers
                    .filter(|(_, session)| recipients.includes(session.id))
                    .map(|(to, _)| (to, text.clone()))
                    .collect()
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Real ids are random: whoever knows one can exclude its session.
    let ids = ["alice-1", "bob-2"];
    let dialect = Dialect::default();
    let sessions =
        ids.map(|id| Session { id, prefixes: Prefixes::new().with_join(dialect.join), topics: BTreeSet::new() });
    let mut server = Server { dialect, limits: MessageLimits::default(), sessions: sessions.into() };
    let mut clients = [ClientSession::new(), ClientSession::new()];
    for (client, id) in clients.iter_mut().zip(ids) {
        arrive(client, id, &encode_welcome(id, "messages"))?;
    }

    let alice = &mut clients[0];
    let mut sent = vec![
        (0, alice.prefix("calc", "http://example.com/calc#")?),
        (0, alice.call("calc:add", &(23, 7.5))?.1),
        (0, alice.call("calc:add", &("23",))?.1),
        (0, alice.call("calc:divide", &(23, 7))?.1),
    ];
    sent.extend((0..).zip(&clients).map(|(at, client)| (at, client.subscribe("http://example.com/chat"))));
    let bob = &clients[1];
    sent.push((1, bob.publish("http://example.com/chat", "hello")?));
    sent.push((1, bob.publish_to("http://example.com/chat", "hello, me too", &Exclude::Me(false), None)?));

    for (from, text) in sent {
        println!("{} → {text}", ids[from]);
        for (to, answer) in server.receive(from, &text) {
            arrive(&mut clients[to], ids[to], &answer)?;
        }
    }
    assert!(clients.iter_mut().all(|client| client.fail_all().is_empty()), "each call is answered");
    Ok(())
}

/// A client takes a message of the server.
fn arrive(client: &mut ClientSession, id: &str, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    println!("{id} ← {text}");
    match client.receive(text)? {
        Some(ClientEvent::CallResult { call, result }) => println!("     call {call} gave {result}"),
        Some(ClientEvent::CallError { call, uri, description, .. }) => {
            println!("     call {call} failed: {uri} {description}");
        }
        Some(ClientEvent::Event { topic, event }) => println!("     {topic}: {event}"),
        _ => {}
    }
    Ok(())
}
