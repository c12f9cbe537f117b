//! How fast a connection may call.

use super::{BoxProcedure, Fault, Invocation, Outcome, Procedure, WampConnection};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use wsrv_core::{Connection, Rate};

/// Limits how fast a connection may call, with a bucket for each connection; a call too many is answered with
/// [`Fault::TooManyCalls`] and runs not at all. Clones have the same buckets.
///
/// [`RateLimits`](wsrv_core::RateLimits) slow down whole addresses, whatever they send; this is for procedures that cost
/// more than others.
///
/// ```
/// use wsrv_core::Rate;
/// use wsrv_wamp::{BoxProcedure, CallError, CallRate, Wamp};
///
/// async fn search() -> Result<(), CallError> {
///     Ok(())
/// }
///
/// // For one procedure, and for all.
/// let searches = CallRate::new(Rate::per_second(1).with_burst(5)).around(BoxProcedure::new(search));
/// let calls = CallRate::new(Rate::per_second(50));
/// let wamp = Wamp::new().procedure("http://example.com/search", searches).calls_through(move |next| calls.around(next));
/// # let _ = wamp;
/// ```
#[derive(Clone, Debug)]
pub struct CallRate {
    rate: Rate,
    name: u64,
}

impl CallRate {
    /// So many calls.
    pub fn new(rate: Rate) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        CallRate { rate, name: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// This procedure, as often as it may be called.
    pub fn around(&self, next: BoxProcedure) -> impl Procedure + use<> {
        Limited { rate: self.clone(), next }
    }

    /// How long until this connection may call again; if it may now, it has.
    fn wait(&self, conn: &WampConnection) -> Result<(), Duration> {
        let attributes = conn.link().attributes();
        let buckets = attributes.get::<Buckets>().unwrap_or_else(|| {
            let buckets = Buckets::default();
            attributes.set(buckets.clone());
            buckets
        });
        let mut buckets = buckets.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let at = buckets.iter().position(|(name, _)| *name == self.name).unwrap_or_else(|| {
            buckets.push((self.name, now));
            buckets.len() - 1
        });
        let made_up = &mut buckets[at].1;
        let begin = (*made_up).max(now);
        // A call takes its time out of what the burst allows in advance.
        let end = begin + self.rate.interval();
        let ahead = end - now;
        let allowed = self.rate.interval() * self.rate.burst();
        if ahead > allowed {
            return Err(ahead - allowed);
        }
        *made_up = end;
        Ok(())
    }
}

/// When all calls would be made up for that came so far, by the name of the [`CallRate`]. There are as many as there are of
/// these.
#[derive(Clone, Default)]
struct Buckets(Arc<Mutex<Vec<(u64, Instant)>>>);

struct Limited {
    rate: CallRate,
    next: BoxProcedure,
}

impl Procedure for Limited {
    async fn call(&self, call: Invocation) -> Outcome {
        match self.rate.wait(call.connection()) {
            Ok(()) => self.next.call(call).await,
            Err(retry_after) => Err(Fault::TooManyCalls { retry_after }.into()),
        }
    }
}
