//! What an application wants its procedures and topics to have at hand.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// One value of each type.
#[derive(Clone, Default)]
pub(crate) struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

/// An [`Arc`] in a box of one type, since an unsized one cannot be cast back.
struct Held<T>(Arc<T>);

impl States {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(Held(Arc::new(value))));
    }

    /// One that was given, or that is in an [`Arc`] that was given.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&Arc<T>> {
        self.held::<T>().or_else(|| self.held::<Arc<T>>().map(|shared| &**shared))
    }

    fn held<T: Send + Sync + 'static>(&self) -> Option<&Arc<T>> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref::<Held<T>>().map(|held| &held.0)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("States").field("len", &self.0.len()).finish()
    }
}
