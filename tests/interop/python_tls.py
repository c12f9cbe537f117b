#!/usr/bin/env python3
"""OpenSSL, by way of Python, as the other end of TLS.

    python_tls.py PROGRAM

Starts PROGRAM, the example `tls`, which prints its address and the certificate it has
made. Prints a line per check; exits with 1 if one failed.
"""

import asyncio
import socket
import ssl
import subprocess
import sys
import warnings
from urllib.parse import urlsplit

from checks import PATIENCE, Checks, Report, expect
from websockets.asyncio.client import connect

check = Checks()


class Server:
    def __init__(self, program):
        # In the buffer is what it tells of each connection, which is little.
        self.process = subprocess.Popen([program, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.port = urlsplit(self.url).port
        lines = []
        while not lines or "END CERTIFICATE" not in lines[-1]:
            lines.append(self.process.stdout.readline())
        self.certificate = "".join(lines)

    def context(self, version=None):
        context = ssl.create_default_context(cadata=self.certificate)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def socket(self, context, session=None):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return context.wrap_socket(plain, server_hostname="localhost", session=session)


def get(tls):
    """A page that there is not, so that all of the answer comes and the end."""
    tls.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    # Without a close_notify, this would be an error.
    while part := tls.recv(4096):
        answer += part
    expect(answer[:12], b"HTTP/1.1 404", "answer")


async def echo(server, version):
    options = {"ssl": server.context(version), "host": "127.0.0.1", "server_hostname": "localhost"}
    async with connect(server.url, max_size=None, compression=None, **options) as ws:
        for message in ["hello", b"", bytes(range(256)) * 4000, "größer" * 10_000]:
            await ws.send(message)
            if await ws.recv() != message:
                raise AssertionError("another message came back")
        await ws.close(1000)
        expect(ws.close_code, 1000, "close code")


@check("messages over TLS 1.3")
def messages_1_3(server):
    asyncio.run(asyncio.wait_for(echo(server, ssl.TLSVersion.TLSv1_3), PATIENCE))


@check("messages over TLS 1.2")
def messages_1_2(server):
    asyncio.run(asyncio.wait_for(echo(server, ssl.TLSVersion.TLSv1_2), PATIENCE))


def resumption(server, version):
    context = server.context(version)
    with server.socket(context) as first:
        expect(first.session_reused, False, "the first session is resumed")
        get(first)
        session = first.session
    with server.socket(context, session) as second:
        expect(second.session_reused, True, "the second session is resumed")
        get(second)


@check("resumption in TLS 1.3")
def resumption_1_3(server):
    resumption(server, ssl.TLSVersion.TLSv1_3)


@check("resumption in TLS 1.2 by ticket")
def resumption_by_ticket(server):
    resumption(server, ssl.TLSVersion.TLSv1_2)


@check("resumption in TLS 1.2 without tickets")
def resumption_without_tickets(server):
    context = server.context(ssl.TLSVersion.TLSv1_2)
    context.options |= ssl.OP_NO_TICKET
    with server.socket(context) as first:
        get(first)
        session = first.session
    with server.socket(context, session) as second:
        expect(second.session_reused, True, "the second session is resumed")


@check("HTTP/1.1 is agreed on")
def http_1(server):
    context = server.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with server.socket(context) as tls:
        expect(tls.selected_alpn_protocol(), "http/1.1", "protocol")


@check("HTTP/2 alone is refused")
def http_2(server):
    context = server.context()
    context.set_alpn_protocols(["h2"])
    try:
        server.socket(context).close()
    except ssl.SSLError as error:
        # Older versions of Python have no name for it.
        if "application protocol" not in str(error).lower().replace("_", " "):
            raise
    else:
        raise AssertionError("the handshake has succeeded")


@check("versions before 1.2 are refused")
def old_versions(server):
    context = server.context()
    with warnings.catch_warnings():
        # That they are old is why they are tried.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        server.socket(context).close()
    except ssl.SSLError:
        pass
    else:
        raise AssertionError("the handshake has succeeded")


def main(program):
    server = Server(program)
    report = Report("openssl", late=asyncio.TimeoutError)
    try:
        for title, function in check:
            with report.check(title):
                function(server)
    finally:
        server.process.kill()
        server.process.wait()
    return report.end()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
