#!/usr/bin/env python3
"""nginx and HAProxy in front of a server.

    proxies.py PROGRAM

PROGRAM is the example `behind_proxy`. It is started for each way in which a proxy can tell
an address, and so are the proxies, with the configurations of `examples/behind_proxy` on
other ports. Prints a line per check; exits with 1 if one failed, and with 77 if a proxy is
not installed.

A client is at 127.0.0.2, a blocked one at 127.0.0.3, the proxies at 127.0.0.1.
"""

import asyncio
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from checks import PATIENCE, Checks, Report, expect
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

CANNOT_RUN = 77
SAMPLES = Path(__file__).resolve().parents[2] / "examples" / "behind_proxy"
STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
PROXY, CLIENT, BLOCKED = "127.0.0.1", "127.0.0.2", "127.0.0.3"
MIB = 1 << 20

# Where the configurations listen and pass on to, and how the server at the other end is told.
SERVERS = {9000: [], 9001: ["--forwarded"], 9002: ["--proxy-protocol"]}
WAYS = {
    "nginx by X-Forwarded-For": 8000,
    "nginx by Forwarded": 8001,
    "nginx by the PROXY protocol": 8002,
    "HAProxy by X-Forwarded-For": 8010,
    "HAProxy by the PROXY protocol, version 1": 8011,
    "HAProxy by the PROXY protocol, version 2": 8012,
}
FORGED = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6"}

# Those of every way, and those of the server alone.
through, direct = Checks(), Checks()


# --- the programs --------------------------------------------------------------


def program(name):
    # Debian has them where only root looks.
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_ports(count):
    """Free for a moment at least."""
    sockets = [socket.create_server((PROXY, 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


class Programs:
    def __init__(self, server, folder):
        self.running, self.folder, self.ports = [], Path(folder), {}
        rights = {}
        if os.geteuid() == 0:
            # They need nothing that is root's.
            nobody = pwd.getpwnam("nobody")
            rights = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        try:
            for port, options in SERVERS.items():
                self.serve(port, [server, f"{PROXY}:0", "--trusted-proxy", PROXY, "--block", BLOCKED, *options])
            self.ports.update(zip(WAYS.values(), free_ports(len(WAYS))))
            nginx = ["-p", folder, "-c", self.configuration("nginx.conf"), "-g", "daemon off;"]
            self.start([program("nginx"), *nginx], **rights)
            self.start([program("haproxy"), "-f", self.configuration("haproxy.cfg")], **rights)
            for port in WAYS.values():
                self.wait_for(self.ports[port])
        except BaseException:
            self.stop()
            raise

    def start(self, command, **options):
        self.running.append(subprocess.Popen(command, cwd=self.folder, **options))
        return self.running[-1]

    def serve(self, port, command):
        process = self.start(command, stdout=subprocess.PIPE, text=True)
        self.ports[port] = int(re.search(r":(\d+)/", process.stdout.readline()).group(1))

    def configuration(self, name):
        """The sample as it is, but for its ports."""
        sample = (SAMPLES / name).read_text()
        lines = re.sub(r"127\.0\.0\.1:(\d+)", lambda addr: f"{PROXY}:{self.ports[int(addr[1])]}", sample)
        path = self.folder / name
        path.write_text(lines)
        path.chmod(0o644)
        return str(path)

    def wait_for(self, port):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection((PROXY, port), timeout=PATIENCE).close()
            except ConnectionRefusedError:
                for process in self.running:
                    if process.poll() is not None:
                        raise RuntimeError(f"{process.args[0]} has ended with {process.returncode}") from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def stop(self):
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# --- the checks ------------------------------------------------------------------


def connect(port, source=CLIENT, headers=None):
    # It would look for a proxy of its own in the environment.
    options = {"max_size": None, "compression": None, "proxy": None, "open_timeout": PATIENCE}
    return websockets_connect(
        f"ws://{PROXY}:{port}/", local_addr=(source, 0), additional_headers=headers, close_timeout=PATIENCE, **options
    )


async def status_of(port, source, headers=None):
    try:
        async with connect(port, source, headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@through("the server sees the client, whatever it claims")
async def client_address(port):
    for headers in [None, FORGED]:
        async with connect(port, headers=headers) as ws:
            expect(await ws.recv(), f"you are {CLIENT}, by way of {PROXY}", f"with {headers}")


@through("large messages pass both ways")
async def large_messages(port):
    async with connect(port) as ws:
        await ws.recv()
        for message in [os.urandom(MIB), "größer" * (MIB // 8), b""]:
            # Both ways at once, as none of them holds all of it.
            _, back = await asyncio.gather(ws.send(message), ws.recv())
            if back != message:
                raise AssertionError(f"{len(message)} were sent, and something else came back: {len(back)}")


@through("blocked clients are refused, whatever they claim")
async def blocked(port):
    for headers in [None, {"X-Forwarded-For": CLIENT, "Forwarded": f"for={CLIENT}"}]:
        expect(await status_of(port, BLOCKED, headers), 403, "status")


@through("close codes pass both ways")
async def close_codes(port):
    async with connect(port) as ws:
        await ws.recv()
        await ws.close(4321, "so long")
        # What comes back is what the server has got.
        expect((ws.close_code, ws.close_reason), (4321, "so long"), "the client's close")
    async with connect(port) as ws:
        await ws.recv()
        await ws.send("bye")
        try:
            expect(await ws.recv(), None, "nothing but the end")
        except ConnectionClosed as closed:
            expect((closed.rcvd.code, closed.rcvd.reason), (4000, "as you wish"), "the server's close")
            expect(closed.rcvd_then_sent, True, "the server closes first")


@through("pings pass")
async def pings(port):
    async with connect(port) as ws:
        await ws.recv()
        await asyncio.wait_for(await ws.ping(b"are you there"), PATIENCE)


@direct("who is no trusted proxy is not believed")
async def not_trusted(ports):
    for server in SERVERS:
        async with connect(ports[server], headers=FORGED) as ws:
            expect(await ws.recv(), f"you are {CLIENT}", f"server {server}")
        expect(await status_of(ports[server], BLOCKED, {"X-Forwarded-For": CLIENT}), 403, "status")


@direct("a PROXY header of a client is no request")
async def header_of_a_client(ports):
    reader, writer = await asyncio.open_connection(PROXY, ports[9002], local_addr=(CLIENT, 0))
    writer.write(b"PROXY TCP4 6.6.6.6 127.0.0.1 4000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    expect(answer[:12], b"HTTP/1.1 400", "answer")


@direct("a trusted proxy that tells nothing is closed")
async def no_header_of_a_proxy(ports):
    reader, writer = await asyncio.open_connection(PROXY, ports[9002], local_addr=(PROXY, 0))
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionResetError:
        answer = b""
    writer.close()
    expect(answer, b"", "answer")


def main(server):
    missing = [name for name in ["nginx", "haproxy"] if not program(name)]
    if not STREAM.exists():
        missing.append("libnginx-mod-stream")
    if missing:
        print(f"MISSING: {', '.join(missing)}")
        return CANNOT_RUN
    report = Report("proxies", late=asyncio.TimeoutError)
    with tempfile.TemporaryDirectory(prefix="wsrv-proxies-") as folder:
        programs = Programs(server, folder)
        try:
            places = [(way, through, programs.ports[port]) for way, port in WAYS.items()]
            places.append(("without a proxy", direct, programs.ports))
            for way, checks, where in places:
                for title, function in checks:
                    with report.check(f"{way}: {title}"):
                        asyncio.run(asyncio.wait_for(function(where), 2 * PATIENCE))
        finally:
            programs.stop()
    return report.end()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(os.path.abspath(sys.argv[1])))
