#!/usr/bin/env python3
"""Pushes of all four types under load, one in ten of them invalid: no request fails, each good one is
ACKed and in effect, each invalid one NACKed by name, nothing is answered twice.

    tests/e2e/invalid_pushes_test.py [--pushes 1000]
"""

import argparse

import control
import harness
from harness import until
from pushes import BAD, KINDS, World

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
