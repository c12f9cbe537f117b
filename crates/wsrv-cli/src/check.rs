//! `wsrv check`: what a request would meet, told by the demo's own gates.

use crate::demo;
use crate::edge::Edge;
use clap::Args;
use http::header::{HOST, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Uri};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_rfc6455::handshake::{HeadLimits, RequestHead};
use wsrv_app::{Explanation, Outcome};

#[derive(Args)]
#[command(after_help = "Exit status: 0 the request is let in, 1 it is refused, 2 the question cannot be understood.")]
pub(crate) struct Options {
    /// What is asked for: a path, ws://HOST/PATH, or http://HOST/PATH for a page.
    #[arg(value_name = "URL", default_value = "/chat/lobby")]
    target: Target,
    /// Where the request comes from: the peer at the socket, which may be a proxy. An address, with a port or without.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", value_parser = peer)]
    from: SocketAddr,
    /// A header of the request, as 'NAME: VALUE', in place of what a client would send under this name by itself; without
    /// a value, there is none. May be given several times.
    #[arg(long, value_name = "HEADER")]
    header: Vec<Header>,
    #[command(flatten)]
    edge: Edge,
}

#[derive(Clone)]
struct Target {
    path: PathAndQuery,
    host: Option<HeaderValue>,
    is_page: bool,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            let path = text.parse().map_err(|error| format!("{error}"))?;
            return Ok(Target { path, host: None, is_page: false });
        }
        let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
        let is_page = match uri.scheme_str() {
            Some("ws") => false,
            Some("http") => true,
            Some("wss" | "https") => {
                return Err("the demo speaks no TLS; ask with ws:// or http://, as the proxy that ends it does".into());
            }
            _ => return Err("expected a path, ws://HOST/PATH or http://HOST/PATH".into()),
        };
        let host = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        Ok(Target { path, host, is_page })
    }
}

fn peer(text: &str) -> Result<SocketAddr, String> {
    let addr = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.parse::<SocketAddr>());
    let addr = addr.map_err(|_| "expected an IP address, with a port or without")?;
    // As a listener tells it.
    Ok(RemoteAddr::canonical(addr))
}

#[derive(Clone)]
struct Header {
    name: HeaderName,
    /// `None`: no such header at all.
    value: Option<HeaderValue>,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
        let name = name.parse().map_err(|error| format!("{error}"))?;
        let value = match value.trim() {
            "" => None,
            value => Some(HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?),
        };
        Ok(Header { name, value })
    }
}

impl Options {
    /// What a client sends that says no more than it has to, but for the headers that were given.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, self.target.host.clone().unwrap_or(HeaderValue::from_static("localhost")));
        if !self.target.is_page {
            // Any key will do; this one is that of RFC 6455 §1.3.
            for (name, value) in [
                ("upgrade", "websocket"),
                ("connection", "Upgrade"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        for Header { name, .. } in &self.header {
            headers.remove(name);
        }
        for Header { name, value } in &self.header {
            if let Some(value) = value {
                headers.append(name, value.clone());
            }
        }
        headers
    }
}

/// Asks, and prints what is said.
pub(crate) async fn run(options: Options) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut request = Request::new(());
    *request.uri_mut() = options.target.path.clone().into();
    *request.headers_mut() = options.headers();
    let (parts, ()) = request.into_parts();
    let app = demo::app(&options.edge)?;
    let head = RequestHead::from_parts(&parts, HeadLimits::default());
    let kind = match &head {
        Ok(head) if head.is_upgrade() => "a WebSocket",
        Ok(_) => "a page",
        Err(_) => "something",
    };
    row("request", format_args!("{kind} at {}", options.target.path));
    row("from", options.from.ip());
    let head = match head {
        Ok(head) => head,
        Err(error) => return Ok(tell(&Outcome::Refused(error.into()))),
    };
    let Explanation { gates, remote_addr, route, params, outcome, .. } = app.explain(head, Some(options.from)).await?;
    for line in &gates {
        row("gate", format_args!("{:<12} {line}", format!("{:?}", line.stage).to_lowercase()));
    }
    if let Some(client) = remote_addr {
        row("client", client.ip());
    }
    if let Some(route) = route {
        let params: String = params.iter().map(|(name, value)| format!("  {name}={value}")).collect();
        row("route", format_args!("{route}{params}"));
    }
    Ok(tell(&outcome))
}

fn row(title: &str, text: impl fmt::Display) {
    println!("{title:<12} {text}");
}

/// Prints the answer, and says it in an exit status.
fn tell(outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::WebSocket { subprotocol, extensions } => {
            row("subprotocol", subprotocol.as_deref().unwrap_or("none"));
            row("extensions", extensions.as_deref().unwrap_or("none"));
            row("let in", StatusCode::SWITCHING_PROTOCOLS);
        }
        Outcome::Page => row("let in", "to the pages, which answer"),
        Outcome::Refused(rejection) => {
            row("rule", rejection.reason());
            if let Some(note) = rejection.log_note() {
                row("note", note);
            }
            row(if rejection.is_silent() { "dropped" } else { "refused" }, rejection);
            return ExitCode::from(1);
        }
    }
    ExitCode::SUCCESS
}
