#!/usr/bin/env python3
"""Long streams stay whole while versions of everything come and go, and cost no version its life.

    tests/e2e/long_streams_test.py [STREAMS VERSIONS]      200 100 in the tests; try 1000 1000

WebSocket tunnels, uploads and downloads that never end are opened one by one while the control
plane pushes; each version changes routes and something else: the endpoints that the streams
hang on, a cluster, the listener itself. Then comes a second half of the pushes without new
streams. Shown: every stream still carries bytes both ways at its end; live versions, as
/tables of admin lists them, are those of the last seconds, whatever the number of streams; the
second half of the pushes costs no memory.
"""

import asyncio
import json
import socket
import sys
import threading
import time

import harness
from harness import get, until

harness.need("sluice", "mock-cp")
STREAMS, VERSIONS = (int(x) for x in (sys.argv[1:3] or (200, 100)))
# An exchange lets go of its version a second after the next was adopted, at the next tick of a
# timer that runs once a second; the rest is for a busy machine.
LONGEST_PIN_S = 5
LARGEST_GROWTH_KIB = 6 * 1024


class Origin:
    """Answers for ever: /ws and /up echo what comes, /down sends what tick() says."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.downloads = set()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.ports = [self._on_loop(self._listen()) for _ in (0, 1)]

    def _on_loop(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(harness.LONGEST_S)

    async def _listen(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        return server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET /ws"):
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
                             b"connection: upgrade\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            if head.startswith(b"GET /down"):
                self.downloads.add(writer)
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.downloads.discard(writer)
            writer.close()

    def tick(self, text):
        async def send():
            for writer in self.downloads:
                writer.write(text)
        self._on_loop(send())


class Stream:
    """One request that does not end, over a socket of its own."""

    def __init__(self, port, kind):
        self.kind = kind
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=harness.LONGEST_S)
        more = {"ws": "connection: upgrade\r\nupgrade: websocket\r\n",
                "up": "transfer-encoding: chunked\r\n", "down": ""}[kind]
        method = "POST" if kind == "up" else "GET"
        self.socket.sendall(f"{method} /{kind} HTTP/1.1\r\nhost: h\r\n{more}\r\n".encode())
        self.got = b""
        head = self._until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101" if kind == "ws" else b"HTTP/1.1 200"), head

    def _until(self, text):
        while text not in self.got:
            data = self.socket.recv(65536)
            if not data:
                raise AssertionError(f"{self.kind} stream ended; it had said {self.got!r}")
            self.got += data
        at = self.got.index(text) + len(text)
        taken, self.got = self.got[:at], self.got[at:]
        return taken

    def say(self, text):
        framed = text if self.kind == "ws" else b"%x\r\n%s\r\n" % (len(text), text)
        if self.kind != "down":
            self.socket.sendall(framed)

    def hear(self, text):
        heard = self._until(text)
        # A chunk of the endpoint's, framed anew: the size line before it, the line end after it.
        assert len(heard) <= len(text) + 8, (self.kind, heard)


def check(origin, streams, text):
    """Every stream carries `text`, there and back."""
    for stream in streams:
        stream.say(text)
    origin.tick(b"%x\r\n%s\r\n" % (len(text), text))
    for stream in streams:
        stream.hear(text)


def resources(site, origin, port, version):
    """Writes version `version` of the configuration, what changes besides the routes in turn."""
    limits = ("circuit_breakers: { thresholds: [ { max_connections: 100000, "
              "max_requests: 100000, max_pending_requests: 100000 } ] },")
    clusters = [harness.eds_cluster("c").replace("connect_timeout", f"{limits} connect_timeout")]
    if version // 2 % 2:
        clusters.append(harness.static_cluster("comes-and-goes", origin.ports[0]))
    endpoints = harness.load_assignment("c", origin.ports[version // 3 % 2])
    routes = (f"{{ name: r, virtual_hosts: [ {{ name: all, domains: ['*'], routes: [ "
              f"{{ match: {{ path: /version }}, direct_response: {{ status: 200, body: "
              f"{{ inline_string: '{version}' }} }} }}, "
              f"{{ match: {{ prefix: / }}, route: {{ cluster: c, timeout: 0s }} }} ] }} ] }}\n")
    upgrades = f"upgrade_configs: [ {{ upgrade_type: websocket }} ], server_name: s{version // 5},"
    listener = harness.listener("in", port, harness.rds("r"), upgrades)
    parts = {"clusters": clusters, "endpoints": [endpoints], "routes": [routes],
             "listeners": [listener]}
    site.resource("all.yaml", "".join(
        f"{kind}:\n" + "".join(f"- {x}" for x in items) for kind, items in parts.items()))


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def live_versions(admin):
    return json.loads(get(admin, "/tables?format=json").body)["versions"]


with harness.Site() as site:
    origin = Origin()
    control, port, admin = (harness.free_port() for _ in range(3))
    resources(site, origin, port, 0)
    site.control_plane(control)
    sluice = site.sluice(f"admin: {{ address: {harness.address(admin)} }}\n"
                         + harness.ads_bootstrap(control))
    until("the listener accepts", lambda: harness.accepts(port))

    streams, pushed_at, most_live, pinned_seen = [], [], 0, 0

    def push(version):
        global most_live, pinned_seen
        resources(site, origin, port, version)
        until(f"version {version} is in effect",
              lambda: get(port, "/version").body == str(version).encode())
        pushed_at.append(time.monotonic())
        live = live_versions(admin)
        # One push may become several versions: one for each of its types, at most.
        recent = sum(at > pushed_at[-1] - LONGEST_PIN_S for at in pushed_at)
        assert len(live) <= 4 * recent + 2, (version, recent, live)
        most_live = max(most_live, len(live))
        pinned_seen += sum(r["pins"] for v in live if "superseded_ns" in v for r in v["readers"])

    half = VERSIONS // 2
    for version in range(1, half + 1):
        while len(streams) < STREAMS * version // half:
            streams.append(Stream(port, ("ws", "up", "down")[len(streams) % 3]))
        push(version)
        if version % 25 == 0:
            check(origin, streams, b"[after %d]" % version)
    assert pinned_seen > 0, "admin never listed who pins an old version"
    before_kib = resident_kib(sluice.process.pid)
    for version in range(half + 1, VERSIONS + 1):
        push(version)
    check(origin, streams, b"[at the end]")
    grown_kib = resident_kib(sluice.process.pid) - before_kib
    assert grown_kib < LARGEST_GROWTH_KIB, f"{grown_kib} KiB more after {VERSIONS - half} pushes"

    until("old versions are let go while all streams live", lambda: len(live_versions(admin)) == 1)
    check(origin, streams, b"[once more]")
    stats = get(admin, "/stats").body.decode()
    numbers = dict(line.split(": ", 1) for line in stats.splitlines() if ": " in line)
    assert int(numbers["sluice.worker.exchanges_handed_over"]) >= len(streams), numbers
    assert int(numbers["sluice.worker.internal_errors"]) == 0
    assert int(numbers["http.in.downstream_rq_active"]) == len(streams)

print(f"{len(streams)} streams over {VERSIONS} versions: none broken, at most {most_live} versions "
      f"live at once, 1 in the end; resident memory {grown_kib:+} KiB over the last {VERSIONS - half}")
