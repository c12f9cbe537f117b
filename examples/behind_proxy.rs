//! A server behind nginx or HAProxy: tells each client the address it sees it at, and the proxy's, and then echoes.
//!
//! Configurations for both proxies, with what WebSockets need of them, are in the folder `behind_proxy`. They tell the
//! client's address by a header of the request, or by the PROXY protocol in front of everything:
//!
//! ```text
//! behind_proxy 127.0.0.1:9000                     X-Forwarded-For
//! behind_proxy 127.0.0.1:9001 --forwarded         Forwarded
//! behind_proxy 127.0.0.1:9002 --proxy-protocol    the PROXY protocol, version 1 or 2
//! ```

use clap::Parser;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_http::{ForwardedHeaders, Network, ProxyAddr};

#[derive(Parser)]
struct Options {
    /// Where to listen, so that only the proxy gets there.
    #[arg(default_value = "127.0.0.1:9000")]
    addr: String,
    /// The proxy's address or network. Only what comes from there is believed. May be given several times.
    #[arg(long, value_name = "NETWORK", default_value = "127.0.0.1")]
    trusted_proxy: Vec<Network>,
    /// The proxy speaks the PROXY protocol.
    #[arg(long)]
    proxy_protocol: bool,
    /// The proxy sets `Forwarded`, and not `X-Forwarded-For`. What it does not set comes from the client.
    #[arg(long, conflicts_with = "proxy_protocol")]
    forwarded: bool,
    /// Refuses clients from this address or network. May be given several times.
    #[arg(long, value_name = "NETWORK")]
    block: Vec<Network>,
}

struct Whence;

impl Handler<WebSocketConnection> for Whence {
    type State = ();

    async fn on_open(&self, conn: &WebSocketConnection) -> Result<(), Error> {
        let client = conn.remote_addr().ok_or("a TCP peer has an address")?.ip();
        let text = match conn.extensions().get() {
            Some(ProxyAddr(proxy)) => format!("you are {client}, by way of {}", proxy.ip()),
            None => format!("you are {client}"),
        };
        Ok(conn.send(text).await?)
    }

    async fn on_message(&self, conn: &WebSocketConnection, _: &mut (), message: Message) -> Result<(), Error> {
        match message.as_text() {
            // One of the codes that are free for applications.
            Some("bye") => Ok(conn.close_with(CloseCode::from(4000), "as you wish")?),
            _ => Ok(conn.send(message).await?),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let proxies = TrustedNetworks::new();
    proxies.extend(options.trusted_proxy);
    let addresses = Addresses::new();
    addresses.block_all(options.block);

    let app = App::new().route("/", Whence).addresses(addresses);
    let app = match (options.proxy_protocol, options.forwarded) {
        (true, _) => app.proxy_protocol(proxies),
        (_, false) => app.trusted_proxies(TrustedProxies::new(proxies)),
        (_, true) => app.trusted_proxies(TrustedProxies::new(proxies).headers(ForwardedHeaders::Forwarded)),
    };
    // All sockets are the proxy's, so how many of them are in their handshake is no longer a question of one client.
    let server = app.max_handshakes_per_address(None).bind(options.addr).await?;
    println!("ws://{}/", server.local_addr()?);
    server.serve().await;
    Ok(())
}
