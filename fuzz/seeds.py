#!/usr/bin/env python3
"""Writes the seeds, inputs known to be interesting, to corpus/TARGET/NAME.

What a target makes of its input is told in its file in src. Only seeds are written; what the fuzzer found, whose
names are hashes, stays.
"""

import base64
import pathlib
import zlib

CORPUS = pathlib.Path(__file__).parent / "corpus"
KEY = b"\x37\xfa\x21\x3d"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def seed(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def reads(stream, limits=0, sizes=(3,)):
    return bytes([limits << 3 | len(sizes), *sizes]) + stream


# --- frames ---------------------------------------------------------------------


def encoded(opcode, payload=b"", fin=True, reserved=0, key=KEY, length=None):
    length = len(payload) if length is None else length
    first = bytes([fin << 7 | reserved << 4 | opcode])
    mask = 0x80 if key else 0
    if length < 126:
        header = first + bytes([mask | length])
    elif length < 1 << 16:
        header = first + bytes([mask | 126]) + length.to_bytes(2, "big")
    else:
        header = first + bytes([mask | 127]) + length.to_bytes(8, "big")
    if not key:
        return header + payload
    return header + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def streams(target, key):
    """The same for both roles: frames with the masking key `key` at a server, without one at a client."""

    def frame(opcode, payload=b"", fin=True, reserved=0, key=key, length=None):
        return encoded(opcode, payload, fin, reserved, key, length)

    def fragments(opcode, *parts):
        last = len(parts) - 1
        return b"".join(frame(CONTINUATION if at else opcode, part, at == last) for at, part in enumerate(parts))

    def close(code, reason=b""):
        return frame(CLOSE, code.to_bytes(2, "big") + reason)

    def header(length, size):
        """That of a binary frame, with a length of `size` bytes."""
        form = {2: 126, 8: 127}[size] | (0x80 if key else 0)
        return bytes([0x82, form]) + length.to_bytes(size, "big") + (key or b"")

    zeros = key and bytes(4)

    def add(name, *frames, **how):
        seed(target, name, reads(b"".join(frames), **how))

    # RFC 6455 §5.7
    add("rfc-masked-hello", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
    add("rfc-unmasked-hello", b"\x81\x05Hello")
    add("rfc-fragmented-hello", fragments(TEXT, b"Hel", b"lo"))
    add("rfc-ping-pong", frame(PING, b"Hello"), frame(PONG, b"Hello"))
    for length in (0, 1, 125, 126, 127, 256):
        add(f"length-{length}", frame(BINARY, b"x" * length), frame(TEXT, b"x" * length), sizes=(1, 0, 100))
    add("length-16383", frame(BINARY, bytes(16_383), key=zeros), sizes=(255,))
    add("length-16384", frame(BINARY, bytes(16_384), key=zeros), frame(TEXT, b"next"), sizes=(255,))
    add("length-65536-cut-off", frame(BINARY, b"x" * 20, length=65_536))
    add("length-126-as-64-bits", header(126, 8) + b"x" * 126)
    add("length-125-as-16-bits", header(125, 2) + b"x" * 125)
    add("length-highest-bit", header(1 << 63, 8))
    add("length-63-bits", header((1 << 63) - 1, 8), limits=7)
    for reserved in (1, 2, 4):
        add(f"reserved-bit-{reserved}", frame(TEXT, b"a", reserved=reserved))
    for opcode in (3, 7, 11, 15):
        add(f"opcode-{opcode}", frame(TEXT, b"a"), frame(opcode, b"a"))
    for opcode in (CLOSE, PING, PONG):
        add(f"control-{opcode}-fragmented", frame(opcode, b"", fin=False))
        add(f"control-{opcode}-125", frame(opcode, b"\x03\xe8" + b"x" * 123), frame(TEXT, b"after"))
        add(f"control-{opcode}-126", frame(opcode, b"\x03\xe8" + b"x" * 124))
    add("ping-unmasked", frame(PING, b"a", key=None))
    add("ping-masked", frame(PING, b"a", key=KEY))
    add("wrong-mask-later", fragments(TEXT, b"a", b"b"), frame(TEXT, b"c", fin=False), frame(CONTINUATION, b"d", key=None if key else KEY))
    add("wrong-mask-unfinished", frame(TEXT, b"a"), b"\x81\x7f" if key else b"\x81\xff")

    for code in (0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 1016, 2999, 3000, 3999, 4000, 4999, 5000, 65535):
        add(f"close-{code}", close(code, "gr\u00fc\u00df".encode()), sizes=(1,))
    add("close-empty", frame(CLOSE), frame(TEXT, b"ignored"))
    add("close-half-a-code", frame(CLOSE, b"\x03"))
    add("close-reason-not-utf8", close(1000, b"\xce\xba\xed\xa0\x80"))
    add("close-reason-cut", close(1000, b"\xe2\x82"))
    add("close-between-fragments", frame(TEXT, b"a", fin=False), close(1001), frame(CONTINUATION, b"b"))

    add("utf8-cut-between-fragments", fragments(TEXT, b"\xe2", b"\x82", b"\xac \xf0\x9f", b"", b"\x98\x80"))
    add("utf8-cut-at-the-end", frame(TEXT, b"good \xf0\x9f\x98"))
    add("utf8-cut-at-the-last-fragment", fragments(TEXT, b"\xf0\x9f", b"\x98"))
    add("utf8-across-a-ping", frame(TEXT, b"\xf0\x9f", fin=False), frame(PING, b"\xff"), frame(CONTINUATION, b"\x98\x80"))
    for name, text in {
        "surrogate": b"\xed\xa0\x80", "overlong": b"\xc0\xaf", "overlong-3": b"\xe0\x80\xaf", "beyond": b"\xf4\x90\x80\x80",
        "lone-continuation": b"\x80", "fe": b"\xfe", "highest": b"\xf4\x8f\xbf\xbf", "late": b"a" * 70 + b"\xff" + b"a" * 9,
    }.items():
        add(f"utf8-{name}", frame(TEXT, text), frame(BINARY, text), sizes=(1, 2))
        add(f"utf8-{name}-in-fragments", fragments(TEXT, b"\xc3", b"\xa9" + text, b"end"), sizes=(2, 7))
    for at, tail in enumerate((b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0", b"\xf4\x90", b"\xe2\x82\x41")):
        add(f"utf8-long-{at}", frame(TEXT, b"a" * 70 + tail, fin=False), frame(CONTINUATION, b"\xac"), sizes=(255,))
        add(f"utf8-long-open-{at}", frame(TEXT, b"a" * 70 + tail, length=90), sizes=(255,))
    add("utf8-bad-and-unfinished", frame(TEXT, b"\xff" * 3, length=200))

    add("continuation-of-nothing", frame(CONTINUATION, b"a"))
    add("continuation-after-the-end", fragments(TEXT, b"a", b"b"), frame(CONTINUATION, b"c"))
    add("message-inside-a-message", frame(TEXT, b"a", fin=False), frame(BINARY, b"b"))
    add("empty-fragments", fragments(BINARY, b"", b"", b"", b""), fragments(TEXT, b"", b""), limits=1)
    add("many-messages", frame(TEXT, b"a") * 20, frame(PING) * 5, frame(BINARY) * 5, sizes=(5, 13, 1))
    for limits, (message, size, count) in {1: (300, 200, 4), 2: (200, 300, 3), 3: (64, 64, 2), 4: (5, 5, 100)}.items():
        fit = min(message, size)
        add(f"limits-{limits}-at", frame(BINARY, b"x" * fit), frame(BINARY, b"x" * (fit + 1)), limits=limits)
        add(f"limits-{limits}-frames", fragments(TEXT, *[b""] * count), fragments(TEXT, *[b""] * (count + 1)), limits=limits)
        parts = [b"x" * (message - message // 2), b"x" * (message // 2)]
        add(f"limits-{limits}-fragments", fragments(TEXT, *parts), fragments(TEXT, *parts, b"x"), limits=limits)
    add("limits-5-empty", frame(TEXT), frame(TEXT, b"a"), limits=5)
    add("limits-6-no-fragments", frame(TEXT, b"a"), fragments(TEXT, b"a"), fragments(TEXT, b"a", b"b"), limits=6)


# --- compressed frames ------------------------------------------------------------


def deflate_stream():
    """Frames of a server. Bits of the limits: 1 no context takeover, 2 and 4 a smaller message, 8 a ratio, 16 level 6."""

    def frame(packed, opcode=TEXT, fin=True, reserved=4):
        return encoded(opcode, packed, fin, reserved, None)

    def add(name, *frames, **how):
        seed("deflate_stream", name, reads(b"".join(frames), **how))

    def packed(message, level=9, bits=15):
        deflate = zlib.compressobj(level, zlib.DEFLATED, -bits)
        return (deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]

    hello, again = bytes.fromhex("f248cdc9c90700"), bytes.fromhex("f200110000")
    last = bytes.fromhex("f348cdc9c90700")
    # RFC 7692, section 7.2.3.
    add("rfc-one-block", frame(hello))
    add("rfc-fragments", frame(hello[:3], fin=False), frame(hello[3:], CONTINUATION, reserved=0))
    add("rfc-context", frame(hello), frame(again))
    add("rfc-context-without-takeover", frame(hello), frame(again), limits=1)
    add("rfc-stored", frame(bytes.fromhex("000500faff48656c6c6f00")))
    add("rfc-last-block", frame(last + b"\0"))
    add("rfc-two-blocks", frame(bytes.fromhex("f24805000000ffffcac9c90700")))
    add("rfc-empty", frame(b"\0"))
    add("last-block-alone", frame(last), frame(again))
    add("last-blocks", frame(last * 3), frame(b"\x03\x00" * 40))
    add("cut-off", frame(hello[:-1]))
    add("nothing-at-all", frame(b""))
    add("no-such-block", frame(b"\x07"))
    add("too-far-back", frame(again))
    add("bomb", frame(packed(bytes(100_000)), BINARY))
    add("bomb-over-the-ratio", frame(packed(bytes(70_000)), BINARY), limits=8)
    add("at-the-limit", frame(packed(bytes(1000)), BINARY), limits=2)
    add("over-the-limit", frame(packed(bytes(1001)), BINARY), limits=2)
    add("noise", frame(packed(bytes(at * at % 251 for at in range(300))), BINARY), limits=16)
    add("not-utf8", frame(packed(b"\xff\xfe")))
    add("utf8", frame(packed("grüße 😀 ".encode() * 4)), limits=16)
    add("plain-between", frame(hello), frame(b"plain", reserved=0), frame(again))
    add("ping-between", frame(hello[:3], fin=False), encoded(PING, b"?", key=None), frame(hello[3:], CONTINUATION, reserved=0))
    add("bit-on-continuation", frame(hello[:3], fin=False), frame(hello[3:], CONTINUATION))
    add("bit-on-ping", encoded(PING, b"", reserved=4, key=None))
    add("other-bits", frame(hello, reserved=6))


# --- heads ----------------------------------------------------------------------

GOOD = (
    b"Host: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def head(line=b"GET /chat HTTP/1.1", *lines):
    return b"".join(part + b"\r\n" for part in (line, *lines, b""))


def request_head():
    def add(name, *parts, **how):
        seed("request_head", name, reads(b"".join(parts), **how))

    add("rfc", b"GET /chat HTTP/1.1\r\n" + GOOD + b"Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n")
    add("frame-behind", head(), encoded(TEXT, b"Hello"), sizes=(255,))
    add("two-heads", head(), head(b"GET /2 HTTP/1.0", b"A: b"), b"GE", sizes=(7, 0, 30))
    add("empty-line-before", b"\r\n" + head() + b"\r\n" + head())
    add("two-empty-lines-before", b"\r\n\r\n" + head())
    add("empty-line-of-lf", b"\n" + head())
    for at, line in enumerate((
        b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b" GET / HTTP/1.1", b"GET\t/ HTTP/1.1", b"GET / HTTP/1.2", b"GET / HTTP/1.10",
        b"GET / http/1.1", b"GET /", b"PRI * HTTP/2.0", b"GET /\xc3\xa9 HTTP/1.1", b"GET /\x00 HTTP/1.1", b"G{T / HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00", b"OPTIONS * HTTP/1.1", b"M-SEARCH * HTTP/1.1", b"GET / HTTP/1.0",
        b"CONNECT a.example:80 HTTP/1.1",
    )):
        add(f"request-line-{at}", head(line, b"Host: a"))
    for at, target in enumerate((
        b"/", b"//", b"//a/b", b"/?", b"/?a=b?c", b"/#", b"/?a#b?c", b"?a", b"#", b"*", b"a", b"http://", b"http:///", b"http://a",
        b"http://a?b", b"http://a#b?c", b"HTTP://A/b?c", b"ws://u@a:80/", b"http://[::1]:80/a", b"http://a:99999/", b"x+y-z.1://a/b",
        b"1://a", b"/a?b://c", b"a/b://c", b"/%", b"/%zz", b"/\"<>\\^`{|}", b"/../..", b"a:b", b"://a", b"http:/a", b"[::1]", b"?x=http://a",
    )):
        add(f"target-{at}", head(b"GET " + target + b" HTTP/1.1", b"Host: a"))
    for at, line in enumerate((
        b"A: b\r\n c", b"A: b\n c: d", b"A: b\rc: d", b"A : b", b": b", b"A", b"A:", b"A:\t b \t", b"A: \xff\x80", b"A: b\x00c", b"A: b\x7f",
        b"A: b\tc", b"A b: c", b"A\xc3\xa9: c", b"a!#$%&'*+-.^_`|~: b", b"Host: a\r\nhost: b", b"A: b: c", b"A: b\r\r\n",
    )):
        add(f"line-{at}", head(b"GET / HTTP/1.1", line, b"Z: z"))
    add("limits-3-empty-line-before", b"\r\n" + head(b"GET /123456 HTTP/1.1"), b"\r\n", limits=3)
    add("limits-3-line-over", b"\r\n" + head(b"GET /1234567 HTTP/1.1"), limits=3)
    add("known-names", head(b"GET / HTTP/1.1", *[name + b": a" for name in KNOWN_NAMES.split()]), sizes=(100,))
    add("limits-3-stray-cr-at-the-limit", b"GET /123456 HTTP/1.1\r\xa0\n\r\n", limits=3)
    add("end-of-lf", b"GET / HTTP/1.1\nHost: a\n\n")
    add("end-of-cr", b"GET / HTTP/1.1\r\nHost: a\r\n\rX")
    add("limits-1-line", head(b"GET / HTTP/1.1", b"A: " + b"a" * 77), head(b"GET / HTTP/1.1", b"A: " + b"a" * 78), limits=1)
    add("limits-1-target", head(b"GET /" + b"a" * 66 + b" HTTP/1.1"), head(b"GET /" + b"a" * 67 + b" HTTP/1.1"), limits=1)
    add("limits-1-headers", head(b"GET / HTTP/1.1", *[b"A: b"] * 6), head(b"GET / HTTP/1.1", *[b"A: b"] * 7), limits=1)
    add("limits-2-size", head(b"GET / HTTP/1.1", b"A: " + b"a" * 77), head(b"GET / HTTP/1.1", b"A: " + b"a" * 78), limits=2)
    add("limits-3-method", b"M" * 20 + b" ", limits=3)
    add("limits-4-nothing", b"\r\nG", limits=4)
    add("limits-5-headers", head(b"GET / HTTP/1.1", *[b"A:"] * 200), limits=5, sizes=(200,))


RIGHT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # stands for the key that is right
SWITCH = b"HTTP/1.1 101 Switching Protocols"
ANSWER = (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + RIGHT)


def answer_head():
    def add(name, *parts, **how):
        seed("answer_head", name, reads(b"".join(parts), **how))

    def good(*lines, line=SWITCH):
        return head(line, *ANSWER, *lines)

    add("rfc", good(b"Sec-WebSocket-Protocol: chat"))
    add("frame-behind", good(), encoded(TEXT, b"Hello", key=None), sizes=(255,))
    add("head-behind", good(), good(), sizes=(7, 0, 30))
    add("interim", head(b"HTTP/1.1 100 Continue"), head(b"HTTP/1.1 103 Early Hints", b"Link: a"), good(), b"\x81\0")
    add("interim-alone", head(b"HTTP/1.1 199 What"), b"HTTP/1.1 1")
    add("interim-bad", head(b"HTTP/1.1 100 Continue"), head(b"HTTP/1.1 102 Processing", b"A : b"))
    for at, line in enumerate((
        b"HTTP/1.0 101 Odd", b"HTTP/1.1 101", b"HTTP/1.1 101 ", b"HTTP/1.1  101 A", b"HTTP/1.1 101  A", b"HTTP/2 101 A", b"HTTP/1.2 101 A",
        b"http/1.1 101 A", b"HTTP/1.1 1010 A", b"HTTP/1.1 10 A", b"HTTP/1.1 010 A", b"HTTP/1.1 000 A", b"HTTP/1.1 999 A", b"HTTP/1.1 +10 A",
        b"HTTP/1.1 101 \xc3\xa9", b"HTTP/1.1 101 \x00", b"HTTP/1.1 101 a\tb", b"HTTP/1.1\t101 A", b" HTTP/1.1 101 A", b"ICY 200 OK", b"",
        b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 302 Found\r\nLocation: /", b"HTTP/1.1 401 No", b"HTTP/1.1 426 Upgrade Required",
        b"HTTP/1.1 500 Oh", b"GET /chat HTTP/1.1", b"\x15\x03\x01\x00\x02\x02",
    )):
        add(f"status-line-{at}", good(line=line))
    upgrade, connection, accept = ANSWER
    for name, lines in {
        "no-upgrade": (connection, accept), "no-connection": (upgrade, accept), "no-accept": (upgrade, connection),
        "upgrade-twice": (upgrade, *ANSWER), "connection-twice": (b"Connection: keep-alive", *ANSWER), "accept-twice": (*ANSWER, accept),
        "upgrade-list": (b"Upgrade: websocket, h2c", connection, accept), "upgrade-cases": (b"UPGRADE:WebSocket", connection, accept),
        "connection-list": (upgrade, b"Connection: ,keep-alive ,\tUPGRADE,", accept), "connection-part": (upgrade, b"Connection: Upgrades", accept),
        "accept-blanks": (upgrade, connection, b"Sec-WebSocket-Accept:\t " + RIGHT + b" \t"),
        "accept-cases": (upgrade, connection, b"sec-websocket-accept: " + RIGHT.lower()),
        "accept-cut": (upgrade, connection, b"Sec-WebSocket-Accept: " + RIGHT[:-1]),
        "accept-more": (upgrade, connection, b"Sec-WebSocket-Accept: " + RIGHT + b"="),
        "accept-empty": (upgrade, connection, b"Sec-WebSocket-Accept:"),
    }.items():
        add(name, head(SWITCH, *lines))
    for at, line in enumerate((b"permessage-deflate", b"", b" ,", b"x; y=\"z\"")):
        add(f"extension-{at}", good(b"Sec-WebSocket-Extensions: " + line))
    for at, line in enumerate((b"superchat", b"Chat", b"chat, superchat", b"", b"other", b"chat\r\nSec-WebSocket-Protocol: chat", b"\xe9", b"\tchat ")):
        add(f"subprotocol-{at}", good(b"Sec-WebSocket-Protocol: " + line))
    for at, line in enumerate((
        b"A: b\r\n c", b"A: b\n c: d", b"A: b\rc: d", b"A : b", b": b", b"A", b"A:", b"A:\t b \t", b"A: \xff\x80", b"A: b\x00c", b"A: b\tc",
        b"Set-Cookie: secret", b"Content-Length: 5",
    )):
        add(f"line-{at}", good(line, b"Z: z"))
    add("empty-line-before", b"\r\n", good())
    add("known-names", good(*[name + b": a" for name in KNOWN_NAMES.split()]), sizes=(100,))
    add("end-of-lf", b"HTTP/1.1 101 A\nA: b\n\n")
    add("end-of-cr", SWITCH + b"\r\n\rX")
    for over in (0, 1):
        add(f"limits-1-line-{over}", good(b"A: " + b"a" * (77 + over)), limits=1)
        add(f"limits-1-status-line-{over}", good(line=b"HTTP/1.1 101 " + b"a" * (67 + over)), limits=1)
        add(f"limits-1-headers-{over}", good(*[b"A: b"] * (3 + over)), limits=1)
        add(f"limits-2-size-{over}", head(SWITCH, b"A: " + b"a" * (61 + over)), limits=2)
    add("limits-2-interim", head(b"HTTP/1.1 100 A", b"A: " + b"a" * 70) * 3, head(SWITCH), limits=2)
    add("limits-3-version", b"H" * 20 + b" ", limits=3)
    add("limits-4-nothing", b"\r\nH", limits=4)
    add("limits-5-headers", good(*[b"A:"] * 200), limits=5, sizes=(200,))


def handshake():
    def add(name, *pieces):
        seed("handshake", name, b"\0".join(pieces))

    add("good")
    for name, line in {
        "rfc-key": b"kAQIDBAUGBwgJCgsMDQ4PEC==", "key-short": b"kdGhlIHNhbXBsZSBub25jZQ", "key-17-bytes": b"kdGhlIHNhbXBsZSBub25jZWE=",
        "key-not-base64": b"kdGhl*HNhbXBsZSBub25jZQ==", "key-padding": b"kdGhlIHNhbXBsZSBub25jZQ=a", "key-slash": b"k//////////+++++++++++Q==",
        "version-8": b"v8", "version-list": b"v13, 8", "version-zero": b"v013", "upgrade-list": b"uh2c, WebSocket",
        "upgrade-empty-elements": b"u,, websocket ,", "upgrade-part": b"uwebsockets", "connection-list": b"ckeep-alive,\tUPGRADE",
        "connection-close": b"cclose", "length-0": b"l0", "length-00": b"l000", "length-14": b"l14", "length-sign": b"l+0",
        "length-list": b"l0, 0", "length-empty": b"l", "encoding": b"tchunked", "encoding-empty": b"t",
        "host-port": b"h[::1]:8080", "host-user": b"huser@a.example", "host-path": b"ha.example/path", "host-list": b"ha, b",
        "host-empty": b"h", "host-empty-port": b"ha:", "host-latin": b"h\xe9.example", "host-big-port": b"ha:65536", "host-percent": b"ha%41",
        "post": b"gPOST / HTTP/1.1", "get-in-lower-case": b"gget / HTTP/1.1", "http-1.0": b"gGET / HTTP/1.0", "star": b"gGET * HTTP/1.1",
        "absolute": b"gGET ws://server.example.com:8080/chat?a=b HTTP/1.1", "absolute-user": b"gGET http://u@a/ HTTP/1.1",
        "absolute-ftp": b"gGET ftp://a/ HTTP/1.1", "absolute-no-path": b"gGET HTTPS://a?b=://c HTTP/1.1", "fragment": b"gGET /a#b HTTP/1.1",
        "folded": b"=A: b\r\n c: d", "extensions": b"=Sec-WebSocket-Extensions: ;;=\"\\, permessage-deflate", "lf": b"=A: b\nHost: c",
        "smuggled-host": b"ha\r\nHost: b",
    }.items():
        add(name, line)
    for letter in b"huckv":
        add(f"without-{chr(letter)}", bytes([letter]).upper())
        add(f"twice-{chr(letter)}", bytes([letter]), bytes([letter]))
    add("twice-host-alike", b"ha", b"ha")
    add("twice-length", b"l0", b"l0")
    add("upgrade-lines", b"uh2c", b"uwebsocket", b"ckeep-alive", b"cupgrade")
    for name, offer in {
        "one": b"pchat", "two": b"pchat, superchat", "empty": b"p", "empty-element": b"pa,,b", "repeated": b"pa, b, a", "cases": b"pa, A",
        "no-token": b"pa b", "quoted": b"p\"a\"", "marks": b"p!#$%&'*+-.^_`|~", "latin": b"p\xe9",
    }.items():
        for server in (b"", b"ssuperchat,chat", b"osuperchat,chat", b"sa,b"):
            add(f"offer-{name}-{server[:2].decode() or 'none'}", offer, server)
    add("offer-lines", b"pa", b"pb, c", b"sc")
    add("offer-repeated-in-lines", b"pa", b"pb, a", b"sc")
    add("server-no-token", b"pa", b"sa b")
    add("insists-on-lines", b"wchat\r\nX: y", b"wchat", b"w", b"wa,b", b"w\xc3\xa9", b"wa\r\n\r\n")
    add("extra", b"xSet-Cookie:a=b; Secure", b"xset-cookie: c=d ", b"xX-Empty:", b"xX-Latin:\xe9", b"xx-tab:a\tb")
    add("extra-lines", b"xA:b\r\nC: d", b"xA\r\nB:c", b"xA:b\n", b"x A:b", b"x:b")
    add("extra-reserved", *[b"x" + name + b":a" for name in (
        b"Connection", b"Upgrade", b"Content-Length", b"Transfer-Encoding", b"Sec-WebSocket-Accept", b"Sec-WebSocket-Protocol",
        b"sec-websocket-extensions", b"Sec-WebSocket-Version", b"Trailer", b"Date",
    )])


    # The names that the crate `http` knows take paths of their own in it.
    add("extra-known-names", *[b"x" + name + b":a" for name in KNOWN_NAMES.split()])


KNOWN_NAMES = b"""
accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials
access-control-allow-headers access-control-allow-methods access-control-allow-origin access-control-expose-headers
access-control-max-age access-control-request-headers access-control-request-method age allow alt-svc authorization
cache-control cache-status cdn-cache-control content-disposition content-encoding content-language content-location
content-range content-security-policy content-security-policy-report-only content-type cookie date dnt etag expect
expires forwarded from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link
location max-forwards origin pragma proxy-authenticate proxy-authorization public-key-pins public-key-pins-report-only
range referer referrer-policy refresh retry-after server set-cookie strict-transport-security te trailer
upgrade-insecure-requests user-agent vary via warning www-authenticate x-content-type-options x-dns-prefetch-control
x-frame-options x-xss-protection
"""


def origin():
    def add(name, host, target, sent=(), listed=None):
        seed("origin", name, b"\0".join([host, target, *sent, *([b"", *listed] if listed is not None else [])]))

    listed = [b"https://Example.com", b"http://localhost:3000", b"http://[::1]:80", b"null", b"moz-extension://ab-cd"]
    for at, sent in enumerate((
        b"https://example.com", b"https://EXAMPLE.com:443", b"http://example.com", b"https://example.com:8443", b"https://example.com.",
        b"https://example.com.evil.test", b"https://evil.test@example.com", b"https://example.com@evil.test", b"https://example.com/",
        b"http://localhost:3000", b"http://localhost:03000", b"http://localhost:", b"http://[::1]", b"http://[0::1]", b"null", b"NULL", b"",
        b"moz-extension://ab-cd", b"https://ex%61mple.com", b"https://*", b"://a", b"https://example.com\xff",
    )):
        add(f"listed-{at}", b"example.com", b"/chat", [sent], listed)
        add(f"same-{at}", b"example.com", b"/chat", [sent])
    add("none", b"a", b"/chat")
    add("two", b"a", b"/chat", [b"http://a", b"http://a"])
    for at, (host, sent) in enumerate((
        (b"127.0.0.1:8080", b"http://127.0.0.1:8080"), (b"127.0.0.1:8080", b"http://127.0.0.1"), (b"a:443", b"https://a"), (b"a", b"http://a:443"),
        (b"a:80", b"http://a"), (b"a:", b"http://a"), (b"A", b"http://a"), (b"[::1]:1", b"http://[::1]:1"), (b"*", b"http://*"), (b"a", b"ws://a"),
    )):
        add(f"own-{at}", host, b"/chat", [sent])
    add("own-absolute", b"a", b"http://b/chat", [b"http://b"])
    for at, entry in enumerate((b"example.com", b"https://", b"https://a/b", b"https://a:b", b"https://*.a", b"https://a:", b"1a://b", b"a+b://c:0", b"c", b"C", b"c:0", b"*.c", b"[::1]", b"Null")):
        add(f"entry-{at}", b"a", b"/", [b"a+b://c:0"], [entry])
    stars = [b"https://*.Example.com", b"*.wild.test", b"http://*.localhost:3000", b"Plain.test"]
    for at, sent in enumerate((
        b"https://a.example.com", b"https://A.EXAMPLE.com:443", b"https://example.com", b"https://a.b.example.com", b"https://.example.com", b"http://a.example.com",
        b"https://a.example.com:8443", b"https://aexample.com", b"gopher://a.wild.test:70", b"gopher://wild.test", b"http://a.localhost:3000", b"ws://plain.test:1",
        b"http://a.plain.test", b"null", b"http://a.wild.test.",
    )):
        add(f"star-{at}", b"x", b"/chat", [sent], stars)
    for at, entry in enumerate((b"*", b"*.", b"https://*.1", b"*.[::1]", b"https://*.*.a", b"a.*.b", b"*.a:80", b"https://*a.b")):
        add(f"star-entry-{at}", b"a", b"/", [b"https://b.a"], [entry])
    for at, target in enumerate((
        b"/chat", b"/chat?room=1", b"/chat/", b"/Chat", b"/", b"/rooms/7", b"/rooms/", b"/rooms/a%20b?room=c", b"/rooms/%ff", b"/rooms/%2f", b"/rooms/%",
        b"/rooms/a/b", b"/rooms//", b"/files/", b"/files", b"/files//", b"/files/a/b%2F..", b"/files/../chat", b"//chat", b"http://a.example/chat", b"*",
        b"http://a.example", b"/rooms/{room}", b"/%63hat",
    )):
        for host in (b"x", b"A.example.:80"):
            add(f"route-{at}-{host[:1].decode()}", host, target)


def forwarded():
    def add(name, by_for=(), by_rfc=()):
        seed("forwarded", name, b"\0".join([*by_for, b"", *by_rfc]))

    add("nothing")
    for at, line in enumerate((
        b"6.6.6.6", b"10.6.6.6", b"6.6.6.6, 10.0.0.9", b"unknown", b"_hidden", b"", b",", b" ,\t,", b"6.6.6.6:80", b"[2001:db8::6]:80", b"2001:db8::6",
        b"::ffff:10.0.0.9", b"fe80::1%eth0", b"garbage", b"\xff", b"10.0.0.9," * 63, b"10.0.0.9," * 64, b'"10.0.0.9', b"10.0.0.9\\",
    )):
        add(f"for-{at}", [line])
    add("for-lines", [b"6.6.6.6", b"10.0.0.9, 6.6.6.6", b"10.0.0.9"])
    for at, line in enumerate((
        b"for=6.6.6.6", b"for=10.6.6.6;proto=http", b'for="[2001:db8::6]:80";by=_x;host=a', b"For=unknown, FOR=_x;", b"", b",", b";;", b'for="', b'for="6.6.6.6',
        b'for="\\', b'for="\\"', b'for="a, b;c"', b'for=a"', b"for=", b"=", b"for", b"for=a;for=b", b"proto=http;proto=https", b"for =a", b"for=a ; x=y",
        b"for=[::1]:80", b'x="\xff"', b"x=\xff", b"for=a b", b"for=10.0.0.9," * 63 + b"for=a", b"for=10.0.0.9," * 64 + b"for=a",
    )):
        add(f"rfc-{at}", (), [line])
        add(f"both-{at}", [b"6.6.6.6"], [line])
    add("rfc-lines", (), [b"for=6.6.6.6", b"for=10.0.0.9, for=6.6.6.6"])
    add("both-same", [b"6.6.6.6, 10.0.0.9"], [b"for=6.6.6.6, for=10.0.0.9;proto=http"])


def proxy_header():
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    v4 = bytes([192, 0, 2, 7, 198, 51, 100, 1, 16, 1, 1, 187])
    v6 = bytes([32, 1, 13, 184, *([0] * 11), 7, *([0] * 15), 1, 16, 1, 1, 187])

    def binary(rest, command=0x21, kind=0x11, length=None):
        return signature + bytes([command, kind]) + (len(rest) if length is None else length).to_bytes(2, "big") + rest

    def record(kind, value, length=None):
        return bytes([kind]) + (len(value) if length is None else length).to_bytes(2, "big") + value

    def crc32c(data):
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        return (crc ^ 0xFFFFFFFF).to_bytes(4, "big")

    def add(name, data):
        seed("proxy_header", name, data)

    for at, line in enumerate((
        b"TCP4 192.0.2.7 198.51.100.1 4097 443", b"TCP6 2001:db8::7 ::1 4097 443", b"TCP6 ::ffff:192.0.2.7 ::1 0 65535", b"UNKNOWN", b"UNKNOWN ::1 ::1 1 2",
        b"UNKNOWN" + b" " * 92, b"UNKNOWN" + b" " * 93, b"TCP4 192.0.2.7 198.51.100.1 04097 443", b"TCP4 192.0.2.7 198.51.100.1 4097 +443", b"TCP4 ::1 ::1 1 2",
        b"TCP4 192.0.2.7 198.51.100.1 4097", b"TCP4 192.0.2.7 198.51.100.1 4097 443 ", b"TCP4  192.0.2.7 198.51.100.1 4097 443", b"UNKNOWN\n", b"UNKNOWN \xff", b"",
    )):
        add(f"line-{at}", b"PROXY " + line + b"\r\nGET / HTTP/1.1\r\n")
    for at, data in enumerate((b"GET / HTTP/1.1\r\n", b"PROXY", b"PROXY\t", b"proxy ", signature, signature[:-1] + b"\r", b"\r\n\r\nGET", b"\x16\x03\x01", b"")):
        add(f"begin-{at}", data)
    summed = binary(v4 + record(0x20, bytes([1, 0, 0, 0, 0])) + record(3, bytes(4)))
    add("checksum", summed[:-4] + crc32c(summed) + b"GET")
    add("checksum-wrong", summed + b"GET")
    add("line-without-end", b"PROXY UNKNOWN" + b" " * 200)
    for at, data in enumerate((
        binary(v4), binary(v6, kind=0x21), binary(v4, kind=0x12), binary(v6, kind=0x22), binary(bytes(216), kind=0x31), binary(bytes(215), kind=0x32),
        binary(b"", 0x20, 0), binary(v4, 0x20), binary(b"?", 0x21, 0), binary(v4, 0x22), binary(v4, 0x11), binary(v4, kind=0x10), binary(v4[:-1]),
        binary(v4, length=4080), binary(v4, length=4081), binary(v4, length=65535), binary(v4 + record(0x20, bytes(5))), binary(v4 + record(0x20, bytes([5, 0, 0, 0, 0, 33, 0, 1, 49]))),
        binary(v4 + record(0x20, bytes(4))), binary(v4 + record(3, bytes(3))), binary(v4 + record(4, b"", 1)), binary(v4 + b"\4\0"), binary(v4 + record(1, b"h2") + record(2, b"a.example")),
    )):
        add(f"binary-{at}", data + b"GET")


def wamp_message():
    def add(name, *lines):
        seed("wamp_message", name, "\n".join(lines).encode())

    for at, line in enumerate((
        '[0,"v59mbCGDXZ7WTyxB",1,"wsrv"]', '[0,"s"]', '[0,"s",2]', '[0,"s",1.0,""]', '[1,"p","http://a/#"]', '[1,"http","u"]', '[1,"","u"]', '[1,"a:","u"]', '[1,"p"]',
        '[2,"id","http://a/#f"]', '[2,"","f",null,[1, 2],{"b":1.50,"a":1e400}]', '[2,"id","f",[[[[]]]]]', '[2,"id","f",[3,4]]', '[2,"id","f",7,"x"]', '[2,"id",5]', '[2,"id"]', '[2,["id"],"f"]',
        '[3,"1",null]', '[3,"1",{"a":[]}]', '[4,"1","err:generic",""]', '[4,"1","u","d",[1]]', '[4,"1","u","d",null]', '[4,"1","u"]', '[5,"t"]', '[5,["t"]]', '[6,"a:t"]', '[6]',
        '[7,"t",{ }]', '[7,"t",0,null]', '[7,"t",0,true]', '[7,"t",0,"yes"]', '[7,"t",0,[],[]]', '[7,"t",0,["me"],["me","you"]]', '[7,"t",0,null,["a","a","a"]]', '[7,"t",0,[1]]', '[7,"t",0,[],null]',
        '[7,"t",0,[' + ",".join(f'"{at}"' for at in range(12)) + '],["3","me"]]', '[7,"t"]', '[8,"http://a/#t","\u20ac"]', '[8,"t"]', '[9,"t"]', '["5","t"]', '[5.5,"t"]', '[-0,"t"]', '[05,"t"]', "[]", "{}",
        '{"0":5}', "null", "", " [ 5 , \"t\" ]\r", '[5,"t"]]', '[5,"t",]', '[5,"\\ud800"]', '[5,"\\ud83d\\ude00"]', '[7,"\\u0000\\b\\f\\/",{"\\u0061":"[[["}]', '[7,"t",{"a":[[[[]]]],"a":0}]',
        '[7,"t",' + "[" * 63 + "]" * 63 + "]", '[7,"t",' + "[" * 64 + "]" * 64 + "]", '[7,"t",' + "[" * 300, '[99999999999999999999,"t"]', '[5,"' + "u" * 1025 + '"]', '[2,"' + "i" * 257 + '","f"]',
    )):
        add(f"line-{at}", line)
    add("prefixes", '[1,"a","http://a/calc"]', '[1,"b","http://a/calc#"]', '[1,"c","http://a/"]', '[1,"d","u"]', '[2,"id","a:add",1]', '[2,"id","b:add",1]', '[5,"c:#t"]', '[5,"a://x"]', '[5,":x"]', '[6,"b:x:y"]')
    add("prefix-again", '[1,"a","http://a/#"]', '[5,"a:t"]', '[1,"a",""]', '[7,"a:b:c",0]', '[5,"http://a/#t"]')
    add("session", '[0,"s",1,""]', '[8,"t",0]', '[3,"2",0]', '[3,"1",0]', '[3,"1",0]', '[0,"s",1,""]')


def session_php():
    def add(name, format, data):
        seed("session_php", name, bytes([("php", "php_binary", "php_serialize", "value").index(format)]) + data)

    deep = b"a:1:{i:0;" * 19
    bomb = b"a:2:{i:0;" * 18 + b"N;" + b"".join(b"i:1;R:%d;}" % (level + 1) for level in range(18, 0, -1))
    for at, value in enumerate((
        b"N;", b"b:1;", b"i:-9223372036854775808;", b"i:9223372036854775808;", b"d:0.10000000000000001;", b"d:-0;", b"d:-INF;", b"d:NAN;", b"d:1.0E+25;", b's:3:"\";}";', b's:2:"\xff\0";',
        b'S:3:"a\\00b";', b"a:0:{}", b'a:3:{i:1;N;s:1:"0";b:0;s:2:"00";i:1;}', b'a:3:{s:1:"a";i:1;s:1:"b";i:2;s:1:"a";i:3;}', b"a:1000000:{}", b's:99999999999999999999:"";',
        b'O:1:"C":5:{s:1:"a";i:1;s:4:"\0*\0b";i:2;s:4:"\0A\0c";i:3;s:4:"\0C\0c";i:4;i:0;N;}', b'E:3:"A:B";', b'C:1:"A":4:{i:1;}', b'C:1:"A":3:{}}}}', b'a:2:{i:0;C:1:"A":16:{a:1:{i:0;i:1;}}x}i:1;R:3;}',
        b'a:2:{i:0;O:1:"A":0:{}i:1;r:2;}', b"a:1:{i:0;R:1;}", b'O:1:"A":1:{s:1:"a";r:1;}', b"a:2:{i:0;i:1;i:1;r:2;}", bomb, deep + b"N;" + b"}" * 19, deep + b"a:1:{i:0;a:0:{}}" + b"}" * 19, deep,
    )):
        add(f"value-{at}", "value", value)
    for at, session in enumerate((b"", b"a|i:1;b|R:1;", b"a|i:1;|N;a|i:2;", b"8|i:1;", b"a", b"a|", b"\0\0\0\2", b"\0\0\0\2|N;", b'a|O:1:"A":0:{}b|a:1:{i:0;r:1;}')):
        add(f"php-{at}", "php", session)
    for at, session in enumerate((b"\1ai:1;\0N;", b"\x7fa", b"\x80ai:1;", b"\1ai:1;\1bR:1;")):
        add(f"binary-{at}", "php_binary", session)
    for at, session in enumerate((b"", b'a:1:{s:1:"a";i:1;}', b"i:5;", b"a:0:{}x", b'a:2:{s:1:"a";i:1;i:7;R:2;}')):
        add(f"serialize-{at}", "php_serialize", session)


def session_cookie():
    lines = (CORPUS.parent / "src/genuine_cookies.tsv").read_text().splitlines()
    for at, (name, header) in enumerate(line.split("\t") for line in lines):
        value = header.partition("=")[2]
        for way, changed in (("genuine", header), ("quoted", header.replace(value, f'"{value}"')), ("twice", f"{header}; {header}x"), ("cut", header[:-1]), ("changed", header.replace(value, value[:8] + ("x" if value[8] != "x" else "y") + value[9:]))):
            seed("session_cookie", f"{name}-{way}", bytes([at]) + changed.encode())


def session_record():
    formats = ("json", "express", "tower", "base64", "php_base64", "laravel_cookie", "django", "laravel_encrypted")

    def add(name, format, data):
        seed("session_record", f"{format}-{name}", bytes([formats.index(format)]) + data)

    for at, json in enumerate((
        b"{}", b"[]", b"[1]", b"null", b'{"a":1,"b":[true,false,null,-2.5e1,"x"],"a":{"":{}}}', b'{"a":18446744073709551616,"b":-9223372036854775808,"c":1e400,"d":-0,"e":01}',
        b'{"a":"\\ud83d\\ude00\\n\\u0000"}', b'{"a":"\\ud83d"}', b'{"a":"\xff"}', b"\xef\xbb\xbf{}", b' {"a" : [ ] ,\t"b":{ }}\r\n', b'{"a":1,}', b"\x80\x05}\x94.", b'{"a":' * 19 + b"{}" + b"}" * 19, b'{"a":' * 30, b'{"a":184467440784467472001}',
    )):
        add(at, "json", json)
        add(at, "base64", base64.b64encode(json))
    for at, expires in enumerate((b'"2024-02-29T12:00:00.000Z"', b"null", b"false", b'"soon"', b'"2023-02-29T12:00:00Z"', b'"+99999-01-01T00:00:00Z"', b"5")):
        add(at, "express", b'{"cookie":{"originalMaxAge":null,"expires":' + expires + b'},"user":"ada"}')
    head, end = b"\x93\xc4\x10" + bytes(range(16)), b"\x99\xcd\x07\xe8\x3c\x0c\x00\x00\x00\x00\x00\x00"
    for at, values in enumerate((
        b"\x80", b"\x81\xa1a\x05", b"\xde\x00\x01\xa1a\xdc\x00\x01\xc0", b"\x82\xa1a\xcf" + b"\xff" * 8 + b"\xa1b\xd3" + b"\x80" + b"\0" * 7, b"\x81\xa1a\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", b"\x81\xa1a\xd9\x02\xc3\xa9",
        b"\x81\xa1a\xa1\xff", b"\x81\xa1a\xc4\x01x", b"\x81\x05\x05", b"\xdf\xff\xff\xff\xff", b"\x81\xa1a\xdd\xff\xff\xff\xff", b"\x81\xa1a" * 19 + b"\x80",
    )):
        add(at, "tower", head + values + end)
    add("late", "tower", head + b"\x80\x99\xce\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00")
    add("zone", "tower", head + b"\x80\x99\xcd\x07\xe8\x01\x17\x3b\x3b\xce\x3b\x9a\xc9\xff\xfe\xff\xff")
    php = b'a:1:{s:2:"id";i:5;}'
    add("string", "php_base64", base64.b64encode(b's:%d:"%s";' % (len(php), php)))
    add("long", "php_base64", base64.b64encode(b's:%d:"%s";' % (len(php) + 1, php)))
    add("live", "laravel_cookie", b'{"data":"a:1:{s:2:\\"id\\";i:5;}","expires":1700000000}')
    add("late", "laravel_cookie", b'{"data":"a:0:{}","expires":18446744073709551615}')
    add("none", "laravel_cookie", b'{"data":"a:0:{}"}')
    # Made by Django and by PHP's functions.
    signed = b"eyJpZCI6NX0:1xUyWh:ZLa9Z1HSpK3faqFJLSAN_FwIi0ozE0W-n4frg4NtTQE"
    sealed = b"eyJpdiI6Ik1ERXlNelExTmpjNE9XRmlZMlJsWmc9PSIsInZhbHVlIjoiNk0xZFhTRFZRQzJMWmNJSkJyUkRyOHkvaTkxeVFyVkhYeDhqRGxReFdNQT0iLCJtYWMiOiI3ZDBiZWNhN2YyMGNlMjIwNTU3ODcwZTEyZmMwZjZjY2YyNGRmN2Q4Zjg3MjRlMjBkMDdmNDE1ZmE1OGEwY2U0IiwidGFnIjoiIn0="
    add("genuine", "django", signed)
    add("changed", "django", signed.replace(b"eyJ", b"eyK"))
    add("empty", "django", b"")
    add("genuine", "laravel_encrypted", base64.b64encode(sealed))
    add("changed", "laravel_encrypted", base64.b64encode(sealed[:60] + b"A" + sealed[61:]))


streams("message_stream", KEY)
streams("client_stream", None)
for target in (deflate_stream, request_head, answer_head, handshake, origin, forwarded, proxy_header, wamp_message, session_php, session_cookie, session_record):
    target()
