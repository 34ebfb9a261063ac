#!/usr/bin/env python3
"""The same bootstrap and the same requests through Sluice and through Envoy.

Compared for each case: the responses with their headers in order, whether the connection is kept,
what the origin received, and the fields of the access log; for the whole run, some statistics.
Differences that we want are in wanted.py with their reason; any other fails, and so does a wanted
one that has gone. Arguments choose cases by a part of their name and print what both did.
Skipped without Envoy: scripts/setup-peers installs it, $SLUICE_ENVOY names another one.
"""

import collections
import sys
import threading

import cases
import twins
import wanted
from twins import Client, Proxy, normalise, until

STATS = [
    "http.{}.downstream_rq_total", "http.{}.downstream_rq_1xx", "http.{}.downstream_rq_2xx",
    "http.{}.downstream_rq_3xx", "http.{}.downstream_rq_4xx", "http.{}.downstream_rq_5xx",
    "http.{}.no_route", "http.{}.no_cluster", "http.{}.rq_direct_response",
    "http.{}.rq_redirect", "http.{}.downstream_cx_protocol_error",
    "http.{}.downstream_cx_upgrades_total", "http.{}.downstream_rq_idle_timeout",
    "http.{}.downstream_rq_timeout", "http.{}.downstream_rq_header_timeout",
    "http.{}.downstream_rq_too_large", "http.{}.downstream_rq_http1_total",
    "http.{}.downstream_rq_failed_path_normalization",
    "http.{}.downstream_rq_redirected_with_normalized_path",
    "http.{}.downstream_cx_upgrades_active",
]
CLUSTER_STATS = [
    "cluster.{}.upstream_rq_total", "cluster.{}.upstream_rq_2xx", "cluster.{}.upstream_rq_5xx",
    "cluster.{}.upstream_rq_200", "cluster.{}.upstream_rq_404", "cluster.{}.upstream_rq_204",
    "cluster.{}.external.upstream_rq_200", "cluster.{}.external.upstream_rq_completed",
    "cluster.{}.upstream_rq_503", "cluster.{}.upstream_rq_timeout",
    "cluster.{}.upstream_cx_connect_fail", "cluster.{}.upstream_cx_none_healthy",
    "cluster.{}.upstream_rq_pending_overflow", "cluster.{}.upstream_cx_protocol_error",
]


def talk(client, case):
    """[responses], and how the connection ended."""
    responses = []
    try:
        for request in case["requests"]:
            client.send(request)
            to_eof = b"connection: close" in request
            while True:
                response = client.response(request.split()[0])
                if response is None:
                    return responses, "closed"
                responses.append(response)
                connected = request.startswith(b"CONNECT") and response["status"] == 200
                if response["status"] == 101 or connected:
                    client.send(case["after"])
                    echo = client.reader.take(min(len(case["after"]), 15))
                    return responses, f"tunnel: {echo.decode()}"
                if response["status"] >= 200 and not to_eof:
                    break
        client.send(b"GET /probe HTTP/1.1\r\nhost: probe\r\nx-answer: plain\r\n\r\n")
        return responses, "kept" if client.response() else "closed"
    except TimeoutError:
        return responses, "silence"


def run_case(proxy, case):
    """What happened, as {part: text or list of texts}."""
    client = Client(proxy.port(case["listener"]))
    try:
        responses, end = talk(client, case)
    finally:
        client.socket.close()

    def plain(lines):
        return [normalise(line, proxy, client.port) for line in lines]

    parts = {"end": end}
    for i, response in enumerate(responses):
        parts[f"response {i} line"] = response["line"].rstrip()
        parts[f"response {i} headers"] = plain(response["headers"])
        parts[f"response {i} body"] = response["body"].decode("latin-1")
        if response["trailers"]:
            parts[f"response {i} trailers"] = response["trailers"]
    for i, entry in enumerate(e for e in proxy.origin.take() if " /probe " not in e["line"]):
        parts[f"origin {i} line"] = entry["line"]
        parts[f"origin {i} headers"] = plain(entry["headers"])
        if entry["body"]:
            parts[f"origin {i} body"] = entry["body"].decode("latin-1")
        if entry["trailers"]:
            parts[f"origin {i} trailers"] = entry["trailers"]
    return client.port, parts


def run_all(proxy, chosen, results):
    ports = {}
    for case in chosen:
        client_port, parts = run_case(proxy, case)
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
    for case in chosen:
        direct = f"127.0.0.1:{ports[case['name']]}"
        local = f"127.0.0.1:{proxy.port(case['listener'])}"
        for i, fields in enumerate(lines[(direct, local)]):
            for name, value in fields.items():
                results[case["name"]][f"log {i} {name}"] = normalise(
                    value, proxy, ports[case["name"]])


def stats_of(proxy):
    found = proxy.stats()
    names = [s.format(n) for n in [*cases.LISTENERS, *cases.CONNECT_LISTENERS, "hosts"] for s in STATS]
    names += [s.format(n) for n in ("origin", "refused", "empty", "full") for s in CLUSTER_STATS]
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


def main():
    sluice = twins.BIN / "sluice"
    if not sluice.exists():
        twins.skip(f"not built: {sluice}")
    envoy = twins.find_envoy()
    words = sys.argv[1:]
    chosen = [c for c in cases.CASES if not words or any(w in c["name"] for w in words)]
    with twins.Folder() as folder:
        proxies = [Proxy("sluice", folder, [str(sluice), "--drain-time-s", "1"], cases.ANSWERS),
                   Proxy("envoy", folder, [envoy, "--use-dynamic-base-id", "-l", "warning"],
                         cases.ANSWERS)]
        results = [{}, {}]
        try:
            for proxy in proxies:
                proxy.start(cases.bootstrap(proxy))
            failed = []

            def guarded(proxy, into):
                try:
                    run_all(proxy, chosen, into)
                except Exception as error:  # to be raised where the test runs
                    failed.append((proxy.name, error))
            threads = [threading.Thread(target=guarded, args=pair)
                       for pair in zip(proxies, results)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failed:
                raise AssertionError(f"{failed[0][0]}: {failed[0][1]!r}") from failed[0][1]
            stats = [stats_of(p) for p in proxies] if not words and twins.accepts(proxies[0].port('admin')) else [{}, {}]
        finally:
            for proxy in proxies:
                proxy.stop()

    if words:
        for case in chosen:
            for proxy, result in zip(proxies, results):
                print(f"---- {case['name']}: {proxy.name}")
                for part, value in result[case["name"]].items():
                    print(f"{part:20s} {value}")
    unwanted, used = [], set()
    for case in chosen:
        for difference in differences(case["name"], results[0][case["name"]],
                                      results[1][case["name"]]):
            reason = wanted.reason_for(*difference, used)
            if reason is None:
                unwanted.append(difference)
    for difference in differences("statistics", *stats):
        if wanted.reason_for(*difference, used) is None:
            unwanted.append(difference)
    for difference in unwanted:
        show(*difference)
    gone = [] if words else wanted.unused(used)
    for entry in gone:
        print(f"a wanted difference has gone: {entry}")
    for entry in wanted.still_open(used):
        print(f"open: {entry}")
    num_parts = sum(len(r) for r in results[1].values())
    print(f"{len(chosen)} cases, {num_parts} parts and {len(stats[1])} statistics compared: "
          f"{len(unwanted)} unwanted differences, {len(used)} rules for wanted ones used")
    sys.exit(1 if unwanted or gone else 0)


if __name__ == "__main__":
    main()
