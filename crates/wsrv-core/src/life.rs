//! Signs of life: who has been silent for how long, and what is done about it.
//!
//! No connection has a timer of its own. The read side leaves a mark when something arrives, and one ticker for all
//! connections of a set comes by about once a second, looks at the marks and the outboxes, and decides. On its way it
//! notices who has not come out of a turn since the last time.

use crate::Limits;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Milliseconds since the ticker's beginning.
pub(crate) type Millis = u32;

/// What the read side tells the ticker: a byte, written without looking at a clock.
#[derive(Debug, Default)]
pub(crate) struct Marks(AtomicU8);

const BYTES: u8 = 1;
const MESSAGE: u8 = 2;
const PAUSED: u8 = 4;

impl Marks {
    /// Something has arrived.
    pub(crate) fn bytes(&self) {
        self.set(BYTES);
    }

    /// A message has arrived.
    pub(crate) fn message(&self) {
        self.set(MESSAGE);
    }

    /// Comes with each message, so it is not to cost more than a look.
    #[inline]
    fn set(&self, mark: u8) {
        if self.0.load(Ordering::Relaxed) & mark == 0 {
            self.0.fetch_or(mark, Ordering::Relaxed);
        }
    }

    /// Reading has stopped for reasons of our own; from now on silence is not the peer's.
    pub(crate) fn paused(&self) {
        self.0.fetch_or(PAUSED, Ordering::Relaxed);
    }

    /// Reading goes on.
    pub(crate) fn resumed(&self) {
        if self.0.load(Ordering::Relaxed) & PAUSED != 0 {
            self.0.fetch_and(!PAUSED, Ordering::Relaxed);
        }
    }
}

/// What the ticker remembers about a connection.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// The ticker has come by before; until then there is nothing to compare with.
    known: bool,
    /// How often it has come by during the turn that the driver is in.
    met_in_turn: u8,
    heard: Millis,
    message: Millis,
    progress: Millis,
    pinged: Option<Millis>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Care {
    Nothing,
    Ping,
    /// Nothing was said for too long: close.
    Idle,
    /// The peer does not answer or does not read: cut.
    Dead,
}

impl Life {
    /// Looks at a connection. `moving`: nothing waits to be written, or something of it was since the last time.
    pub(crate) fn look(&mut self, now: Millis, marks: &Marks, moving: bool, limits: &Limits) -> Care {
        let seen = marks.0.fetch_and(PAUSED, Ordering::Relaxed);
        if seen != 0 || !self.known {
            self.heard = now;
            self.pinged = None;
        }
        if seen & (MESSAGE | PAUSED) != 0 || !self.known {
            self.message = now;
        }
        if moving || !self.known {
            self.progress = now;
        }
        self.known = true;
        let since = |then: Millis| Duration::from_millis(now.wrapping_sub(then).into());
        if limits.write_timeout.is_some_and(|time| since(self.progress) >= time) {
            return Care::Dead;
        }
        if limits.idle_timeout.is_some_and(|time| since(self.message) >= time) {
            return Care::Idle;
        }
        match (self.pinged, limits.ping_after) {
            (Some(pinged), _) if since(pinged) >= limits.pong_timeout => Care::Dead,
            (None, Some(time)) if since(self.heard) >= time => {
                self.pinged = Some(now);
                Care::Ping
            }
            _ => Care::Nothing,
        }
    }

    /// The driver's turn is over.
    pub(crate) fn turn_ended(&mut self) {
        self.met_in_turn = 0;
    }

    /// Comes by during a turn. True, once: it was the same one the last time.
    pub(crate) fn meet_in_turn(&mut self) -> bool {
        self.met_in_turn = self.met_in_turn.saturating_add(1);
        self.met_in_turn == 2
    }

    /// A ping was not sent after all.
    pub(crate) fn not_pinged(&mut self) {
        self.pinged = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Millis = 1000;

    fn limits() -> Limits {
        Limits::default().with_idle_timeout(Some(Duration::from_secs(300)))
    }

    #[test]
    fn a_silent_peer_is_pinged_and_then_given_up() {
        let (mut life, marks) = (Life::default(), Marks::default());
        let mut look = |now| life.look(now, &marks, true, &limits());
        assert_eq!([look(S), look(30 * S), look(31 * S)], [Care::Nothing, Care::Nothing, Care::Ping]);
        assert_eq!([look(32 * S), look(60 * S), look(61 * S)], [Care::Nothing, Care::Nothing, Care::Dead]);
    }

    #[test]
    fn anything_that_arrives_is_a_sign_of_life() {
        let (mut life, marks) = (Life::default(), Marks::default());
        let mut look = |now| life.look(now, &marks, true, &limits());
        assert_eq!([look(0), look(30 * S)], [Care::Nothing, Care::Ping]);
        marks.bytes();
        assert_eq!([look(59 * S), look(88 * S), look(89 * S)], [Care::Nothing, Care::Nothing, Care::Ping]);
    }

    #[test]
    fn silence_is_not_the_peers_while_nobody_reads() {
        let (mut life, marks) = (Life::default(), Marks::default());
        marks.paused();
        assert!((0..1000).all(|now| life.look(now * S, &marks, true, &limits()) == Care::Nothing));
        marks.resumed();
        assert_eq!(life.look(1028 * S, &marks, true, &limits()), Care::Nothing);
        assert_eq!(life.look(1029 * S, &marks, true, &limits()), Care::Ping);
    }

    #[test]
    fn a_peer_that_does_not_read_is_given_up() {
        let (mut life, marks) = (Life::default(), Marks::default());
        let mut look = |now, moving| {
            marks.bytes();
            life.look(now, &marks, moving, &limits())
        };
        assert_eq!([look(0, false), look(29 * S, false)], [Care::Nothing, Care::Nothing]);
        assert_eq!([look(30 * S, true), look(59 * S, false)], [Care::Nothing, Care::Nothing]);
        assert_eq!(look(60 * S, false), Care::Dead);
    }

    #[test]
    fn who_answers_pings_and_says_nothing_is_idle() {
        let (mut life, marks) = (Life::default(), Marks::default());
        marks.message();
        for now in 0..300 {
            marks.bytes();
            assert_eq!(life.look(now * S, &marks, true, &limits()), Care::Nothing);
        }
        marks.bytes();
        assert_eq!(life.look(300 * S, &marks, true, &limits()), Care::Idle);
    }
}
