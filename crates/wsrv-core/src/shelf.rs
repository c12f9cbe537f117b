//! Messages that wait whole for a peer that is behind, so that they may still be dropped or replaced.

use crate::Losses;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A message on its way to the shelf.
#[derive(Debug)]
pub(crate) struct Item<P> {
    pub(crate) message: P,
    /// Bytes it counts for.
    pub(crate) size: usize,
    /// It may be dropped in favour of a later one.
    pub(crate) droppable: bool,
    /// It replaces an earlier one with the same key, and is replaced by a later one.
    pub(crate) key: Option<u64>,
}

/// Messages in the order in which they will be sent, and what was lost so far.
#[derive(Debug)]
pub(crate) struct Shelf<P> {
    items: BTreeMap<u64, Item<P>>,
    next: u64,
    /// Which may be dropped.
    droppable: BTreeSet<u64>,
    droppable_bytes: usize,
    /// Where the message with this key lies.
    keys: HashMap<u64, u64>,
    /// The latest message without a key: one that comes after it is not to take a place before it.
    fence: u64,
    bytes: usize,
    pub(crate) losses: Losses,
}

/// What may wait on a shelf: less than so many bytes, and fewer than so many messages, before one more is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}

impl<P> Default for Shelf<P> {
    fn default() -> Self {
        let (items, droppable, keys) = Default::default();
        Shelf { items, next: 1, droppable, droppable_bytes: 0, keys, fence: 0, bytes: 0, losses: Losses::default() }
    }
}

impl<P> Shelf<P> {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of messages that must not be dropped.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.bytes - self.droppable_bytes
    }

    /// The number of messages that must not be dropped.
    pub(crate) fn kept(&self) -> usize {
        self.items.len() - self.droppable.len()
    }

    /// Drops the oldest messages that may be dropped until there is room. False, and nothing is dropped, if that would
    /// not help.
    pub(crate) fn make_room(&mut self, room: Room) -> bool {
        if !self.may_have(room) {
            return false;
        }
        while self.bytes >= room.bytes || self.items.len() >= room.messages {
            let Some(&oldest) = self.droppable.first() else { break };
            self.remove(oldest);
            self.losses.dropped += 1;
        }
        if self.is_empty() {
            self.clear();
        }
        true
    }

    /// Whether there would be room without what may be dropped.
    fn may_have(&self, room: Room) -> bool {
        self.kept_bytes() < room.bytes && self.kept() < room.messages
    }

    /// Takes a message, if there is room or room can be made.
    pub(crate) fn put(&mut self, item: Item<P>, room: Room) -> bool {
        if !self.may_have(room) {
            return false;
        }
        if let Some(&number) = item.key.and_then(|key| self.keys.get(&key)) {
            self.losses.replaced += 1;
            let old = self.remove(number).expect("a key belongs to a message on the shelf");
            // One that changes often is not to go to the end each time: it might never be sent.
            if number > self.fence && self.bytes < room.bytes {
                debug_assert!(old.droppable);
                self.insert(number, item);
                return true;
            }
        }
        if !self.make_room(room) {
            return false;
        }
        let number = self.next;
        self.next += 1;
        if item.key.is_none() {
            self.fence = number;
        }
        self.insert(number, item);
        true
    }

    /// The message that is to be sent next.
    pub(crate) fn take(&mut self) -> Option<P> {
        let number = *self.items.first_key_value()?.0;
        let item = self.remove(number);
        if self.is_empty() {
            self.clear();
        }
        item.map(|item| item.message)
    }

    /// Drops everything but the losses, and the memory too.
    pub(crate) fn clear(&mut self) {
        *self = Shelf { losses: self.losses, ..Shelf::default() };
    }

    fn insert(&mut self, number: u64, item: Item<P>) {
        self.bytes += item.size;
        if item.droppable {
            self.droppable_bytes += item.size;
            self.droppable.insert(number);
        }
        if let Some(key) = item.key {
            self.keys.insert(key, number);
        }
        self.items.insert(number, item);
    }

    fn remove(&mut self, number: u64) -> Option<Item<P>> {
        let item = self.items.remove(&number)?;
        self.bytes -= item.size;
        if self.droppable.remove(&number) {
            self.droppable_bytes -= item.size;
        }
        if let Some(key) = item.key {
            self.keys.remove(&key);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { bytes: 100, messages: 5 };

    fn kept(message: &'static str) -> Item<&'static str> {
        Item { message, size: 10, droppable: false, key: None }
    }

    fn droppable(message: &'static str) -> Item<&'static str> {
        Item { droppable: true, ..kept(message) }
    }

    fn keyed(key: u64, message: &'static str) -> Item<&'static str> {
        Item { key: Some(key), ..droppable(message) }
    }

    fn contents(shelf: &mut Shelf<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| shelf.take()).collect()
    }

    #[test]
    fn the_oldest_that_may_be_dropped_makes_room() {
        let mut shelf = Shelf::default();
        for item in [kept("a"), droppable("b"), kept("c"), droppable("d"), keyed(1, "e")] {
            assert!(shelf.put(item, ROOM));
        }
        assert!(shelf.put(kept("f"), ROOM) && shelf.put(droppable("g"), ROOM));
        assert_eq!((shelf.bytes(), shelf.kept_bytes(), shelf.kept()), (50, 30, 3));
        assert!(shelf.put(kept("h"), ROOM) && shelf.put(kept("i"), ROOM));
        assert!(!shelf.put(droppable("j"), ROOM) && !shelf.put(kept("k"), ROOM));
        assert_eq!((shelf.losses.dropped, shelf.losses.replaced), (4, 0));
        assert_eq!(contents(&mut shelf), ["a", "c", "f", "h", "i"]);
        assert_eq!((shelf.bytes(), shelf.kept()), (0, 0));
        assert_eq!(shelf.keys.capacity(), 0, "an empty shelf keeps no memory");
    }

    #[test]
    fn nothing_is_dropped_in_vain() {
        let mut shelf = Shelf::default();
        let large = Item { size: 95, ..kept("large") };
        assert!(shelf.put(droppable("a"), ROOM) && shelf.put(large, ROOM));
        assert!(shelf.make_room(Room { bytes: 106, messages: 5 }));
        assert!(!shelf.make_room(Room { bytes: 95, messages: 5 }));
        assert_eq!(shelf.losses.dropped, 0);
        assert_eq!(contents(&mut shelf), ["a", "large"]);
    }

    #[test]
    fn the_latest_of_a_key_takes_the_place_of_the_one_before() {
        let mut shelf = Shelf::default();
        for item in [keyed(1, "a"), keyed(2, "b"), keyed(1, "c"), keyed(3, "d"), keyed(2, "e")] {
            assert!(shelf.put(item, ROOM));
        }
        assert_eq!((shelf.losses.dropped, shelf.losses.replaced), (0, 2));
        assert_eq!(contents(&mut shelf), ["c", "e", "d"]);
    }

    #[test]
    fn it_does_not_overtake_a_message_without_a_key() {
        let mut shelf = Shelf::default();
        for item in [keyed(1, "a"), keyed(2, "b"), kept("c"), keyed(3, "d"), keyed(1, "e"), keyed(3, "f")] {
            assert!(shelf.put(item, ROOM));
        }
        assert_eq!(contents(&mut shelf), ["b", "c", "f", "e"]);
    }

    #[test]
    fn messages_of_a_key_that_grow_are_bounded() {
        let mut shelf = Shelf::default();
        for key in 0..5 {
            assert!(shelf.put(keyed(key, "small"), ROOM));
        }
        for key in 0..5 {
            assert!(shelf.put(Item { size: 90, ..keyed(key, "large") }, ROOM));
            assert!(shelf.bytes() < 100 + 90);
        }
    }
}
