//! An echo over TLS.
//!
//! The arguments are the address, and the PEM files of a certificate and its key, which are read again at SIGHUP.
//! Without files it makes a certificate for itself, and prints it for those who want to trust it.

use wsrv_app::prelude::*;
use wsrv_app::tls::{Tls, TlsInfo};

async fn echo(mut socket: Socket<WebSocketConnection>) -> Result<(), Error> {
    if let Some(tls) = socket.extensions().get::<TlsInfo>() {
        println!("{} speaks {:?}", socket.id(), tls.version());
    }
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or("127.0.0.1:8443".into());
    let (tls, made) = match (args.next(), args.next()) {
        (Some(chain), Some(key)) => (Tls::from_pem_files(chain, key)?, None),
        _ => {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
            let chain = made.cert.pem();
            (Tls::from_pem(&chain, made.signing_key.serialize_pem())?, Some(chain))
        }
    };
    let server = App::new().route("/", from_fn(echo)).bind_tls(addr, tls.clone()).await?;
    #[cfg(unix)]
    reload_at_sighup(tls)?;
    println!("wss://localhost:{}/", server.local_addr()?.port());
    if let Some(chain) = made {
        print!("{chain}");
    }
    server.serve().await;
    Ok(())
}

/// Connections that are there go on with what they have begun with.
#[cfg(unix)]
fn reload_at_sighup(tls: Tls) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match tls.reload() {
                Ok(()) => println!("new certificate"),
                Err(error) => println!("still the old certificate: {error}"),
            }
        }
    });
    Ok(())
}
