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
  { match: { prefix: / }, route: { cluster: a } } ] } ] }
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


def run(port, path):
    """Runs all suites and returns how many cases passed, and the titles of those that did not."""
    done = subprocess.run([PROGRAM, "--host", "127.0.0.1", "--port", str(port), "--path", path,
                           "--timeout", "5", "--strict", "generic", "hpack", "http2"],
                          capture_output=True, text=True, timeout=240, check=False)
    counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert counts, done.stdout[-2000:] + done.stderr[-2000:]
    total, passed, skipped, failed = map(int, counts.groups())
    assert total >= 146 and skipped == 0, counts.group()
    failures = done.stdout.partition("Failures:")[2]
    titles = re.findall(r"\u00d7 \d+: (.*)", failures)
    assert len(titles) == failed, failures
    return passed, titles, failures


harness.need("sluice", "origin")
PROGRAM = h2spec()

with harness.Site() as site:
    strict, auto = harness.free_port(), harness.free_port()
    bootstrap = harness.static_bootstrap(
        [harness.listener("h2", strict, ROUTES, "codec_type: HTTP2,"),
         harness.listener("auto", auto, ROUTES)],
        [harness.static_cluster("a", site.origin("a"))])
    sluice = site.sluice(bootstrap)
    sluice.says("live with")
    # Answers that take a while: cases send more for a stream that they take to be open still.
    path = "/slow/40"
    known, titles, text = run(strict, path)
    assert not titles, text
    # RFC 9113 3.4: an invalid preface "indicates that the peer is not using HTTP/2". Where the
    # protocol is detected it is a broken request of HTTP/1, and gets a 400 in those words.
    detected, titles, text = run(auto, path)
    assert titles in ([], ["Sends invalid connection preface"]), text
    assert sluice.process.poll() is None
    print(f"h2spec, strict: {known} cases where the protocol is known, {detected} where it is "
          "detected")
