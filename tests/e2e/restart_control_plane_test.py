#!/usr/bin/env python3
"""The control plane is killed and started again under load: no request fails, Sluice comes back to
it each time, and takes what changed meanwhile."""

import signal
import time

import harness
from harness import until

harness.need("sluice", "mock-cp", "origin")
NUM_RESTARTS = 20

with harness.Site() as site:
    ports = {"a": site.origin("a"), "b": site.origin("b")}
    control, port = harness.free_port(), harness.free_port()
    for name, target in ports.items():
        site.resource(f"{name}.yaml", f"clusters:\n- {harness.eds_cluster(name)}"
                      f"endpoints:\n- {harness.load_assignment(name, target)}")
    site.resource("routes.yaml", "routes:\n- " + harness.route_config("r", "a"))
    site.resource("listeners.yaml",
                  f"listeners:\n- {harness.listener('in', port, harness.rds('r'))}")
    mock = site.control_plane(control)
    sluice = site.sluice(harness.ads_bootstrap(control))
    until("the listener accepts", lambda: harness.accepts(port))

    away = []
    with harness.Load(port, connections=4) as load:
        for i in range(NUM_RESTARTS):
            mock.end(signal.SIGKILL)
            acks = mock.said().count("ACK RDS")
            name = "ba"[i % 2]
            site.resource("routes.yaml", "routes:\n- " + harness.route_config("r", name))
            before = load.total()
            until("requests go on without a control plane", lambda: load.total() > before + 20)
            mock = site.control_plane(control)
            begun = time.monotonic()
            until("Sluice is back", lambda: mock.said().count("ACK RDS") > acks)
            away.append(time.monotonic() - begun)
            until("the new routes are in effect",
                  lambda: harness.get(port, "/").headers["x-origin"] == name)
    load.check()
    assert sluice.end() == 0
    # Back-off ends at a second while the server is away (client.h); a start of mock-cp is in it.
    assert max(away) < 5, away

print(f"{NUM_RESTARTS} restarts, back within {max(away):.2f} s; {load.total()} requests, 0 failed")
