"""Differences between Sluice and Envoy, each with its reason: those that we want, and those that are
known and open. A rule names cases and parts by patterns and says what to leave out of both values
before they are compared again; a rule that no difference needs any more fails the test.
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Rule:
    cases: str
    parts: str
    change: object
    reason: str
    open: bool = False  # known, not wanted: to be mended or decided
    races: bool = False  # depends on what arrives together: not always seen


def anything(value):
    """The part is not compared."""
    del value
    return None


def without(pattern):
    """Leaves out the lines that match, and a single text that does."""
    def change(value):
        if isinstance(value, list):
            return [line for line in value if not re.fullmatch(pattern, line)]
        return value
    return change


def apart(*names):
    """The place of these fields among the others is not compared; what they say is."""
    def change(value):
        if not isinstance(value, list):
            return value
        def place(line):
            name = line.split(":")[0]
            return (name in names, name if name in names else "")
        return sorted(value, key=place)
    return change


def last_forwarded(value):
    """The last member of x-forwarded-for is the proxy's word for the peer."""
    def one(text):
        return re.sub(r"((?:^|,|: ))\d+\.\d+\.\d+\.\d+$", r"\1<peer>", text)
    if isinstance(value, list):
        return [one(v) if v.startswith("x-forwarded-for:") else v for v in value]
    return one(value) if isinstance(value, str) else value


def status_only(value):
    return " ".join(value.split()[:2]) if isinstance(value, str) else value


HEADERS = r"(origin|response) \d headers"
REQUEST_LOG = r"log 0 (method|path|original_path|authority|xff|user_agent)"

HTTP1_RULES = [
    # Forwarded headers.
    Rule("", r"origin \d headers|log \d xff", last_forwarded,
         "a peer on loopback is told as itself; Envoy writes an address of the node"),
    Rule("envoy headers inside", "log 0 original_path", anything,
         "only the proxy says x-envoy-original-path, inside the mesh too"),
    Rule("envoy headers inside", "origin 0 headers", without("x-envoy-original-path: .*"),
         "only the proxy says x-envoy-original-path, inside the mesh too"),

    # Heads.
    Rule("", HEADERS, apart("transfer-encoding", "content-length", "connection"),
         "framing fields stay where they came; Envoy removes them and adds them at the end"),
    Rule("", HEADERS, apart("server", "x-request-id", "x-envoy-upstream-service-time",
                            "x-envoy-overloaded", "x-envoy-external-address"),
         "what we say ourselves stands together at the end, so that it is one piece to write"),
    Rule("header edits|direct with headers", HEADERS,
         apart("x-overwritten", "x-only-existing", "x-origin", "content-type"),
         "a field is overwritten in its place; Envoy removes it and adds it at the end"),
    Rule("", r"response \d line", status_only,
         "the origin's reason phrase is passed on, and 418 has its own; Envoy writes its own"),
    Rule("options|own method", "origin 0 headers", without("content-length: 0"),
         "a request without a body is passed on as it came (RFC 9110 8.6); Envoy adds a length"),
    Rule("many|header edits|no request id|server if absent", "response 0 headers",
         without("x-hop: 1"), "fields that Connection names end here (RFC 9110 7.6.1: MUST)"),
    Rule("head of a 404", "response 0 headers", without("transfer-encoding: chunked"),
         "no framing is announced for a response that has no body"),
    Rule("trailers", r"(origin|response) 0 trailers", anything,
         "trailers are passed on (RFC 9110 6.5); Envoy needs enable_trailers"),
    Rule("early_hints", r"response .*", anything,
         "103 is passed on (RFC 8297); Envoy drops it"),

    # What is answered without the origin.
    Rule("^trace$", ".*", anything, "TRACE is answered with 405: it would show what proxies add"),
    Rule("options star", r"log 0 (details|flags|long_flags)", anything,
         "`*` is matched like a path and found in no route; both answer 404"),
    Rule("expect unknown", ".*", anything, "417 (RFC 9110 10.1.1); Envoy passes it on"),
    Rule("^fragment$", ".*", anything, "a fragment is a bad target, refused where it is parsed"),
    Rule("http/1.0 not accepted|bad: http/1.0 chunked$", r"response 0 line", anything,
         "426 names the version that the client can read"),
    Rule("path 8 .*edge|slash_reject|websocket refused upstream", r"end|response 0 headers",
         lambda v: None if isinstance(v, str) else without("connection: close")(v),
         "the framing of the request is sound: its connection is kept"),
    Rule("slash_reject|^redirect|path 8 ", r"log 0 (path|original_path|xff)", anything,
         "the log shows the path that was asked for, not what became of it"),
    Rule("path 18 .*edge", r"origin 0 line|log 0 (path|original_path)", anything,
         "normalisation changes what RFC 3986 6.2 names; Envoy also encodes |"),

    # Upgrades.
    Rule("unknown upgrade|not configured|off for the route|h2c upgrade", ".*", anything,
         "an upgrade that is not allowed is ignored (RFC 9110 7.8); Envoy answers 403"),
    Rule("^websocket", r"response 0 headers", without("x-envoy-upstream-service-time: .*"),
         "the answer to an upgrade has the upstream's time too"),
    Rule("^websocket$", r"log 0 (details|flags|long_flags)", anything,
         "a tunnel that its client ends is no failure"),

    Rule("^connect: connect_(listener|route|ends)$", r"log 0 (details|flags|long_flags)", anything,
         "a tunnel that its client ends is no failure"),
    Rule("^connect: connect_(none|off)", r"log 0 (cluster|cluster_raw)", anything,
         "a CONNECT that nothing allows is refused before a cluster is looked for"),
    Rule("^connect with a body|^connect without a port", r"log 0 (authority|details|method)", anything,
         "of a refused head the log shows what could be read"),
    Rule("^connect refused upstream|^connect: connect_(listener|route)$", "response 0 headers",
         without("x-envoy-upstream-service-time: .*"),
         "the answer to a CONNECT has the upstream's time too"),
    Rule("statistics", r"http\.connect_\w+\.downstream_cx_upgrades_total", anything,
         "upgrades are counted when the tunnel begins, Envoy counts requests for one"),

    # What the log says.
    Rule("no endpoints|overflow|connect_ends_empty", "log 0 attempts", anything,
         "attempts are connections that were asked for: here there was none"),
    Rule("^post to", r"log 0 received", anything, "bytes of a body that was read are counted"),
    Rule("^overflow$", r"log 0 upstream_(host|name)", anything,
         "the limit is checked before an endpoint is picked"),
    Rule("^bad: |not accepted|underscore_reject|few|too |slow head", REQUEST_LOG, anything,
         "of a refused head the log shows what could be read"),
    Rule("^bad: ", r"log 0 details", anything, "the details say which rule was broken"),

    # Strictness (RFC 9112, and what request smuggling is made of).
    Rule("bad: (two hosts|empty host|host with userinfo)", ".*", anything,
         "one Host with a host in it (RFC 9112 3.2); Envoy passes these on"),
    Rule("bad: (folded line|bare lf|bare cr in value)", ".*", anything,
         "lines end in CRLF and are not folded (RFC 9112 2.2, 5.2)"),
    Rule("bad: http/1.0 chunked, accepted", ".*", anything,
         "HTTP/1.0 has no chunked (RFC 9112 6.1: faulty framing)"),
    Rule("bad: http/(2.0|1.2) version", ".*", anything, "505 names the problem; Envoy says 426"),
    Rule("bad: bad chunk size", r"origin 0 .*", anything,
         "the fault is in the same bytes as the head: nothing has been sent yet"),

    Rule("^refused|connect_ends_refused", r"log 0 details", anything,
         "the system's error is %UPSTREAM_TRANSPORT_FAILURE_REASON%; Envoy appends it here too"),

    Rule("slow body", r"origin 0 .*", anything, races=True,
         reason="a request goes to the origin with what has come of its body, not before"),
    Rule("slow head", r"log 0 details", anything,
         "the head's own deadline is named; Envoy names that of the whole request"),

    # Statistics.
    Rule("statistics", r"http\.\w+\.(rq_direct_response|rq_redirect)", anything,
         "redirects are counted as redirects; Envoy counts them as direct responses"),
    Rule("statistics", r"http\.\w+\.downstream_rq_1xx", anything,
         "a 100 of our own is no response of its own"),
    Rule("statistics", r"http\.(plain|edge|old|websocket|slow_client|slash_reject)\..*|"
         r"cluster\.origin\..*", anything,
         "sums over cases with differences that are wanted above"),
    Rule("statistics", r"cluster\.full\.upstream_rq_pending_overflow", anything,
         "max_requests counts here too, as Envoy's documentation says"),
    Rule("^cut upstream$", r"log 0 (flags|details|long_flags)", anything,
         "an end in the middle of a body is a connection that ended (UC), not bytes that are wrong"),
    Rule("^filters: ", HEADERS, apart("x-last"),
         "a field that is overwritten keeps its place"),
]


class Rules:
    """Each of `rules` must be needed; those in `also` may be."""

    def __init__(self, rules, also=()):
        self.rules = [*rules, *also]
        self.num_needed = len(rules)

    def reason_for(self, name, part, ours, theirs, used):
        """True where rules explain the difference; they are added to `used`."""
        needed = []
        for i, rule in enumerate(self.rules):
            if not (re.search(rule.cases, name) and re.fullmatch(rule.parts, part)):
                continue
            changed = rule.change(ours), rule.change(theirs)
            if changed != (ours, theirs):
                needed.append(i)
                ours, theirs = changed
            if ours == theirs:
                used.update(needed)
                return True
        return None

    def unused(self, used):
        return [f"{r.cases!r} {r.parts!r}: {r.reason}"
                for i, r in enumerate(self.rules[:self.num_needed])
                if i not in used and not r.races]

    def still_open(self, used):
        return [f"{r.cases!r}: {r.reason}" for i, r in enumerate(self.rules)
                if i in used and r.open]


HTTP1 = Rules(HTTP1_RULES)
OF_STREAM = r"end|response 0 end"
HTTP2_RULES = [
    Rule("^bad: |^te |^connect with(out)? a|extended: ", OF_STREAM, anything,
         "a malformed message ends its stream, not those of others (RFC 9113 8.1.1); Envoy closes"),
    Rule("^te |underscore_reject|^connect with", r"log 0 (details|flags|long_flags)", anything,
         "of a malformed message the log says so; Envoy names the field, or a reset by the peer"),
    Rule("^te (gzip|with more)|^connect with", REQUEST_LOG, anything,
         "of a refused head the log shows what could be read"),
    Rule("underscore_reject", "response 0 end", anything,
         "PROTOCOL_ERROR says whose fault it is (RFC 9113 7)"),
    Rule("^too ", r"response 0 .*|log 0 (code|sent|flags|long_flags)", anything,
         "431 says what was too much (RFC 6585 5); Envoy resets the stream"),
    Rule("host and another authority|padded value|^connect with", ".*", anything,
         "malformed (RFC 9113 8.2.1, 8.3.1, 8.5); Envoy passes it on"),
    Rule("^scheme https, redirect|redirect of forwarded proto", "response 0 headers",
         without("location: .*"),
         "the client's scheme is that of its connection, or what a trusted proxy says of it; "
         "Envoy believes :scheme"),
    Rule("scheme https, redirect|^grpc: /redirect", r"log 0 path", anything,
         "the log shows the path that was asked for, not what became of it"),
    Rule("^grpc: /redirect", HEADERS, apart("location"), "the order of our own fields"),
    Rule("^grpc: /refused", r"log 0 details", anything,
         "the system's error is %UPSTREAM_TRANSPORT_FAILURE_REASON%; Envoy appends it here too"),
    Rule("^grpc: /(empty|full)", r"log 0 (attempts|upstream_(host|name))", anything,
         "attempts are connections that were asked for: here there was none"),
    Rule("^an empty body|^trailers behind", r"origin 0 (trailers|headers)", anything,
         "trailers are passed on, also behind no body"),
    Rule("^another method", "origin 0 headers", without("content-length: 0"),
         "a request without a body is passed on as it came (RFC 9110 8.6); Envoy adds a length"),
    Rule("client resets|^bad: body |trailers$", r"origin 0 .*|log 0 (received|upstream_.*)",
         anything, races=True,
         reason="how far a request got that its client gave up depends on what arrives together"),
    Rule("^connect that ends at once", ".*", anything,
         "a client that has no more to say half-closes its tunnel; Envoy's upstream ends it all"),
    Rule("cookie crumbs", "origin 0 headers", apart("cookie"),
         "crumbs are joined where the first stood; Envoy puts them at the end"),
    Rule("^extended: (websocket|refused)", "response 0 headers",
         without("x-envoy-upstream-service-time: .*"),
         "the answer to an upgrade has the upstream's time too"),
    Rule("^extended: websocket", r"log 0 (details|flags|long_flags)", anything,
         "a tunnel that its client ends is no failure"),
    Rule("^extended: another", r"log 0 (cluster|cluster_raw|method|route)", anything,
         "an upgrade that is not allowed is refused before a route is looked for, and was a CONNECT"),
    Rule("statistics", r"http\.(plain|few|idle|websocket|connect_\w+)\.downstream_"
         r"(rq_(rx|tx)_reset|cx_protocol_error|rq_http2_total|cx_http2_total|rq_[1-5]xx)", anything,
         "sums over cases with differences that are wanted above"),
]
HTTP2 = Rules(HTTP2_RULES, also=HTTP1_RULES)
