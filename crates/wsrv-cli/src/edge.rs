//! Who is let in: the options that `demo` and `check` share.

use clap::Args;
use wsrv_app::prelude::*;
use wsrv_app::wsrv_http::Network;

#[derive(Args)]
#[command(next_help_heading = "Who is let in")]
pub(crate) struct Edge {
    /// Believe X-Forwarded-For from this address or network about who the client is. Like the other options here, it may
    /// be given several times.
    #[arg(long, value_name = "NETWORK")]
    trusted_proxy: Vec<Network>,
    /// Refuse clients from this address or network.
    #[arg(long, value_name = "NETWORK")]
    block: Vec<Network>,
    /// Refuse clients from everywhere but this address or network.
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<Network>,
    /// Let in WebSockets of pages from this origin, such as `https://example.com`, besides the server's own.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    allow_origin: Vec<String>,
}

/// Whether the text is an origin, said while there is somebody to correct it.
fn origin(text: &str) -> Result<String, String> {
    AllowedOrigins::new([text]).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl Edge {
    /// Puts the gates of these options in front of the app.
    pub(crate) fn guard(&self, mut app: App) -> Result<App, Box<dyn std::error::Error>> {
        if !self.trusted_proxy.is_empty() {
            let networks = TrustedNetworks::new();
            networks.extend(self.trusted_proxy.iter().copied());
            app = app.trusted_proxies(TrustedProxies::new(networks));
        }
        if !(self.block.is_empty() && self.allow.is_empty()) {
            let addresses = Addresses::new();
            addresses.block_all(self.block.iter().copied());
            if !self.allow.is_empty() {
                addresses.allow_all(self.allow.iter().copied());
            }
            app = app.addresses(addresses);
        }
        // Programs that are no browser send no origin and are welcome; the pages of sites that are not listed are not.
        let origins = AllowedOrigins::new(&self.allow_origin)?.allow_same(true).allow_missing(true);
        Ok(app.gate(origins))
    }
}
