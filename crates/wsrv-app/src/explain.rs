//! What a request would meet, told step by step.

use crate::admission;
use crate::host::Host;
use http::Extensions;
use std::net::SocketAddr;
use wsrv_http::{Explained, Gates, Opening, Params, Rejection, Said, Stage};
use wsrv_rfc6455::handshake::{RequestHead, check_http};

/// What a request would meet: the answer of [`Server::explain`](crate::Server::explain), and of a service's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// What each gate has said, in the order in which they are asked: those of the app, then those of the route. Gates
    /// that come only after the request was refused are not all among them. Where the address is refused before
    /// there is a request, that is the only line.
    pub gates: Vec<Explained>,
    /// Where the request comes from, as the gates for every request have left it.
    pub remote_addr: Option<SocketAddr>,
    /// The route that was found: its host, if it has one, and its path, as they were given. `None`: there is none, or
    /// it was not looked for.
    pub route: Option<String>,
    /// The route's parameters.
    pub params: Params,
    /// The answer.
    pub outcome: Outcome,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It becomes a WebSocket, with this subprotocol and these extensions.
    WebSocket {
        /// What the answer names. `None`: no subprotocol.
        subprotocol: Option<String>,
        /// What the answer's `Sec-WebSocket-Extensions` would be: whether messages are compressed, and how. `None`: they are
        /// not.
        extensions: Option<String>,
    },
    /// It asks for no upgrade and goes to `App::http`, whatever that answers.
    Page,
    /// It is refused.
    Refused(Rejection),
}

/// What is written down on a request's way.
#[derive(Debug, Default)]
pub(crate) struct Account {
    gates: Vec<Explained>,
    pub(crate) route: Option<String>,
    pub(crate) params: Params,
}

impl Account {
    /// Asks the gates and writes down what they say.
    pub(crate) async fn ask(&mut self, gates: &Gates, opening: &mut Opening) -> Result<(), Rejection> {
        gates.explain(opening, &mut self.gates).await
    }
}

/// What is asked of an address before there is a request is no gate, and refuses as one.
const AT_THE_ACCEPT: &str = "the address list, before the request";

/// Decides about the request as about every other, and goes no further. `pages`: it came by a listener of ours, which
/// has to do with those, too.
pub(crate) async fn explain(
    host: &Host,
    request: RequestHead,
    mut peer: Option<SocketAddr>,
    pages: bool,
) -> Explanation {
    let mut account = Account::default();
    let decide = Box::pin(decide(host, request, &mut peer, &mut account, pages));
    let outcome = admission::unpanicking(decide).await.unwrap_or_else(Outcome::Refused);
    let Account { gates, route, params } = account;
    Explanation { gates, remote_addr: peer, route, params, outcome }
}

async fn decide(
    host: &Host,
    request: RequestHead,
    peer: &mut Option<SocketAddr>,
    account: &mut Account,
    pages: bool,
) -> Result<Outcome, Rejection> {
    // As at the accept, before there is a request.
    host.check_address(*peer).inspect_err(|rejection| {
        let said = Said::Refused(rejection.clone());
        account.gates.push(Explained { gate: AT_THE_ACCEPT.into(), stage: Stage::Address, said });
    })?;
    if pages && !request.is_upgrade() {
        check_http(&request)?;
        #[cfg(feature = "http")]
        if host.fallback.is_some() {
            admission::decide_page(host, request, peer, Extensions::new(), Some(account)).await?;
            return Ok(Outcome::Page);
        }
    }
    let admitted = admission::decide(host, request, peer, Extensions::new(), Some(account)).await?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(Outcome::WebSocket { subprotocol: owned(admitted.subprotocol()), extensions: owned(admitted.extensions()) })
}
