#!/usr/bin/env python3
"""Which lines access log filters let through, beside Envoy.

One listener with a log file for each filter, and a TCP relay with the same; the same requests
through both proxies, which then end and so write what they have. Each file has to have the same
lines in both. Skipped without Envoy.
"""

import signal
import sys

import twins
from twins import TYPE, Client, Proxy, address, cluster, until

ANSWERS = {
    "plain": {"bytes": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"},
    "never": {"wait_for_close": True, "bytes": b""},
} | {
    f"grpc{code}": {"bytes": b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n"
                             b"grpc-status: " + code.encode() + b"\r\ncontent-length: 0\r\n\r\n"}
    for code in ("0", "7", "16", "17", "odd")
}

# Name, path, further header lines.
REQUESTS = [
    ("plain", "/", ""),
    ("direct", "/direct", ""),
    ("none", "/none", ""),
    ("dead", "/dead", ""),
    ("slow", "/slow", "x-answer: never\r\n"),
    ("tag", "/", "x-tag: a\r\n"),
    ("tags", "/", "x-tag: b\r\nx-tag: a\r\n"),
    ("number", "/", "x-number: 15\r\n"),
    ("accepts", "/", "accept: a\r\naccept: b\r\n"),
    ("in sample", "/", "x-request-id: 00000031-0000-4000-8000-000000000001\r\n"),
    ("out of it", "/", "x-request-id: 00000032-0000-4000-8000-000000000001\r\n"),
    ("long id", "/", "x-request-id: ffffffff-0000-4000-8000-000000000001\r\n"),
] + [(f"grpc {code}", "/", f"x-answer: grpc{code}\r\n") for code in ("0", "7", "16", "17", "odd")]


def compare(op, number):
    return {"comparison": {"op": op, "value": {"default_value": number, "runtime_key": "none"}}}


def header(**match):
    return {"header_filter": {"header": match}}


def flags(*names):
    return {"response_flag_filter": {"flags": list(names)}}


def grpc(*names, **more):
    return {"grpc_status_filter": {"statuses": list(names)} | more}


def sample(numerator, **more):
    return {"runtime_filter": {"runtime_key": "none", "percent_sampled": {
        "numerator": numerator}} | more}


A = header(name="x-tag", string_match={"exact": "a"})
NOT_ALL_2XX = {"or_filter": {"filters": [flags(), {"status_code_filter": compare("GE", 400)}]}}
FILTERS = {
    "all": None,
    "status_eq": {"status_code_filter": compare("EQ", 404)},
    "status_ge": {"status_code_filter": compare("GE", 404)},
    "status_le": {"status_code_filter": compare("LE", 200)},
    "duration_ge": {"duration_filter": compare("GE", 150)},
    "duration_le": {"duration_filter": compare("LE", 149)},
    "health": {"not_health_check_filter": {}},
    "traceable": {"traceable_filter": {}},
    "sample_0": sample(0), "sample_100": sample(100),
    "independent_0": sample(0, use_independent_randomness=True),
    "independent_100": sample(100, use_independent_randomness=True),
    "header": A,
    "header_present": header(name="X-Tag", present_match=True),
    "header_absent": header(name="x-tag", present_match=False),
    "header_invert": header(name="x-tag", string_match={"exact": "a"}, invert_match=True),
    "header_empty": header(name="x-tag", string_match={"exact": ""},
                           treat_missing_header_as_empty=True),
    "header_regex": header(name="accept", string_match={"safe_regex": {"regex": "a,b"}}),
    "header_range": header(name="x-number", range_match={"start": 15, "end": 16}),
    "header_method": header(name=":method", string_match={"exact": "GET"}),
    "header_path": header(name=":path", string_match={"prefix": "/d"}),
    "flags": flags(), "no_route": flags("NR"), "failed": flags("UF", "UT", "RFCF"),
    "grpc_ok": grpc("OK"), "grpc_not_ok": grpc("OK", exclude=True), "grpc_unknown": grpc("UNKNOWN"),
    "grpc_unavailable": grpc("UNAVAILABLE", "UNAUTHENTICATED"), "grpc_none": grpc(),
    "metadata": {"metadata_filter": {}},
    "metadata_off": {"metadata_filter": {"match_if_key_not_found": False}},
    "type_http": {"log_type_filter": {"types": ["DownstreamEnd"]}},
    "type_tcp": {"log_type_filter": {"types": ["TcpConnectionEnd", "DownstreamStart"]}},
    "type_not_http": {"log_type_filter": {"types": ["DownstreamEnd"], "exclude": True}},
    "type_none": {"log_type_filter": {}},
    "and": {"and_filter": {"filters": [A, {"status_code_filter": compare("EQ", 200)}]}},
    "or": NOT_ALL_2XX,
    "nested": {"or_filter": {"filters": [A, {"and_filter": {"filters": [
        NOT_ALL_2XX, header(name=":path", string_match={"prefix": "/d"})]}}]}},
}
# By the request's id; those without one are random in both.
BY_ID = {"sample_50": sample(50)}
HAVE_ID = ("in sample", "out of it", "long id")


def log_path(proxy, kind, name):
    return proxy.folder / f"{proxy.name}.{kind}.{name}"


def logs(proxy, kind, text):
    out = []
    for name, what in (FILTERS | BY_ID).items():
        log = {"name": name, "typed_config": {
            "@type": TYPE + "extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(log_path(proxy, kind, name)),
            "log_format": {"text_format_source": {"inline_string": text}}}}
        out.append(log | ({"filter": what} if what else {}))
    return out


def bootstrap(proxy):
    http = twins.listener(
        proxy, "http", [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"path": "/"}, "route": {"cluster": "origin"}},
            {"match": {"path": "/direct"}, "direct_response": {"status": 404}},
            {"match": {"path": "/dead"}, "route": {"cluster": "dead"}},
            {"match": {"path": "/slow"}, "route": {"cluster": "origin", "timeout": "0.2s"}}]}], "",
        access_log=logs(proxy, "http",
                        "%REQ(X-CASE)%|%RESPONSE_CODE%|%RESPONSE_FLAGS%|%ACCESS_LOG_TYPE%\n"))
    relay = {"@type": TYPE + "extensions.filters.network.tcp_proxy.v3.TcpProxy",
             "stat_prefix": "relay", "cluster": "origin",
             "access_log": logs(proxy, "tcp", "%BYTES_RECEIVED%|%ACCESS_LOG_TYPE%\n")}
    tcp = {"name": "tcp", "address": address(proxy.port("tcp")),
           "filter_chains": [{"filters": [{"name": "tcp", "typed_config": relay}]}]}
    return {
        "admin": {"address": address(proxy.port("admin"))},
        "static_resources": {
            "listeners": [http, tcp],
            "clusters": [cluster("origin", [proxy.origin.port]),
                         cluster("dead", [proxy.dead_port])]}}


def ask(proxy, listener, name, path, fields):
    client = Client(proxy.port(listener))
    client.socket.settimeout(5)
    client.send(f"GET {path} HTTP/1.1\r\nhost: h\r\nx-case: {name}\r\n{fields}\r\n".encode())
    assert client.response() is not None, f"{proxy.name} does not answer {name}"
    client.socket.close()


def drive(proxy):
    """{log: its lines}"""
    for request in REQUESTS:
        ask(proxy, "http", *request)
    ask(proxy, "tcp", "relayed", "/", "")
    for kind, number in (("http", len(REQUESTS)), ("tcp", 1)):
        path = log_path(proxy, kind, "all")
        until(f"{proxy.name} logs all of {kind}", lambda p=path, n=number: sum(
            not line.startswith("0|") for line in p.read_text().splitlines()) >= n)
    proxy.process.send_signal(signal.SIGTERM)
    proxy.process.wait(timeout=twins.LONGEST_S)
    result = {}
    for name in FILTERS | BY_ID:
        for kind in ("http", "tcp"):
            path = log_path(proxy, kind, name)
            lines = path.read_text().splitlines() if path.exists() else []
            if kind == "tcp":  # without those that only looked whether it listens
                lines = [line for line in lines if not line.startswith("0|")]
            if name in BY_ID:
                lines = [line for line in lines if line.split("|")[0] in HAVE_ID]
            result[f"{kind} {name}"] = sorted(lines)
    return result


def main():
    envoy = twins.find_envoy()
    results = {}
    with twins.Folder() as folder:
        for name, command in [("sluice", [str(twins.BIN / "sluice")]),
                              ("envoy", [envoy, "--disable-hot-restart", "-l", "error"])]:
            proxy = Proxy(name, folder, command, ANSWERS)
            try:
                proxy.start(bootstrap(proxy))
                results[name] = drive(proxy)
            finally:
                proxy.stop()
    failures = []
    for log, ours in results["sluice"].items():
        theirs = results["envoy"][log]
        if ours != theirs:
            failures.append(f"{log}:\n  only sluice {sorted(set(ours) - set(theirs))}\n"
                            f"  only envoy  {sorted(set(theirs) - set(ours))}")
    written = {log: len(lines) for log, lines in results["envoy"].items()}
    if sys.argv[1:]:
        print(written)
    some = [log for log, n in written.items() if 0 < n < len(REQUESTS)]
    assert len(some) >= 20, f"the filters tell too little apart: {written}"
    print("\n".join(failures) or f"{len(written)} logs have the same lines")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
