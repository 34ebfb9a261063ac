#!/usr/bin/env python3
"""What is wrong at start: exit code not 0, and a message with file, line or field, and remedy."""

import subprocess

import harness

harness.need("sluice")
GOOD = harness.listener("in", 0, "route_config: { virtual_hosts: [ { name: v, domains: ['*'] } ] }")

# (what, bootstrap, exit code, texts that the message must have)
CASES = [
    ("broken YAML", "static_resources: [\n  a: b: c\n", 1, ["bootstrap.yaml:2:"]),
    ("unknown field", "static_resources:\n  listenrs: []\n", 1,
     ["bootstrap.yaml:2:", "listenrs"]),
    ("wrong type", "static_resources:\n  clusters:\n  - name: [a, b]\n", 1,
     ["bootstrap.yaml:3:", "name"]),
    ("bad number", harness.static_bootstrap([GOOD.replace("port_value: 0", "port_value: many")]), 1,
     ["bootstrap.yaml:3:", "port_value", "many"]),
    ("rule of the proto", harness.static_bootstrap([GOOD.replace("port_value: 0",
                                                                 "port_value: 70000")]), 1,
     ["bootstrap.yaml:3:", "port_value"]),
    ("duplicate listener", harness.static_bootstrap([GOOD, GOOD]), 1,
     ["bootstrap.yaml:", "\"in\"", "rename"]),
    ("duplicate cluster", harness.static_bootstrap([], [harness.static_cluster("c", 1)] * 2), 1,
     ["bootstrap.yaml:", "\"c\"", "rename"]),
    ("duplicate domain", harness.static_bootstrap([GOOD.replace("['*']", "[a, a]")]), 1,
     ["bootstrap.yaml:", "domains[1]"]),
    ("missing cluster", harness.static_bootstrap(
        [GOOD.replace("domains: ['*']", "domains: ['*'], routes: [ { match: { prefix: / }, "
                      "route: { cluster: nobody } } ]")]), 1,
     ["bootstrap.yaml:", "\"nobody\"", "add it"]),
    ("address of another machine", harness.static_bootstrap([GOOD.replace("127.0.0.1",
                                                                          "192.0.2.1")]), 1,
     ["bootstrap.yaml:3:", "listeners[\"in\"].address", "192.0.2.1"]),
    ("unreadable access log", harness.static_bootstrap(
        [GOOD.replace("stat_prefix: in,", "stat_prefix: in, access_log: [ { name: f, typed_config: "
                      "{ '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3."
                      "FileAccessLog, path: /no/such/folder/log } } ],")]), 1,
     ["bootstrap.yaml:", "access_log", "/no/such/folder/log"]),
    ("ADS without control plane", "node: { id: a, cluster: b }\ndynamic_resources:\n  lds_config: "
     "{ ads: {}, resource_api_version: V3 }\n", 1, ["bootstrap.yaml:3:", "ads_config"]),
]


def run(*args):
    return subprocess.run([str(harness.BIN / "sluice"), *map(str, args)], capture_output=True,
                          text=True, timeout=20, stdin=subprocess.DEVNULL, check=False)


def check(what, result, code, texts):
    assert result.returncode == code, f"{what}: exit code {result.returncode}\n{result.stderr}"
    for text in texts:
        assert text in result.stderr, f"{what}: {text!r} is not in:\n{result.stderr}"


with harness.Site() as site:
    for what, bootstrap, code, texts in CASES:
        config = site.file("bootstrap.yaml", bootstrap)
        check(what, run("-c", config, "--concurrency", 1), code, texts)
        if "another machine" not in what and "access log" not in what:
            check(f"{what}, --mode validate", run("-c", config, "--mode", "validate"), code, texts)

    check("missing file", run("-c", site.folder / "none.yaml"), 1, ["none.yaml"])
    check("folder as file", run("-c", site.folder), 1, [str(site.folder)])
    check("no bootstrap", run(), 1, ["-c FILE"])
    check("unknown flag", run("--no-such-flag"), 2, ["--no-such-flag"])
    check("bad value", run("--concurrency", "many"), 2, ["--concurrency", "many"])
    check("bad log level", run("--config-yaml", "{}", "--log-level", "loud"), 2, ["loud"])

    good = site.file("good.yaml", harness.static_bootstrap([GOOD]))
    result = run("-c", good, "--mode", "validate")
    assert result.returncode == 0 and "OK" in result.stdout, result
    result = run("--version")
    assert result.returncode == 0 and "version:" in result.stdout, result
    result = run("chains", "-c", good)
    assert result.returncode == 0 and "in: fused router" in result.stdout, result

print(f"{len(CASES) + 6} bad starts, each with its place and its remedy")
