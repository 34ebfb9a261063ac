#!/usr/bin/env python3
"""The cases of gRPC's interoperability tests with grpcio's client and server, HTTP/2 on both sides.

Besides them: statuses that the proxy itself gives, deadlines that it keeps, metadata near and
beyond the limits, compression, and many calls at once. In the end nothing is left over.
"""

import json
import struct

import harness
import grpc_peers
from grpc_peers import ask, grpc
from harness import until

harness.need("sluice")
LARGE = 300 * 1024
LONG = harness.LONGEST_S
CASES = []
CODE = grpc.StatusCode


def case(run):
    CASES.append(run)
    return run


def fails(call, code, details=None):
    """The error's metadata."""
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details(), code)
        if details is not None:
            assert error.details() == details, (error.details(), details)
        return error
    raise AssertionError(f"no error, not even {code}")


@case
def empty_unary(client, _):
    assert client.unary(b"", timeout=LONG) == b""


@case
def large_unary(client, _):
    assert client.unary(ask(LARGE, bytes(LARGE)), timeout=LONG) == bytes(LARGE)


@case
def compressed_unary(client, _):
    for method in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        got = client.unary(ask(LARGE, bytes(LARGE)), timeout=LONG, compression=method)
        assert len(got) == LARGE


@case
def client_streaming(client, _):
    sizes = (27182, 8, 1828, 45904)
    got = client.upload((bytes(n) for n in sizes), timeout=LONG)
    assert struct.unpack(">Q", got) == (sum(sizes),)


@case
def server_streaming(client, _):
    sizes = (31415, 9, 2653, 58979, 0)
    got = list(client.download(struct.pack(">5I", *sizes), timeout=LONG))
    assert tuple(map(len, got)) == sizes


@case
def long_streams(client, _):
    """More than any window, one way and the other."""
    got = client.upload((bytes(65536) for _ in range(64)), timeout=LONG)
    assert struct.unpack(">Q", got) == (64 * 65536,)
    got = client.download(struct.pack(">64I", *[65536] * 64), timeout=LONG)
    assert sum(map(len, got)) == 64 * 65536


@case
def ping_pong(client, _):
    talk = grpc_peers.Talk(client, timeout=LONG)
    for up, down in ((27182, 31415), (8, 9), (1828, 2653), (45904, 58979), (0, 0)):
        talk.say(ask(down, bytes(up)))
        assert len(talk.hear()) == down
    talk.say(None)
    assert list(talk.call) == [] and talk.call.code() == CODE.OK


@case
def empty_stream(client, _):
    call = client.chat(iter(()), timeout=LONG)
    assert list(call) == [] and call.code() == CODE.OK


@case
def timeout_on_sleeping_server(client, server):
    before = server.cancelled
    fails(lambda: client.sleep(b"", timeout=0.3), CODE.DEADLINE_EXCEEDED)
    until("the server learns of it", lambda: server.cancelled >= before + 1)
    talk = grpc_peers.Talk(client, timeout=0.3)
    talk.say(ask(10))
    assert len(talk.hear()) == 10
    fails(talk.hear, CODE.DEADLINE_EXCEEDED)
    talk.say(None)


@case
def cancel_after_begin(client, server):
    before, begun = server.cancelled, server.begun
    call = client.sleep.future(b"", timeout=LONG)
    until("it began", lambda: server.begun == begun + 1)
    call.cancel()
    assert call.code() == CODE.CANCELLED
    until("the server learns of it", lambda: server.cancelled >= before + 1)


@case
def cancel_after_first_response(client, server):
    before = server.cancelled
    talk = grpc_peers.Talk(client, timeout=LONG, metadata=(("x-cancels", "yes"),))
    talk.say(ask(31415, bytes(27182)))
    assert len(talk.hear()) == 31415
    talk.call.cancel()
    fails(talk.hear, CODE.CANCELLED)
    talk.say(None)
    until("the server learns of it", lambda: server.cancelled >= before + 1)


@case
def status_code_and_message(client, _):
    for code in CODE:
        if code == CODE.OK:
            continue
        for message in ("test status message", "", "100 % sure?\u007f",
                        "\t\nwith whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"):
            more = {"timeout": LONG, "metadata": (("x-code", str(code.value[0])),
                                                  ("x-message-bin", message.encode()))}
            fails(lambda: client.unary(b"", **more), code, message)
            fails(lambda: list(client.chat(iter(()), **more)), code, message)


@case
def custom_metadata(client, _):
    binary = bytes(range(256))
    metadata = (("x-initial", "test_initial_metadata_value"), ("x-initial-bin", binary),
                ("x-trailing-bin", b"\xab\xab\xab"), ("x-trailing", "a, b;c"))
    _, call = client.unary.with_call(b"", timeout=LONG, metadata=metadata)
    streamed = client.chat(iter((ask(1),)), timeout=LONG, metadata=metadata)
    assert len(list(streamed)) == 1
    for got in (call, streamed):
        initial, trailing = dict(got.initial_metadata()), dict(got.trailing_metadata())
        assert initial["x-initial"] == "test_initial_metadata_value", initial
        assert initial["x-initial-bin"] == binary, initial
        assert trailing == {"x-trailing-bin": b"\xab\xab\xab", "x-trailing": "a, b;c"}, trailing


@case
def big_metadata(client, _):
    """48 KiB each way, within Envoy's limit of 60 KiB for a head; 80 KiB are refused."""
    some = tuple((f"x-initial-{i}", "v" * 8000) for i in range(6))
    _, call = client.unary.with_call(b"", timeout=LONG, metadata=some)
    got = dict(call.initial_metadata())
    assert all(got[k] == v for k, v in some)
    trailing = tuple((f"x-trailing-{i}", "v" * 6000) for i in range(6))
    _, call = client.unary.with_call(b"", timeout=LONG, metadata=trailing)
    assert dict(call.trailing_metadata()) == dict(trailing)
    many = tuple((f"x-initial-{i}", "v" * 8000) for i in range(10))
    fails(lambda: client.unary(b"", timeout=LONG, metadata=many), CODE.UNKNOWN)
    assert client.unary(b"", timeout=LONG) == b""


@case
def unimplemented(client, _):
    """A method and a service that the server lacks, and a path that no route has."""
    for path, who in (("/interop.Test/Nothing", "Method not found!"),
                      ("/interop.Nothing/Nothing", "Method not found!"), ("/nowhere/Unary", None)):
        fails(lambda: client.channel.unary_unary(path)(b"", timeout=LONG), CODE.UNIMPLEMENTED, who)
        call = client.channel.stream_stream(path)(iter((b"x",)), timeout=LONG)
        fails(lambda: list(call), CODE.UNIMPLEMENTED, who)


@case
def nobody_there(client, _):
    error = fails(lambda: client.channel.unary_unary("/dead/Unary")(b"", timeout=LONG),
                  CODE.UNAVAILABLE)
    assert "upstream connect error" in error.details(), error.details()


@case
def route_limits_the_deadline(client, server):
    """The client would wait long, its route does not let it, and the server is told."""
    metadata = (("x-limited", "yes"),)
    error = fails(lambda: client.sleep(b"", timeout=LONG, metadata=metadata),
                  CODE.DEADLINE_EXCEEDED)
    # Ours, or the server's, which was told the same time.
    assert error.details() in ("downstream duration timeout", "Deadline Exceeded"), error.details()
    assert 0 < server.deadlines[-1] <= 0.4, server.deadlines[-1]


@case
def many_at_once(client, _):
    calls = [client.unary.future(ask(i * 37, bytes(i)), timeout=LONG) for i in range(400)]
    assert [len(c.result()) for c in calls] == [i * 37 for i in range(400)]
    calls = [client.chat(iter([ask(n) for n in range(5)]), timeout=LONG) for _ in range(30)]
    assert all([len(m) for m in call] == list(range(5)) for call in calls)


def routes():
    limited = "max_stream_duration: { grpc_timeout_header_max: 0.4s }"
    marked = "prefix: /interop., headers: [ { name: x-limited, present_match: true } ]"
    rows = [(marked, "a", limited), ("prefix: /interop.", "a", "timeout: 0s"),
            ("prefix: /dead", "dead", "timeout: 0s")]
    text = ", ".join(f"{{ match: {{ {m} }}, route: {{ cluster: {c}, {more} }} }}"
                     for m, c, more in rows)
    return ("route_config: { virtual_hosts: "
            f"[ {{ name: v, domains: ['*'], routes: [ {text} ] }} ] }}")


with harness.Site() as site, grpc_peers.Server() as peer:
    port, admin, dead = (harness.free_port() for _ in range(3))
    clusters = [harness.static_cluster("a", peer.port, grpc_peers.HTTP2),
                harness.static_cluster("dead", dead, grpc_peers.HTTP2)]
    listeners = [harness.listener("in", port, routes())]
    sluice = site.sluice(f"admin: {{ address: {harness.address(admin)} }}\n"
                         + harness.static_bootstrap(listeners, clusters))
    sluice.says("live with")

    def stat(name):
        text = harness.get(admin, f"/stats?format=json&filter=^{name}$").body
        return json.loads(text)["stats"][0]["value"]

    for run in CASES:
        with grpc_peers.Client(port) as it:
            try:
                run(it, peer)
            except BaseException:
                print(f"in {run.__name__}:")
                raise
    for name in ("http.in.downstream_rq_active", "cluster.a.upstream_rq_active",
                 "cluster.dead.upstream_rq_active", "cluster.a.upstream_rq_pending_active"):
        until(f"{name} is 0", lambda: stat(name) == 0)
    assert stat("sluice.worker.internal_errors") == 0
    assert stat("cluster.a.upstream_cx_protocol_error") == 0
    calls = stat("http.in.downstream_rq_total")
    assert sluice.end() == 0

print(f"{len(CASES)} cases, {calls} calls")
