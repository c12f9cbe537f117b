//! What the server knows of a visitor by their session at the [front end](super::front), told over their own socket.

use super::front::FrontEnd;
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};
use wsrv_app::prelude::*;
use wsrv_app::wsrv_session::{Session, SessionOf, SessionWatch, State};

pub(crate) const PATH: &str = "/session";
const INTERVAL: Duration = Duration::from_secs(1);
const MAX_MESSAGE: usize = 1024;

/// The route that leads there. Anybody is let in, and told why they are nobody if they are.
pub(crate) fn route(front: &FrontEnd) -> Route {
    let watch = SessionWatch::every(INTERVAL).keep_same("user");
    Route::new(watch.around(from_fn(tell)))
        .gate(front.sessions().clone())
        .message_limits(MessageLimits::default().with_max_message(MAX_MESSAGE))
}

/// Tells it at once, and whenever it is asked to look again.
async fn tell(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    let session = socket.connection().session().cloned().ok_or("there is a gate for sessions")?;
    socket.send(describe(&session).to_string()).await?;
    while let Some(message) = socket.recv().await {
        match message.as_text() {
            Some("reload") => socket.send(describe(&session.reload().await?).to_string()).await?,
            _ => return Err(Error::new(Reason::Policy, "it can be asked to reload, and nothing else")),
        }
    }
    Ok(())
}

fn describe(session: &Session) -> Value {
    let values = session.is_present().then(|| session.data().root().to_json().ok()).flatten();
    let expires = session.expires().and_then(|end| end.duration_since(UNIX_EPOCH).ok());
    json!({
        "state": format!("{:?}", session.state()),
        "why": why(session.state()),
        // Not the id itself: who reads it over somebody's shoulder could log in with it.
        "id": session.id().map(ToString::to_string),
        "expires_unix_s": expires.map(|expires| expires.as_secs()),
        "values": values.and_then(|values| serde_json::from_str::<Value>(&values).ok()),
    })
}

fn why(state: State) -> &'static str {
    match state {
        State::Present => "the cookie names a session that the front end keeps",
        State::NoCredentials => "the request came without the front end's cookie",
        State::Gone => "the cookie names a session that has ended, or never was",
        State::Refused(_) => "the cookie cannot be of this front end",
        _ => "it could not be read",
    }
}
