//! What is offered by name.

use super::procedure::{IntoProcedureRoute, ProcedureRoute};
use super::topic_handler::TopicRoute;
use std::collections::HashMap;
use std::fmt;

/// Procedures and handlers of topics by name.
///
/// Each is made anew for each pattern that it is offered under.
#[derive(Default)]
pub struct Handlers {
    pub(super) procedures: Named<ProcedureRoute>,
    pub(super) topics: Named<TopicRoute>,
}

/// What makes each of them, by name.
pub(super) type Named<T> = HashMap<String, Box<dyn Fn() -> T + Send + Sync>>;

impl Handlers {
    /// No names yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names what makes a procedure, or a [`ProcedureRoute`]. A later one of the same name replaces it.
    pub fn procedure<M, P: IntoProcedureRoute<M>>(
        mut self,
        name: impl Into<String>,
        make: impl Fn() -> P + Send + Sync + 'static,
    ) -> Self {
        self.procedures.insert(name.into(), Box::new(move || make().into_route()));
        self
    }

    /// Names what makes a handler of topics, or a [`TopicRoute`]. A later one of the same name replaces it.
    pub fn topic<H: Into<TopicRoute>>(
        mut self,
        name: impl Into<String>,
        make: impl Fn() -> H + Send + Sync + 'static,
    ) -> Self {
        self.topics.insert(name.into(), Box::new(move || make().into()));
        self
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers")
            .field("procedures", &self.procedures.keys().collect::<Vec<_>>())
            .field("topics", &self.topics.keys().collect::<Vec<_>>())
            .finish()
    }
}
