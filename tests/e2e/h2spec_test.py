#!/usr/bin/env python3
"""h2spec against a listener: all of its generic, hpack and http2 cases, strict.

Needs Go, which fetches and builds h2spec in the ordinary way; skipped where there is none.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import harness

MODULE = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
ROUTES = """route_config: { virtual_hosts: [ { name: all, domains: ['*'], routes: [
  { match: { path: /proxied }, route: { cluster: a } },
  { match: { prefix: / }, direct_response: { status: 200, body: { inline_string: hello } } } ] } ] }
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def h2spec():
    """The program, built once into the build folder."""
    program = harness.BIN / "h2spec"
    if program.exists():
        return program
    if shutil.which("go") is None:
        skip("no Go here")
    environment = dict(os.environ, GOBIN=str(harness.BIN), GOTOOLCHAIN="local")
    built = subprocess.run(["go", "install", MODULE], env=environment, capture_output=True,
                           text=True, check=False)
    if built.returncode != 0:
        skip(f"h2spec cannot be fetched or built: {built.stderr[-500:]}")
    return program


harness.need("sluice", "origin")
if not pathlib.Path("dataplane/h2_session.h").exists():
    skip("no HTTP/2 downstream yet")
PROGRAM = h2spec()

with harness.Site() as site:
    port = harness.free_port()
    bootstrap = harness.static_bootstrap(
        [harness.listener("in", port, ROUTES)], [harness.static_cluster("a", site.origin("a"))])
    sluice = site.sluice(bootstrap)
    sluice.says("live with")
    results = []
    for path in ("/", "/proxied"):
        run = subprocess.run([PROGRAM, "--host", "127.0.0.1", "--port", str(port), "--path", path,
                              "--timeout", "5", "--strict", "generic", "hpack", "http2"],
                             capture_output=True, text=True, timeout=240, check=False)
        counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", run.stdout)
        assert counts, run.stdout[-2000:] + run.stderr[-2000:]
        total, passed, skipped, failed = map(int, counts.groups())
        assert failed == 0 and skipped == 0 and total == passed, \
            run.stdout[run.stdout.find("Failures:"):]
        assert total >= 146, f"only {total} cases"
        results.append(passed)
    assert sluice.process.poll() is None
    print(f"h2spec, strict: {results[0]} cases answered by the proxy, {results[1]} by an origin")
