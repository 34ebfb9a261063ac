#!/usr/bin/env python3
"""mock-cp drives real Envoy, state of the world and incremental: pushes are ACKed and in effect, bad
ones NACKed, and Envoy, which every control plane was written against, does nothing that mock-cp says
a client must not do. Skipped where Envoy is missing (scripts/setup-peers)."""

import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(TESTS / "e2e"), str(TESTS / "parity")]

import control  # noqa: E402
import harness  # noqa: E402
import twins  # noqa: E402
from harness import until  # noqa: E402

NUM_PUSHES = 20
BAD = ("clusters:\n- { name: bad, type: EDS, connect_timeout: -1s, "
       f"eds_cluster_config: {{ eds_config: {harness.ADS} }} }}\n")


def cluster(name, port):
    return (f"clusters:\n- {harness.eds_cluster(name)}"
            f"endpoints:\n- {harness.load_assignment(name, port)}")


def drive(envoy, api):
    with harness.Site() as site:
        origins = [site.origin("a"), site.origin("b")]
        port, ingress = harness.free_port(), harness.free_port()
        mock = control.Mock(site, port)
        for i in (0, 1):
            mock.put(cluster(f"c{i}", origins[i]))
        mock.put("routes:\n- " + harness.route_config("r", "c0"))
        mock.put(f"listeners:\n- {harness.listener('in', ingress, harness.rds('r'))}")
        config = site.file("envoy.yaml", harness.ads_bootstrap(port, api_type=api))
        site.start("envoy", envoy, "-c", config, "--concurrency", 1, "--use-dynamic-base-id",
                   "-l", "warning")
        until("the listener accepts", lambda: harness.accepts(ingress))
        now = 0
        for _ in range(NUM_PUSHES):
            now ^= 1
            versions = mock.put("routes:\n- " + harness.route_config("r", f"c{now}"))
            mock.answered("RDS", versions["RDS"])
            until("the routes are in effect",
                  lambda: harness.get(ingress, "/").headers["x-origin"] == "ab"[now])
        versions = mock.put(cluster("c2", origins[0]))
        mock.answered("CDS", versions["CDS"])
        mock.good("GET", "/wait?type=EDS&names=complete")
        versions = mock.good("DELETE", "/resources/CDS/c2")["versions"]
        mock.answered("CDS", versions["CDS"])
        mock.answered("CDS", mock.put(BAD)["CDS"], "nack")
        assert mock.type_record("CDS")["error"], "a NACK without a reason"
        versions = mock.good("DELETE", "/resources/CDS/bad")["versions"]
        mock.answered("CDS", versions["CDS"])
        mock.good("DELETE", "/streams")
        until("there is another stream", lambda: any(
            s["id"] > 1 and s["open"] for s in mock.good("GET", "/clients?events=0")))
        mock.answered("CDS", "current")
        mock.check()
        print(f"{api}: {NUM_PUSHES + 4} pushes, one bad, one reconnect; nothing to object to")


harness.need("mock-cp", "origin")
ENVOY = twins.find_envoy()
for kind in ("GRPC", "DELTA_GRPC"):
    drive(ENVOY, kind)
