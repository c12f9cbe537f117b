//! A server on a thread of its own, whose CPU time is the server's.

#![allow(unreachable_pub)]

use rustix::time::{ClockId, clock_gettime};
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use wsrv_app::App;

pub struct Alone {
    pub addr: SocketAddr,
    thread: Handle,
}

impl Alone {
    pub fn serve(app: App) -> Self {
        let (told, tells) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = app.bind("127.0.0.1:0").await.unwrap();
                told.send(Alone { addr: server.local_addr().unwrap(), thread: Handle::current() }).unwrap();
                server.serve_until(pending()).await
            });
        });
        tells.recv().unwrap()
    }

    pub async fn cpu_time(&self) -> Duration {
        let time = self.thread.spawn(async { clock_gettime(ClockId::ThreadCPUTime) });
        time.await.unwrap().try_into().unwrap()
    }
}
