//! What a connection's task costs while it idles.

use bytes::Bytes;
use std::sync::Arc;
use wsrv_core::lines::{LineConnection, Lines};
use wsrv_core::{Driver, Error, Handler};

struct Nothing;

impl Handler<LineConnection> for Nothing {
    type State = ();
    async fn on_open(&self, _: &LineConnection) -> Result<(), Error> {
        Ok(())
    }
    async fn on_message(&self, conn: &LineConnection, _: &mut (), line: Bytes) -> Result<(), Error> {
        Ok(conn.try_send(line)?)
    }
}

#[test]
fn the_future_of_a_connection_stays_small() {
    let (stream, _peer) = tokio::io::duplex(1);
    let future = Driver::io(stream, Lines::new(100)).run(Arc::new(Nothing));
    let size = size_of_val(&future);
    // The goodbye and the errors are boxed when they come; the opening handshake is a task of its own.
    assert!(size <= 376, "{size} bytes");
}
