#!/usr/bin/env python3
"""gRPC streams that stay open both ways while 20 versions of the configuration come and go.

Each version changes the routes and, in turn, the endpoints that the streams hang on, a cluster and
the listener itself. Every stream answers after each; what is live are the versions of the last
seconds, as /tables of admin lists them, and one in the end.
"""

import json
import time

import grpc_peers
import harness
from grpc_peers import ask
from harness import get, until

harness.need("sluice", "mock-cp")
STREAMS, VERSIONS = 12, 20
LONGEST_PIN_S = 5  # see long_streams_test.py


def resources(site, ports, port, version):
    clusters = [harness.eds_cluster("c").replace("connect_timeout",
                                                 f"{grpc_peers.HTTP2} connect_timeout")]
    if version // 2 % 2:
        clusters.append(harness.static_cluster("comes-and-goes", ports[0]))
    routes = (f"{{ name: r, virtual_hosts: [ {{ name: all, domains: ['*'], routes: [ "
              f"{{ match: {{ path: /version }}, direct_response: {{ status: 200, body: "
              f"{{ inline_string: '{version}' }} }} }}, "
              f"{{ match: {{ prefix: / }}, route: {{ cluster: c, timeout: 0s }} }} ] }} ] }}\n")
    listener = harness.listener("in", port, harness.rds("r"), f"server_name: s{version // 5},")
    parts = {"clusters": clusters, "routes": [routes], "listeners": [listener],
             "endpoints": [harness.load_assignment("c", ports[version // 3 % 2])]}
    site.resource("all.yaml", "".join(
        f"{kind}:\n" + "".join(f"- {x}" for x in items) for kind, items in parts.items()))


with harness.Site() as site, grpc_peers.Server() as one, grpc_peers.Server() as other:
    ports = (one.port, other.port)
    control, port, admin = (harness.free_port() for _ in range(3))
    resources(site, ports, port, 0)
    site.control_plane(control)
    sluice = site.sluice(f"admin: {{ address: {harness.address(admin)} }}\n"
                         + harness.ads_bootstrap(control))
    until("the listener accepts", lambda: harness.accepts(port))

    def live_versions():
        return len(json.loads(get(admin, "/tables?format=json").body)["versions"])

    def check(talks, size):
        for talk in talks:
            talk.say(ask(size, bytes(size)))
        for talk in talks:
            assert len(talk.hear()) == size

    clients = [grpc_peers.Client(port) for _ in range(3)]
    talks, pushed_at, most_live = [], [], 0
    for version in range(1, VERSIONS + 1):
        if len(talks) < STREAMS:
            talks.append(grpc_peers.Talk(clients[version % len(clients)]))
        check(talks, 100 * version)
        resources(site, ports, port, version)
        until(f"version {version} is in effect",
              lambda: get(port, "/version").body == str(version).encode())
        pushed_at.append(time.monotonic())
        live = live_versions()
        recent = sum(at > pushed_at[-1] - LONGEST_PIN_S for at in pushed_at)
        assert live <= 4 * recent + 2, (version, recent, live)
        most_live = max(most_live, live)
        check(talks, 70_000)
    until("old versions are let go while all streams live", lambda: live_versions() == 1)
    check(talks, 100_000)
    for talk in talks:
        talk.say(None)
        assert not list(talk.call) and talk.call.code() == grpc_peers.grpc.StatusCode.OK
    assert one.begun and other.begun, "all streams went to one endpoint"
    assert one.cancelled == other.cancelled == 0
    for client in clients:
        client.channel.close()
    assert sluice.end() == 0

print(f"{STREAMS} streams over {VERSIONS} versions: none broken, at most {most_live} live at once")
