#!/usr/bin/env python3
"""The same bootstrap and the same requests through Sluice and through Envoy.

Compared for each case: the responses with their headers in order, whether the connection is kept,
what the origin received, and the fields of the access log; for the whole run, some statistics.
Differences that we want are in wanted.py with their reason; any other fails, and so does a wanted
one that has gone. Arguments choose cases by a part of their name and print what both did.
Skipped without Envoy: scripts/setup-peers installs it, $SLUICE_ENVOY names another one.
"""

import cases
import wanted
from comparison import Suite, compare
from twins import Client, normalise

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


def main():
    listeners = [*cases.LISTENERS, *cases.CONNECT_LISTENERS, "hosts"]
    stats = [s.format(n) for n in listeners for s in STATS]
    stats += [s.format(n) for n in ("origin", "refused", "empty", "full") for s in CLUSTER_STATS]
    compare(Suite(cases.CASES, run_case, stats, wanted.HTTP1))


if __name__ == "__main__":
    main()
