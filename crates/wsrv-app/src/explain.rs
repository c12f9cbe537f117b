//! What a request would meet, told step by step.

use crate::admission;
use crate::host::Host;
use http::Extensions;
use std::net::SocketAddr;
use wsrv_http::{Explained, Gates, Opening, Params, Rejection, Said};
use wsrv_rfc6455::handshake::{RequestHead, check_http};

/// What a request would meet: the answer of [`Server::explain`](crate::Server::explain).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// What each gate has said, in the order in which they are asked: those of the app, then those of the route. Gates
    /// that come only after the request was refused are not all among them.
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
    /// It becomes a WebSocket, with this subprotocol.
    WebSocket {
        /// What the answer names. `None`: no subprotocol.
        subprotocol: Option<String>,
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
        let lines = gates.explain(opening).await;
        let refused = lines.iter().find_map(|line| match &line.said {
            Said::Refused(rejection) => Some(rejection.clone()),
            _ => None,
        });
        self.gates.extend(lines);
        refused.map_or(Ok(()), Err)
    }
}

/// Decides about the request as about every other, and goes no further.
pub(crate) async fn explain(host: &Host, request: RequestHead, mut peer: Option<SocketAddr>) -> Explanation {
    let mut account = Account::default();
    let decide = Box::pin(decide(host, request, &mut peer, &mut account));
    let outcome = admission::unpanicking(decide).await.unwrap_or_else(Outcome::Refused);
    let Account { gates, route, params } = account;
    Explanation { gates, remote_addr: peer, route, params, outcome }
}

async fn decide(
    host: &Host,
    request: RequestHead,
    peer: &mut Option<SocketAddr>,
    account: &mut Account,
) -> Result<Outcome, Rejection> {
    if !request.is_upgrade() {
        check_http(&request)?;
        #[cfg(feature = "http")]
        if host.fallback.is_some() {
            admission::decide_page(host, request, peer, Extensions::new(), Some(account)).await?;
            return Ok(Outcome::Page);
        }
    }
    let admitted = admission::decide(host, request, peer, Extensions::new(), Some(account)).await?;
    Ok(Outcome::WebSocket { subprotocol: admitted.subprotocol().map(str::to_owned) })
}
