#!/usr/bin/env python3
"""The Python package `websockets`, and a bare socket, as clients of a server.

    python_websockets.py URL LIMITED_URL

Both servers must echo; the one at LIMITED_URL takes messages of at most 1000
bytes. Prints a line per check; exits with 1 if one failed.
"""

import asyncio
import base64
import hashlib
import os
import sys
from urllib.parse import urlsplit

from checks import PATIENCE, Checks, Report, expect, short
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate

check = Checks()


def connect(url, **options):
    # The package would hide a server that never closes the socket: it waits and goes on.
    fixed = {"max_size": None, "close_timeout": 2 * PATIENCE}
    return websockets_connect(url, **fixed, **{"compression": None, **options})


async def expect_echo(ws, message):
    await ws.send(message)
    expect(await ws.recv(), message, "echo")


# --- messages ----------------------------------------------------------------


@check("text")
async def text(url, _):
    async with connect(url) as ws:
        await expect_echo(ws, "hello")


@check("binary")
async def binary(url, _):
    async with connect(url) as ws:
        await expect_echo(ws, bytes(range(256)))


@check("empty text and empty binary")
async def empty(url, _):
    async with connect(url) as ws:
        await expect_echo(ws, "")
        await expect_echo(ws, b"")


@check("text outside ASCII")
async def non_ascii(url, _):
    async with connect(url) as ws:
        await expect_echo(ws, "Grüße, κόσμε, 日本語, \U0001f980, \u0000, \U0010ffff")


def check_size(size):
    @check(f"{size} bytes, text and binary")
    async def sized(url, _):
        async with connect(url) as ws:
            await expect_echo(ws, os.urandom(size))
            await expect_echo(ws, "x" * size)


for border in (125, 126, 65535, 65536, 1024 * 1024):
    check_size(border)


@check("fragments come back as one message")
async def fragments(url, _):
    async with connect(url) as ws:
        await ws.send(["one ", "", "two ", "three"])
        expect(await ws.recv(), "one two three", "echo of text")
        await ws.send([b"\xff", b"\x00" * 70000])
        expect(await ws.recv(), b"\xff" + b"\x00" * 70000, "echo of binary")


def check_compression(**offer):
    @check(f"messages are compressed both ways, with {offer or 'the defaults'}")
    async def compressed(url, _):
        extension = ClientPerMessageDeflateFactory(**offer)
        async with connect(url, extensions=[extension]) as ws:
            [agreed] = ws.protocol.extensions
            expect(isinstance(agreed, PerMessageDeflate), True, "the extension")
            # What we send and what we get, as the package has understood the answer.
            known = {
                "server_no_context_takeover": agreed.remote_no_context_takeover,
                "client_no_context_takeover": agreed.local_no_context_takeover,
                "server_max_window_bits": agreed.remote_max_window_bits,
                "client_max_window_bits": agreed.local_max_window_bits,
            }
            for name, value in offer.items():
                if value is not True or "no_context" in name:
                    expect(known[name], value, name)
            for number in range(50):
                await expect_echo(ws, f"{number} " + "squeeze " * 1000)
                await expect_echo(ws, bytes([number]) * 5000)
                await expect_echo(ws, "")
                await expect_echo(ws, os.urandom(100))
                await ws.send([f"{number} ", "in ", "fragments"])
                expect(await ws.recv(), f"{number} in fragments", "echo")


check_compression()
check_compression(server_no_context_takeover=True)
check_compression(client_no_context_takeover=True)
check_compression(server_max_window_bits=9, client_max_window_bits=9)
check_compression(server_max_window_bits=12, client_max_window_bits=True)


@check("a window of 256 bytes is declined")
async def small_window(url, _):
    async with connect(url, extensions=[ClientPerMessageDeflateFactory(server_max_window_bits=8)]) as ws:
        expect(list(ws.protocol.extensions), [], "extensions")
        await expect_echo(ws, "squeeze " * 1000)


@check("200 messages sent before the first echo is read keep their order")
async def pipelined(url, _):
    messages = [f"message {number}" for number in range(200)]
    async with connect(url) as ws:
        for message in messages:
            await ws.send(message)
        expect([await ws.recv() for _ in messages], messages, "echoes")


@check("200 connections at the same time")
async def many(url, _):
    async def one(number):
        async with connect(url, open_timeout=PATIENCE) as ws:
            nonlocal ready
            ready += 1
            if ready == 200:
                all_open.set()
            await all_open.wait()
            await expect_echo(ws, f"connection {number}")

    ready, all_open = 0, asyncio.Event()
    await asyncio.gather(*(one(number) for number in range(200)))


# --- control frames and closing ----------------------------------------------


@check("a pong carries the payload of its ping")
async def ping(url, _):
    async with connect(url, ping_interval=None) as ws:
        for payload in (b"", b"payload", bytes(range(125))):
            # Resolved only by a pong with this very payload.
            await (await ws.ping(payload))


@check("a ping between two fragments is answered before the message is whole")
async def ping_between_fragments(url, _):
    async with connect(url, ping_interval=None) as ws:

        async def parts():
            yield "before "
            await (await ws.ping(b"between"))
            yield "after"

        await ws.send(parts())
        expect(await ws.recv(), "before after", "echo")


async def expect_close_echo(url, code, reason):
    async with connect(url) as ws:
        await expect_echo(ws, "still open")
        await ws.close(code, reason)
        answer = ws.protocol.close_rcvd
        expect(answer and answer.code, code, "close code of the answer")
        if reason == "bye":
            expect(answer.reason, reason, "close reason of the answer")
        expect(ws.protocol.close_rcvd_then_sent, False, "the server closed first")


@check("closing with 1000 and a reason is answered alike")
async def close_normally(url, _):
    await expect_close_echo(url, 1000, "bye")


@check("close codes 3000 and 4999 are answered alike")
async def close_private(url, _):
    await expect_close_echo(url, 3000, "")
    await expect_close_echo(url, 4999, "")


@check("after the closing handshake the server closes the socket")
async def close_socket(url, _):
    reader, writer, _ = await upgraded(url)
    writer.write(masked(0x88, (1000).to_bytes(2, "big")))
    frame = await reader.readexactly(4)
    expect(frame, b"\x88\x02\x03\xe8", "close frame")
    expect(await reader.read(), b"", "bytes after the close frame")
    writer.close()


async def expect_too_big(ws, message):
    await ws.send(message)
    try:
        answer = await ws.recv()
    except ConnectionClosed as closed:
        expect(closed.rcvd and closed.rcvd.code, 1009, "close code")
    else:
        raise AssertionError(f"expected a close with 1009, found a message: {short(answer)}")


@check("a message over the limit is closed with 1009, one at the limit is echoed")
async def too_big(_, limited):
    async with connect(limited) as ws:
        await expect_echo(ws, b"x" * 1000)
        await expect_too_big(ws, b"x" * 1001)


@check("fragments that add up to more than the limit are closed with 1009")
async def too_big_in_sum(_, limited):
    async with connect(limited) as ws:
        await expect_too_big(ws, [b"x" * 600, b"x" * 600])


# --- the opening handshake, byte by byte -------------------------------------

KEY = base64.b64encode(b"a key of 16 byte").decode()
ACCEPT = base64.b64encode(
    hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
).decode()


def request(url, method="GET", leave_out=(), **changes):
    """The bytes of an opening handshake, with headers changed or left out."""
    headers = {
        "Host": urlsplit(url).netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if name not in leave_out]
    return "\r\n".join([f"{method} {urlsplit(url).path or '/'} HTTP/1.1", *lines, "", ""]).encode()


def masked(first_byte, payload):
    """A short frame with a masking key other than zero."""
    key = b"\x11\x22\x33\x44"
    scrambled = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    return bytes([first_byte, 0x80 | len(payload)]) + key + scrambled


async def open_socket(url):
    address = urlsplit(url)
    return await asyncio.open_connection(address.hostname, address.port)


async def response_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (l.partition(":") for l in lines)}
    return int(status.split(" ")[1]), headers


async def upgraded(url, extra=b""):
    """A socket after the opening handshake; `extra` travels in the same packet."""
    reader, writer = await open_socket(url)
    writer.write(request(url) + extra)
    status, headers = await response_head(reader)
    expect(status, 101, "status")
    expect(headers.get("sec-websocket-accept"), ACCEPT, "Sec-WebSocket-Accept")
    return reader, writer, headers


@check("the answer to the opening handshake is complete")
async def handshake(url, _):
    _, writer, headers = await upgraded(url)
    expect(headers.get("upgrade", "").lower(), "websocket", "Upgrade")
    expect(headers.get("connection", "").lower(), "upgrade", "Connection")
    expect("sec-websocket-protocol" in headers, False, "a subprotocol that was not asked for")
    expect("sec-websocket-extensions" in headers, False, "an extension that was not asked for")
    writer.close()


@check("a frame in the same packet as the request is not lost")
async def glued(url, _):
    reader, writer, _ = await upgraded(url, masked(0x81, b"early"))
    expect(await reader.readexactly(7), b"\x81\x05early", "echo")
    writer.close()


@check("a handshake that arrives byte by byte succeeds")
async def dripped(url, _):
    reader, writer = await open_socket(url)
    for byte in request(url) + masked(0x81, b"slow"):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    status, _ = await response_head(reader)
    expect(status, 101, "status")
    expect(await reader.readexactly(6), b"\x81\x04slow", "echo")
    writer.close()


async def refusal(url, data, statuses, closes=False):
    """Sends a request that must be refused; gives the headers of the answer."""
    reader, writer = await open_socket(url)
    writer.write(data)
    status, headers = await response_head(reader)
    if status not in statuses:
        raise AssertionError(f"expected status {statuses}, found {status}")
    length = headers.get("content-length")
    if length is None:
        raise AssertionError("no Content-Length")
    await reader.readexactly(int(length))
    if closes:
        options = [option.strip() for option in headers.get("connection", "").lower().split(",")]
        expect("close" in options, True, "close among the options of Connection")
        expect(await reader.read(), b"", "bytes after the answer")
    writer.close()
    return headers


@check("another version: 426 that names version 13")
async def wrong_version(url, _):
    headers = await refusal(url, request(url, Sec_WebSocket_Version="8"), {426})
    expect(headers.get("sec-websocket-version"), "13", "Sec-WebSocket-Version")


@check("POST: 405 that allows GET")
async def post(url, _):
    headers = await refusal(url, request(url, method="POST", Content_Length="0"), {405})
    expect(headers.get("allow"), "GET", "Allow")


@check("no Host: 400")
async def no_host(url, _):
    await refusal(url, request(url, leave_out=("Host",)), {400})


@check("no key: 400")
async def no_key(url, _):
    await refusal(url, request(url, leave_out=("Sec-WebSocket-Key",)), {400})


@check("a head over 16 KiB: 431")
async def huge_head(url, _):
    await refusal(url, request(url, X_Padding="x" * 17 * 1024), {431})


@check("an ordinary GET: 426 or 404, and the connection ends")
async def plain_get(url, _):
    data = f"GET / HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode()
    await refusal(url, data, {426, 404}, closes=True)


async def main(url, limited):
    report = Report("python", late=asyncio.TimeoutError)
    for title, function in check:
        with report.check(title):
            await asyncio.wait_for(function(url, limited), PATIENCE)
    return report.end()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2])))
