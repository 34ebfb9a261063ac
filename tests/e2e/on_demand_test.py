#!/usr/bin/env python3
"""What requests ask for: clusters (ODCDS), routes of a scope (SRDS) and virtual hosts (VHDS), over
one incremental aggregated stream, from mock-cp. Many requests at once want each of them; each is
asked for once and none fails. What there is not ends soon. mock-cp says at the end whether the
client did anything that it must not."""

import concurrent.futures
import json
import time
import urllib.request

import harness
from harness import until

harness.need("sluice", "mock-cp", "origin")

ON_DEMAND = "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand"
EACH = 64  # requests at once


def listener(name, port, routes, more=""):
    filters = (f'{{ name: od, typed_config: {{ "@type": "{ON_DEMAND}", '
               f'odcds: {{ source: {harness.ADS} }} }} }}, ')
    text = harness.listener(name, port, routes, more)
    return text.replace("http_filters: [ ", f"http_filters: [ {filters}")


def to_header(name, more=""):
    return (f"{{ name: {name}, {more} virtual_hosts: [ {{ name: all, domains: [own.test], routes: ["
            f" {{ match: {{ prefix: / }}, route: {{ cluster_header: x-to }} }} ] }} ] }}\n")


def virtual_host(name, domain, cluster):
    return (f"{{ name: {name}, domains: [{domain}], routes: [ {{ match: {{ prefix: / }}, "
            f"route: {{ cluster: {cluster} }} }} ] }}\n")


def scope(name, key, routes):
    return (f"{{ name: {name}, on_demand: true, route_configuration_name: {routes}, "
            f"key: {{ fragments: [ {{ string_key: {key} }} ] }} }}\n")


def at_once(port, headers):
    """Statuses and origins of EACH requests, and the longest time that one took."""
    def one(_):
        began = time.monotonic()
        answer = harness.get(port, "/", headers)
        return answer.status, answer.headers["x-origin"], time.monotonic() - began
    with concurrent.futures.ThreadPoolExecutor(EACH) as pool:
        all_of_them = list(pool.map(one, range(EACH)))
    return {(s, o) for s, o, _ in all_of_them}, max(t for _, _, t in all_of_them)


def subscribed(admin, kind):
    url = f"http://127.0.0.1:{admin}/clients?open=true&events=0"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.dumps([s["types"].get(kind) for s in json.load(answer)])


with harness.Site() as site:
    origins = {n: site.origin(n) for n in "abc"}
    control, admin, plain, scoped = (harness.free_port() for _ in range(4))
    site.resource("clusters.yaml", "clusters:\n" + "".join(
        f"- {harness.static_cluster(n, p)}" for n, p in origins.items()))
    vhds = f"vhds: {{ config_source: {harness.ADS} }},"
    site.resource("routes.yaml", f"routes:\n- {to_header('r', vhds)}- "
                  + harness.route_config("sb", "b") + "- " + harness.route_config("sc", "c"))
    site.resource("hosts.yaml", f"virtual_hosts:\n- {virtual_host('r/base', 'base.test', 'a')}")
    site.resource("scopes.yaml", f"scoped_routes:\n- {scope('b', 'kb', 'sb')}"
                  f"- {scope('c', 'kc', 'sc')}")
    key = ("scoped_routes: { name: s, scope_key_builder: { fragments: [ { header_value_extractor: "
           "{ name: x-scope, index: 0 } } ] }, "
           f"rds_config_source: {harness.ADS}, "
           f"scoped_rds: {{ scoped_rds_config_source: {harness.ADS} }} }}")
    site.resource("listeners.yaml", f"listeners:\n- {listener('plain', plain, harness.rds('r'))}"
                  f"- {listener('scoped', scoped, key)}")
    mock = site.control_plane(control, "--admin", admin)
    mock.says("serving on port")
    bootstrap = harness.ads_bootstrap(control, api_type="DELTA_GRPC")
    sluice = site.sluice(bootstrap.replace(f"  cds_config: {harness.ADS}\n", ""))
    until("both listeners accept", lambda: harness.accepts(plain) and harness.accepts(scoped))
    longest = 0.0

    for host, headers, port, origin in (
            ("own.test", {"x-to": "b"}, plain, "b"),   # a cluster
            ("base.test", {}, plain, "a"),             # another, of a virtual host of VHDS
            ("x.test", {"x-scope": "kc"}, scoped, "c"),  # a scope's routes, then its cluster
            ("x.test", {"x-scope": "kb"}, scoped, "b")):
        what, took = at_once(port, {"Host": host, **headers})
        assert what == {(200, origin)}, (host, headers, what)
        longest = max(longest, took)
    assert longest < 5, longest

    # What there is not: said by the control plane at once.
    for port, headers, status in ((plain, {"Host": "own.test", "x-to": "none"}, 503),
                                  (plain, {"Host": "none.test"}, 404),
                                  (scoped, {"x-scope": "none"}, 404)):
        what, took = at_once(port, headers)
        assert {s for s, _ in what} == {status} and took < 4, (headers, what, took)

    # What was found is kept up to date; what was not may come.
    site.resource("hosts.yaml", f"virtual_hosts:\n- {virtual_host('r/base', 'base.test', 'c')}"
                  f"- {virtual_host('r/none.test', 'none.test', 'a')}")
    for host, origin in (("base.test", "c"), ("none.test", "a")):
        until(f"{host} leads to {origin}", lambda: harness.get(
            plain, "/", {"Host": host}).headers["x-origin"] == origin)
    assert "none" not in subscribed(admin, "CDS"), subscribed(admin, "CDS")
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/check", timeout=10) as good:
        assert good.status == 200
    assert sluice.end() == 0

print(f"{4 * EACH} requests waited for 6 things, the longest for {longest * 1000:.0f} ms; "
      f"{3 * EACH} for what there is not")
