#!/usr/bin/env python3
"""Names that come and go: in each round all clusters, listeners, routes, virtual hosts, runtime keys,
scopes and filters have names that were never there before, and those of the round before are removed.
Memory, statistics and what /config_dump shows stay what they were, under requests of which none fails.

    tests/e2e/churn_test.py [ROUNDS [NAMES]]

16 rounds of 40 in the tests, 200 of 100 by hand.
"""

import json
import sys
import time

import control
import harness
from harness import until

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 16
NAMES = int(sys.argv[2]) if len(sys.argv) > 2 else 40
WARM = 4
LISTENERS = 4
harness.need("sluice", "mock-cp", "origin")

MUTATION = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"


def tag(n):
    return f"t{n}"  # that no index looks like


def bootstrap(control_port, admin):
    return f"""layered_runtime: {{ layers: [
  {{ name: rtds, rtds_layer: {{ name: keys, rtds_config: {harness.ADS} }} }} ] }}
admin: {{ address: {harness.address(admin)} }}
""" + harness.ads_bootstrap(control_port)


def listener(n, i, port, source):
    """With a prefix of its statistics and a filter that comes by itself, under new names."""
    text = harness.listener(f"listener-{n}-{i}", port, source)
    text = text.replace("stat_prefix: in,", f"stat_prefix: in-{n}-{i},")
    return text.replace("http_filters: [", f"""http_filters: [ {{ name: filter-{n}-{i},
      config_discovery: {{ config_source: {harness.ADS}, type_urls: [ {MUTATION} ] }} }},""")


def routes(n, i):
    hosts = "".join(f"""  - {{ name: host-{n}-{i}-{h}, domains: [ host-{n}-{h}.test ], routes: [
      {{ match: {{ prefix: /, runtime_fraction: {{ default_value: {{ numerator: 50 }},
         runtime_key: key-{n}-{h} }} }}, route: {{ cluster: cluster-{n}-{h} }} }},
      {{ match: {{ prefix: / }}, route: {{ cluster: cluster-{n}-0 }} }} ] }}
""" for h in range(NAMES))
    return f"- name: routes-{n}-{i}\n  virtual_hosts:\n{hosts}"


def scoped(n):
    return f"""scoped_routes: {{ name: scopes-{n}, rds_config_source: {harness.ADS},
      scoped_rds: {{ scoped_rds_config_source: {harness.ADS} }},
      scope_key_builder: {{ fragments: [ {{ header_value_extractor: {{ name: x-{n},
        element: {{ separator: '=', key: vip }} }} }} ] }} }}"""


def world(n, ports, origin):
    n = tag(n)
    clusters = "".join(f"- {harness.eds_cluster(f'cluster-{n}-{i}')}" for i in range(NAMES))
    endpoints = "".join(f"- {harness.load_assignment(f'cluster-{n}-{i}', origin)}"
                        for i in range(NAMES))
    listeners = "".join("- " + listener(n, i, port, harness.rds(f"routes-{n}-{i}"))
                        for i, port in enumerate(ports[:-1]))
    listeners += "- " + listener(n, LISTENERS, ports[-1], scoped(n))
    filters = "".join(f"""- {{ name: filter-{n}-{i}, typed_config: {{ "@type": "{MUTATION}",
      mutations: {{ response_mutations: [ {{ append: {{ header: {{ key: x-{n}-{i}, value: x }} }} }}
      ] }} }} }}
""" for i in range(LISTENERS + 1))
    scopes = "".join(f"- {{ name: scope-{n}-{i}, route_configuration_name: routes-{n}-0, key: "
                     f"{{ fragments: [ {{ string_key: key-{n}-{i} }} ] }} }}\n"
                     for i in range(NAMES))
    keys = ", ".join(f"key-{n}-{i}: {i}" for i in range(NAMES))
    return (f"clusters:\n{clusters}endpoints:\n{endpoints}listeners:\n{listeners}routes:\n" +
            "".join(routes(n, i) for i in range(LISTENERS)) +
            f"extension_configs:\n{filters}scoped_routes:\n{scopes}"
            f"runtimes:\n- {{ name: keys, layer: {{ {keys} }} }}\n")


class Churn:
    def __init__(self, site, mock, sluice, ports, origin):
        self.site, self.mock, self.sluice, self.ports = site, mock, sluice, ports
        self.origin = origin

    def admin(self, path):
        return harness.get(self.sluice.admin, path).body.decode()

    def serves(self, n):
        n = tag(n)
        try:
            answer = harness.get(self.ports[0], "/", {"host": f"host-{n}-{NAMES - 1}.test"})
            return answer.status == 200 and answer.headers[f"x-{n}-0"] == "x"
        except OSError:
            return False

    def round(self, n):
        self.site.resource("world.yaml", world(n, self.ports, self.origin))
        until(f"round {n} is in effect", lambda: self.serves(n))
        t = tag(n)
        until(f"the scopes of round {n} are in effect", lambda: harness.get(
            self.ports[-1], "/", {"host": f"host-{t}-0.test",
                                  f"x-{t}": f"vip=key-{t}-{NAMES - 1}"}).status == 200)
        until(f"clusters of round {n - 1} are gone",
              lambda: f"cluster-{tag(n - 1)}-" not in self.admin("/clusters"))

    def seen(self):
        """How much there is of everything, and what there is of names of rounds."""
        names = [line.split(":")[0] for line in self.admin("/stats").splitlines()]
        dump = json.dumps(json.loads(self.admin("/config_dump?include_eds")))
        return len(names), len(dump) // 1000


def push(api_type):
    with harness.Site() as site:
        origin, port, admin = site.origin("a"), harness.free_port(), harness.free_port()
        ports = [harness.free_port() for _ in range(LISTENERS + 1)]
        site.resource("world.yaml", world(0, ports, origin))
        mock = control.Mock(site, port)
        text = bootstrap(port, admin).replace("api_type: GRPC", f"api_type: {api_type}")
        sluice = site.sluice(text, "-l", "error", "--drain-time-s", "1")
        sluice.admin = admin
        churn = Churn(site, mock, sluice, ports, origin)
        n = 0
        for n in range(WARM):
            churn.round(n)
        memory = 0
        for n in range(WARM, ROUNDS):
            churn.round(n)
            if n == ROUNDS // 2:
                memory = control.memory_mib(sluice)
        after = control.memory_mib(sluice)

        # Statistics of what went are swept with a publish, every ten seconds; workers give back
        # what they used within two.
        gone_at = {}

        def settled():
            nonlocal n
            n += 1
            churn.round(n)
            names, now = churn.admin("/stats"), time.monotonic()
            gone_at[n - 1] = now
            long_gone = [old for old in range(n) if gone_at.get(old, 0) < now - 5]
            return all(f"-{tag(old)}-" not in names for old in long_gone)
        until("no statistic of what went is left", settled, 60)
        stats, dump = churn.seen()
        for page in ("/config_dump?include_eds", "/runtime", "/clusters", "/listeners"):
            text = churn.admin(page)
            for old in range(n):
                at = text.find(f"-{tag(old)}-")
                assert at < 0, f"{page} shows what went: {text[max(0, at - 300):at + 100]}"
        mock.check()
        assert sluice.end() == 0
    print(f"{api_type}: {n + 1} rounds of {NAMES * 5 + LISTENERS * (NAMES + 4)} names; {memory:.1f} "
          f"MiB half way, {after:.1f} MiB at the end, {stats} statistics, {dump} kB of "
          f"/config_dump", flush=True)
    assert after < memory * 1.02 + 2, (memory, after)


for ads in harness.ads_types():
    push(ads)
