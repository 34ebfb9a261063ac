#!/usr/bin/env python3
"""Thousands of clusters with endpoints come at once, and then one of them changes: admin answers
meanwhile, the change is in effect soon, and memory per cluster is bounded.

    tests/e2e/many_clusters_test.py [CLUSTERS]

1000 in the tests. bench/footprint has the contract's bounds.
"""

import os
import sys
import threading
import time

import control
import harness
from harness import until

CLUSTERS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
MOST_KIB = 12  # per cluster, resident: both responses passed through, too
ANSWER_MS, EFFECT_MS = 20, 50
harness.need("sluice", "mock-cp", "origin")


class AdminPings(threading.Thread):
    """Asks /ready without pause, and notes how much processor time main had until the answer: what
    it did first. That does not depend on what else the machine does."""

    def __init__(self, program, port):
        super().__init__()
        pid = program.process.pid
        self.path = f"/proc/{pid}/task/{pid}/schedstat"
        self.port, self.stopping, self.held_ms = port, threading.Event(), []
        self.start()

    def cpu_ms(self):
        with open(self.path, encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e6

    def run(self):
        while not self.stopping.is_set():
            began = self.cpu_ms()
            harness.get(self.port, "/ready")
            self.held_ms.append(self.cpu_ms() - began)

    def end(self):
        self.stopping.set()
        self.join()
        return max(self.held_ms)


def cluster(i):
    return f"- {harness.eds_cluster(f'cluster-{i}')}"


def check(api_type):
    # Where others want the processors too, an answer takes as much longer.
    busy = 2 * max(1.0, os.getloadavg()[0] / os.cpu_count())
    with harness.Site() as site:
        a, b = site.origin("a"), site.origin("b")
        port, ingress, admin = (harness.free_port() for _ in range(3))
        site.resource("l.yaml", "listeners:\n- " +
                      harness.listener("in", ingress, harness.rds("r")))
        site.resource("r.yaml", "routes:\n- " + harness.route_config("r", "cluster-0"))
        site.resource("c0.yaml", f"clusters:\n{cluster(0)}endpoints:\n"
                      f"- {harness.load_assignment('cluster-0', a)}")
        mock = control.Mock(site, port)
        sluice = site.sluice(harness.ads_bootstrap(port, api_type=api_type) +
                             f"admin: {{ address: {harness.address(admin)} }}\n")
        until("the listener accepts", lambda: harness.accepts(ingress))
        before = control.memory_mib(sluice)
        pings = AdminPings(sluice, admin)
        text = ("clusters:\n" + "".join(cluster(i) for i in range(1, CLUSTERS)) + "endpoints:\n" +
                "".join(f"- {harness.load_assignment(f'cluster-{i}', a)}"
                        for i in range(1, CLUSTERS)))
        versions = mock.put(text)
        mock.answered("CDS", versions["CDS"])
        mock.answered("EDS", versions["EDS"])
        until("the last cluster has its endpoint", lambda: f"cluster-{CLUSTERS - 1}::127.0.0.1:{a}"
              in harness.get(admin, "/clusters").body.decode())
        each = (control.memory_mib(sluice) - before) * 1024 / CLUSTERS
        mock.put(f"endpoints:\n- {harness.load_assignment('cluster-0', b)}")
        began = time.monotonic()
        until("the change is in effect",
              lambda: harness.get(ingress, "/").headers["x-origin"] == "b")
        effect = (time.monotonic() - began) * 1e3
        slowest = pings.end()
        mock.check()
        assert sluice.end() == 0
    print(f"{api_type}: {CLUSTERS} clusters, {each:.1f} KiB each; one changed, in effect after "
          f"{effect:.0f} ms; {len(pings.held_ms)} questions to admin meanwhile, main was busy "
          f"for {slowest:.1f} ms at most before it answered", flush=True)
    assert each < MOST_KIB, each
    assert effect < EFFECT_MS * busy, effect
    assert slowest < ANSWER_MS * 2, slowest  # the build may be without optimisation


for ads in harness.ads_types():
    check(ads)
