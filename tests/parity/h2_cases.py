"""Requests over HTTP/2: those of cases.py that HTTP/2 can say, and its own."""

import cases

# What HTTP/2 says otherwise than by a field (RFC 9113 8.2.2).
HOP_BY_HOP = {"connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection",
              "http2-settings"}
CASES = []


def fields_of(method, path, authority, *lines, scheme="http"):
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [(n, v) for n, v in pseudo if v is not None] + [
        tuple(line.split(": ", 1)) for line in lines]


def case(name, listener, *requests, after=b""):
    """`requests` are dictionaries for H2Client.open(), one after the other; `after` goes through a
    tunnel."""
    assert name not in [c["name"] for c in CASES], name
    CASES.append({"name": name, "listener": listener, "requests": requests, "after": after})


def translated(request):
    """The same request as frames; None where HTTP/2 has no word for it."""
    head, _, body = request.decode("latin-1").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    try:
        method, target, version = first.split(" ")
        named = [(n.lower(), v) for n, v in (line.split(": ", 1) for line in lines)]
    except ValueError:
        return None
    names = [n for n, _ in named]
    framed = len(body) <= int(dict(named).get("content-length", "0")) if body else True
    if (version != "HTTP/1.1" or HOP_BY_HOP & set(names) or names.count("host") != 1 or
            method == "CONNECT" or not (target.startswith("/") or target == "*") or not framed):
        return None
    fields = fields_of(method, target, dict(named)["host"]) + [p for p in named if p[0] != "host"]
    length = dict(named).get("content-length")
    return {"fields": fields, "body": body.encode("latin-1"),
            "end": length is None or int(length) == len(body)}


for c in cases.CASES:
    if not c["name"].startswith("bad: ") and not c["after"]:
        form = [translated(r) for r in c["requests"]]
        if all(form):
            case(c["name"], c["listener"], *form)


def get(path="/o", *lines, method="GET", authority="x.example", scheme="http"):
    return {"fields": fields_of(method, path, authority, *lines, scheme=scheme)}


def post(body, *lines, path="/o", **more):
    return get(path, *lines, method="POST") | {"body": body.encode()} | more


def own(*fields):
    return {"fields": list(fields)}


# Bodies and trailers.
case("body without a length", "plain", post("abc"))
case("trailers of a request", "plain", post("abc", trailers=[("x-sum", "1")]))
case("trailers behind no body", "plain", post("", trailers=[("x-sum", "1")]))
case("an empty body", "plain", get(method="POST") | {"trailers": [("x-a", "1")]})
case("expect, over http/2", "plain", post("abc", "expect: 100-continue"))
case("client resets", "plain", get("/o", "x-answer: never") | {"reset": True})
case("client resets its body", "plain", post("abc", end=False) | {"reset": True})
case("another method", "plain", get(method="REPORT"))

# Pseudo-headers (RFC 9113 8.3.1).
METHOD, SCHEME, PATH = (":method", "GET"), (":scheme", "http"), (":path", "/o")
AUTHORITY = (":authority", "x.example")
case("scheme https", "plain", get(scheme="https"))
case("scheme https, redirect", "plain", get("/redirect/prefix/rest", scheme="https"))
case("scheme ftp", "plain", get(scheme="ftp"))
case("host, no authority", "plain", own(METHOD, SCHEME, PATH, ("host", "h.example")))
case("host as the authority", "plain",
     own(METHOD, SCHEME, AUTHORITY, PATH, ("host", "x.example")))
case("host and another authority", "plain",
     own(METHOD, SCHEME, AUTHORITY, PATH, ("host", "other.example")))
case("cookie crumbs", "plain", get("/o", "cookie: a=1", "cookie: b=2", "x-a: 1", "cookie: c=3"))
case("te with more", "plain", get("/o", "te: gzip, trailers"))
case("padded value", "plain", own(METHOD, SCHEME, AUTHORITY, PATH, ("x-a", " padded ")))
BAD = {
    "no method": own(SCHEME, AUTHORITY, PATH),
    "no scheme": own(METHOD, AUTHORITY, PATH),
    "no path": own(METHOD, SCHEME, AUTHORITY),
    "no authority, no host": own(METHOD, SCHEME, PATH),
    "empty path": own(METHOD, SCHEME, AUTHORITY, (":path", "")),
    "empty method": own((":method", ""), SCHEME, AUTHORITY, PATH),
    "empty authority": own(METHOD, SCHEME, (":authority", ""), PATH),
    "relative path": own(METHOD, SCHEME, AUTHORITY, (":path", "o")),
    "path with a space": own(METHOD, SCHEME, AUTHORITY, (":path", "/o x")),
    "path with a control character": own(METHOD, SCHEME, AUTHORITY, (":path", "/o\x01")),
    "two methods": own(METHOD, METHOD, SCHEME, AUTHORITY, PATH),
    "two paths": own(METHOD, SCHEME, AUTHORITY, PATH, PATH),
    "two authorities": own(METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH),
    "unknown pseudo-header": own(METHOD, SCHEME, AUTHORITY, PATH, (":own", "1")),
    "a response's pseudo-header": own(METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")),
    "pseudo-header behind a field": own(METHOD, SCHEME, ("x-a", "1"), AUTHORITY, PATH),
    "protocol without connect": own(METHOD, SCHEME, AUTHORITY, PATH, (":protocol", "websocket")),
    "upper-case name": get("/o", "X-A: 1"),
    "connection": get("/o", "connection: close"),
    "keep-alive": get("/o", "keep-alive: 1"),
    "proxy-connection": get("/o", "proxy-connection: close"),
    "transfer-encoding": get("/o", "transfer-encoding: chunked"),
    "upgrade": get("/o", "upgrade: websocket"),
    "te that is not trailers": get("/o", "te: gzip"),
    "bad authority": own(METHOD, SCHEME, (":authority", "a b"), PATH),
    "authority with userinfo": own(METHOD, SCHEME, (":authority", "u@x.example"), PATH),
    "bad method": own((":method", "G@T"), SCHEME, AUTHORITY, PATH),
    "empty name": own(METHOD, SCHEME, AUTHORITY, PATH, ("", "1")),
    "bad name": get("/o", "x(a): 1"),
    "nul in value": get("/o", "x-a: a\x00b"),
    "cr in value": get("/o", "x-a: a\rb"),
    "lf in value": get("/o", "x-a: a\nb"),
    "control character in value": get("/o", "x-a: \x01"),
    "body too long": post("abcd", "content-length: 3"),
    "body too short": post("ab", "content-length: 3"),
    "body of a length of 0": post("ab", "content-length: 0"),
    "two lengths": post("abc", "content-length: 3", "content-length: 4"),
    "negative length": post("", "content-length: -1"),
    "length not a number": post("abc", "content-length: abc"),
    "list of lengths": post("abc", "content-length: 3, 3"),
    "pseudo-header in trailers": post("abc", trailers=[(":path", "/o")]),
    "connection in trailers": post("abc", trailers=[("connection", "close")]),
    "upper-case name in trailers": post("abc", trailers=[("X-A", "1")]),
}
for name, request in BAD.items():
    case("bad: " + name, "plain", request)

# gRPC: what the proxy answers by itself.
GRPC = ("content-type: application/grpc", "te: trailers")
for path in ("/nowhere", "/direct", "/direct/bare", "/refused", "/empty", "/full",
             "/redirect/prefix/rest", "/unknown-cluster", "/unknown-404"):
    case(f"grpc: {path}", "plain", get(path, *GRPC, method="POST"))
for kind in ("404", "500", "204", "reset", "garbage"):
    case(f"grpc: answer {kind}", "plain", get("/o", f"x-answer: {kind}", *GRPC, method="POST"))
case("grpc: timeout", "plain", get("/timeout", "x-answer: never", *GRPC, method="POST"))
case("grpc: json", "plain", get("/nowhere", "content-type: application/grpc+json", method="POST"))
case("grpc: web", "plain", get("/nowhere", "content-type: application/grpc-web", method="POST"))


# Tunnels.
def connect(*lines, authority="x.example:443", **more):
    return {"fields": [(":method", "CONNECT"), (":authority", authority)] + [
        tuple(line.split(": ", 1)) for line in lines], "end": False} | more


def extended(protocol, *lines, path="/o"):
    return {"fields": [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"),
                       (":authority", "x.example"), (":path", path)] + [
                           tuple(line.split(": ", 1)) for line in lines], "end": False}


for name in cases.CONNECT_LISTENERS:
    inside = cases.get("/inside").encode() if name == "connect_ends" else b"ping"
    case(f"connect: {name}", name, connect("x-answer: connect"), after=inside)
case("connect refused upstream", "connect_listener", connect("x-answer: 404"))
case("connect without a port", "connect_ends", connect(authority="x.example"))
case("connect that ends at once", "connect_listener", connect("x-answer: connect", end=True))
case("connect with a length", "connect_listener", connect("content-length: 3"))
case("connect with a path", "connect_listener",
     {"fields": [(":method", "CONNECT"), *fields_of(None, "/o", "x.example:443")], "end": False})
case("connect without an authority", "connect_listener",
     {"fields": [(":method", "CONNECT")], "end": False})
case("extended: websocket", "websocket", extended("websocket", "x-answer: tunnel"), after=b"ping")
case("extended: refused upstream", "websocket", extended("websocket", "x-answer: no_tunnel"))
case("extended: off for the route", "websocket", extended("websocket", path="/upgrade-off"))
case("extended: not configured", "connect_none", extended("websocket"))
case("extended: another protocol", "websocket", extended("other/1"))
case("extended: direct response", "websocket", extended("websocket", path="/direct"))
