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
import traceback
from pathlib import Path

from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

CANNOT_RUN = 77
PATIENCE = 10
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


def expect(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted!r:.100}, found {found!r:.100}")


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


async def the_server_sees_the_client_whatever_it_claims(port):
    for headers in [None, FORGED]:
        async with connect(port, headers=headers) as ws:
            expect(await ws.recv(), f"you are {CLIENT}, by way of {PROXY}", f"with {headers}")


async def large_messages_pass_both_ways(port):
    async with connect(port) as ws:
        await ws.recv()
        for message in [os.urandom(MIB), "größer" * (MIB // 8), b""]:
            # Both ways at once, as none of them holds all of it.
            _, back = await asyncio.gather(ws.send(message), ws.recv())
            if back != message:
                raise AssertionError(f"{len(message)} were sent, and something else came back: {len(back)}")


async def blocked_clients_are_refused_whatever_they_claim(port):
    for headers in [None, {"X-Forwarded-For": CLIENT, "Forwarded": f"for={CLIENT}"}]:
        expect(await status_of(port, BLOCKED, headers), 403, "status")


async def close_codes_pass_both_ways(port):
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


async def pings_pass(port):
    async with connect(port) as ws:
        await ws.recv()
        await asyncio.wait_for(await ws.ping(b"are you there"), PATIENCE)


THROUGH = [
    the_server_sees_the_client_whatever_it_claims,
    large_messages_pass_both_ways,
    blocked_clients_are_refused_whatever_they_claim,
    close_codes_pass_both_ways,
    pings_pass,
]


async def who_is_no_trusted_proxy_is_not_believed(ports):
    for server in SERVERS:
        async with connect(ports[server], headers=FORGED) as ws:
            expect(await ws.recv(), f"you are {CLIENT}", f"server {server}")
        expect(await status_of(ports[server], BLOCKED, {"X-Forwarded-For": CLIENT}), 403, "status")


async def a_proxy_header_of_a_client_is_no_request(ports):
    reader, writer = await asyncio.open_connection(PROXY, ports[9002], local_addr=(CLIENT, 0))
    writer.write(b"PROXY TCP4 6.6.6.6 127.0.0.1 4000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    expect(answer[:12], b"HTTP/1.1 400", "answer")


async def a_trusted_proxy_that_tells_nothing_is_closed(ports):
    reader, writer = await asyncio.open_connection(PROXY, ports[9002], local_addr=(PROXY, 0))
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionResetError:
        answer = b""
    writer.close()
    expect(answer, b"", "answer")


DIRECT = [
    who_is_no_trusted_proxy_is_not_believed,
    a_proxy_header_of_a_client_is_no_request,
    a_trusted_proxy_that_tells_nothing_is_closed,
]


def main(server):
    missing = [name for name in ["nginx", "haproxy"] if not program(name)]
    if not STREAM.exists():
        missing.append("libnginx-mod-stream")
    if missing:
        print(f"MISSING: {', '.join(missing)}")
        return CANNOT_RUN
    began, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="wsrv-proxies-") as folder:
        programs = Programs(server, folder)
        try:
            checks = [(way, check, programs.ports[port]) for way, port in WAYS.items() for check in THROUGH]
            checks += [("without a proxy", check, programs.ports) for check in DIRECT]
            for way, check, where in checks:
                title = f"{way}: {check.__name__.replace('_', ' ')}"
                try:
                    asyncio.run(asyncio.wait_for(check(where), 2 * PATIENCE))
                    print(f"ok     {title}", flush=True)
                except Exception:
                    failed += 1
                    print(f"FAILED {title}")
                    traceback.print_exc(file=sys.stdout)
        finally:
            programs.stop()
    seconds = time.monotonic() - began
    print(f"proxies: {len(checks) - failed} checks passed, {failed} failed, in {seconds:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(os.path.abspath(sys.argv[1])))
