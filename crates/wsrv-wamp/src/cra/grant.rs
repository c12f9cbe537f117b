//! What somebody may do who has signed in.

use crate::uri_pattern::means;
use serde::{Deserialize, Serialize};

/// What a key may do, as client and server tell it each other: procedures by their URI or a pattern, topics by their URI or
/// by what their URIs begin with. Nothing else is allowed.
///
/// On a server it comes before [`Permissions`](crate::Permissions): what either of the two does not allow is not allowed. Where
/// those shall decide alone, grant [all](Grant::all).
///
/// ```
/// use wsrv_wamp::cra::{Grant, TopicGrant};
///
/// let grant = Grant::none()
///     .call("http://example.com/calc#add")
///     .call("http://example.com/users/{id}/greet")
///     .topic(TopicGrant::prefix("http://example.com/event#"))
///     .topic(TopicGrant::exact("http://example.com/event#log").with_publish(false));
/// assert!(grant.may_call("http://example.com/calc#add") && grant.may_call("http://example.com/users/7/greet"));
/// assert!(grant.may_publish("http://example.com/event#x") && !grant.may_publish("http://example.com/event#log"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)] // Servers differ in how much of it they tell.
pub struct Grant {
    /// About topics.
    pub pubsub: Vec<TopicGrant>,
    /// About procedures.
    pub rpc: Vec<CallGrant>,
}

/// Whether a procedure may be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallGrant {
    /// The procedure's URI, or a pattern of such.
    pub uri: String,
    /// Whether it may be called.
    #[serde(default)]
    pub call: bool,
}

/// Whether a topic, or all whose URIs begin alike, may be published and subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicGrant {
    /// The topic's URI, or what the URIs begin with.
    pub uri: String,
    /// Whether all URIs are meant that begin so.
    #[serde(default)]
    pub prefix: bool,
    /// Whether events may be published.
    #[serde(default, rename = "pub")]
    pub publish: bool,
    /// Whether it may be subscribed to.
    #[serde(default, rename = "sub")]
    pub subscribe: bool,
}

impl TopicGrant {
    /// This topic, to publish and to subscribe to.
    pub fn exact(uri: impl Into<String>) -> Self {
        TopicGrant { uri: uri.into(), prefix: false, publish: true, subscribe: true }
    }

    /// All topics whose URIs begin so, to publish and to subscribe to.
    pub fn prefix(uri: impl Into<String>) -> Self {
        TopicGrant { prefix: true, ..Self::exact(uri) }
    }

    /// Sets [`publish`](Self::publish).
    pub fn with_publish(mut self, may: bool) -> Self {
        self.publish = may;
        self
    }

    /// Sets [`subscribe`](Self::subscribe).
    pub fn with_subscribe(mut self, may: bool) -> Self {
        self.subscribe = may;
        self
    }
}

impl Grant {
    /// Nothing is allowed.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything is allowed.
    pub fn all() -> Self {
        Self::none().call("{*all}").topic(TopicGrant::prefix(""))
    }

    /// A procedure may be called, or all that a pattern means: `{name}` stands for one or more characters but `/` and `#`,
    /// `{*name}` at the end for all that follows. A pattern that makes no sense means nothing. On the wire it stands as it is,
    /// since the protocol knows only URIs there; clients only show it.
    pub fn call(mut self, uri: impl Into<String>) -> Self {
        self.rpc.push(CallGrant { uri: uri.into(), call: true });
        self
    }

    /// Something is said about topics.
    pub fn topic(mut self, topic: TopicGrant) -> Self {
        self.pubsub.push(topic);
        self
    }

    /// Whether a procedure may be called. What is said about its URI itself counts; else what the first pattern says that
    /// means it.
    pub fn may_call(&self, uri: &str) -> bool {
        let exact = self.rpc.iter().find(|procedure| procedure.uri == uri);
        exact.or_else(|| self.rpc.iter().find(|procedure| means(&procedure.uri, uri))).is_some_and(|found| found.call)
    }

    /// Whether events may be published to a topic. What is said about the topic itself counts; else what is said about the
    /// longest beginning of its URI.
    pub fn may_publish(&self, uri: &str) -> bool {
        self.about(uri).is_some_and(|topic| topic.publish)
    }

    /// Whether a topic may be subscribed to, likewise.
    pub fn may_subscribe(&self, uri: &str) -> bool {
        self.about(uri).is_some_and(|topic| topic.subscribe)
    }

    fn about(&self, uri: &str) -> Option<&TopicGrant> {
        let exact = self.pubsub.iter().find(|topic| !topic.prefix && topic.uri == uri);
        let prefixes = || self.pubsub.iter().filter(|topic| topic.prefix && uri.starts_with(&topic.uri));
        exact.or_else(|| prefixes().max_by_key(|topic| topic.uri.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_itself_counts_before_the_longest_beginning() {
        let grant = Grant::none()
            .topic(TopicGrant::prefix("a/"))
            .topic(TopicGrant::prefix("a/b/").with_publish(false))
            .topic(TopicGrant::exact("a/b/c").with_subscribe(false))
            .topic(TopicGrant::exact("x"));
        for (uri, publish, subscribe) in [
            ("a/", true, true),
            ("a", false, false),
            ("a/z", true, true),
            ("a/b/", false, true),
            ("a/b/d", false, true),
            ("a/b/c", true, false),
            ("x", true, true),
            ("xy", false, false),
            ("", false, false),
        ] {
            assert_eq!((grant.may_publish(uri), grant.may_subscribe(uri)), (publish, subscribe), "{uri}");
        }
    }

    #[test]
    fn procedures_are_meant_by_pattern_too() {
        let mut grant = Grant::none().call("a/{x}/b").call("c/{*rest}").call("bad/{").call("bad/{*x}/y");
        for uri in ["a/1/b", "c/", "c/d/e#f"] {
            assert!(grant.may_call(uri), "{uri}");
        }
        for uri in ["a//b", "a/1/2/b", "a/1", "c", "bad/1", "bad/1/y", ""] {
            assert!(!grant.may_call(uri), "{uri}");
        }
        grant.rpc.push(CallGrant { uri: "c/d".into(), call: false });
        assert!(!grant.may_call("c/d") && grant.may_call("c/e"), "what is said about itself counts");
        let all = Grant::all();
        assert!(all.may_call("") && all.may_call("a/b#c") && all.may_publish("x") && all.may_subscribe(""));
    }

    #[test]
    fn procedures_are_meant_one_by_one() {
        let mut grant = Grant::none().call("a");
        grant.rpc.push(CallGrant { uri: "b".into(), call: false });
        assert!(grant.may_call("a") && !grant.may_call("b") && !grant.may_call("ab") && !grant.may_call(""));
    }

    #[test]
    fn it_is_written_as_clients_read_it() {
        let grant = Grant::none().call("c").topic(TopicGrant::prefix("t").with_publish(false));
        let json = r#"{"pubsub":[{"uri":"t","prefix":true,"pub":false,"sub":true}],"rpc":[{"uri":"c","call":true}]}"#;
        assert_eq!(serde_json::to_string(&grant).unwrap(), json);
        assert_eq!(serde_json::from_str::<Grant>(json).unwrap(), grant);
    }
}
