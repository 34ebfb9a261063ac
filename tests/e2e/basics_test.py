#!/usr/bin/env python3
"""One process from a static bootstrap: routes, signals, logs, draining."""

import signal
import socket
import threading

import harness
from harness import get, until

harness.need("sluice", "origin")

ROUTES = """route_config: { virtual_hosts: [ { name: all, domains: ['*'], routes: [
  { match: { path: /direct }, direct_response: { status: 203, body: { inline_string: me } } },
  { match: { prefix: /old/ }, redirect: { prefix_rewrite: /new/, response_code: FOUND } },
  { match: { prefix: /b/ }, route: { cluster: b, prefix_rewrite: / } },
  { match: { prefix: /echo }, route: { cluster: a } },
  { match: { prefix: /slow }, route: { cluster: a } },
  { match: { prefix: /gone }, route: { cluster: gone } } ] } ] }"""
LOG = ("access_log: [ { name: f, typed_config: { '@type': type.googleapis.com/envoy.extensions."
       "access_loggers.file.v3.FileAccessLog, path: LOG, log_format: { text_format_source: { "
       "inline_string: \"%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS%\\n\" } } } } ],")


def slow_answer(port, results):
    results.append(get(port, "/slow/1000"))


with harness.Site() as site:
    a, b, port = site.origin("a"), site.origin("b"), harness.free_port()
    admin = harness.free_port()
    log = site.folder / "access.log"
    bootstrap = harness.static_bootstrap(
        [harness.listener("in", port, ROUTES, LOG.replace("LOG", str(log)))],
        [harness.static_cluster("a", a), harness.static_cluster("b", b),
         harness.static_cluster("gone", harness.free_port())])
    bootstrap += f"admin: {{ address: {harness.address(admin)} }}\n"
    sluice = site.sluice(bootstrap, "--file-flush-interval-msec", 50, "--drain-time-s", 3)
    sluice.says("live with 2 worker(s)")

    answer = get(port, "/direct")
    assert (answer.status, answer.body) == (203, b"me"), vars(answer)
    answer = get(port, "/old/x?q=1")
    assert answer.status == 302, answer.status
    assert answer.headers["location"].endswith("/new/x?q=1"), answer.headers["location"]
    answer = get(port, "/b/bytes/70000")
    assert (answer.headers["x-origin"], len(answer.body)) == ("b", 70000), vars(answer)
    echo = get(port, "/echo", {"x-own": "kept"}).body
    assert b"x-own: kept\r\n" in echo.lower() and b"x-request-id: " in echo.lower(), echo
    assert get(port, "/nothing").status == 404
    assert get(port, "/gone").status == 503

    # The log is written, and written anew after SIGUSR1.
    until("the access log", lambda: "/gone 503" in (log.read_text() if log.exists() else ""))
    log.rename(site.folder / "rotated.log")
    sluice.process.send_signal(signal.SIGUSR1)
    until("the new access log", log.exists)
    get(port, "/direct")
    until("a line in it", lambda: "/direct 203" in log.read_text())

    # SIGTERM: what is under way is finished, idle connections are closed, nothing new is taken.
    idle = socket.create_connection(("127.0.0.1", port))
    results = []
    waiting = threading.Thread(target=slow_answer, args=(port, results))
    waiting.start()
    until("the slow request is at the origin",
          lambda: b"upstream_rq_active: 1" in get(admin, "/stats?filter=cluster.a.").body)
    sluice.process.send_signal(signal.SIGTERM)
    until("the port is closed", lambda: not harness.accepts(port))
    waiting.join()
    assert results and results[0].status == 200, results
    assert sluice.process.wait(10) == 0, sluice.process.returncode
    idle.settimeout(5)
    assert idle.recv(1) == b"", "an idle connection outlived the drain"
    assert "/slow/1000 200" in log.read_text(), "the log was not flushed before the end"

    # The second signal ends at once, whatever is under way.
    sluice = site.sluice(bootstrap, "--drain-time-s", 600)
    until("it serves again", lambda: harness.accepts(port))
    stuck = socket.create_connection(("127.0.0.1", port))
    stuck.sendall(b"GET /slow/600000 HTTP/1.1\r\nhost: x\r\n\r\n")
    until("it serves", lambda: get(port, "/direct").status == 203)
    sluice.process.send_signal(signal.SIGINT)
    until("the port is closed", lambda: not harness.accepts(port))
    assert sluice.process.poll() is None, "did not wait for the exchange"
    assert sluice.end(signal.SIGINT, longest_s=5) == 0

print("routes, access log, SIGUSR1, drain and second signal as described")
