"""Runs cases through Sluice and Envoy at once and compares what each did: parity tests say what the
cases are, how one runs, and which rules name the differences that are wanted.

A run of a case is {part: text or list of texts}; cases with the same name and parts are compared.
"""

import collections
import dataclasses
import sys
import threading

import cases
import twins
from twins import Client, Proxy, normalise, until


@dataclasses.dataclass(frozen=True)
class Suite:
    chosen: list  # cases: dictionaries with a name and a listener
    run_case: object  # (proxy, case) -> (the client's port, its parts)
    stats: list  # names of statistics, compared after a run of all
    rules: object  # wanted.Rules


def run_all(proxy, suite, results):
    ports = {}
    for case in suite.chosen:
        client_port, parts = suite.run_case(proxy, case)
        ports[case["name"]] = client_port
        results[case["name"]] = parts
    # The last line's arrival says that those before have been written.
    last = Client(proxy.port("plain"))
    last.send(b"GET /direct?the-last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    last.response()
    until(f"{proxy.name} writes its access log",
          lambda: proxy.access_log.exists() and "?the-last" in proxy.access_log.read_text())
    lines = collections.defaultdict(list)
    for line in proxy.access_log.read_text(errors="replace").splitlines():
        fields = dict(pair.split("=", 1) for pair in line.split("\t") if "=" in pair)
        if fields.get("path") != "/probe":
            lines[(fields.get("direct"), fields.get("local"))].append(fields)
    for case in suite.chosen:
        direct = f"127.0.0.1:{ports[case['name']]}"
        local = f"127.0.0.1:{proxy.port(case['listener'])}"
        for i, fields in enumerate(lines[(direct, local)]):
            for name, value in fields.items():
                results[case["name"]][f"log {i} {name}"] = normalise(
                    value, proxy, ports[case["name"]])


def stats_of(proxy, names):
    found = proxy.stats()
    return {name: found.get(name, "0") for name in names}


def differences(name, sluice, envoy):
    for part in sorted(sluice.keys() | envoy.keys()):
        ours, theirs = sluice.get(part), envoy.get(part)
        if ours != theirs:
            yield name, part, ours, theirs


def show(name, part, ours, theirs):
    print(f"{name}: {part}")
    if isinstance(ours, list) and isinstance(theirs, list):
        for line in theirs:
            if line not in ours:
                print(f"    only Envoy:  {line!r}")
        for line in ours:
            if line not in theirs:
                print(f"    only Sluice: {line!r}")
        if sorted(ours) == sorted(theirs):
            print(f"    order: Envoy {theirs}\n           Sluice {ours}")
    else:
        print(f"    Envoy:  {theirs!r}\n    Sluice: {ours!r}")


def run_both(suite, want_stats):
    """What each did, and its statistics; Sluice first."""
    sluice = twins.BIN / "sluice"
    if not sluice.exists():
        twins.skip(f"not built: {sluice}")
    envoy = twins.find_envoy()
    with twins.Folder() as folder:
        proxies = [Proxy("sluice", folder, [str(sluice), "--drain-time-s", "1"], cases.ANSWERS),
                   Proxy("envoy", folder, [envoy, "--use-dynamic-base-id", "-l", "warning"],
                         cases.ANSWERS)]
        results, failed = [{}, {}], []

        def guarded(proxy, into):
            try:
                run_all(proxy, suite, into)
            except Exception as error:  # to be raised where the test runs
                failed.append((proxy.name, error))
        try:
            for proxy in proxies:
                proxy.start(cases.bootstrap(proxy))
            threads = [threading.Thread(target=guarded, args=pair)
                       for pair in zip(proxies, results)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failed:
                raise AssertionError(f"{failed[0][0]}: {failed[0][1]!r}") from failed[0][1]
            stats = [stats_of(p, suite.stats if want_stats else []) for p in proxies]
        finally:
            for proxy in proxies:
                proxy.stop()
    return results, stats


def show_all(suite, results):
    for case in suite.chosen:
        for name, result in zip(("sluice", "envoy"), results):
            print(f"---- {case['name']}: {name}")
            for part, value in result[case["name"]].items():
                print(f"{part:20s} {value}")


def compare(suite):
    """Ends the process: 0 where no difference is unwanted and each wanted one is there. Arguments
    choose cases by a part of their name and print what both did."""
    words = sys.argv[1:]
    if words:
        suite = dataclasses.replace(
            suite, chosen=[c for c in suite.chosen if any(w in c["name"] for w in words)])
    results, stats = run_both(suite, want_stats=not words)
    if words:
        show_all(suite, results)
    unwanted, used = [], set()
    found = [d for case in suite.chosen
             for d in differences(case["name"], *(r[case["name"]] for r in results))]
    for difference in [*found, *differences("statistics", *stats)]:
        if suite.rules.reason_for(*difference, used) is None:
            unwanted.append(difference)
            show(*difference)
    gone = [] if words else suite.rules.unused(used)
    for entry in gone:
        print(f"a wanted difference has gone: {entry}")
    for entry in suite.rules.still_open(used):
        print(f"open: {entry}")
    num_parts = sum(len(r) for r in results[1].values())
    print(f"{len(suite.chosen)} cases, {num_parts} parts and {len(stats[1])} statistics compared: "
          f"{len(unwanted)} unwanted differences, {len(used)} rules for wanted ones used")
    sys.exit(1 if unwanted or gone else 0)
