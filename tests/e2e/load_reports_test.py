#!/usr/bin/env python3
"""Load reports (LRS) over real gRPC: what mock-cp adds up is what was sent, by cluster, endpoint and
outcome; while the server is away nothing is forgotten, and when it is back nothing is told twice.
A report that is on its way when the server dies is lost, as the protocol has it: no more than that."""

import json
import signal

import harness
from harness import until

harness.need("sluice", "mock-cp", "origin")

INTERVAL_MS = 200


class Loads:
    """A load reporting server, and another one in its place."""

    def __init__(self, site, port):
        self.site, self.port = site, port
        self.start()

    def start(self):
        self.admin = harness.free_port()
        log = self.site.folder / "mock-cp.log"
        said = log.read_text().count("serving on port") if log.exists() else 0
        self.program = self.site.control_plane(self.port, "--admin", self.admin,
                                               "--load-interval-ms", INTERVAL_MS)
        until("mock-cp serves", lambda: self.program.said().count("serving on port") > said)

    def told(self):
        return json.loads(harness.get(self.admin, "/loads").body)

    def sums(self, cluster):
        """issued, successful, error, over all endpoints; and dropped."""
        told = self.told()["clusters"].get(cluster)
        if told is None:
            return (0, 0, 0, 0)
        sums = [sum(e[k] for e in told["endpoints"].values())
                for k in ("issued", "successful", "error")]
        places = [sum(e[k] for e in told["localities"].values())
                  for k in ("issued", "successful", "error")]
        assert sums == places, told
        return (*sums, told["dropped"])

    def more_reports(self, count=2):
        """Until so many more reports have come: what was counted before is in them."""
        first = self.told()["reports"]
        until("reports come", lambda: self.told()["reports"] >= first + count)


def bootstrap(site, port, load_port, origins):
    clusters = [harness.static_cluster("control", load_port, harness.http2())]
    clusters += [harness.static_cluster(name, target) for name, target in origins.items()]
    clusters.append(harness.static_cluster(
        "shut", origins["a"], "circuit_breakers: { thresholds: [ { max_requests: 0 } ] },"))
    routes = "".join(f"{{ match: {{ prefix: /{c}/ }}, route: {{ cluster: {name}, "
                     f"prefix_rewrite: / }} }},"
                     for c, name in (("a", "a"), ("b", "b"), ("shut", "shut")))
    inline = (f"route_config: {{ virtual_hosts: [ {{ name: all, domains: ['*'], "
              f"routes: [ {routes} ] }} ] }}")
    return f"""node: {{ id: loads, cluster: test }}
cluster_manager: {{ load_stats_config: {{ api_type: GRPC, transport_api_version: V3,
  grpc_services: [ {{ envoy_grpc: {{ cluster_name: control }} }} ] }} }}
{harness.static_bootstrap([harness.listener("in", port, inline)], clusters)}"""


def ask(port, path, count):
    for _ in range(count):
        harness.get(port, path)


def reports_add_up(loads, port):
    ask(port, "/a/status/200", 40)
    ask(port, "/b/status/200", 10)
    ask(port, "/b/status/503", 7)
    ask(port, "/shut/", 3)
    until("a's are told", lambda: loads.sums("a") == (40, 40, 0, 0))
    until("b's are told", lambda: loads.sums("b") == (17, 10, 7, 0))
    until("what was refused is told", lambda: loads.sums("shut") == (0, 0, 0, 3))
    loads.more_reports(3)
    assert loads.sums("a") == (40, 40, 0, 0), loads.told()
    assert loads.sums("b") == (17, 10, 7, 0), loads.told()


def nothing_is_forgotten_while_it_is_away(loads, port):
    assert loads.program.end() == 0
    ask(port, "/a/status/200", 25)
    ask(port, "/b/status/503", 5)
    loads.start()
    until("what came meanwhile is told", lambda: loads.sums("a") == (25, 25, 0, 0))
    until("of b too", lambda: loads.sums("b") == (5, 0, 5, 0))
    loads.more_reports(3)
    assert loads.sums("a") == (25, 25, 0, 0), loads.told()


def under_load(loads, port):
    """Killed in the middle of things, three times. Returns how many were sent and told."""
    before = loads.sums("a")[0]
    told = -before
    with harness.Load(port, 4, "/a/bytes/100") as load:
        for _ in range(3):
            at = load.total()
            until("requests flow", lambda a=at: load.total() > a + 300)
            told += loads.sums("a")[0]
            seen = load.total()
            loads.program.end(signal.SIGKILL)
            loads.start()
            loads.more_reports(1)
            assert load.total() > seen
    load.check()
    until("the rest is told", lambda: loads.sums("a")[0] == settled(loads))
    told += loads.sums("a")[0]
    return load.total(), told


def settled(loads):
    loads.more_reports(2)
    return loads.sums("a")[0]


def main():
    with harness.Site() as site:
        origins = {name: site.origin(name) for name in ("a", "b")}
        port, load_port = harness.free_port(), harness.free_port()
        loads = Loads(site, load_port)
        site.sluice(bootstrap(site, port, load_port, origins)).says("live")
        loads.more_reports(1)  # what was counted before the first question is nobody's
        reports_add_up(loads, port)
        nothing_is_forgotten_while_it_is_away(loads, port)
        sent, told = under_load(loads, port)
        # Told after the last look, before the end: one interval's worth per death, at most.
        assert told <= sent, f"{told} told, {sent} sent"
        assert told > 0
        loads.program.end()
        print(f"ok: reports add up; {sent} sent and {told} told over three deaths of the server")


if __name__ == "__main__":
    main()
