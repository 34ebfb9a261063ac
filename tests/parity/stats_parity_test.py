#!/usr/bin/env python3
"""What each kind of end counts, through Sluice and through Envoy.

An action (a client that leaves, an endpoint that resets, ...) is done to both; then the statistics
named here must have changed by the same amounts. They are asked for until they are, or not within
some seconds. Differences that we want are in WANTED with their reason; any other fails, and so does
a wanted one that has gone. Arguments choose actions by a part of their name and print what both did.
Skipped without Envoy, as http_parity_test.py.
"""

import re
import socket
import struct
import sys
import time

import cases
import twins
from cases import get
from twins import Client, Proxy, until

COMPARED = re.compile(
    r"http\.\w+\.downstream_cx_(total|active|destroy\w*|protocol_error|drain_close|"
    r"max_requests_reached|max_duration_reached|idle_timeout|upgrades_\w+)|"
    r"http\.\w+\.downstream_rq_(\dxx|completed|active|total)|"
    r"listener\.<\w+>\.http\.\w+\.downstream_rq_(\dxx|completed)|"
    r"listener\.<\w+>\.downstream_cx_(total|active|destroy)|"
    r"cluster\.\w+\.upstream_cx_(total|active|destroy\w*|close_notify|idle_timeout|max_requests|"
    r"connect_fail|connect_timeout)|"
    r"cluster\.\w+\.(lb_healthy_panic|upstream_rq_(total|active|completed|\dxx))")

# (action, statistic as a pattern): why it differs.
WANTED = {
    ("no_endpoint", r"cluster\.empty\.lb_healthy_panic"):
        "where there is no endpoint at all nothing is spread over unhealthy ones",
    ("websocket", r".*_destroy_.*"):
        "a tunnel whose client ends it ended well: both its ends are passed on, none is cut",
}

ACTIONS = {}


def action(listener, *more):
    def add(function):
        ACTIONS[function.__name__] = (listener, function, *more)
        return function
    return add


def ask(client, *request, answers=1, **more):
    client.send(get(*request, **more).encode())
    return [client.response() for _ in range(answers)]


def reset(client):
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


def wait_for_request(proxy):
    """The origin has the head of one more request than it has answered."""
    until("the origin has the request", lambda: proxy.origin.under_way > 0 or proxy.origin.received)


@action("plain")
def kept_then_closed(client, proxy):
    ask(client, "/o")


@action("plain")
def kept_then_reset(client, proxy):
    ask(client, "/o")
    reset(client)


@action("plain")
def closed_as_asked(client, proxy):
    ask(client, "/o", "connection: close", answers=2)


@action("plain")
def left_while_waiting(client, proxy):
    proxy.origin.take()
    client.send(get("/o", "x-answer: never").encode())
    wait_for_request(proxy)


@action("plain")
def reset_while_waiting(client, proxy):
    proxy.origin.take()
    client.send(get("/o", "x-answer: never").encode())
    wait_for_request(proxy)
    reset(client)


@action("plain")
def left_inside_the_head(client, proxy):
    client.send(b"GET /o HTTP/1.1\r\nhost: x\r\n")
    until("it counts as a request", lambda: int(
        proxy.stats().get("http.plain.downstream_rq_active", 0)) > 0)


@action("plain")
def left_without_a_word(client, proxy):
    pass


@action("plain")
def endpoint_says_close(client, proxy):
    ask(client, "/o", "x-answer: close")


@action("plain")
def body_until_the_end(client, proxy):
    ask(client, "/o", "x-answer: until_close")


@action("plain")
def endpoint_resets(client, proxy):
    ask(client, "/o", "x-answer: reset", method="POST", body="a")


@action("plain")
def endpoint_talks_garbage(client, proxy):
    ask(client, "/o", "x-answer: garbage")


@action("plain")
def answer_cut_short(client, proxy):
    ask(client, "/o", "x-answer: cut")


@action("plain")
def route_timeout(client, proxy):
    ask(client, "/timeout", "x-answer: never")


@action("plain")
def nobody_listens(client, proxy):
    ask(client, "/refused")


@action("plain")
def no_endpoint(client, proxy):
    ask(client, "/empty")


@action("plain")
def bad_request(client, proxy):
    client.send(b"nonsense\r\n\r\n")
    while client.response():
        pass


@action("plain")
def answered_before_it_was_whole(client, proxy):
    ask(client, "/direct", "content-length: 9", method="POST")
    while client.response():
        pass


@action("idle")
def stream_idle(client, proxy):
    ask(client, "/o", "x-answer: never")


@action("two_requests")
def most_requests(client, proxy):
    ask(client, "/o")
    ask(client, "/o", answers=2)


@action("short_life")
def longest_duration(client, proxy):
    ask(client, "/o")
    while client.response():
        pass


@action("short_idle")
def idle_connection(client, proxy):
    ask(client, "/o")
    while client.response():
        pass


@action("plain")
def endpoint_takes_one_request_each(client, proxy):
    ask(client, "/once")
    ask(client, "/once")


@action("plain")
def idle_endpoint_connection(client, proxy):
    ask(client, "/brief")
    until("the idle connection ends", lambda: int(
        proxy.stats()["cluster.brief.upstream_cx_active"]) == 0)


@action("plain")
def panic(client, proxy):
    ask(client, "/sick")


@action("websocket")
def websocket(client, proxy):
    client.send(get("/o", "x-answer: tunnel", *cases.UPGRADE).encode())
    client.response()
    client.send(b"ping")
    client.reader.take(4)


cases.ROUTES[:0] = [cases.prefix("/" + name, route=cases.to(name))
                    for name in ("once", "brief", "sick")]


def bootstrap(proxy):
    config = cases.bootstrap(proxy)
    resources = config["static_resources"]
    common = "common_http_protocol_options"
    for name, options in {"two_requests": {"max_requests_per_connection": 2},
                          "short_life": {"max_connection_duration": "0.3s"},
                          "short_idle": {"idle_timeout": "0.3s"}}.items():
        resources["listeners"].append(twins.listener(
            proxy, name, cases.HOSTS, cases.LOG_FORMAT, drain_timeout="0.2s",
            **{common: options}))
    one, brief = ({common: o} for o in ({"max_requests_per_connection": 1},
                                        {"idle_timeout": "0.2s"}))
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    for name, options in (("once", one), ("brief", brief)):
        resources["clusters"].append(twins.cluster(
            name, [proxy.origin.port], typed_extension_protocol_options={kind: {
                "@type": "type.googleapis.com/" + kind,
                "explicit_http_config": {"http_protocol_options": {}}, **options}}))
    sick = twins.cluster("sick", [proxy.origin.port])
    for endpoint in sick["load_assignment"]["endpoints"][0]["lb_endpoints"]:
        endpoint["health_status"] = "UNHEALTHY"
    resources["clusters"].append(sick)
    return config


def counted(proxy):
    """The statistics that are compared, without the ports of this run."""
    found = {}
    for name, value in proxy.stats().items():
        port = re.search(r"127\.0\.0\.1_(\d+)", name)
        if port:
            names = [n for n, p in proxy.ports.items() if str(p) == port[1]]
            if not names:
                continue
            name = name.replace(port[0], f"<{names[0]}>")
        if re.fullmatch(COMPARED, name) and ".admin." not in "." + name:
            found[name] = int(value)
    return found


def changes(proxy, before):
    now = counted(proxy)
    return {n: v - before.get(n, 0) for n, v in now.items() if v != before.get(n, 0)}


def unexplained(name, ours, theirs, used):
    """What differs and is not wanted, as {statistic: (Sluice, Envoy)}."""
    left = {}
    for stat in sorted(ours.keys() | theirs.keys()):
        pair = ours.get(stat, 0), theirs.get(stat, 0)
        if pair[0] == pair[1]:
            continue
        rules = [r for r in WANTED if re.fullmatch(r[0], name) and re.fullmatch(r[1], stat)]
        used.update(rules)
        if not rules:
            left[stat] = pair
    return left


def settle(proxies, before, name, used):
    """Waits until both changed alike and are quiet; what differs still."""
    end = time.monotonic() + 3
    while True:
        seen, rules = [changes(p, b) for p, b in zip(proxies, before)], set()
        left = unexplained(name, *seen, rules)
        quiet = all(s.get("http.plain.downstream_cx_active", 0) == 0 for s in seen)
        if (not left and quiet) or time.monotonic() > end:
            used.update(rules)
            return seen, left
        time.sleep(0.02)


def prepare(proxies):
    for proxy in proxies:
        proxy.start(bootstrap(proxy))
        until("the probes have gone", lambda p=proxy: all(
            v == 0 for n, v in counted(p).items() if n.endswith("downstream_cx_active")))


def main():
    sluice = twins.BIN / "sluice"
    if not sluice.exists():
        twins.skip(f"not built: {sluice}")
    envoy = twins.find_envoy()
    words = sys.argv[1:]
    chosen = [n for n in ACTIONS if not words or any(w in n for w in words)]
    failures, used = 0, set()
    with twins.Folder() as folder:
        proxies = [Proxy("sluice", folder, [str(sluice), "--drain-time-s", "1"], cases.ANSWERS),
                   Proxy("envoy", folder, [envoy, "--use-dynamic-base-id", "-l", "warning"],
                         cases.ANSWERS)]
        try:
            prepare(proxies)
            for name in chosen:
                listener, function = ACTIONS[name]
                before = [counted(p) for p in proxies]
                for proxy in proxies:
                    client = Client(proxy.port(listener))
                    function(client, proxy)
                    client.socket.close()
                seen, left = settle(proxies, before, name, used)
                if words:
                    print(name, *(f"\n  {p.name}: {s}" for p, s in zip(proxies, seen)))
                for stat, (ours, theirs) in left.items():
                    print(f"{name}: {stat}: Sluice {ours}, Envoy {theirs}")
                failures += len(left)
        finally:
            for proxy in proxies:
                proxy.stop()
    gone = [] if words else sorted(set(WANTED) - used)
    for rule in gone:
        print(f"a wanted difference has gone: {rule}: {WANTED[rule]}")
    print(f"{len(chosen)} actions: {failures} unwanted differences")
    sys.exit(1 if failures or gone else 0)


if __name__ == "__main__":
    main()
