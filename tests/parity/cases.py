"""What the parity tests configure and send: virtual hosts, listeners, answers of the origin, cases.

A case is a name, a listener, and the bytes of one request (or several). `x-answer` in a request
chooses what the origin does.
"""

import twins
from twins import TYPE, cluster, listener

ANSWERS = {
    "plain": {"bytes": b"HTTP/1.1 200 OK\r\nX-Origin: one\r\ncontent-length: 5\r\n"
                       b"content-type: text/plain\r\n\r\nhello"},
    "many": {"bytes": b"HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-A: 1\r\n"
                      b"x-drop: gone\r\nServer: origin/1\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
                      b"Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-a: 2\r\n"
                      b"Content-Length: 2\r\n\r\nok"},
    "chunked": {"bytes": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                         b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n"},
    "trailers": {"bytes": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nTrailer: x-sum\r\n\r\n"
                          b"5\r\nhello\r\n0\r\nX-Sum: 11\r\n\r\n"},
    "close": {"close": True, "bytes": b"HTTP/1.1 200 OK\r\nconnection: close\r\n"
                                      b"content-length: 2\r\n\r\nok"},
    "until_close": {"close": True, "bytes": b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\nuntil the end"},
    "http10": {"close": True, "bytes": b"HTTP/1.0 200 OK\r\nx-a: 1\r\n\r\nold"},
    "204": {"bytes": b"HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n"},
    "304": {"bytes": b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n"},
    "404": {"bytes": b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone"},
    "500": {"bytes": b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"},
    "299": {"bytes": b"HTTP/1.1 299 Own Words\r\ncontent-length: 0\r\n\r\n"},
    "head": {"bytes": b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\nx-a: 1\r\n\r\n"},
    "early_hints": {"bytes": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
                             b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"},
    "continue": {"continue": True,
                 "bytes": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"},
    "never": {"wait_for_close": True, "bytes": b""},
    "reset": {"close": True, "bytes": b""},
    "garbage": {"close": True, "bytes": b"this is not HTTP\r\n\r\n"},
    "both_lengths": {"close": True,
                     "bytes": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n"
                              b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    "cut": {"close": True, "bytes": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"},
    "envoy_headers": {"bytes": b"HTTP/1.1 200 OK\r\nx-envoy-upstream-service-time: 77\r\n"
                               b"x-request-id: theirs\r\nvia: 1.1 far\r\ncontent-length: 0\r\n\r\n"},
    "tunnel": {"tunnel": True, "close": True,
               "bytes": b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n"
                        b"upgrade: websocket\r\nx-a: 1\r\n\r\n"},
    "connect": {"tunnel": True, "close": True, "bytes": b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\n"},
    "no_tunnel": {"bytes": b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n"},
}

# Headers that Envoy keeps as one line, and others.
LINES = ["accept", "accept-encoding", "authorization", "cache-control", "content-type", "grpc-timeout",
         "if-none-match", "origin", "pragma", "referer", "user-agent", "via",
         "accept-language", "cookie", "etag", "forwarded", "traceparent", "tracestate", "x-any"]

LOG_FIELDS = [
    ("method", "%REQ(:METHOD)%"), ("path", "%REQ(:PATH)%"),
    ("original_path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"), ("authority", "%REQ(:AUTHORITY)%"),
    ("protocol", "%PROTOCOL%"), ("code", "%RESPONSE_CODE%"), ("flags", "%RESPONSE_FLAGS%"),
    ("details", "%RESPONSE_CODE_DETAILS%"), ("received", "%BYTES_RECEIVED%"),
    ("sent", "%BYTES_SENT%"), ("upstream_host", "%UPSTREAM_HOST%"),
    ("cluster", "%UPSTREAM_CLUSTER%"), ("route", "%ROUTE_NAME%"),
    ("remote", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
    ("direct", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"),
    ("local", "%DOWNSTREAM_LOCAL_ADDRESS%"), ("xff", "%REQ(X-FORWARDED-FOR)%"),
    ("cluster_raw", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_protocol", "%UPSTREAM_PROTOCOL%"), ("upstream_name", "%UPSTREAM_HOST_NAME%"),
    ("ended", "%CONNECTION_TERMINATION_DETAILS%"), ("server_name", "%REQUESTED_SERVER_NAME%"),
    ("upstream_local", "%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"),
    ("attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"), ("type", "%ACCESS_LOG_TYPE%"),
    ("long_flags", "%RESPONSE_FLAGS_LONG%"), ("grpc", "%GRPC_STATUS%"),
    ("tls", "%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_URI_SAN% %UPSTREAM_TLS_CIPHER%"),
    ("query", "%QUERY_PARAMS(ORIG)%"), ("origin_header", "%RESP(X-ORIGIN)%"), ("user_agent", "%REQ(USER-AGENT):5%"),
]
LOG_FORMAT = "\t".join(f"{name}={operator}" for name, operator in LOG_FIELDS) + "\n"


def header(key, value, action=None, **more):
    option = {"header": {"key": key, "value": value}} | more
    return option | ({"append_action": action} if action else {})


def prefix(path, **action):
    return {"match": {"prefix": path}, "name": path.strip("/").replace("/", "-")} | action


def to(name="origin", **route):
    return {"cluster": name} | route


def when(path, cluster_name="origin", **match):
    """A route under `path` that answers 200 where the predicates hold."""
    return {"match": {"prefix": path} | match, "name": "matched",
            "direct_response": {"status": 200, "body": {"inline_string": "matched"}}}


def exact(value):
    return {"string_match": {"exact": value}}


def mutations(message, word):
    """Of requests and responses, in the filter's own configuration or in a route's."""
    edits = [{"append": header("x-filter", word)},
             {"append": header("x-last", word, "OVERWRITE_IF_EXISTS_OR_ADD")}]
    return {"@type": TYPE + "extensions.filters.http.header_mutation.v3." + message,
            "mutations": {"request_mutations": edits, "response_mutations": edits}}


def filter_config(**fields):
    return {"@type": TYPE + "config.route.v3.FilterConfig"} | fields


ROUTES = [
    {"match": {"path": "/direct"}, "name": "direct",
     "direct_response": {"status": 203, "body": {"inline_string": "directly"}}},
    {"match": {"path": "/direct/bare"}, "direct_response": {"status": 418}},
    {"match": {"path": "/direct/headers"}, "direct_response": {
        "status": 200, "body": {"inline_string": "typed"}},
     "response_headers_to_add": [
         header("content-type", "application/json", "OVERWRITE_IF_EXISTS_OR_ADD"),
         header("x-added", "1")]},
    prefix("/redirect/host", redirect={"host_redirect": "other.example"}),
    prefix("/redirect/path", redirect={"path_redirect": "/new", "response_code": "FOUND"}),
    prefix("/redirect/query", redirect={"path_redirect": "/new?own=1"}),
    prefix("/redirect/prefix", redirect={"prefix_rewrite": "/new",
                                         "response_code": "TEMPORARY_REDIRECT"}),
    prefix("/redirect/https", redirect={"https_redirect": True,
                                        "response_code": "PERMANENT_REDIRECT"}),
    prefix("/redirect/port", redirect={"port_redirect": 8443}),
    prefix("/redirect/strip", redirect={"path_redirect": "/bare", "strip_query": True,
                                        "response_code": "SEE_OTHER"}),
    prefix("/redirect/scheme", redirect={"scheme_redirect": "https", "host_redirect": "s.example",
                                         "port_redirect": 443}),
    prefix("/redirect/regex", redirect={"regex_rewrite": {
        "pattern": {"regex": "^/redirect/regex/(.*)$"}, "substitution": "/x/\\1"}}),
    prefix("/rewrite/prefix/", route=to(prefix_rewrite="/")),
    prefix("/rewrite/longer", route=to(prefix_rewrite="/a/b/c")),
    prefix("/rewrite/regex", route=to(regex_rewrite={
        "pattern": {"regex": "^/rewrite/regex/([^/]+)/"}, "substitution": "/id-\\1/"})),
    {"match": {"path": "/rewrite/exact"}, "route": to(prefix_rewrite="/whole")},
    {"match": {"path_separated_prefix": "/separated"}, "name": "separated",
     "route": to(prefix_rewrite="/sep")},
    {"match": {"safe_regex": {"regex": "/regex/[0-9]+"}}, "name": "regex", "route": to()},
    prefix("/host/literal", route=to(host_rewrite_literal="literal.example")),
    prefix("/host/header", route=to(host_rewrite_header="x-host")),
    prefix("/host/append", route=to(host_rewrite_literal="literal.example",
                                    append_x_forwarded_host=True)),
    prefix("/edits", route=to(),
           request_headers_to_add=[
               header("x-appended", "new"),
               header("x-overwritten", "new", "OVERWRITE_IF_EXISTS_OR_ADD"),
               header("x-absent", "new", "ADD_IF_ABSENT"),
               header("x-only-existing", "new", "OVERWRITE_IF_EXISTS"),
               header("x-operators", "%PROTOCOL% %REQ(x-own)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
                                     " 100%% %ROUTE_NAME%"),
               header("x-empty", "%REQ(x-missing)%"),
               header("x-kept-empty", "", keep_empty_value=True)],
           request_headers_to_remove=["x-removed"],
           response_headers_to_add=[
               header("x-code", "%RESPONSE_CODE% %UPSTREAM_CLUSTER%"),
               header("x-a", "3"), header("set-cookie", "c=3"),
               header("x-origin", "over", "OVERWRITE_IF_EXISTS_OR_ADD")],
           response_headers_to_remove=["x-drop"]),
    prefix("/weighted", route={"weighted_clusters": {"clusters": [
        {"name": "unused", "weight": 0},
        {"name": "origin", "weight": 100,
         "request_headers_to_add": [header("x-weighted", "yes")],
         "response_headers_to_add": [header("x-weighted", "back")]}]}}),
    when("/match/exact", headers=[{"name": "x-m", **exact("v")}]),
    when("/match/prefix", headers=[{"name": "x-m", "string_match": {"prefix": "v"}}]),
    when("/match/contains", headers=[{"name": "x-m", "string_match": {
        "contains": "V", "ignore_case": True}}]),
    when("/match/regex", headers=[{"name": "x-m", "string_match": {
        "safe_regex": {"regex": "v[0-9]+"}}}]),
    when("/match/present", headers=[{"name": "x-m", "present_match": True}]),
    when("/match/absent", headers=[{"name": "x-m", "present_match": False}]),
    when("/match/range", headers=[{"name": "x-m", "range_match": {"start": "1", "end": "10"}}]),
    when("/match/invert", headers=[{"name": "x-m", **exact("v"), "invert_match": True}]),
    when("/match/missing", headers=[{"name": "x-m", **exact(""),
                                     "treat_missing_header_as_empty": True}]),
    when("/match/method", headers=[{"name": ":method", **exact("PUT")}]),
    when("/match/authority", headers=[{"name": ":authority", **exact("m.example")}]),
    when("/match/query", query_parameters=[{"name": "q", **exact("1")}]),
    when("/match/query-present", query_parameters=[{"name": "q", "present_match": True}]),
    *(when(f"/match/lines/{name}", headers=[{"name": name, **exact("1,2")}]) for name in LINES),
    when("/match/", headers=[{"name": "x-never", **exact("never")}]),
    prefix("/match", direct_response={"status": 410, "body": {"inline_string": "no match"}}),
    {"match": {"prefix": "/Case", "case_sensitive": False}, "name": "case", "route": to()},
    prefix("/timeout", route=to(timeout="0.2s")),
    prefix("/idle", route=to(timeout="0s", idle_timeout="0.2s")),
    prefix("/longest", route=to(timeout="0s", max_stream_duration={"max_stream_duration": "0.2s"})),
    prefix("/refused", route=to("refused")),
    prefix("/empty", route=to("empty")),
    prefix("/unknown-cluster", route={"cluster_header": "x-cluster"}),
    prefix("/unknown-404", route={"cluster_header": "x-cluster",
                                  "cluster_not_found_response_code": "NOT_FOUND"}),
    prefix("/full", route=to("full")),
    prefix("/upgrade-off", route=to(upgrade_configs=[
        {"upgrade_type": "websocket", "enabled": False}])),
    prefix("/filter/off", route=to(), typed_per_filter_config={"mutate": filter_config(
        disabled=True)}),
    prefix("/filter/on", route=to(), typed_per_filter_config={"sleeping": filter_config(
        config={})}),
    prefix("/filter/more", route=to(), typed_per_filter_config={
        "mutate": mutations("HeaderMutationPerRoute", "route"),
        "most_specific": filter_config(config=mutations("HeaderMutationPerRoute", "route"))}),
    prefix("/filter/cluster", route={"weighted_clusters": {"clusters": [
        {"name": "origin", "weight": 1, "typed_per_filter_config": {
            "mutate": mutations("HeaderMutationPerRoute", "cluster"),
            "most_specific": mutations("HeaderMutationPerRoute", "cluster"),
            "sleeping": filter_config(config={})}},
        {"name": "unused", "weight": 0}]}},
           typed_per_filter_config={"mutate": mutations("HeaderMutationPerRoute", "route")}),
    prefix("/filter", route=to()),
    prefix("/o", route=to()),
]

def connects(*configs, cluster_name="origin"):
    """A virtual host whose CONNECT route has these upgrade_configs."""
    route = {"match": {"connect_matcher": {}}, "name": "connect",
             "route": to(cluster_name) | ({"upgrade_configs": list(configs)} if configs else {})}
    return [{"name": "all", "domains": ["*"], "routes": [route, prefix("/", route=to())]}]


# CONNECT: allowed by listener or route, ended here or passed on.
UPGRADE_CONNECT = {"upgrade_type": "CONNECT"}
ENDS_HERE = UPGRADE_CONNECT | {"connect_config": {}}
OVER_HTTP2 = {"http2_protocol_options": {"allow_connect": True}}
CONNECT_LISTENERS = {
    "connect_none": ({}, connects()),
    "connect_listener": ({"upgrade_configs": [UPGRADE_CONNECT]}, connects()),
    "connect_route": ({}, connects(UPGRADE_CONNECT)),
    "connect_off": ({"upgrade_configs": [UPGRADE_CONNECT]},
                    connects(UPGRADE_CONNECT | {"enabled": False})),
    "connect_ends": ({}, connects(ENDS_HERE)),
    "connect_ends_refused": ({}, connects(ENDS_HERE, cluster_name="refused")),
    "connect_ends_empty": ({}, connects(ENDS_HERE, cluster_name="empty")),
}

HOSTS = [
    {"name": "tls", "domains": ["tls.example"], "require_tls": "ALL", "routes": [
        prefix("/", route=to())]},
    {"name": "wild", "domains": ["*.wild.example"], "routes": [prefix("/", route=to())],
     "request_headers_to_add": [header("x-vhost", "wild")],
     "response_headers_to_add": [header("x-vhost", "wild")]},
    {"name": "all", "domains": ["*"], "routes": ROUTES,
     "response_headers_to_remove": ["x-vhost-drop"],
     "typed_per_filter_config": {name: mutations("HeaderMutationPerRoute", "host")
                                 for name in ("mutate", "most_specific")}},
]
ONE_HOST = [{"name": "one", "domains": ["one.example", "port.example:8080"], "routes": [
    prefix("/", route=to())]}]

FILTERS = [
    {"name": "mutate", "typed_config": mutations("HeaderMutation", "chain")},
    {"name": "most_specific", "typed_config": mutations("HeaderMutation", "wins") | {
        "most_specific_header_mutations_wins": True}},
    {"name": "sleeping", "disabled": True,
     "typed_config": mutations("HeaderMutation", "awake")},
    {"name": "router", "typed_config": {"@type": TYPE + "extensions.filters.http.router.v3.Router"}},
]

# Listener: the options of its connection manager.
EDGE = {"use_remote_address": True}
LISTENERS = {
    "plain": {},
    "edge": EDGE | {"normalize_path": True, "merge_slashes": True},
    "edge_hops": EDGE | {"xff_num_trusted_hops": 1},
    "edge_two_hops": EDGE | {"xff_num_trusted_hops": 2},
    "edge_skip": EDGE | {"skip_xff_append": True},
    "hops": {"xff_num_trusted_hops": 1},
    "slash_reject": {"path_with_escaped_slashes_action": "REJECT_REQUEST"},
    "slash_redirect": {"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"},
    "slash_forward": {"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"},
    "old": {"http_protocol_options": {"accept_http_10": True}},
    "old_host": {"http_protocol_options": {"accept_http_10": True,
                                           "default_host_for_http_10": "default.example"}},
    "filters": {"http_filters": FILTERS},
    "websocket": OVER_HTTP2 | {"upgrade_configs": [{"upgrade_type": "websocket"}]},
    "via": {"via": "me", "always_set_request_id_in_response": True,
            "preserve_external_request_id": True, "use_remote_address": True},
    "no_id": {"generate_request_id": False, "server_header_transformation": "PASS_THROUGH"},
    "server": {"server_name": "own", "server_header_transformation": "APPEND_IF_ABSENT"},
    "underscore_reject": {"common_http_protocol_options": {
        "headers_with_underscores_action": "REJECT_REQUEST"}},
    "underscore_drop": {"common_http_protocol_options": {
        "headers_with_underscores_action": "DROP_HEADER"}},
    "few": {"common_http_protocol_options": {"max_headers_count": 5},
            "max_request_headers_kb": 1},
    "strip": {"strip_any_host_port": True},
    "strip_dot": {"strip_trailing_host_dot": True},
    "continue": {"proxy_100_continue": True},
    "slow_client": {"request_timeout": "0.2s", "request_headers_timeout": "0.2s"},
    "idle": {"stream_idle_timeout": "0.2s"},
}


def bootstrap(proxy):
    listeners = [listener(proxy, name, HOSTS, LOG_FORMAT, **options)
                 for name, options in LISTENERS.items()]
    listeners.append(listener(proxy, "hosts", ONE_HOST, LOG_FORMAT))
    listeners += [listener(proxy, name, hosts, LOG_FORMAT, **(options | OVER_HTTP2))
                  for name, (options, hosts) in CONNECT_LISTENERS.items()]
    breakers = {"circuit_breakers": {"thresholds": [{"max_requests": 0}]}}
    return {
        "admin": {"address": twins.address(proxy.port("admin"))},
        "static_resources": {
            "listeners": listeners,
            "clusters": [cluster("origin", [proxy.origin.port]), cluster("unused", []),
                         cluster("refused", [proxy.dead_port]), cluster("empty", []),
                         cluster("full", [proxy.origin.port], **breakers)],
        },
    }


CASES = []


def case(name, listener_name, *requests, after=b""):
    """`requests` are sent one after the other on one connection, each when the one before has been
    answered; `after` is sent after the last answer (to a tunnel)."""
    assert name not in [c["name"] for c in CASES], name
    CASES.append({"name": name, "listener": listener_name, "after": after,
                  "requests": [r if isinstance(r, bytes) else r.encode() for r in requests]})


def get(path, *fields, method="GET", host="x.example", body="", version="1.1"):
    head = [f"{method} {path} HTTP/{version}"]
    head += [f"host: {host}"] if host is not None else []
    if body:
        fields = (*fields, f"content-length: {len(body)}")
    return "\r\n".join([*head, *fields, "", ""]) + body


def answered(name, *fields):
    return get("/o/" + name, f"x-answer: {name}", *fields)


# Bodies and framing.
case("get", "plain", get("/o", "User-Agent: test", "X-Mixed-Case: A", "x-twice: 1", "x-twice: 2"))
case("two on one connection", "plain", get("/o/1"), get("/o/2"))
case("post", "plain", get("/o", method="POST", body="a body"))
case("post without body", "plain", get("/o", "content-length: 0", method="POST"))
case("put without length", "plain", get("/o", method="PUT"))
case("delete", "plain", get("/o", method="DELETE"))
case("options", "plain", get("/o", method="OPTIONS"))
case("options star", "plain", get("*", method="OPTIONS"))
case("own method", "plain", get("/o", method="PURGE"))
case("patch", "plain", get("/o", method="PATCH", body="x"))
case("trace", "plain", get("/o", method="TRACE"))
case("connect", "plain", get("x.example:443", method="CONNECT"))
case("chunked request", "plain", get("/o", "transfer-encoding: chunked", method="POST") +
     "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n")
case("chunked request with trailers", "plain",
     get("/o", "transfer-encoding: chunked", "trailer: x-t", method="POST") +
     "3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n")
case("get with body", "plain", get("/o", body="b"))
case("head", "plain", get("/o", "x-answer: head", method="HEAD"))
case("head of a direct response", "plain", get("/direct", method="HEAD"))
case("head of a 404", "plain", get("/nowhere", method="HEAD"))
for kind in ("many", "chunked", "trailers", "close", "until_close", "http10", "204", "304", "404",
             "500", "299", "early_hints", "envoy_headers"):
    case(f"answer: {kind}", "plain", answered(kind))
case("head of chunked", "plain", get("/o", "x-answer: 204", method="HEAD"))

# Connections.
case("connection close", "plain", get("/o", "connection: close"))
case("connection keep-alive", "plain", get("/o", "connection: keep-alive", "keep-alive: 300"))
case("connection lists", "plain", get("/o", "connection: x-hop, keep-alive", "x-hop: 1",
                                      "x-end: 1"))
case("proxy-connection", "plain", get("/o", "proxy-connection: keep-alive"))
case("te trailers", "plain", get("/o", "te: trailers", "connection: te"))
case("te gzip", "plain", get("/o", "te: gzip"))
case("pipelined", "plain", get("/o/1") + get("/o/2", "connection: close"))
case("pipelined behind a direct response", "plain",
     get("/direct") + get("/o/2", "connection: close"))
case("post to a direct response", "plain", get("/direct", method="POST", body="read and dropped"))
case("post to a 404", "plain", get("/nowhere", method="POST", body="x" * 100))
case("http/1.0 not accepted", "plain", get("/o", version="1.0"))
case("http/1.0", "old", get("/o", version="1.0"))
case("http/1.0 keep-alive", "old", get("/o", "connection: keep-alive", version="1.0"))
case("http/1.0 without host", "old", get("/o", host=None, version="1.0"))
case("http/1.0 to the default host", "old_host", get("/o", host=None, version="1.0"))
case("http/1.0 with a host and a default", "old_host", get("/o", version="1.0"))
for path in ("/filter", "/filter/off", "/filter/on", "/filter/more", "/filter/cluster", "/direct"):
    case(f"filters: {path}", "filters", get(path))
case("http/1.0 chunked answer", "old", get("/o", "x-answer: chunked", version="1.0"))
case("http/1.0 local reply", "old", get("/direct", version="1.0"))
case("expect", "plain", get("/o", "expect: 100-continue", method="POST", body="abc"))
case("expect proxied", "continue", get("/o", "expect: 100-continue", "x-answer: continue",
                                       method="POST", body="abc"))
case("expect unknown", "plain", get("/o", "expect: a miracle"))
case("absolute form", "plain", get("http://abs.example/o/abs?q=1"))
case("absolute form with port", "plain", get("http://abs.example:81/o"))
case("absolute form, other scheme", "plain", get("https://abs.example/o"))
case("absolute form without path", "plain", get("http://tls.example"))

# Routing.
case("404", "plain", get("/nowhere"))
case("direct", "plain", get("/direct"))
case("direct without body", "plain", get("/direct/bare"))
case("direct with headers", "plain", get("/direct/headers"))
for kind in ("host", "path", "query", "prefix", "https", "port", "strip", "scheme", "regex"):
    case(f"redirect {kind}", "plain", get(f"/redirect/{kind}/rest?q=1", host="x.example:99"))
case("redirect at the edge", "edge", get("/redirect/prefix/rest", "x-forwarded-proto: https"))
case("redirect of forwarded proto", "plain",
     get("/redirect/prefix/rest", "x-forwarded-proto: https"))
case("https required", "plain", get("/a?b=1", host="tls.example"))
case("https required, forwarded", "plain", get("/o", "x-forwarded-proto: https",
                                               host="tls.example"))
case("wildcard host", "plain", get("/w", host="a.wild.example"))
case("host in upper case", "plain", get("/w", host="A.Wild.Example"))
case("no host matches", "hosts", get("/"))
case("host matches", "hosts", get("/", host="one.example"))
case("host with another port", "hosts", get("/", host="one.example:81"))
case("host with its port", "hosts", get("/", host="port.example:8080"))
case("rewrite prefix", "plain", get("/rewrite/prefix/a?b=1"))
case("rewrite to longer", "plain", get("/rewrite/longer/x"))
case("rewrite regex", "plain", get("/rewrite/regex/42/rest?x=/rewrite/regex/1/"))
case("rewrite exact", "plain", get("/rewrite/exact?q"))
case("separated prefix", "plain", get("/separated/x"))
case("separated prefix, alone", "plain", get("/separated"))
case("separated prefix, longer word", "plain", get("/separatedly"))
case("regex path", "plain", get("/regex/12"))
case("regex path, not whole", "plain", get("/regex/12a"))
case("case-insensitive path", "plain", get("/cAsE/x"))
case("host literal", "plain", get("/host/literal"))
case("host from header", "plain", get("/host/header", "x-host: from.header"))
case("host from missing header", "plain", get("/host/header"))
case("forwarded host", "plain", get("/host/append", "x-forwarded-host: earlier"))
case("header edits", "plain", get("/edits", "x-appended: old", "x-overwritten: old", "x-own: mine",
                                  "x-absent: old", "x-only-existing: old", "x-removed: 1",
                                  "x-answer: many"))
case("header edits, nothing there", "plain", get("/edits"))
case("weighted cluster", "plain", get("/weighted"))
for kind, values in {
        "exact": ("v", "V", "v,v"), "prefix": ("vx", "x"), "contains": ("xvx", "x"),
        "regex": ("v12", "xv12"), "present": ("", "a"), "absent": ("a",), "range": ("1", "10", "-1", "x"),
        "invert": ("v", "w"), "missing": ("a",)}.items():
    for value in values:
        case(f"match {kind}: {value!r}", "plain", get(f"/match/{kind}", f"x-m: {value}"))
    case(f"match {kind}: none", "plain", get(f"/match/{kind}"))
case("match exact: twice", "plain", get("/match/exact", "x-m: v", "x-m: v"))
case("match regex: twice", "plain", get("/match/regex", "x-m: v1", "x-m: v2"))
case("match method", "plain", get("/match/method", method="PUT"))
case("match method: other", "plain", get("/match/method"))
case("match authority", "plain", get("/match/authority", host="m.example"))
case("match query", "plain", get("/match/query?a=2&q=1"))
case("match query: other", "plain", get("/match/query?q=11"))
case("match query: encoded", "plain", get("/match/query?q=%31"))
case("match query present", "plain", get("/match/query-present?q"))
case("match query present: none", "plain", get("/match/query-present?qq=1"))
case("fragment", "plain", get("/o#fragment"))
case("unknown cluster", "plain", get("/unknown-cluster", "x-cluster: nothing"))
case("no cluster header", "plain", get("/unknown-cluster"))
case("cluster header", "plain", get("/unknown-cluster", "x-cluster: origin"))
case("unknown cluster with its own status", "plain", get("/unknown-404", "x-cluster: nothing"))

# Upstream.
case("timeout", "plain", get("/timeout", "x-answer: never"))
for name in LINES:
    case(f"match lines: {name}", "plain", get(f"/match/lines/{name}", f"{name}: 1", f"{name}: 2"))
case("route idle timeout", "plain", get("/idle", "x-answer: never"))
case("stream idle timeout", "idle", get("/o", "x-answer: never"))
case("stream idle timeout, unfinished", "idle",
     get("/o", "x-answer: never", "content-length: 9", method="POST") + "abc")
case("longest duration", "plain", get("/longest", "x-answer: never"))
case("longest duration, unfinished", "plain",
     get("/longest", "x-answer: never", "content-length: 9", method="POST") + "abc")
case("refused", "plain", get("/refused"))
case("refused, with a body", "plain", get("/refused", method="POST", body="abc"))
case("no endpoints", "plain", get("/empty"))
case("overflow", "plain", get("/full"))
case("reset before the answer", "plain", get("/o", "x-answer: reset", method="POST", body="a"))
case("garbage upstream", "plain", get("/o", "x-answer: garbage"))
case("both lengths upstream", "plain", get("/o", "x-answer: both_lengths"))
case("cut upstream", "plain", get("/o", "x-answer: cut"))

# Forwarded headers.
for name in ("plain", "edge", "edge_hops", "edge_two_hops", "edge_skip", "hops"):
    case(f"xff none: {name}", name, get("/o"))
    case(f"xff: {name}", name, get("/o", "x-forwarded-for: 1.2.3.4, 10.0.0.9",
                                   "x-forwarded-proto: https"))
    case(f"xff bad: {name}", name, get("/o", "x-forwarded-for: nonsense"))
    case(f"own request id: {name}", name, get("/o", "x-request-id: mine"))
case("xff twice", "edge", get("/o", "x-forwarded-for: 1.2.3.4", "x-forwarded-for: 5.6.7.8"))
case("envoy headers from a client", "edge", get(
    "/o", "x-envoy-upstream-rq-timeout-ms: 5", "x-envoy-internal: true",
    "x-envoy-expected-rq-timeout-ms: 1", "x-envoy-original-path: /p", "x-envoy-retry-on: 5xx",
    "x-envoy-decorator-operation: d", "x-envoy-downstream-service-cluster: c",
    "x-envoy-external-address: 1.1.1.1", "x-envoy-force-trace: 1", "x-envoy-attempt-count: 3",
    "x-envoy-other: kept"))
case("envoy headers inside", "plain", get(
    "/o", "x-envoy-internal: true", "x-envoy-original-path: /p", "x-envoy-retry-on: 5xx",
    "x-envoy-expected-rq-timeout-ms: 1", "x-envoy-decorator-operation: d",
    "x-envoy-downstream-service-cluster: c", "x-envoy-external-address: 1.1.1.1"))
case("via and id", "via", get("/o", "via: 1.1 before", "x-request-id: mine"))
case("via and id of the answer", "via", get("/o", "x-answer: envoy_headers"))
case("via of a local reply", "via", get("/direct"))
case("no request id", "no_id", get("/o", "x-answer: many"))
case("no request id, local reply", "no_id", get("/direct"))
case("server if absent", "server", get("/o"))
case("server if absent: there", "server", get("/o", "x-answer: many"))
case("strip port", "strip", get("/o", host="x.example:1234"))
case("strip port of a v6 host", "strip", get("/o", host="[::1]:1234"))
case("strip dot", "strip_dot", get("/o", host="x.example.:80"))

# Paths.
for number, path in enumerate((
        "/o/a//b", "/o/./a/../b", "/o/%61%2f%2Fb", "/o/a\\b", "/o/a%5cb", "/o/../../o/x", "/../o/x",
        "/o/%zz", "/o/%00", "/o?a//b/../c", "//o/a", "/o/%2e%2e/o/y", "/o/a/..", "/o/a/.", "/o/a;b/c",
        "/o/%C3%A9", "/o/a%20b", "/o/a+b", "/o/|x", "/o/\"x")):
    case(f"path {number} {path}: edge", "edge", get(path))
    case(f"path {number} {path}: plain", "plain", get(path))
for name in ("slash_reject", "slash_redirect", "slash_forward"):
    case(f"escaped slash: {name}", name, get("/o/a%2Fb?c=%2f"))
    case(f"escaped backslash: {name}", name, get("/o/a%5cb"))
    case(f"no escaped slash: {name}", name, get("/o/a"))

# Upgrades.
UPGRADE = ("connection: Upgrade", "upgrade: websocket", "sec-websocket-key: k")
case("websocket", "websocket", get("/o", "x-answer: tunnel", *UPGRADE), after=b"ping")
case("websocket refused upstream", "websocket", get("/o", "x-answer: no_tunnel", *UPGRADE))
case("websocket off for the route", "websocket", get("/upgrade-off", *UPGRADE))
case("websocket not configured", "plain", get("/o", *UPGRADE))
case("unknown upgrade", "websocket", get("/o", "connection: upgrade", "upgrade: other/1"))
case("h2c upgrade", "plain", get("/o", "connection: upgrade, http2-settings", "upgrade: h2c",
                                 "http2-settings: AAMAAABkAAQAAP__"))

# CONNECT. What is behind it goes through the tunnel where there is one.
for name in CONNECT_LISTENERS:
    inside = get("/inside").encode() if name == "connect_ends" else b"ping"
    case(f"connect: {name}", name, get("x.example:443", "x-answer: connect", method="CONNECT",
                                       host="x.example:443"), after=inside)
for name in ("connect_listener", "connect_ends"):
    case(f"connect with a body: {name}", name,
         get("x.example:443", "content-length: 3", method="CONNECT", host="x.example:443") + "abc")
case("connect refused upstream", "connect_listener",
     get("x.example:443", "x-answer: 404", method="CONNECT", host="x.example:443"))
case("connect without a port", "connect_ends", get("x.example", method="CONNECT"))

# Bad requests.
BAD = {
    "no host": "GET /o HTTP/1.1\r\n\r\n",
    "two hosts": get("/o", "host: y"),
    "empty host": get("/o", host=""),
    "bad host": get("/o", host="a b"),
    "host with userinfo": get("/o", host="u@x.example"),
    "garbage": "this is not HTTP\r\n\r\n",
    "bad method": get("/o", method="G@T"),
    "bad version": get("/o", version="1.x"),
    "http/2.0 version": get("/o", version="2.0"),
    "http/1.2 version": get("/o", version="1.2"),
    "relative target": get("o"),
    "space in target": get("/o x"),
    "control character in target": get("/o\x01"),
    "raw utf-8 in target": "GET /o/\u00e9 HTTP/1.1\r\nhost: x\r\n\r\n".encode(),
    "space before colon": get("/o", "x-a : 1"),
    "folded line": get("/o", "x-a: 1", " folded"),
    "no colon": get("/o", "nonsense"),
    "bad name": get("/o", "x(a): 1"),
    "empty name": get("/o", ": 1"),
    "control character in value": get("/o", "x-a: \x01"),
    "nul in value": get("/o", "x-a: a\x00b"),
    "utf-8 in value": "GET /o HTTP/1.1\r\nhost: x\r\nx-a: \u00e9\r\n\r\n".encode(),
    "bare lf": "GET /o HTTP/1.1\nhost: x.example\n\n",
    "bare cr in value": get("/o", "x-a: a\rb"),
    "leading empty line": "\r\n" + get("/o"),
    "both lengths": get("/o", "content-length: 3", "transfer-encoding: chunked", method="POST") +
                    "3\r\nabc\r\n0\r\n\r\n",
    "two lengths": get("/o", "content-length: 3", "content-length: 4", method="POST") + "abcd",
    "equal lengths": get("/o", "content-length: 3", "content-length: 3", method="POST") + "abc",
    "list of lengths": get("/o", "content-length: 3, 3", method="POST") + "abc",
    "negative length": get("/o", "content-length: -1", method="POST"),
    "signed length": get("/o", "content-length: +3", method="POST") + "abc",
    "length not a number": get("/o", "content-length: abc", method="POST"),
    "huge length": get("/o", "content-length: 99999999999999999999", method="POST"),
    "unknown coding": get("/o", "transfer-encoding: gzip", method="POST"),
    "chunked twice": get("/o", "transfer-encoding: chunked, chunked", method="POST") +
                     "0\r\n\r\n",
    "chunked in upper case": get("/o", "transfer-encoding: CHUNKED", method="POST") + "0\r\n\r\n",
    "bad chunk size": get("/o", "transfer-encoding: chunked", method="POST") + "xyz\r\n",
    "http/1.0 chunked": get("/o", "transfer-encoding: chunked", method="POST", version="1.0") +
                        "0\r\n\r\n",
}
for name, request in BAD.items():
    case("bad: " + name, "plain", request)
case("bad: http/1.0 chunked, accepted", "old",
     get("/o", "transfer-encoding: chunked", method="POST", version="1.0") + "0\r\n\r\n")
for name in ("plain", "underscore_reject", "underscore_drop"):
    case(f"underscore: {name}", name, get("/o", "x_a: 1", "x-b: 2"))
case("too many headers", "few", get("/o", *[f"x-{i}: 1" for i in range(9)]))
case("too large a head", "few", get("/o", "x-a: " + "a" * 2000))
case("too long a target", "few", get("/o/" + "a" * 2000))
case("slow head", "slow_client", "GET /o HTTP/1.1\r\nhost: x")
case("slow body", "slow_client", get("/o", "content-length: 9", method="POST") + "abc")
