# -*- coding: utf-8 -*-
"""The WAMP version 1 client of Autobahn for Python 2.7, as a client of a server.

    wamp_autobahn.py URL CRA_URL

Both are of the example `conformance`, the second where clients sign in. Prints a line
per check; exits with 1 if one failed.
"""

from __future__ import print_function

import itertools
import json
import sys

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from autobahn.wamp1.protocol import WampClientFactory, WampCraClientProtocol
from checks import PATIENCE, Checks, Report, expect
from twisted.internet import defer, reactor
from twisted.internet.defer import Deferred, inlineCallbacks, returnValue

CALC = "http://example.com/calc#"
CHAT = "http://example.com/chat"
EVENT = "http://example.com/event#"
ERROR = "http://api.wamp.ws/error#"
PROCEDURE = "http://api.wamp.ws/procedure#"
OPEN = []

check = Checks()


# --- clients -----------------------------------------------------------------


class Ends(object):
    """Tells when a connection is ready, and how it has ended."""

    def connectionMade(self):
        self.received, self.waiting, self.ended = [], [], Deferred()
        OPEN.append(self)
        super(Ends, self).connectionMade()

    def onClose(self, clean, code, reason):
        if not self.factory.ready.called:
            self.factory.ready.errback(Exception("closed at once: %s %s" % (code, reason)))
        if not self.ended.called:
            self.ended.callback(code)


class Client(Ends, WampCraClientProtocol, object):
    """Autobahn's own client. What it has received is kept too."""

    def onSessionOpen(self):
        self.factory.ready.callback(self)

    def onMessage(self, message, binary):
        self.received.append(json.loads(message))
        WampCraClientProtocol.onMessage(self, message, binary)
        for waiting in self.waiting[:]:
            waiting()

    def raw(self, message):
        self.sendMessage(message if isinstance(message, bytes) else json.dumps(message).encode("utf-8"))

    def listen(self, topic):
        events = []
        self.subscribe(topic, lambda uri, event: events.append((uri, event)))
        return events

    def until(self, is_so):
        """Is called back when this is so after a message."""
        done = Deferred()

        def look():
            if is_so():
                self.waiting.remove(look)
                done.callback(None)

        self.waiting.append(look)
        look()
        return done


class Bare(Ends, WebSocketClientProtocol, object):
    """A WebSocket that speaks what it is told to."""

    def onMessage(self, message, binary):
        self.received.append(json.loads(message))
        if len(self.received) == 1:
            self.factory.ready.callback(self)


def connect(kind, factory):
    factory.protocol = kind
    factory.ready = Deferred()
    factory.clientConnectionFailed = lambda _, reason: factory.ready.errback(reason)
    connectWS(factory, timeout=PATIENCE)
    return factory.ready


def client(url=None):
    return connect(Client, WampClientFactory(url or URL))


def bare():
    return connect(Bare, WebSocketClientFactory(URL, protocols=["wamp"]))


@inlineCallbacks
def clients(number, url=None):
    found = []
    for _ in range(number):
        found.append((yield client(url)))
    returnValue(found)


@inlineCallbacks
def settled(*sessions):
    """The server has dealt with all that these have sent, since it does so in order."""
    for session in sessions:
        yield session.call(CALC + "echo", 0)


@inlineCallbacks
def failure(call):
    """URI, description and details of a call's error."""
    try:
        result = yield call
    except Exception as error:
        returnValue((list(error.args) + [None])[:3])
    raise AssertionError("the call has a result: %.100r" % (result,))


# --- sessions and calls ------------------------------------------------------


@check("the WELCOME names a session of its own, version 1 and the server")
def _():
    sessions = yield clients(4)
    for session in sessions:
        expect(len(session.received), 1, "messages")
        kind, name, version, server = session.received[0]
        expect((kind, version), (0, 1), "type and version")
        expect(server.startswith("wsrv/"), True, "the server's name")
        expect((yield session.call("http://example.com/session#id")), name, "the session's name")
    expect(len(set(session.session_id for session in sessions)), 4, "different names")


@check("calls by URI and by prefix, which may be replaced and are each client's own")
def _():
    one, other = yield clients(2)
    expect((yield one.call(CALC + "add", 23, 7)), 30, "by URI")
    one.prefix("calc", CALC)
    expect((yield one.call("calc:add", 1, 2)), 3, "by prefix")
    uri, _, _ = yield failure(other.call("calc:add", 1, 2))
    expect(uri, ERROR + "NoSuchRPCEndpoint", "by another's prefix")
    one.raw([1, "calc", "http://example.com/session#"])
    expect((yield one.call("calc:id")), one.session_id, "by the prefix's new meaning")


@check("all kinds of JSON come back as they were, one by one and as arguments")
def _():
    session = yield client()
    values = [None, True, False, 0, -1, 2**31, 2**53, -(2**53), 0.5, -1.25e-7, 1e300, "", "text", [], [[]], [1, [2]]]
    values += [{}, {"a": {"b": [None]}}, {u"\u00fc": 1}, u"\u00e4\u20ac\U0001f600\u0000\"\\/\n\u2028", "x" * 70000]
    for value in values:
        found = yield session.call(CALC + "echo", value)
        expect((type(found) is bool, found), (type(value) is bool, value), "echo")
    expect((yield session.call(CALC + "args", *values)), values, "arguments")
    expect((yield session.call(CALC + "args")), [], "no arguments")
    expect((yield session.call(CALC + "args", [1, 2])), [[1, 2]], "a list as the only argument")
    expect((yield session.call(CALC + "sum", [9, 1, 3, 4])), 17, "a list for a procedure")
    expect((yield session.call(CALC + "nothing")), None, "nothing")


@check("errors have their URI, their description, and details if there are any")
def _():
    session = yield client()
    failed = yield failure(session.call(CALC + "fail"))
    expect(failed, ["http://example.com/error#failed", "it failed", {"code": 7}], "with details")
    expect(session.received[-1][4], {"code": 7}, "details in the message")
    plain = yield failure(session.call(CALC + "fail_plain"))
    expect(plain, ["http://example.com/error#plain", "plain failure", None], "without")
    expect(len(session.received[-1]), 4, "length of the message")
    generic = yield failure(session.call(CALC + "fail_generic"))
    expect(generic, [ERROR + "generic", "something broke", None], "generic")
    uri, _, _ = yield failure(session.call(CALC + "missing"))
    expect(uri, ERROR + "NoSuchRPCEndpoint", "no such procedure")
    for arguments in [(), (1,), (1, 2, 3), ("a", 1), (None, None)]:
        uri, _, _ = yield failure(session.call(CALC + "add", *arguments))
        expect(uri, ERROR + "invalid-argument", "arguments %r" % (arguments,))


@check("results overtake each other")
def _():
    session = yield client()
    order = []
    calls = [session.call(CALC + "slow", millis, millis).addCallback(order.append) for millis in (400, 200, 0)]
    calls.append(session.call(CALC + "echo", "at once").addCallback(order.append))
    yield defer.gatherResults(calls)
    expect(sorted(map(str, order)), ["0", "200", "400", "at once"], "results")
    expect(order[-2:], [200, 400], "the slow ones")


# --- topics ------------------------------------------------------------------


@check("subscribing twice is once, and one UNSUBSCRIBE ends it")
def _():
    one, other = yield clients(2)
    one.prefix("event", EVENT)
    events = one.listen(EVENT + "twice")
    one.raw([5, "event:twice"])
    yield settled(one)
    other.publish(EVENT + "twice", 1)
    yield settled(other, one)
    one.raw([6, "event:twice"])
    yield settled(one)
    other.publish(EVENT + "twice", 2)
    yield settled(other, one)
    expect(events, [(EVENT + "twice", 1)], "events")


@check("who does not get an event: each combination of exclude and eligible")
def _():
    me, you, she = sessions = yield clients(3)
    names = [session.session_id for session in sessions]
    topic = EVENT + "table"
    events = [session.listen(topic) for session in sessions]
    yield settled(*sessions)
    absent = object()
    some = [list(chosen) for size in range(4) for chosen in itertools.combinations(names, size)] + [["nobody"]]
    wanted = [[], [], []]
    cases = list(itertools.product([absent, None, True, False] + some, [absent] + some))
    for number, (exclude, eligible) in enumerate(cases):
        if exclude is absent and eligible is not absent:
            exclude = None
        me.raw([7, topic, number] + [part for part in (exclude, eligible) if part is not absent])
        if exclude in (absent, None, True):
            excluded = names[:1]
        else:
            excluded = exclude or []
        for at, name in enumerate(names):
            if name not in excluded and (eligible is absent or name in eligible):
                wanted[at].append((topic, number))
    me.raw([7, topic, "end", False])
    for session, found in zip(sessions, events):
        yield session.until(lambda: found and found[-1][1] == "end")
    for who, found, want in zip(("publisher", "one", "other"), events, wanted):
        expect(found[:-1], want, "events of the " + who)
    print("       %d combinations, %d deliveries" % (len(cases), sum(map(len, wanted))))


@check("the client's own ways to publish: excludeMe, exclude, eligible")
def _():
    me, you = yield clients(2)
    mine, yours = me.listen(CHAT), you.listen(CHAT)
    yield settled(me, you)
    me.publish(CHAT, "usual")
    me.publish(CHAT, "me too", excludeMe=False)
    me.publish(CHAT, "not you", exclude=[you.session_id])
    me.publish(CHAT, "only you", eligible=[you.session_id])
    me.publish(CHAT, {"end": [u"\u00e4", None]}, excludeMe=False)
    for session, events in ((me, mine), (you, yours)):
        yield session.until(lambda: events and isinstance(events[-1][1], dict))
    expect([event for _, event in yours[:-1]], ["usual", "me too", "only you"], "events of the other")
    expect(mine[0], (CHAT, "me too"), "first event of the publisher")
    expect(mine[-1], (CHAT, {"end": [u"\u00e4", None]}), "last event")


@check("500 events come in order, while calls are answered")
def _():
    one, other = yield clients(2)
    events = one.listen(EVENT + "order")
    yield settled(one)
    for number in range(500):
        other.publish(EVENT + "order", number)
        if number % 50 == 0:
            one.call(CALC + "echo", number)
    yield one.until(lambda: len(events) == 500)
    expect([event for _, event in events], list(range(500)), "events")


@check("handlers refuse, change and drop; other topics are refused in silence")
def _():
    one, other = yield clients(2)
    topics = ["http://example.com/room#2", "http://example.com/room#4", "http://example.com/none"]
    heard = [one.listen(topic) for topic in topics]
    enriched = one.listen("http://example.com/enriched")
    yield settled(one)
    for topic in topics:
        other.publish(topic, "hello")
    for event in ({"a": 1}, "dropped", {}):
        other.publish("http://example.com/enriched", event)
    yield settled(other, one)
    expect([len(events) for events in heard], [1, 0, 0], "events heard")
    expect([event for _, event in enriched], [{"a": 1, "server": True}, {"server": True}], "enriched")


@check("events of a procedure, and none after a client has gone")
def _():
    one, other = yield clients(2)
    events = one.listen(CHAT)
    yield settled(one)
    yield other.call("http://example.com/control#dispatch", CHAT, "to one", {"eligible": [one.session_id]})
    yield other.call("http://example.com/control#dispatch", CHAT, "to nobody", {"eligible": []})
    yield settled(one)
    expect(events, [(CHAT, "to one")], "events")
    one.sendClose()
    yield one.ended
    other.publish(CHAT, "to whoever is there")
    yield settled(other)


# --- what no good client sends -----------------------------------------------

MALFORMED = [
    b"", b"no JSON", b"[2,", b'"text"', b"null", b"7", b"{}", b'{"0":5,"1":"http://example.com/chat"}', b"[]", b"[[]]",
    ["5", CHAT], [None], [99, CHAT], [-1], [5.5, CHAT], [0, "x", 1, "y"], [3, "x", 1], [4, "x", "y", "z"], [8, CHAT, 1],
    [1], [1, "p"], [1, 2, 3], [1, "p", None], [2], [2, ["id"], CALC + "add"], [2, 7, CALC + "add"],
    [5], [5, [CHAT]], [5, None], [6], [6, 1], [7], [7, CHAT], [7, 5, "x"], [7, CHAT, 1, "yes"], [7, CHAT, 1, 1],
    [7, CHAT, 1, [], "yes"], [7, CHAT, 1, [1]], [7, CHAT, 1, [], [None]], b"[" * 100000,
]


@check("%d malformed messages are each closed with 1002, and harm nobody else" % len(MALFORMED))
def _():
    bystander = yield client()
    for message in MALFORMED:
        peer = yield bare()
        text = message if isinstance(message, bytes) else json.dumps(message)
        peer.sendMessage(text, False)
        expect((yield peer.ended), 1002, "close code after %.60s" % text)
        expect(len(peer.received), 1, "messages after %.60s" % text)
        expect((yield bystander.call(CALC + "add", 1, 2)), 3, "another's call")


@check("a binary message is closed with 1002, a malformed call with an id is answered first")
def _():
    peer = yield bare()
    peer.sendMessage(json.dumps([2, "id", CALC + "add", 1, 2]), True)
    expect((yield peer.ended), 1002, "close code")
    expect(len(peer.received), 1, "messages")
    for message in ([2, "an id"], [2, "an id", 5]):
        peer = yield bare()
        peer.sendMessage(json.dumps(message), False)
        expect((yield peer.ended), 1002, "close code")
        expect(peer.received[1][:3], [4, "an id", ERROR + "invalid-argument"], "answer")


# --- signing in --------------------------------------------------------------

GRANT = {
    "rpc": [{"uri": CALC + "add", "call": True}],
    "pubsub": [{"uri": EVENT, "prefix": True, "pub": True, "sub": True}],
}


@check("sign-in: before it there are the two procedures and nothing else")
def _():
    outsider, insider = yield clients(2, CRA_URL)
    for procedure in ("add", "echo", "missing"):
        uri, _, _ = yield failure(outsider.call(CALC + procedure, 1, 2))
        expect(uri, ERROR + "NoSuchRPCEndpoint", procedure)
    heard = outsider.listen(EVENT + "x")
    yield insider.authenticate("alice", authSecret="secret123")
    events = insider.listen(EVENT + "x")
    yield insider.call(CALC + "add", 1, 2)
    outsider.publish(EVENT + "x", "smuggled")
    yield failure(outsider.call(CALC + "add", 1, 2))
    insider.publish(EVENT + "x", "inside", excludeMe=False)
    yield insider.until(lambda: events)
    yield failure(outsider.call(CALC + "add", 1, 2))
    expect((events, heard), ([(EVENT + "x", "inside")], []), "events")


@check("sign-in: with a secret, and with a salted password")
def _():
    alice, bob = yield clients(2, CRA_URL)
    expect((yield alice.authenticate("alice", authExtra={"x": 1}, authSecret="secret123")), GRANT, "alice")
    expect((yield bob.authenticate("bob", authSecret="pa55word")), GRANT, "bob")
    events = bob.listen(EVENT + "y")
    expect((yield bob.call(CALC + "add", 1, 2)), 3, "a call")
    alice.publish(EVENT + "y", "hello")
    yield bob.until(lambda: events)
    uri, _, _ = yield failure(alice.call(CALC + "echo", 1))
    expect(uri, ERROR + "not-authorized", "what is not granted")
    heard = bob.listen(CHAT)
    yield bob.call(CALC + "add", 1, 2)
    alice.publish(CHAT, "nobody may")
    yield alice.call(CALC + "add", 1, 2)
    yield bob.call(CALC + "add", 1, 2)
    expect(heard, [], "events of a topic that is not granted")


@check("sign-in: a wrong secret costs the challenge and may be corrected")
def _():
    for key, wrong, right in (("alice", "secret124", "secret123"), ("bob", "password", "pa55word")):
        session = yield client(CRA_URL)
        uri, _, _ = yield failure(session.authenticate(key, authSecret=wrong))
        expect(uri, ERROR + "invalid-signature", "wrong secret")
        uri, _, _ = yield failure(session.call(PROCEDURE + "auth", "again"))
        expect(uri, ERROR + "no-authentication-requested", "the challenge")
        expect((yield session.authenticate(key, authSecret=right)), GRANT, "right secret")


@check("sign-in: twice, out of turn, unknown keys, bad arguments")
def _():
    session = yield client(CRA_URL)
    for arguments, error in (
        (("mallory",), "no-such-authkey"), ((17,), "invalid-argument"), (("alice", "extra"), "invalid-argument"),
    ):
        uri, _, _ = yield failure(session.call(PROCEDURE + "authreq", *arguments))
        expect(uri, ERROR + error, "authreq%r" % (arguments,))
    challenge = yield session.call(PROCEDURE + "authreq", "alice")
    uri, _, _ = yield failure(session.call(PROCEDURE + "authreq", "alice"))
    expect(uri, ERROR + "authentication-already-requested", "asked for twice")
    signature = session.authSignature(challenge.encode("utf-8"), "secret123")
    expect((yield session.call(PROCEDURE + "auth", signature)), GRANT, "grant")
    uri, _, _ = yield failure(session.call(PROCEDURE + "auth", signature))
    expect(uri, ERROR + "already-authenticated", "answered twice")
    uri, _, _ = yield failure(session.authenticate("alice", authSecret="secret123"))
    expect(uri, ERROR + "already-authenticated", "signed in twice")


@check("sign-in: without a key there is nothing to sign, and here nothing to do")
def _():
    session = yield client(CRA_URL)
    expect((yield session.authenticate()), {"rpc": [], "pubsub": []}, "grant")
    uri, _, _ = yield failure(session.call(CALC + "add", 1, 2))
    expect(uri, ERROR + "not-authorized", "a call")


# --- running them ------------------------------------------------------------


@inlineCallbacks
def main():
    report = Report("autobahn", late=defer.CancelledError)
    for title, function in check:
        with report.check(title):
            running = inlineCallbacks(function)()
            late = reactor.callLater(PATIENCE, running.cancel)
            try:
                yield running
            finally:
                if late.active():
                    late.cancel()
        for peer in OPEN:
            peer.transport.abortConnection()
        del OPEN[:]
    main.status = report.end()
    reactor.stop()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    URL, CRA_URL = sys.argv[1:]
    main.status = 1
    reactor.callWhenRunning(main)
    reactor.run()
    sys.exit(main.status)
