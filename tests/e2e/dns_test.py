#!/usr/bin/env python3
"""Clusters whose endpoints are found by name: the names move, vanish and fall silent under load,
and no request fails."""

import json

import harness
from dns_server import DnsServer
from harness import get, until

harness.need("sluice", "origin")

ROUTES = """route_config: { virtual_hosts: [ { name: all, domains: ['*'], routes: [
  { match: { prefix: /one }, route: { cluster: one, prefix_rewrite: / } },
  { match: { prefix: /local }, route: { cluster: local, prefix_rewrite: / } },
  { match: { prefix: / }, route: { cluster: strict } } ] } ] }"""


def dns_cluster(name, kind, host, port, dns_port, more=""):
    return f"""{{ name: {name}, type: {kind}, connect_timeout: 1s, dns_lookup_family: V4_ONLY,
  respect_dns_ttl: true, dns_refresh_rate: 0.2s, {more}
  dns_resolution_config: {{ resolvers: [ {harness.address(dns_port)} ],
    dns_resolver_options: {{ no_default_search_domain: true }} }},
  load_assignment: {{ cluster_name: {name}, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{
    address: {{ socket_address: {{ address: {host}, port_value: {port} }} }} }} }} ] }} ] }} }}
"""


with harness.Site() as site, DnsServer({"strict.test": ["127.0.0.1"],
                                        "one.test": ["127.0.0.1"]}) as dns:
    origin = site.origin("a")
    site.origin("b", origin, "127.0.0.2")
    port, admin = harness.free_port(), harness.free_port()
    sluice = site.sluice(f"admin: {{ address: {harness.address(admin)} }}\n" +
                         harness.static_bootstrap(
        [harness.listener("in", port, ROUTES)],
        [dns_cluster("strict", "STRICT_DNS", "strict.test", origin, dns.port),
         dns_cluster("one", "LOGICAL_DNS", "one.test", origin, dns.port),
         dns_cluster("local", "STRICT_DNS", "localhost", origin, dns.port)]))
    sluice.says("live with 2 worker(s)")

    def stat(name):
        text = get(admin, f"/stats?filter=^{name}$").body.decode()
        return int(text.split(": ")[1]) if text else 0

    # Whoever is live has endpoints: the first request is served.
    assert get(port, "/bytes/1").headers["x-origin"] == "a"
    assert get(port, "/one/bytes/1").headers["x-origin"] == "a"
    assert get(port, "/local/bytes/1").headers["x-origin"] == "a", "from /etc/hosts"

    with harness.Load(port) as load:
        def moves_to(address, name):
            dns.records["strict.test"] = [address]
            until(f"new requests are served by {name}",
                  lambda: get(port, "/bytes/1").headers["x-origin"] == name)
            before = dict(load.by_origin)
            until("and under load", lambda: load.by_origin.get(name, 0) > before.get(name, 0) + 50)

        moves_to("127.0.0.2", "b")
        moves_to("127.0.0.1", "a")
        del dns.records["strict.test"]  # does not exist any more
        until("the name was looked for in vain", lambda: stat("cluster.strict.update_empty") > 1)
        assert get(port, "/bytes/1").headers["x-origin"] == "a"
        dns.records["strict.test"] = ["127.0.0.2", "127.0.0.1"]
        until("both serve", lambda: {get(port, "/bytes/1").headers["x-origin"]
                                     for _ in range(8)} == {"a", "b"})
    load.check()
    assert set(load.by_origin) == {"a", "b"}, load.by_origin

    def hosts_of(cluster):
        rows = json.loads(get(admin, "/clusters?format=json").body)["cluster_statuses"]
        hosts = next(row for row in rows if row["name"] == cluster)["host_statuses"]
        return {h["address"]["socket_address"]["address"]: h.get("hostname") for h in hosts}

    assert hosts_of("strict") == {"127.0.0.1": "strict.test", "127.0.0.2": "strict.test"}
    attempts = stat("cluster.strict.update_attempt")
    assert stat("cluster.strict.update_success") > 3 and attempts > 5, attempts
    assert stat("dns.cares.resolve_total") >= attempts
    assert stat("dns.cares.not_found") > 1

    # A logical host moves as a whole.
    dns.records["one.test"] = ["127.0.0.2", "127.0.0.1"]
    until("the logical host moves", lambda: hosts_of("one") == {"127.0.0.2": "one.test"})
    assert sluice.end() == 0

    # A server that says nothing holds up the start no longer than its bound, one that knows no such
    # name not at all.
    dns.records = {}
    sluice = site.sluice(harness.static_bootstrap(
        [harness.listener("in", port, ROUTES)],
        [dns_cluster(c, "STRICT_DNS", "none.test", origin, dns.port)
         for c in ("strict", "one", "local")]))
    until("it accepts", lambda: harness.accepts(port))
    assert get(port, "/bytes/1").status == 503
    dns.records["none.test"] = ["127.0.0.2"]
    until("it serves", lambda: get(port, "/bytes/1").status == 200)
    assert sluice.end() == 0

print(f"{load.total()} requests while a name moved and vanished, 0 failed; "
      f"{dns.questions} questions")
