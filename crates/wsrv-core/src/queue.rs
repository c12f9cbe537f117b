//! Encoded bytes in wire order, and the way in and out.

use crate::buffers;
use crate::published::{Log, Publish};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Payloads from this size on are queued as they are instead of being copied behind the messages before them.
const SHARED: usize = 8 * 1024;
/// Pieces given to one vectored write.
const PIECES: usize = 16;

/// Where a wire's sending half puts encoded bytes.
#[derive(Debug)]
pub struct Out<'a> {
    queue: &'a mut Queue,
    /// What is put goes to others, too.
    publish: Option<&'a mut Publish>,
}

impl<'a> Out<'a> {
    pub(crate) fn new(queue: &'a mut Queue) -> Self {
        Out { queue, publish: None }
    }

    pub(crate) fn for_many(queue: &'a mut Queue, publish: Option<&'a mut Publish>) -> Self {
        Out { queue, publish }
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.queue.tail().extend_from_slice(bytes);
    }

    /// Appends a short copy of `head`, and `bytes` behind it as by [`put_bytes`](Self::put_bytes).
    #[inline(always)]
    pub fn put(&mut self, head: &[u8], bytes: Bytes) {
        let tail = self.queue.tail();
        if bytes.len() < SHARED {
            // Room for both is made at once.
            tail.reserve(head.len() + bytes.len());
            // Two or four bytes are one instruction if it is known how many, else they are a call.
            match *head {
                [a, b] => tail.extend_from_slice(&[a, b]),
                [a, b, c, d] => tail.extend_from_slice(&[a, b, c, d]),
                _ => tail.extend_from_slice(head),
            }
            tail.extend_from_slice(&bytes);
        } else {
            tail.extend_from_slice(head);
            self.queue.push(bytes);
        }
    }

    /// Appends `bytes`, without copying them if they are large. They are dropped under the outbox's lock once they are
    /// written; an owner whose drop touches the same connection would wait for itself.
    pub fn put_bytes(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED { self.put_slice(&bytes) } else { self.queue.push(bytes) }
    }

    /// Appends bytes that many connections get alike, from one buffer; without a copy for each of them where that can
    /// be. Otherwise as [`put_bytes`](Self::put_bytes).
    pub fn put_shared(&mut self, bytes: &Bytes) {
        if bytes.len() >= SHARED {
            self.queue.push(bytes.clone());
        } else if let Some((log, start)) = self.publish.as_mut().and_then(|publish| publish.place(bytes)) {
            self.queue.share(log, start, bytes);
        } else {
            self.put_slice(bytes);
        }
    }
}

/// Bytes that wait: shared pieces first, then the tail that small messages are copied to. Or, instead of both, a part
/// of what a batch has published.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    // Boxed because nearly all connections never queue a piece: 8 bytes instead of 32.
    #[allow(clippy::box_collection)]
    pieces: Option<Box<VecDeque<Bytes>>>,
    pieces_len: usize,
    tail: Vec<u8>,
    /// How much of the tail is written.
    tail_written: usize,
    log: Option<Arc<Log>>,
    /// The part of the log; empty if there is none.
    published: Part,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    start: u32,
    end: u32,
}

impl Part {
    #[inline]
    fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    fn of(self, log: &[u8]) -> &[u8] {
        log.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl Queue {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.pieces_len + (self.tail.len() - self.tail_written) + self.published.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        if self.tail.capacity() == 0 {
            self.tail = buffers::take_write();
        }
        if self.log.is_some() {
            self.unshare();
        }
        &mut self.tail
    }

    fn push(&mut self, bytes: Bytes) {
        // As a rule no more than the header of what comes now.
        self.unshare();
        let before = Bytes::copy_from_slice(&self.tail[self.tail_written..]);
        self.clear_tail();
        self.pieces_len += before.len() + bytes.len();
        let pieces = self.pieces.get_or_insert_default();
        pieces.extend([before, bytes].into_iter().filter(|piece| !piece.is_empty()));
    }

    /// Appends `bytes`, which lie in the log from `start` on.
    fn share(&mut self, log: &Arc<Log>, start: u32, bytes: &[u8]) {
        let end = start + bytes.len() as u32;
        match &self.log {
            Some(last) if self.published.end == start && Arc::ptr_eq(last, log) => self.published.end = end,
            None if self.is_empty() => {
                self.log = Some(log.clone());
                self.published = Part { start, end };
            }
            _ => self.tail().extend_from_slice(bytes),
        }
    }

    /// Takes a copy of what was published, because something else follows it, or because it has to wait: a log is not
    /// to be kept for the sake of a part of it.
    #[cold]
    pub(crate) fn unshare(&mut self) {
        let published = std::mem::take(&mut self.published);
        if let Some(log) = self.log.take() {
            let tail = self.tail();
            log.with(|log| tail.extend_from_slice(published.of(log)));
        }
    }

    /// Lets `write` see what comes first.
    pub(crate) fn write<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        if let Some(log) = &self.log {
            return log.with(|log| write(&[IoSlice::new(self.published.of(log))]));
        }
        let tail = &self.tail[self.tail_written..];
        let Some(pieces) = &self.pieces else { return write(&[IoSlice::new(tail)]) };
        let all = pieces.iter().map(|piece| &piece[..]).chain([tail].into_iter().filter(|tail| !tail.is_empty()));
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for (slot, bytes) in slices.iter_mut().zip(all) {
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        write(&slices[..count])
    }

    pub(crate) fn advance(&mut self, mut written: usize) {
        if self.log.is_some() {
            self.published.start += written as u32;
            if self.published.len() == 0 {
                self.log = None;
            }
            return;
        }
        while let Some(pieces) = &mut self.pieces {
            let Some(front) = pieces.front_mut() else {
                self.pieces = None;
                break;
            };
            let step = written.min(front.len());
            front.advance(step);
            self.pieces_len -= step;
            written -= step;
            if !front.is_empty() {
                return;
            }
            pieces.pop_front();
        }
        self.tail_written += written;
        if self.tail_written == self.tail.len() {
            self.clear_tail();
        } else if self.tail_written > self.tail.len() / 2 {
            // Not each time, so that no byte is moved more than once.
            self.tail.drain(..std::mem::take(&mut self.tail_written));
        }
    }

    fn clear_tail(&mut self) {
        self.tail.clear();
        self.tail_written = 0;
    }

    pub(crate) fn clear(&mut self) {
        if self.pieces.is_some() || self.log.is_some() {
            self.clear_shared();
        }
        if self.tail.capacity() > 0 {
            self.tail_written = 0;
            buffers::give_write(std::mem::take(&mut self.tail));
        }
    }

    #[cold]
    #[inline(never)]
    fn clear_shared(&mut self) {
        self.pieces = None;
        self.pieces_len = 0;
        self.log = None;
        self.published = Part::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(queue: &Queue) -> Vec<u8> {
        queue.write(|slices| slices.iter().flat_map(|slice| slice.iter().copied()).collect())
    }

    #[test]
    fn small_and_large_pieces_keep_their_order_and_are_counted() {
        let mut queue = Queue::default();
        let large = Bytes::from(vec![b'L'; SHARED]);
        let mut out = Out::new(&mut queue);
        out.put_slice(b"one");
        out.put_bytes(large.clone());
        out.put_bytes(Bytes::from_static(b"two"));
        out.put(b"th", Bytes::from_static(b"ree"));
        let expected = [&b"one"[..], &large, b"twothree"].concat();
        assert_eq!(contents(&queue), expected);
        assert_eq!(queue.len(), expected.len());
        for cut in [1, 2, 4000, 4195, 4] {
            let before = contents(&queue);
            queue.advance(cut);
            assert_eq!(contents(&queue), before[cut..]);
            assert_eq!(queue.len(), before.len() - cut);
        }
    }

    #[test]
    fn a_tail_that_is_written_bit_by_bit_stays_in_order_and_keeps_no_room_of_what_is_gone() {
        let mut queue = Queue::default();
        let (mut expected, mut next) = (VecDeque::new(), 0_u8);
        for round in 1..400 {
            for _ in 0..round % 50 {
                next = next.wrapping_add(1);
                expected.push_back(next);
                Out::new(&mut queue).put_slice(&[next]);
            }
            let written = (queue.len() * (round % 7)) / 8;
            queue.advance(written);
            expected.drain(..written);
            assert_eq!((contents(&queue), queue.len()), (expected.clone().into(), expected.len()));
            assert!(queue.tail.len() <= 2 * expected.len());
        }
        queue.advance(queue.len());
        assert!(queue.is_empty() && queue.tail.is_empty());
    }

    #[test]
    fn a_large_piece_is_not_copied() {
        let mut queue = Queue::default();
        let large = Bytes::from(vec![b'L'; SHARED]);
        Out::new(&mut queue).put_bytes(large.clone());
        assert_eq!(queue.pieces.unwrap()[0].as_ptr(), large.as_ptr());
    }

    #[test]
    fn what_is_published_is_shared_until_something_else_follows() {
        let log = Arc::new(Log::default());
        let mut queue = Queue::default();
        let put = |queue: &mut Queue, bytes: &'static [u8]| {
            let mut publish = Publish::new(log.clone());
            Out::for_many(queue, Some(&mut publish)).put_shared(&Bytes::from_static(bytes));
        };
        put(&mut queue, b"one");
        put(&mut queue, b"two");
        assert_eq!((contents(&queue), queue.len()), (b"onetwo".to_vec(), 6));
        assert_eq!(queue.tail.capacity(), 0);
        queue.advance(4);
        assert_eq!(contents(&queue), b"wo");
        // For somebody else only.
        put(&mut Queue::default(), b"elsewhere");
        put(&mut queue, b"three");
        assert_eq!(contents(&queue), b"wothree");
        queue.advance(7);
        put(&mut queue, b"four");
        Out::new(&mut queue).put_slice(b"five");
        put(&mut queue, b"six");
        Out::new(&mut queue).put_bytes(vec![7; SHARED].into());
        put(&mut queue, b"eight");
        assert_eq!(contents(&queue), [&b"fourfivesix"[..], &[7; SHARED], b"eight"].concat());
        queue.clear();
        assert!(queue.is_empty());
        assert_eq!(Arc::strong_count(&log), 1);
    }

    #[test]
    fn members_of_a_group_share_one_copy() {
        let log = Arc::new(Log::default());
        let mut publish = Publish::new(log.clone());
        let frame = Bytes::from_static(b"frame");
        let mut queues: Vec<_> = (0..3).map(|_| Queue::default()).collect();
        for queue in &mut queues {
            Out::for_many(queue, Some(&mut publish)).put_shared(&frame);
        }
        assert!(queues.iter().all(|queue| contents(queue) == b"frame"));
        assert_eq!(log.with(<[u8]>::len), 5);
        queues[0].unshare();
        assert_eq!(contents(&queues[0]), b"frame");
    }
}
