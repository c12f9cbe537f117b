//! A value that many read and somebody changes now and then.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A handle to the value; clones are handles to the same.
///
/// Readers meet a lock that is held for the exchange of a pointer only: changes are made on a copy.
pub(crate) struct Shared<T>(Arc<Inner<T>>);

struct Inner<T> {
    current: RwLock<Arc<T>>,
    /// Who changes waits for others who do, so that no change is lost.
    turn: Mutex<()>,
}

impl<T: Clone> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Shared(Arc::new(Inner { current: RwLock::new(Arc::new(value)), turn: Mutex::new(()) }))
    }

    /// The value as it is now.
    pub(crate) fn get(&self) -> Arc<T> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the value for all who look from now on. A change that panics has not happened.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = T::clone(&self.get());
        let told = change(&mut next);
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, Arc::new(next));
        drop(current);
        // Large lists take a moment, which no reader has to wait for.
        drop(before);
        told
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<T: Clone + Default> Default for Shared<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Clone + fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_change_is_lost_and_a_panic_changes_nothing() {
        let numbers = Shared::new(Vec::new());
        std::thread::scope(|scope| {
            for number in 0..8 {
                let numbers = numbers.clone();
                scope.spawn(move || {
                    for _ in 0..50 {
                        numbers.change(|numbers| {
                            // Others get their chance to come in between.
                            std::thread::yield_now();
                            numbers.push(number);
                        });
                    }
                });
            }
        });
        assert_eq!(numbers.get().len(), 400);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            numbers.change(|numbers| {
                numbers.clear();
                panic!("half way");
            })
        }));
        assert!(panicked.is_err());
        numbers.change(|numbers| numbers.push(8));
        assert_eq!(numbers.get().len(), 401);
    }
}
