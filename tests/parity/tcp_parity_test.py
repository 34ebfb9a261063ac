#!/usr/bin/env python3
"""The same tcp_proxy listeners and the same clients through Sluice and through Envoy.

Compared for each case: what client and endpoint saw, bytes, FIN and RST told apart, the fields of the
access log, and for the whole run some statistics. Differences that we want are in WANTED with their
reason; any other fails, and so does a wanted one that has gone. Arguments choose cases by a part of
their name and print what both did. Skipped without Envoy, as http_parity_test.py.
"""

import socket
import struct
import sys

import twins
from twins import TYPE, Client, Proxy, address, cluster, until

LOG = ["DOWNSTREAM_REMOTE_PORT", "RESPONSE_CODE", "RESPONSE_FLAGS", "RESPONSE_CODE_DETAILS",
       "BYTES_RECEIVED", "BYTES_SENT", "DOWNSTREAM_WIRE_BYTES_RECEIVED",
       "DOWNSTREAM_WIRE_BYTES_SENT", "UPSTREAM_WIRE_BYTES_SENT", "UPSTREAM_WIRE_BYTES_RECEIVED",
       "UPSTREAM_CLUSTER", "UPSTREAM_HOST", "PROTOCOL", "REQ(:METHOD)", "RESPONSE_DURATION",
       "UPSTREAM_REQUEST_ATTEMPT_COUNT", "CONNECTION_TERMINATION_DETAILS",
       "ACCESS_LOG_TYPE", "DOWNSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_LOCAL_CLOSE_REASON"]

# (case, part): why it differs.
WANTED = {
    ("idle", "log CONNECTION_TERMINATION_DETAILS"):
        "why we closed it is said where an operator looks; Envoy has it in "
        "DOWNSTREAM_LOCAL_CLOSE_REASON",
    ("longest", "log CONNECTION_TERMINATION_DETAILS"): "as for idle",
}

TCP_STATS = ["downstream_cx_total", "downstream_cx_no_route", "downstream_cx_rx_bytes_total",
             "downstream_cx_tx_bytes_total", "idle_timeout", "max_downstream_connection_duration",
             "upstream_flush_active"]
CLUSTER_STATS = ["upstream_cx_total", "upstream_cx_active", "upstream_cx_destroy",
                 "upstream_cx_connect_fail", "upstream_cx_connect_attempts_exceeded",
                 "upstream_cx_overflow", "upstream_cx_none_healthy", "upstream_cx_rx_bytes_total",
                 "upstream_cx_tx_bytes_total", "upstream_rq_total", "upstream_rq_active",
                 "upstream_rq_pending_total", "upstream_rq_pending_active",
                 "upstream_cx_destroy_local", "upstream_cx_destroy_remote",
                 "upstream_cx_destroy_with_active_rq", "upstream_cx_destroy_local_with_active_rq",
                 "upstream_cx_destroy_remote_with_active_rq"]
CASES = {}


def case(listener):
    def add(function):
        CASES[function.__name__] = (listener, function)
        return function
    return add


def rest_of(connection):
    """All bytes until the end, and which end it was."""
    got = b""
    connection.settimeout(5)
    try:
        while more := connection.recv(65536):
            got += more
        return got, "FIN"
    except ConnectionResetError:
        return got, "RST"
    except TimeoutError:
        return got, "silence"


def take(connection, size):
    connection.settimeout(5)
    got = b""
    while len(got) < size and (more := connection.recv(size - len(got))):
        got += more
    return got


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@case("live")
def both_ways(client, accept):
    server = accept()
    server.sendall(b"hello")
    parts = {"greeting": take(client, 5)}
    client.sendall(b"x" * 300_000)
    parts["there"] = len(take(server, 300_000))
    client.close()
    parts["end"] = rest_of(server)
    server.close()
    return parts


@case("live")
def half_close_of_the_client(client, accept):
    server = accept()
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    parts = {"request": rest_of(server)}
    server.sendall(b"answer")
    server.close()
    return parts | {"answer": rest_of(client)}


@case("live")
def half_close_of_the_endpoint(client, accept):
    server = accept()
    server.sendall(b"bye")
    server.shutdown(socket.SHUT_WR)
    parts = {"bye": rest_of(client)}
    client.sendall(b"more")
    client.close()
    return parts | {"more": rest_of(server)}


@case("live")
def reset_of_the_client(client, accept):
    server = accept()
    client.sendall(b"abc")
    parts = {"first": take(server, 3)}
    reset(client)
    return parts | {"end": rest_of(server)}


@case("live")
def reset_of_the_endpoint(client, accept):
    server = accept()
    client.sendall(b"abc")
    parts = {"first": take(server, 3)}
    reset(server)
    return parts | {"end": rest_of(client)}


@case("dead")
def refused(client, accept):
    return {"end": rest_of(client)}


@case("tries")
def three_attempts(client, accept):
    return {"end": rest_of(client)}


@case("none")
def no_endpoint(client, accept):
    return {"end": rest_of(client)}


@case("unknown")
def unknown_cluster(client, accept):
    return {"end": rest_of(client)}


@case("full")
def breaker(client, accept):
    return {"end": rest_of(client)}


@case("idle")
def idle(client, accept):
    server = accept()
    client.sendall(b"abc")
    parts = {"first": take(server, 3)}
    return parts | {"client": rest_of(client), "endpoint": rest_of(server)}


@case("longest")
def longest(client, accept):
    server = accept()
    client.sendall(b"abc")
    parts = {"first": take(server, 3)}
    return parts | {"client": rest_of(client), "endpoint": rest_of(server)}


def listener(proxy, name, **options):
    text = "|".join(f"%{operator}%" for operator in LOG) + "\n"
    relay = {
        "@type": TYPE + "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": name, "cluster": name,
        "access_log": [{"name": "file", "typed_config": {
            "@type": TYPE + "extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(proxy.access_log),
            "log_format": {"text_format_source": {"inline_string": text}}}}],
    } | options
    return {"name": name, "address": address(proxy.port(name)),
            "filter_chains": [{"filters": [{"name": "tcp", "typed_config": relay}]}]}


def bootstrap(proxy, endpoint_port):
    dead, live = proxy.dead_port, endpoint_port
    return {
        "admin": {"address": address(proxy.port("admin"))},
        "static_resources": {
            "listeners": [
                listener(proxy, "live"), listener(proxy, "dead"),
                listener(proxy, "tries", max_connect_attempts=3), listener(proxy, "none"),
                listener(proxy, "unknown"), listener(proxy, "full"),
                listener(proxy, "idle", idle_timeout="0.4s"),
                listener(proxy, "longest", max_downstream_connection_duration="0.4s")],
            "clusters": [
                cluster("live", [live]), cluster("dead", [dead]), cluster("tries", [dead, dead]),
                cluster("none", []), cluster("idle", [live]), cluster("longest", [live]),
                cluster("full", [live], circuit_breakers={
                    "thresholds": [{"max_connections": 0}]})]},
    }


class Endpoint:
    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]

    def accept(self):
        self.socket.settimeout(5)
        return self.socket.accept()[0]

    def close_waiting(self):
        self.socket.settimeout(0)
        try:
            while True:
                self.socket.accept()[0].close()
        except BlockingIOError:
            pass


def probes_are_over(proxy, endpoint):
    endpoint.close_waiting()
    stats = proxy.stats()
    relays = [(name, port) for name, port in proxy.ports.items() if name != "admin"]
    return all(int(stats[f"tcp.{name}.downstream_cx_total"]) > 0 and
               int(stats[f"listener.127.0.0.1_{port}.downstream_cx_active"]) == 0
               for name, port in relays)


def run_case(proxy, endpoint, name):
    listener_name, function = CASES[name]
    client = Client(proxy.port(listener_name))
    parts = function(client.socket, endpoint.accept)

    def line():
        for text in proxy.access_log.read_text().splitlines():
            if text.startswith(f"{client.port}|"):
                return text
        return None
    fields = until(f"{proxy.name} writes its line of {name}", line).split("|")
    for key, value in list(zip(LOG, fields))[1:]:
        value = value.replace(f":{endpoint.port}", ":<live>")
        parts[f"log {key}"] = value.replace(f":{proxy.dead_port}", ":<dead>")
    return parts


def counted(proxy):
    stats = proxy.stats()
    names = [f"tcp.{name}.{row}" for name, _ in CASES.values() for row in TCP_STATS]
    names += [f"cluster.{name}.{row}" for name, _ in CASES.values() for row in CLUSTER_STATS]
    return {name: int(stats.get(name, 0)) for name in names}


def series(proxy):
    """Names and labels of the relays' statistics as Prometheus gets them."""
    text = proxy.admin("/stats/prometheus")["body"].decode()
    return {line.rsplit(" ", 1)[0] for line in text.splitlines()
            if line.startswith("envoy_tcp_") and any(f"_{row}{{" in line for row in TCP_STATS)}


def main():
    chosen = [name for name in CASES if not sys.argv[1:] or any(a in name for a in sys.argv[1:])]
    envoy = twins.find_envoy()
    results, stats, prometheus = {}, {}, {}
    with twins.Folder() as folder:
        for name, command in [("sluice", [str(twins.BIN / "sluice")]),
                              ("envoy", [envoy, "--disable-hot-restart", "-l", "error"])]:
            endpoint = Endpoint()
            proxy = Proxy(name, folder, command, {})
            try:
                proxy.start(bootstrap(proxy, endpoint.port))
                # Whether it listens was asked with connections, which are relayed like any other.
                until("probes are over", lambda p=proxy, e=endpoint: probes_are_over(p, e))
                before = counted(proxy)
                results[name] = {c: run_case(proxy, endpoint, c) for c in chosen}
                after = counted(proxy)
                stats[name] = {key: after[key] - before[key] for key in after}
                prometheus[name] = series(proxy)
            finally:
                proxy.stop()
    return compare(chosen, results, stats, prometheus)


def compare(chosen, results, stats, prometheus):
    failures, gone = [], set(WANTED)
    assert len(prometheus["envoy"]) >= len(TCP_STATS), "Envoy's statistics could not be read"
    failures += [f"only one has {s}" for s in prometheus["sluice"] ^ prometheus["envoy"]]
    for name in chosen:
        ours, theirs = results["sluice"][name], results["envoy"][name]
        for part in ours.keys() | theirs.keys():
            if sys.argv[1:]:
                print(name, part, ours.get(part), theirs.get(part))
            if ours.get(part) == theirs.get(part):
                continue
            if (name, part) in WANTED:
                gone.discard((name, part))
                continue
            failures.append(f"{name}, {part}:\n  sluice {ours.get(part)!r}\n"
                            f"  envoy  {theirs.get(part)!r}")
    if not sys.argv[1:]:
        for key, value in stats["sluice"].items():
            if value != stats["envoy"][key]:
                failures.append(f"{key}: sluice {value}, envoy {stats['envoy'][key]}")
        failures += [f"not different any more: {key}" for key in gone]
    print("\n".join(failures) or f"{len(chosen)} cases are the same")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
