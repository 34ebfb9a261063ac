#!/usr/bin/env python3
"""wrk and h2load through a configuration from ADS that changes all the while: no request fails.

    tests/e2e/load_test.py [--answers N] [SECONDS [LOAD...]]

Each load for SECONDS, and again until there were N answers: 2 s in the tests; `--answers 10000000 30`
takes some minutes of each. HTTP/1.1 and HTTP/2 to HTTP/1.1, and to HTTP/2: through a second listener
of the same process. Each push moves routes to the other cluster or endpoints to the other origin; one
in ten is bad and refused by name.
"""

import argparse
import re
import shutil
import subprocess
import sys
import threading

import harness
from harness import get, until

harness.need("sluice", "mock-cp", "origin")
# By name: the port's, the tool and its arguments.
LOADS = {
    "wrk": ("in", "wrk", "-c32"),
    "h2load-h1": ("in", "h2load", "--h1", "-c32"),
    "h2-h1-16x32": ("in", "h2load", "-c16", "-m32"),
    "h2-h1-64x8": ("in", "h2load", "-c64", "-m8"),
    "h2-h2-16x32": ("outer", "h2load", "-c16", "-m32"),
    "h2-h2-64x8": ("outer", "h2load", "-c64", "-m8"),
}
parser = argparse.ArgumentParser()
parser.add_argument("--answers", type=int, default=0)
parser.add_argument("seconds", type=int, nargs="?", default=2)
parser.add_argument("loads", nargs="*", metavar="LOAD")
ARGS = parser.parse_args()
SECONDS = ARGS.seconds
CHOSEN = [name for name in ARGS.loads or LOADS if shutil.which(LOADS[name][1])]
if not CHOSEN:
    print("skipped: neither wrk nor h2load here; scripts/setup installs them")
    sys.exit(77)


def run(name, ports):
    """Answers and failures of all rounds; ends with the first that had a failure."""
    answers = failed = 0
    while not failed and (answers == 0 or answers < ARGS.answers):
        more, failed = one_round(name, ports)
        answers += more
        if ARGS.answers:
            print(f"{name}: {answers} answers, {failed} failed", flush=True)
    return answers, failed


def one_round(name, ports):
    entry, tool, *arguments = LOADS[name]
    if tool == "wrk":
        arguments += ["--timeout", "20s", f"-d{SECONDS}s"]
    else:
        arguments += [f"-D{SECONDS}"]
    out = subprocess.run([tool, "-t1", *arguments, f"http://127.0.0.1:{ports[entry]}/bytes/128"],
                         capture_output=True, text=True, check=True, timeout=SECONDS + 60).stdout
    if tool == "wrk":
        bad = re.findall(r"Non-2xx or 3xx responses: (\d+)", out)
        bad += re.findall(r"(?:connect|read|write|timeout) (\d+)", out)
        return int(re.search(r"(\d+) requests in", out).group(1)), sum(map(int, bad))
    failed, errored, timed_out = map(int, re.search(
        r"(\d+) failed, (\d+) errored, (\d+) timeout", out).groups())
    good, *bad = map(int, re.search(
        r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out).groups())
    return good, failed + errored + timed_out + sum(bad)


class Pushes(threading.Thread):
    """Changes the configuration until it is told to stop, each time when the last is in effect."""

    def __init__(self, site, ports, port, mock):
        super().__init__()
        self.site, self.ports, self.port, self.mock = site, ports, port, mock
        self.cluster, self.swapped, self.good, self.bad, self.error = 0, 0, 0, 0, None
        self.stopping = threading.Event()

    def put_endpoints(self):
        self.site.resource("endpoints.yaml", "endpoints:\n" + "".join(
            f"- {harness.load_assignment(f'c{i}', self.ports[i ^ self.swapped])}" for i in (0, 1)))

    def put_routes(self, text=None):
        self.site.resource("routes.yaml", "routes:\n- " +
                           (text or harness.route_config("r", f"c{self.cluster}")))

    def served_as_wanted(self):
        wanted = "ab"[self.cluster ^ self.swapped]
        return get(self.port, "/").headers["x-origin"] == wanted

    def push(self, number):
        if number % 10 == 9:
            self.put_routes("{ name: r, virtual_hosts: [ { name: x, domains: [d, d] } ] }\n")
            self.bad += 1
            until("the bad routes are refused",
                  lambda: self.mock.said().count("NACK RDS") >= self.bad)
            return
        if number % 2:
            self.cluster ^= 1
            self.put_routes()
        else:
            self.swapped ^= 1
            self.put_endpoints()
        until(f"push {number} is in effect", self.served_as_wanted)
        self.good += 1

    def run(self):
        try:
            number = 0
            while not self.stopping.is_set():
                self.push(number)
                number += 1
        except Exception as error:  # told by the main thread
            self.error = error

    def end(self):
        self.stopping.set()
        self.join()
        if self.error:
            raise self.error


with harness.Site() as site:
    origins = [site.origin("a"), site.origin("b")]
    control, ports = harness.free_port(), {e: harness.free_port() for e in ("in", "outer")}
    port = ports["in"]
    site.resource("clusters.yaml", "clusters:\n" + "".join(
        f"- {harness.eds_cluster(c)}" for c in ("c0", "c1")) +
        f"- {harness.static_cluster('inner', port, harness.http2())}")
    outer = f"route_config: {harness.route_config('outer', 'inner')}"
    site.resource("listeners.yaml",
                  f"listeners:\n- {harness.listener('in', port, harness.rds('r'))}"
                  f"- {harness.listener('outer', ports['outer'], outer)}")
    mock = site.control_plane(control)
    pushes = Pushes(site, origins, port, mock)
    pushes.put_endpoints()
    pushes.put_routes()
    sluice = site.sluice(harness.ads_bootstrap(control))
    until("the listener accepts", lambda: harness.accepts(port))
    for entry in ports.values():
        until("the origin answers", lambda entry=entry: get(entry, "/").status == 200)

    results = {}
    pushes.start()
    try:
        for name in CHOSEN:
            results[name] = run(name, ports)
    finally:
        pushes.end()
    for name, (answers, failed) in results.items():
        assert answers > 100 and failed == 0, f"{name}: {failed} of {answers} failed"
    assert pushes.good > 0
    assert sluice.end() == 0

print("; ".join(f"{name}: {answers} answers, {failed} failed"
                for name, (answers, failed) in results.items()) +
      f"; {pushes.good} pushes in effect meanwhile, {pushes.bad} bad ones refused")
