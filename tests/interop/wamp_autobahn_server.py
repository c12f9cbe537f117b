# -*- coding: utf-8 -*-
"""A server of WAMP version 1 for our client: autobahn 0.8.15, on Python 2.7.

    wamp_autobahn_server.py [PORT [SIGN_IN_PORT]]

Offers what `examples/wamp_client.rs` of wsrv-wamp checks, which is a part of what
the example `conformance` offers at /wamp. On the second port clients have to sign
in first. Ports default to 0: the system chooses. Prints `ready ws://ADDR/ ws://ADDR/`
once it listens on both, and runs until it is killed.
"""

from __future__ import print_function

import sys

from autobahn.wamp1.protocol import (
    WampCraServerProtocol, WampServerFactory, WampServerProtocol, exportRpc)
from twisted.internet import reactor
from twisted.internet.task import deferLater

BASE = "http://example.com/"
SALTED = {"salt": "RANDOM SALT", "iterations": 1000, "keylen": 32}
USERS = {
    "alice": ("secret123", None),
    "bob": (WampCraServerProtocol.deriveKey("pa55word", SALTED), SALTED),
}
GRANTED = {
    "rpc": [{"uri": BASE + "calc#add", "call": True}],
    "pubsub": [{"uri": BASE + "event#", "prefix": True, "pub": True, "sub": True}],
}


class Calculator(object):
    @exportRpc
    def add(self, first, second):
        return first + second

    @exportRpc
    def sum(self, numbers):
        return sum(numbers)

    @exportRpc
    def echo(self, value):
        return value

    @exportRpc
    def args(self, *values):
        return values

    @exportRpc
    def nothing(self):
        return None

    @exportRpc
    def slow(self, millis, value):
        return deferLater(reactor, millis / 1000.0, lambda: value)

    @exportRpc
    def fail(self):
        raise Exception(BASE + "error#failed", "it failed", {"code": 7})

    @exportRpc
    def fail_plain(self):
        raise Exception(BASE + "error#plain", "plain failure")

    @exportRpc
    def fail_generic(self):
        raise Exception("something broke")


class Rooms(object):
    def may_subscribe(self, _prefix, number):
        return number in ("1", "2", "3")


class Session(object):
    def __init__(self, protocol):
        self.protocol = protocol

    @exportRpc
    def id(self):
        return self.protocol.session_id


class Open(WampServerProtocol):
    def onSessionOpen(self):
        rooms = Rooms()
        self.registerForRpc(Calculator(), BASE + "calc#")
        self.registerForRpc(Session(self), BASE + "session#")
        self.registerForPubSub(BASE + "chat")
        self.registerForPubSub(BASE + "event#", prefixMatch=True)
        self.registerForPubSub(BASE + "room#", True, WampServerProtocol.PUBLISH)
        self.registerHandlerForSub(BASE + "room#", rooms, Rooms.may_subscribe.__func__, True)


class Guarded(WampCraServerProtocol):
    clientAuthTimeout = 0
    clientAuthAllowAnonymous = True

    def getAuthSecret(self, key):
        return USERS[key][0] if key in USERS else None

    def getAuthPermissions(self, key, extra):
        if key is None:
            return {"permissions": {"rpc": [], "pubsub": []}}
        found = {"permissions": GRANTED}
        if USERS[key][1]:
            found["authextra"] = USERS[key][1]
        return found

    def onAuthenticated(self, key, found):
        if key is not None:
            self.registerForRpc(Calculator(), BASE + "calc#")
            self.registerForPubSubFromPermissions(found["permissions"])


def listen(protocol, port):
    factory = WampServerFactory("ws://127.0.0.1:%d" % port)
    factory.protocol = protocol
    factory.startFactory()
    listening = reactor.listenTCP(port, factory, interface="127.0.0.1")
    # The server compares it with the Host header.
    factory.setSessionParameters("ws://127.0.0.1:%d" % listening.getHost().port,
                                 protocols=["wamp"])
    return factory.url + "/"


def main():
    ports = [int(port) for port in sys.argv[1:]] + [0, 0]
    print("ready", listen(Open, ports[0]), listen(Guarded, ports[1]))
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main()
