#!/usr/bin/env python3
"""Bootstrap files and resources in the forms that control planes send, through `--mode validate`:
each is accepted, with the warnings that are expected, or refused for exactly what is expected.

    tests/corpus/corpus_test.py [NAME...]        what is said and not as expected
    tests/corpus/corpus_test.py --show [NAME...] the expectations as they would have to be

NAME.yaml holds documents; the first line of each is a comment with its kind (bootstrap, cluster,
endpoints, listener, route) and what it is. NAME.expect holds lines `KIND WHAT => accepted`,
`=> refused: TEXT` (a part of the error), and for accepted ones any number of `=> warning: TEXT`.
A resource is checked as the bootstrap's own: alone, so that none hides another's faults.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

BIN = pathlib.Path(os.environ.get("SLUICE_BIN_DIR", "build/release")).resolve()
HERE = pathlib.Path(__file__).resolve().parent
TYPE = "type.googleapis.com/envoy.extensions.filters"
# What resources refer to: where they come from, and clusters of their routes.
AROUND = """
node: { id: corpus, cluster: corpus }
dynamic_resources:
  ads_config: { api_type: GRPC, transport_api_version: V3, grpc_services: [ { envoy_grpc: { cluster_name: xds_cluster } } ] }
"""
OTHER_CLUSTERS = "".join(f"""
  - name: {name}
    type: STATIC
    http2_protocol_options: {{}}
    load_assignment: {{ cluster_name: {name}, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 1 }} }} }} }} ] }} ] }}"""
                         for name in ("xds_cluster", "contour", "sds-grpc", "known"))


def indented(text, columns):
    """A mapping as an item of a list, or as a value."""
    return "\n".join(" " * columns + line for line in text.splitlines())


def item(text, columns):
    return " " * columns + "-" + indented(text, columns + 2)[columns + 1:] + "\n"


def bootstrap(kind, text):
    if kind == "bootstrap":
        return text
    # Comments would stand where the item's dash belongs.
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    statics = AROUND + "static_resources:\n  clusters:" + OTHER_CLUSTERS + "\n"
    if kind == "cluster":
        return statics + item(text, 2)
    if kind == "endpoints":
        name = re.search(r"cluster_?[nN]ame: *(.*)", text).group(1)
        return statics + item(f"name: {name}\ntype: STATIC\nload_assignment:\n" +
                              indented(text, 2), 2)
    if kind == "listener":
        return statics + "  listeners:\n" + item(text, 2)
    assert kind == "route", kind
    # Inline routes are checked for their clusters unless they say otherwise; those of RDS are not.
    if not re.search("validate_?[cC]lusters", text):
        text = "validate_clusters: false\n" + text
    return statics + "  listeners:\n" + item(f"""name: corpus
address: {{ socket_address: {{ address: 127.0.0.1, port_value: 1 }} }}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      "@type": {TYPE}.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: corpus
      http_filters: [ {{ name: router, typed_config: {{ "@type": {TYPE}.http.router.v3.Router }} }} ]
      route_config:
{indented(text, 8)}
""", 2)


def placeless(text):
    """Without the place in the file, and without the resource's name."""
    return re.sub(r'^\S+:\d+:\d+: (?:(?:listener|cluster) "[^"]*": )?', "", text)


def validate(kind, text, folder):
    """None and what was warned of, or the error and nothing."""
    path = folder / "bootstrap.yaml"
    path.write_text(bootstrap(kind, text))
    done = subprocess.run([BIN / "sluice", "-c", path, "--mode", "validate", "--service-node", "n",
                           "--service-cluster", "c"], capture_output=True, text=True, timeout=60)
    said = done.stderr.strip().splitlines()
    if done.returncode != 0:
        assert done.returncode == 1, done
        return placeless(said[-1].split("error: ", 1)[1]), []
    assert "OK" in done.stdout, done
    return None, [placeless(line.split("warning: ", 1)[1]) for line in said if "warning: " in line]


def documents(path):
    for text in re.split(r"^---\n", path.read_text(), flags=re.M):
        first = text.splitlines()[0]
        assert first.startswith("# "), f"{path}: a document begins with {first!r}"
        kind = first[2:].split()[0]
        yield kind, first[2:], text


def expectations(path):
    out = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        if line and not line.startswith("#"):
            what, expected = line.split(" => ", 1)
            out.setdefault(what, []).append(expected)
    return out


def judge(expected, error, warnings):
    """What is wrong."""
    if not expected:
        return ["no expectation"]
    refused = [e.split(": ", 1)[1] for e in expected if e.startswith("refused: ")]
    warned = [e.split(": ", 1)[1] for e in expected if e.startswith("warning: ")]
    if error is not None:
        return [] if len(refused) == 1 and refused[0] in error else [f"refused: {error}"]
    if refused or "accepted" not in expected:
        return [f"accepted, not refused for {refused}"]
    wrong = [f"no warning: {w}" for w in warned if not any(w in said for said in warnings)]
    return wrong + [f"unexpected warning: {said}" for said in warnings
                    if not any(w in said for w in warned)]


def shown(label, error, warnings):
    """As it would have to stand in NAME.expect."""
    if error is not None:
        return [f"{label} => refused: {error.split('; ')[0]}"]
    return [f"{label} => accepted"] + [f"{label} => warning: {w}" for w in warnings]


def main():
    arguments = sys.argv[1:]
    show = "--show" in arguments
    names = [a for a in arguments if a != "--show"]
    if not (BIN / "sluice").exists():
        print(f"skipped: not built: sluice in {BIN}")
        return 77
    counts, wrong = {"accepted": 0, "refused": 0}, 0
    with tempfile.TemporaryDirectory(prefix="sluice-corpus-") as folder:
        for path in sorted(HERE.glob("*.yaml")):
            if names and path.stem not in names:
                continue
            expected = expectations(path.with_suffix(".expect"))
            if show:
                print(f"---- {path.stem}.expect")
            for kind, label, text in documents(path):
                error, warnings = validate(kind, text, pathlib.Path(folder))
                counts["accepted" if error is None else "refused"] += 1
                if show:
                    print(*shown(label, error, warnings), sep="\n")
                    continue
                for problem in judge(expected.pop(label, []), error, warnings):
                    wrong += 1
                    print(f"{path.name}: {label}: {problem}")
            for label in expected if not show else ():
                wrong += 1
                print(f"{path.name}: {label}: expected, and not there")
    print(f"{counts['accepted']} accepted, {counts['refused']} refused, {wrong} not as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
