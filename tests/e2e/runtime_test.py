#!/usr/bin/env python3
"""Runtime keys from a static layer, from a control plane (RTDS) and from an operator decide where
requests go, and filters' configurations come by themselves (ECDS): under load, without a failed
request, and without a connection lost. mock-cp says at the end whether the client did anything that
it must not."""

import http.client
import json

import control
import harness
from harness import until

harness.need("sluice", "mock-cp", "origin")

MUTATION = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"


def admin_of(sluice, path="/runtime", method="GET"):
    return harness.get(sluice.admin, path, method=method)


def runtime(sluice):
    return json.loads(admin_of(sluice).body)


def stat(sluice, name):
    text = admin_of(sluice, f"/stats?filter=^{name}$").body.decode()
    return int(text.split(": ")[1])


def bootstrap(site, control_port, admin):
    layers = f"""layered_runtime: {{ layers: [
  {{ name: static, static_layer: {{ use: {{ b: 0 }}, only.here: text }} }},
  {{ name: rtds, rtds_layer: {{ name: keys, rtds_config: {harness.ADS} }} }},
  {{ name: admin, admin_layer: {{}} }} ] }}
admin: {{ address: {harness.address(admin)} }}
"""
    return layers + harness.ads_bootstrap(control_port)


def mutation(value):
    return (f'{{ "@type": "{MUTATION}", mutations: {{ response_mutations: [ {{ append: {{ header: '
            f'{{ key: x-filter, value: {value} }} }} }} ] }} }}')


def extension(value):
    return f"extension_configs:\n- {{ name: late, typed_config: {mutation(value)} }}\n"


def world(site, port, other_port, origins):
    for name, target in origins.items():
        site.resource(f"{name}.yaml", f"clusters:\n- {harness.eds_cluster(name)}"
                      f"endpoints:\n- {harness.load_assignment(name, target)}")
    site.resource("routes.yaml", """routes:
- { name: r, virtual_hosts: [ { name: all, domains: ['*'], routes: [
    { match: { prefix: /, runtime_fraction: { default_value: { numerator: 100 },
      runtime_key: use.b } }, route: { cluster: b } },
    { match: { prefix: / }, route: { weighted_clusters: { runtime_key_prefix: share, clusters: [
      { name: a, weight: 1 }, { name: b, weight: 0 } ] } } } ] } ] }
""")
    discovery = (f"{{ name: late, config_discovery: {{ config_source: {{ ads: {{}}, "
                 f"resource_api_version: V3, initial_fetch_timeout: 1s }}, "
                 f"type_urls: [ \"{MUTATION}\" ] }} }},")
    filtered = harness.listener("filtered", other_port, harness.rds("r")).replace(
        "http_filters: [", f"http_filters: [ {discovery}")
    site.resource("listeners.yaml", "listeners:\n- " +
                  harness.listener("in", port, harness.rds("r")) + f"- {filtered}")


def served_by(port):
    try:
        return harness.get(port).headers["x-origin"]
    except OSError:
        return None


def keys_decide(sluice, mock, port):
    """Each layer in turn; the last one that says something counts."""
    until("the static layer keeps traffic from b", lambda: served_by(port) == "a")
    mock.put("runtimes:\n- { name: keys, layer: { use: { b: 100 } } }\n")
    until("RTDS sends it there", lambda: served_by(port) == "b")
    assert runtime(sluice)["entries"]["use.b"] == {
        "layer_values": ["0", "100", ""], "final_value": "100"}
    answer = admin_of(sluice, "/runtime_modify?use.b=0", "POST")
    assert (answer.status, answer.body) == (200, b"OK\n"), answer.body
    until("the operator sends it back", lambda: served_by(port) == "a")
    assert stat(sluice, "runtime.admin_overrides_active") == 1
    admin_of(sluice, "/runtime_modify?share.a=0&share.b=1", "POST")
    until("weights follow their keys", lambda: served_by(port) == "b")
    admin_of(sluice, "/runtime_modify?share.a=&share.b=&use.b=", "POST")
    mock.put("runtimes:\n- { name: keys, layer: {} }\n")
    until("what was taken out counts no more", lambda: served_by(port) == "a")
    assert runtime(sluice)["layers"] == ["static", "rtds", "admin"]
    assert stat(sluice, "runtime.update_success") >= 3
    assert stat(sluice, "runtime.num_layers") == 3


def filters_come_by_themselves(sluice, mock, port):
    """On one connection: missing, then there, then another one."""
    until("the listener serves without it", lambda: harness.accepts(port))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask():
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        return response.status, response.headers["x-filter"]

    assert ask() == (500, None)
    socket = connection.sock
    for value in ("one", "two", "three"):
        mock.put(extension(value))
        until(f"the filter says {value}", lambda v=value: ask() == (200, v))
    assert connection.sock is socket, "the connection was not kept"
    assert mock.call("PUT", "/resources", extension('"\\n"'))[0] == 200
    until("it is refused", lambda: stat(sluice, "extension_config_discovery.update_rejected") >= 1)
    assert ask() == (200, "three")
    mock.put(extension("four"))
    until("a good one is taken again", lambda: ask() == (200, "four"))
    dump = json.loads(admin_of(sluice, "/config_dump?resource=ecds_filters").body)
    assert dump["configs"][0]["client_status"] == "ACKED", dump


with harness.Site() as site:
    origins = {n: site.origin(n) for n in "ab"}
    control_port, admin, port, other_port = (harness.free_port() for _ in range(4))
    world(site, port, other_port, origins)
    site.resource("runtimes.yaml", "runtimes:\n- { name: keys, layer: {} }\n")
    mock = control.Mock(site, control_port)
    sluice = site.sluice(bootstrap(site, control_port, admin))
    sluice.admin = admin
    until("the listener accepts", lambda: served_by(port))
    with harness.Load(port, connections=4) as load:
        keys_decide(sluice, mock, port)
        filters_come_by_themselves(sluice, mock, other_port)
    load.check()
    mock.check()
    assert sluice.end() == 0
    print(f"{load.total()} requests while keys and filters changed, 0 failed")
