#!/usr/bin/env python3
"""Descriptors run out: connections beyond are closed at once, those that are open are served, no
processor is burnt, and all is well again when clients leave."""

import os
import socket
import time

import harness
from harness import BIN, get, until

harness.need("sluice", "origin")
LIMIT = 64
CLIENTS = 120
REQUEST = b"GET /bytes/10 HTTP/1.1\r\nhost: h\r\n\r\n"


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def closed(client):
    """True: the proxy has closed it; False: it is open and silent."""
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        client.setblocking(True)


def ask(client):
    client.settimeout(harness.LONGEST_S)
    client.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith((b"x" * 10, b"\n")) and b"503" in answer:
        data = client.recv(65536)
        if not data:
            break
        answer += data
        if answer.startswith(b"HTTP/1.1 503"):
            break
    return int(answer.split(b" ")[1])


with harness.Site() as site:
    port, origin = harness.free_port(), site.origin("a")
    config = site.file("bootstrap.yaml", harness.static_bootstrap(
        [harness.listener("in", port, "route_config: { virtual_hosts: [ { name: all, domains: "
                          "['*'], routes: [ { match: { prefix: / }, route: { cluster: a } } ] } ] }")],
        [harness.static_cluster("a", origin)]))
    sluice = site.start("sluice", "prlimit", f"--nofile={LIMIT}:{LIMIT}", BIN / "sluice", "-c",
                        config, "--concurrency", 1)
    sluice.says("live with 1 worker(s)")

    # The first has an endpoint's connection, which stays in the pool.
    first = socket.create_connection(("127.0.0.1", port))
    assert ask(first) == 200

    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
    # Each is either accepted and open, or closed.
    until("nobody waits", lambda: sum(closed(c) for c in clients) >= CLIENTS - LIMIT)
    refused = sum(closed(c) for c in clients)
    open_ones = [c for c in clients if not closed(c)]
    assert 0 < len(open_ones) < LIMIT, len(open_ones)

    before, from_s = cpu_s(sluice.process.pid), time.monotonic()
    served = 0
    while time.monotonic() < from_s + 1:  # a second under the limit, hardly any work in it
        assert ask(first) == 200, "a connection that was open is not served"
        served += 1
        time.sleep(0.02)
    burnt = cpu_s(sluice.process.pid) - before
    assert burnt < 0.5, f"{burnt} s of processor time in one second of nothing to do"
    # All of them want one of the endpoint's connections at once; more cannot be had: 200 or 503.
    for client in open_ones:
        client.sendall(REQUEST)
    statuses = {}
    for client in open_ones:
        client.settimeout(harness.LONGEST_S)
        status = int(client.recv(65536).split(b" ")[1])
        statuses[status] = statuses.get(status, 0) + 1
    assert set(statuses) <= {200, 503} and statuses.get(200), statuses

    for client in clients:
        client.close()
    until("new clients are served again", lambda: harness.accepts(port))
    for _ in range(20):
        until("a new client is served",
              lambda: ask(socket.create_connection(("127.0.0.1", port))) == 200)
    assert ask(first) == 200
    first.close()
    assert sluice.end() == 0

print(f"{LIMIT} descriptors, {CLIENTS} clients: {refused} closed at once, {len(open_ones)} open and "
      f"served ({statuses}), {burnt:.2f} s of processor time in a second meanwhile; well again after")
