#!/usr/bin/env python3
"""The configuration changes under load, one push in ten is bad: no request fails, every bad
resource is refused by name, and what was good is in effect."""

import harness
from harness import until

harness.need("sluice", "mock-cp", "origin")
NUM_PUSHES = 60

BAD_ROUTES = ("{ name: r, virtual_hosts: [ { name: x, domains: [twice] }, "
              "{ name: y, domains: [twice] } ] }\n")
BAD_CLUSTER = "{ name: bad, type: LOGICAL_DNS, connect_timeout: 1s }\n"

with harness.Site() as site:
    ports = [site.origin("a"), site.origin("b")]
    control, port = harness.free_port(), harness.free_port()
    site.resource("clusters.yaml", "clusters:\n" + "".join(
        f"- {harness.eds_cluster(c)}" for c in ("c0", "c1")))

    def put_endpoints(swapped):
        site.resource("endpoints.yaml", "endpoints:\n" + "".join(
            f"- {harness.load_assignment(f'c{i}', ports[i ^ swapped])}" for i in (0, 1)))

    def put_routes(cluster, text=None):
        site.resource("routes.yaml",
                      "routes:\n- " + (text or harness.route_config("r", f"c{cluster}")))

    put_endpoints(False)
    put_routes(0)
    site.resource("listeners.yaml",
                  f"listeners:\n- {harness.listener('in', port, harness.rds('r'))}")
    mock = site.control_plane(control)
    sluice = site.sluice(harness.ads_bootstrap(control))
    until("the listener accepts", lambda: harness.accepts(port))

    cluster, swapped, bad = 0, False, 0
    with harness.Load(port) as load:
        def served_by(name):
            return harness.get(port, "/").headers["x-origin"] == name

        for i in range(NUM_PUSHES):
            if i % 10 == 4:
                put_routes(cluster, BAD_ROUTES)
                bad += 1
                until("the bad routes are refused", lambda: mock.said().count("NACK RDS") >= bad)
            elif i % 2 == 0:
                cluster ^= 1
                put_routes(cluster)
            else:
                swapped = not swapped
                put_endpoints(swapped)
            until(f"push {i} is in effect", lambda: served_by("ab"[cluster ^ swapped]))

        # One bad of two: the good one goes into service, the bad one is named.
        site.resource("more.yaml", f"clusters:\n- {harness.eds_cluster('good')}- {BAD_CLUSTER}"
                      f"endpoints:\n- {harness.load_assignment('good', ports[1])}")
        mock.says("NACK CDS")
        put_routes(0, harness.route_config("r", "good"))
        until("the good cluster of a bad response serves", lambda: served_by("b"))
    load.check()
    nacks = [line for line in mock.said().splitlines() if "NACK" in line]
    assert all("twice" in n for n in nacks if "RDS" in n), nacks
    assert any('"bad"' in n or " bad" in n for n in nacks if "CDS" in n), nacks
    assert sluice.end() == 0

print(f"{NUM_PUSHES + 2} pushes, {bad + 1} of them bad and refused by name; "
      f"{load.total()} requests, 0 failed")
