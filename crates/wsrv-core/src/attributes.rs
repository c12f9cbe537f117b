//! What applications and foreign layers want to remember about a connection.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Values attached to a connection, one per type.
///
/// Make a type of your own for each fact (`struct Nickname(String)`), so that two layers can never take each other's
/// place. A layer's own memory belongs into its [`State`](crate::Handler::State) instead: that needs no lock and is
/// dropped with the connection. All methods lock for a moment only. An unused store costs two words, no allocation.
#[derive(Default)]
pub struct AttributeStore(OnceLock<Box<RwLock<Entries>>>);

type Entries = HashMap<TypeId, Entry>;

struct Entry {
    name: &'static str,
    value: Box<dyn Any + Send + Sync>,
}

impl AttributeStore {
    /// Attaches `value` and returns the value of that type it replaces.
    pub fn set<T: Any + Send + Sync>(&self, value: T) -> Option<T> {
        let entry = Entry { name: type_name::<T>(), value: Box::new(value) };
        owned(self.write().insert(TypeId::of::<T>(), entry))
    }

    /// A clone of the value of type `T`.
    pub fn get<T: Any + Clone>(&self) -> Option<T> {
        self.with(T::clone)
    }

    /// Looks at the value of type `T` without cloning it. `look` must not touch the same store.
    pub fn with<T: Any, R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.read()?.get(&TypeId::of::<T>())?.value.downcast_ref().map(look)
    }

    /// Takes the value of type `T` away.
    pub fn remove<T: Any>(&self) -> Option<T> {
        self.0.get()?;
        owned(self.write().remove(&TypeId::of::<T>()))
    }

    /// Whether there is a value of type `T`.
    pub fn contains<T: Any>(&self) -> bool {
        self.read().is_some_and(|entries| entries.contains_key(&TypeId::of::<T>()))
    }

    fn read(&self) -> Option<RwLockReadGuard<'_, Entries>> {
        Some(self.0.get()?.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.0.get_or_init(Box::default).write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owned<T: Any>(entry: Option<Entry>) -> Option<T> {
    entry?.value.downcast().ok().map(|value| *value)
}

/// Shows the types that are attached, not the values: they may be secret.
impl fmt::Debug for AttributeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.read().iter().flat_map(|e| e.values()).map(|e| e.name).collect();
        names.sort_unstable();
        f.debug_set().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Nickname(&'static str);

    #[test]
    fn holds_one_value_per_type() {
        let store = AttributeStore::default();
        assert_eq!(store.get::<Nickname>(), None);
        assert_eq!(store.set(Nickname("ada")), None);
        assert_eq!(store.set(7u32), None);
        assert_eq!(store.set(Nickname("grace")), Some(Nickname("ada")));
        assert!(store.contains::<u32>() && !store.contains::<u64>());
        assert_eq!(store.with(|n: &Nickname| n.0.len()), Some(5));
        assert_eq!(store.remove::<Nickname>(), Some(Nickname("grace")));
        assert_eq!(store.remove::<Nickname>(), None);
        assert_eq!(store.get::<u32>(), Some(7));
    }

    #[test]
    fn debug_shows_types_and_no_values() {
        let store = AttributeStore::default();
        store.set(Nickname("secret"));
        let shown = format!("{store:?}");
        assert!(shown.contains("Nickname") && !shown.contains("secret"), "{shown}");
    }
}
