//! What somebody may do who has signed in.

use serde::{Deserialize, Serialize};

/// What a key may do, as client and server tell it each other: procedures by their URI, topics by theirs or by what their
/// URIs begin with. Nothing else is allowed.
///
/// ```
/// use wsrv_wamp::cra::{Grant, TopicGrant};
///
/// let grant = Grant::none()
///     .call("http://example.com/calc#add")
///     .topic(TopicGrant::prefix("http://example.com/event#"))
///     .topic(TopicGrant::exact("http://example.com/event#log").with_publish(false));
/// assert!(grant.may_call("http://example.com/calc#add"));
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
    /// The procedure's URI.
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

    /// A procedure may be called.
    pub fn call(mut self, uri: impl Into<String>) -> Self {
        self.rpc.push(CallGrant { uri: uri.into(), call: true });
        self
    }

    /// Something is said about topics.
    pub fn topic(mut self, topic: TopicGrant) -> Self {
        self.pubsub.push(topic);
        self
    }

    /// Whether a procedure may be called.
    pub fn may_call(&self, uri: &str) -> bool {
        self.rpc.iter().find(|procedure| procedure.uri == uri).is_some_and(|procedure| procedure.call)
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
