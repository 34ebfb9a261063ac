#!/usr/bin/env python3
"""Updates of listeners, routes, clusters and endpoints without pause, one in ten of them invalid,
while requests come at a fixed rate: no request fails, each good update is ACKed, each invalid one
NACKed, and memory stays what it was.

    tests/e2e/many_updates_test.py [UPDATES [PER_SECOND [AT_MOST_S]]]

300 in the tests; 100000 for ten minutes (200 per second and more), where memory may grow by 2 % and
p99 is at most 1.2 times that of the pauses between; on a quiet machine. Load, workers and origins
then have the last core for themselves: what is measured is what updates do to requests, not what
the control plane and this test take of the same core.
"""

import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

import control
import harness
from harness import until
from pushes import BAD, KINDS, World

UPDATES = int(sys.argv[1]) if len(sys.argv) > 1 else 300
PER_SECOND = float(sys.argv[2]) if len(sys.argv) > 2 else 260
AT_MOST_S = float(sys.argv[3]) if len(sys.argv) > 3 else 600
LONG = UPDATES >= 10000
QUIET_S, BUSY_S = (3, 12) if LONG else (0.5, 2)
RATE = 500  # requests per second
CORES = sorted(os.sched_getaffinity(0))
APART = LONG and len(CORES) > 1
harness.need("sluice", "mock-cp", "origin", "bench/open_loop")


def keep_apart(site, sluice):
    """The last core is for requests, the others for all else; what is started later inherits the
    latter."""
    if not APART:
        return
    for program in site.programs:
        for task in pathlib.Path(f"/proc/{program.process.pid}/task").iterdir():
            name = (task / "comm").read_text()
            requests = name.startswith("worker") if program is sluice else name.startswith("origin")
            os.sched_setaffinity(int(task.name), CORES[-1:] if requests else CORES[:-1])
    os.sched_setaffinity(0, CORES[:-1])


class Mock(control.Mock):
    """One kept connection: hundreds of calls per second."""

    connection = None

    def call(self, method, path, body=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=60)
        self.connection.request(method, path, body=body)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


class Requests(threading.Thread):
    """Requests that arrive when they like, for some seconds."""

    def __init__(self, port, seconds):
        super().__init__()
        self.port, self.seconds, self.result = port, seconds, None
        self.start()

    def run(self):
        pinned = ["taskset", "-c", str(CORES[-1])] if APART else []
        out = subprocess.run(
            [*pinned, harness.BIN / "bench" / "open_loop", str(self.port), "/bytes/100", "16", str(RATE),
             str(self.seconds)], capture_output=True, text=True, check=True,
            timeout=self.seconds + 60)
        self.result = json.loads(out.stdout)

    def end(self):
        self.join()
        assert self.result is not None, "the load broke off"
        failed = self.result["errors"] - self.result["late"]
        assert failed == 0 and self.result["answers"] > 0, self.result
        return self.result


class Updates:
    def __init__(self, mock, world):
        self.mock, self.world = mock, world
        self.done, self.bad = 0, 0
        self.waiting = {}  # by type: the version that has not been answered, and how it will be

    def put(self, kind, text, how):
        """Once the one before is answered, so that none is merged with another."""
        self.settle(kind)
        self.waiting[kind] = (self.mock.put(text)[kind], how)

    def settle(self, kind):
        if kind in self.waiting:
            version, how = self.waiting.pop(kind)
            self.mock.answered(kind, version, how)

    def one(self):
        kind = KINDS[self.done % 4]
        if self.done % 10 == 9:
            kind = KINDS[self.bad % 4]
            self.bad += 1
            self.put(kind, BAD[kind][1], "nack")
            self.put(kind, self.world.text(kind), "ack")  # what is in force
        else:
            self.world.advance(kind)
            self.put(kind, self.world.text(kind), "ack")
        self.done += 1

    def go_on_while(self, requests):
        due = time.monotonic()
        while requests.is_alive() and self.done < UPDATES:
            self.one()
            due += 1 / PER_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
        for kind in KINDS:
            self.settle(kind)


def push(api_type):
    with harness.Site() as site:
        origins = [site.origin("a"), site.origin("b")]
        port, ingress = harness.free_port(), harness.free_port()
        mock = Mock(site, port)
        world = World(mock, origins, ingress)
        for kind in KINDS:
            mock.put(world.text(kind))
        sluice = site.sluice(harness.ads_bootstrap(port, api_type=api_type), "-l", "error")
        until("the listener accepts", lambda: harness.accepts(ingress))
        keep_apart(site, sluice)
        updates = Updates(mock, world)
        began, busy_s, before = time.monotonic(), 0.0, 0.0
        quiet, busy = [], []
        while updates.done < UPDATES and time.monotonic() < began + AT_MOST_S:
            quiet.append(Requests(ingress, QUIET_S).end())
            since, requests = time.monotonic(), Requests(ingress, BUSY_S)
            updates.go_on_while(requests)
            busy_s += time.monotonic() - since
            busy.append(requests.end())
            if not before and (updates.done >= UPDATES // 10 or len(busy) > 2):
                before = control.memory_mib(sluice)  # what is made once is made by then
        after = control.memory_mib(sluice)
        until("the last state is in effect", world.in_effect)
        mock.check()
        records = {kind: mock.type_record(kind) for kind in KINDS}
        nacks = sum(r["nacks"] for r in records.values())
        pushes = sum(r["pushes"] for r in records.values())
        assert nacks == updates.bad, records
        assert sum(r["acks"] for r in records.values()) + nacks == pushes, records
        assert pushes >= updates.done
        assert sluice.end() == 0
    p99 = {what: statistics.median(r["p99"] for r in rounds)
           for what, rounds in (("quiet", quiet), ("busy", busy))}
    answers = sum(r["answers"] for r in quiet + busy)
    late = sum(r["late"] for r in quiet + busy)  # the machine did not get to them
    print(f"{api_type}: {updates.done} updates, {updates.bad} of them invalid and NACKed, "
          f"{updates.done / busy_s:.0f} per second; {answers} requests, 0 failed, {late} late; p99 "
          f"{p99['quiet'] / 1e3:.2f} ms in pauses, {p99['busy'] / 1e3:.2f} ms meanwhile; "
          f"{before:.1f} MiB before, {after:.1f} MiB after", flush=True)
    if LONG:
        assert updates.done >= UPDATES, f"only {updates.done} in {AT_MOST_S} s"
        assert late == 0, late
        assert after <= before * 1.02, (before, after)
        assert p99["busy"] <= p99["quiet"] * 1.2, p99
    else:
        assert after <= before + 16, (before, after)


for ads in harness.ads_types()[:1] if LONG else harness.ads_types():
    push(ads)
