#!/usr/bin/env python3
"""The requests of http_parity_test.py that HTTP/2 can say, and HTTP/2's own, through Sluice and
through Envoy, which send them on by HTTP/1.

Compared for each case: responses with their fields in order, resets, whether the connection lives
on, what the origin received, the fields of the access log; for the whole run, some statistics.
Arguments choose cases by a part of their name and print what both did. Skipped without Envoy and
hpack: scripts/setup-peers installs them.
"""

import cases
import h2_cases
import wanted
from comparison import Suite, compare
from h2_client import H2Client
from twins import normalise

STATS = [
    "http.{}.downstream_cx_http2_total", "http.{}.downstream_rq_http2_total",
    "http.{}.downstream_rq_rx_reset", "http.{}.downstream_rq_tx_reset",
    "http.{}.downstream_rq_2xx", "http.{}.downstream_rq_3xx", "http.{}.downstream_rq_4xx",
    "http.{}.downstream_rq_5xx", "http.{}.downstream_cx_upgrades_active",
    "http.{}.downstream_cx_protocol_error",
]
PROBE = [(":method", "GET"), (":scheme", "http"), (":authority", "probe"), (":path", "/probe"),
         ("x-answer", "plain")]


def lines(fields):
    return [f"{n.decode('latin-1')}: {v.decode('latin-1')}" for n, v in fields]


def one(client, request, after):
    """What came for one request, as {part: ...}, and how it ended."""
    reset = request.get("reset")
    stream = client.open(**{k: v for k, v in request.items() if k != "reset"})
    if reset:
        client.flush()
        client.reset(stream)
        return {}, "reset by the client"
    parts, body, interim = {}, b"", 0
    while True:
        (kind, value), = client.events(stream, until=("headers", "data", "end"))[-1:]
        if kind == "headers":
            status = dict(value).get(b":status")
            if status is None:
                parts["trailers"] = lines(value)
            elif status[:1] == b"1":
                interim += 1
                parts[f"interim {interim}"] = lines(value)
            else:
                parts["headers"] = lines(value)
            if after and status == b"200":
                return parts, f"tunnel: {through(client, stream, after)}"
        elif kind == "data":
            body += value
        else:
            parts["body"] = body.decode("latin-1")
            return parts, kind if value is None else f"{kind} {value}"


def through(client, stream, data):
    client.frame(0, 0, stream, data)
    echo = b""
    while len(echo) < min(len(data), 15):
        (kind, value), = client.events(stream, until=("data", "end"))[-1:]
        if kind != "data":
            return f"{echo.decode()} {kind}"
        echo += value
    client.frame(0, 1, stream)
    return echo[:15].decode()


def run_case(proxy, case):
    client = H2Client(proxy.port(case["listener"]))
    parts = {}

    def plain(value):
        return [normalise(line, proxy, client.port) for line in value] if isinstance(
            value, list) else value

    try:
        for i, request in enumerate(case["requests"]):
            got, end = one(client, request, case["after"])
            parts |= {f"response {i} {part}": plain(value) for part, value in got.items()}
            parts[f"response {i} end"] = end
        probe = client.events(client.open(PROBE), until=("end",))[-1]
        parts["end"] = "kept" if probe[0] == "end" else str(probe)
    except TimeoutError:
        parts["end"] = "silence"
    finally:
        client.socket.close()
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
    compare(Suite(h2_cases.CASES, run_case, [s.format(n) for n in listeners for s in STATS],
                  wanted.HTTP2))


if __name__ == "__main__":
    main()
