//! The first element of every message.

use std::fmt;

/// Which message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are the names of the protocol")]
pub enum MessageType {
    Welcome = 0,
    Prefix = 1,
    Call = 2,
    CallResult = 3,
    CallError = 4,
    Subscribe = 5,
    Unsubscribe = 6,
    Publish = 7,
    Event = 8,
}

impl MessageType {
    /// All of them, in the order of their ids.
    pub const ALL: [Self; 9] = [
        Self::Welcome,
        Self::Prefix,
        Self::Call,
        Self::CallResult,
        Self::CallError,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Publish,
        Self::Event,
    ];

    /// The type with this id, if there is one.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Its id, 0 to 8.
    pub const fn id(self) -> u8 {
        self as u8
    }
}

/// Its name, as `CALLRESULT`.
impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Welcome => "WELCOME",
            Self::Prefix => "PREFIX",
            Self::Call => "CALL",
            Self::CallResult => "CALLRESULT",
            Self::CallError => "CALLERROR",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Publish => "PUBLISH",
            Self::Event => "EVENT",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_protocol() {
        for (id, message_type) in (0..).zip(MessageType::ALL) {
            assert_eq!(message_type.id(), id);
            assert_eq!(MessageType::from_id(id), Some(message_type));
        }
        assert_eq!(MessageType::from_id(9), None);
        assert_eq!(MessageType::from_id(255), None);
    }
}
