#!/usr/bin/env python3
"""Unix-domain sockets on both sides: a listener at a path, and an endpoint at another.

Client -> TCP listener -> Unix-domain listener -> Unix-domain endpoint, all in one process but the
endpoint. The listener's file has the mode that was asked for; one that nobody listens on any more
is taken over by the next start.
"""

import os
import signal
import socket
import stat
import threading

import harness
from harness import get

harness.need("sluice")

HCM = '"@type": "' + harness.HCM + '"'
ROUTER = '"@type": "' + harness.ROUTER + '"'


def pipe(path, mode=""):
    return f"{{ pipe: {{ path: {path}{mode} }} }}"


def listener_at(path, cluster, log):
    return f"""{{ name: piped, address: {pipe(path, ", mode: 384")},
  filter_chains: [ {{ filters: [ {{ name: hcm, typed_config: {{ {HCM}, stat_prefix: piped,
    access_log: [ {{ name: f, typed_config: {{ '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog,
      path: {log}, log_format: {{ text_format_source: {{
        inline_string: "%REQ(:PATH)% %RESPONSE_CODE% %DOWNSTREAM_LOCAL_ADDRESS% %UPSTREAM_HOST%\\n" }} }} }} }} ],
    route_config: {{ virtual_hosts: [ {{ name: all, domains: ['*'], routes: [
      {{ match: {{ prefix: / }}, route: {{ cluster: {cluster} }} }} ] }} ] }},
    http_filters: [ {{ name: router, typed_config: {{ {ROUTER} }} }} ] }} }} ] }} ] }}
"""


def cluster_at(name, path):
    return (f"{{ name: {name}, type: STATIC, connect_timeout: 1s, load_assignment: {{ cluster_name: "
            f"{name}, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {pipe(path)} }} }} ] "
            f"}} ] }} }}\n")


def serve(listening):
    """Answers with the request's first line, connection after connection."""
    while True:
        try:
            connection = listening.accept()[0]
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    received = b""
    with connection:
        while more := connection.recv(65536):
            received += more
            while b"\r\n\r\n" in received:
                head, received = received.split(b"\r\n\r\n", 1)
                line = head.split(b"\r\n")[0]
                connection.sendall(b"HTTP/1.1 200 OK\r\nx-origin: pipe\r\ncontent-length: %d\r\n\r\n"
                                   % len(line) + line)


with harness.Site() as site:
    front, back, log = site.folder / "front.sock", site.folder / "back.sock", site.folder / "log"
    endpoint = socket.socket(socket.AF_UNIX)
    endpoint.bind(str(back))
    endpoint.listen(16)
    threading.Thread(target=serve, args=(endpoint,), daemon=True).start()
    port = harness.free_port()
    bootstrap = harness.static_bootstrap(
        [listener_at(front, "back", log),
         harness.listener("in", port, "route_config: { virtual_hosts: [ { name: all, domains: ['*'], "
                          "routes: [ { match: { prefix: / }, route: { cluster: front } } ] } ] }")],
        [cluster_at("back", back), cluster_at("front", front)])

    def start():
        program = site.sluice(bootstrap, "--file-flush-interval-msec", 50, "--drain-time-s", 1)
        program.says("live with 2 worker(s)")
        harness.until("it listens", lambda: harness.accepts(port))
        return program

    sluice = start()
    assert stat.S_ISSOCK(os.stat(front).st_mode), os.stat(front)
    assert stat.S_IMODE(os.stat(front).st_mode) == 0o600, oct(os.stat(front).st_mode)
    for i in range(20):  # more than one connection's worth of both workers
        got = get(port, f"/through/{i}")
        assert (got.status, got.headers["x-origin"]) == (200, "pipe"), vars(got)
        assert got.body == f"GET /through/{i} HTTP/1.1".encode(), got.body
    harness.until("the log names both sockets", lambda: log.exists() and
                  f"/through/19 200 {front} {back}\n" in log.read_text())

    # An endpoint that has gone: its file is there, nobody listens.
    endpoint.shutdown(socket.SHUT_RDWR)
    endpoint.close()
    sluice.end(signal.SIGKILL)
    assert front.exists(), "a killed process leaves its file"
    sluice = start()
    assert get(port, "/nobody").status == 503
    os.unlink(back)
    assert get(port, "/no-file").status == 503
    assert sluice.end() == 0, sluice.said()
print("20 requests through two Unix-domain sockets, a left-over file taken over, 503 without endpoint")
