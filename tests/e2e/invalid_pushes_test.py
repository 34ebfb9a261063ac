#!/usr/bin/env python3
"""Pushes of all four types under load, one in ten of them invalid: no request fails, each good one is
ACKed and in effect, each invalid one NACKed by name, nothing is answered twice.

    tests/e2e/invalid_pushes_test.py [--pushes 1000]
"""

import argparse

import control
import harness
from harness import until

KINDS = ("RDS", "EDS", "CDS", "LDS")
BAD = {
    "RDS": ("r", "routes:\n- { name: r, virtual_hosts: [ { name: x, domains: [twice] }, "
            "{ name: y, domains: [twice] } ] }\n"),
    "EDS": ("c0", "endpoints:\n- { cluster_name: c0, policy: { overprovisioning_factor: 0 } }\n"),
    "CDS": ("c1", "clusters:\n- { name: c1, type: EDS, connect_timeout: -1s, "
            f"eds_cluster_config: {{ eds_config: {harness.ADS} }} }}\n"),
    "LDS": ("in", "listeners:\n- { name: in, filter_chains: [ { filters: [ { name: nothing } ] } ] }\n"),
}


class World:
    """What is served: two origins behind two clusters, one route that goes to one of them."""

    def __init__(self, mock, origins, ingress):
        self.mock, self.origins, self.ingress = mock, origins, ingress
        self.cluster, self.swapped, self.timeout, self.server = 0, 0, 1, 0

    def text(self, kind):
        if kind == "RDS":
            return "routes:\n- " + harness.route_config("r", f"c{self.cluster}")
        if kind == "EDS":
            return "endpoints:\n" + "".join(
                f"- {harness.load_assignment(f'c{i}', self.origins[i ^ self.swapped])}"
                for i in (0, 1))
        if kind == "CDS":
            return "clusters:\n" + "".join("- " + harness.eds_cluster(f"c{i}").replace(
                "connect_timeout: 1s", f"connect_timeout: {self.timeout}s") for i in (0, 1))
        return "listeners:\n- " + harness.listener("in", self.ingress, harness.rds("r"),
                                                   f"server_name: s{self.server},")

    def change(self, kind):
        self.cluster ^= kind == "RDS"
        self.swapped ^= kind == "EDS"
        self.timeout = self.timeout % 9 + 1 if kind == "CDS" else self.timeout
        self.server += kind == "LDS"
        return self.mock.put(self.text(kind))[kind]

    def in_effect(self):
        answer = harness.get(self.ingress, "/")
        return (answer.headers["x-origin"] == "ab"[self.cluster ^ self.swapped] and
                answer.headers["server"] == f"s{self.server}")


def push(api_type, pushes):
    with harness.Site() as site:
        origins = [site.origin("a"), site.origin("b")]
        port, ingress = harness.free_port(), harness.free_port()
        mock = control.Mock(site, port)
        world = World(mock, origins, ingress)
        for kind in KINDS:
            mock.put(world.text(kind))
        sluice = site.sluice(harness.ads_bootstrap(port, api_type=api_type))
        until("the listener accepts", lambda: harness.accepts(ingress))
        before = control.memory_mib(sluice)
        bad = 0
        with harness.Load(ingress, connections=4) as load:
            for i in range(pushes):
                kind = KINDS[i % 4]
                if i % 10 == 9:
                    bad_kind = KINDS[bad % 4]
                    name, text = BAD[bad_kind]
                    bad += 1
                    mock.answered(bad_kind, mock.put(text)[bad_kind], "nack")
                    error = mock.type_record(bad_kind)["error"]
                    assert f'"{name}"' in error or f"{name}:" in error, error
                    kind = bad_kind
                    # The good one again, which is what is in force: an ACK, and no effect.
                    mock.answered(kind, mock.put(world.text(kind))[kind])
                else:
                    mock.answered(kind, world.change(kind))
                until(f"push {i}, {kind}, is in effect", world.in_effect)
        load.check()
        mock.check()
        records = {kind: mock.type_record(kind) for kind in KINDS}
        nacks = sum(r["nacks"] for r in records.values())
        assert nacks == bad, records
        assert all(r["acks"] + r["nacks"] == r["pushes"] for r in records.values()), records
        after = control.memory_mib(sluice)
        assert after < before + 64, (before, after)
        assert sluice.end() == 0
    print(f"{api_type}: {pushes} pushes, {bad} of them invalid and NACKed by name; {load.total()} requests, "
          f"0 failed; {before:.0f} MiB before, {after:.0f} MiB after")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pushes", type=int, default=200)
    pushes = parser.parse_args().pushes
    harness.need("sluice", "mock-cp", "origin")
    for api_type in harness.ads_types():
        push(api_type, pushes)


main()
