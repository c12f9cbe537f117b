//! What is written to the log.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber, span};

/// The lines that one module writes on this thread: the level, and each field but the connection.
#[derive(Clone)]
pub(crate) struct Log {
    module: &'static str,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    /// Of the module whose path ends so, while the guard is kept.
    pub(crate) fn of(module: &'static str) -> (Self, DefaultGuard) {
        let log = Log { module, lines: Arc::default() };
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    /// All there are since.
    pub(crate) fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().ends_with(self.module)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                match field.name() {
                    "conn" => {}
                    // How long it took is not the same each time.
                    "time" => self.0.push_str(" time"),
                    name => write!(self.0, " {name}={value:?}").unwrap(),
                }
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.lines.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
