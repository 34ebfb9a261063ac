#!/usr/bin/env python3
"""Sluice paired with java-control-plane's own cache and server: updates without pause while requests
flow. No request fails, every version comes into effect, every response is answered, each bad one
refused.

    tests/pairing/java_control_plane_test.py [UPDATES]

Runs where Java and Maven are present and the library can be fetched; skipped (77) elsewhere.
"""

import json
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import harness  # noqa: E402
from harness import until  # noqa: E402

UPDATES = int(sys.argv[1]) if len(sys.argv) > 1 else 100
FETCH_S = 200


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def build():
    """The class path of the program."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        skip("no Java or no Maven here")
    out = harness.BIN / "pairing-java"
    done = out / "done"
    if not done.exists() or done.stat().st_mtime < max(
            f.stat().st_mtime for f in (HERE / "java").rglob("*") if f.is_file()):
        try:
            made = subprocess.run(
                ["mvn", "-q", "-B", f"-Dout={out}", "package", "dependency:copy-dependencies",
                 f"-DoutputDirectory={out}/lib"], cwd=HERE / "java", capture_output=True,
                text=True, check=False, timeout=FETCH_S)
        except subprocess.TimeoutExpired:
            skip(f"the library was not there within {FETCH_S} s")
        if made.returncode != 0:
            if "COMPILATION ERROR" in made.stdout:
                raise AssertionError(made.stdout[-3000:])
            skip(f"the library cannot be fetched: {made.stdout[-500:]}")
        done.touch()
    return f"{out}/classes:{out}/lib/*"


class Server:
    """The control plane, which takes commands line by line."""

    def __init__(self, class_path, *ports):
        self.process = subprocess.Popen(
            ["java", "-Xmx256m", "-cp", class_path, "pairing.Main", *map(str, ports)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.port = int(line.split()[2])

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def report(self, word="report"):
        self.tell(word)
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()


def pair(class_path, api_type):
    with harness.Site() as site:
        origins = [site.origin("a"), site.origin("b")]
        ingress = harness.free_port()
        with Server(class_path, ingress, *origins) as server:
            sluice = site.sluice(harness.ads_bootstrap(server.port, api_type=api_type))
            until("the listener accepts", lambda: harness.accepts(ingress))
            bad = 0
            with harness.Load(ingress, connections=4) as load:
                for i in range(1, UPDATES + 1):
                    cluster, swapped = i // 2 % 2, (i + 1) // 2 % 2
                    if i % 10 == 0:
                        bad += 1
                        before = server.report()["nacks"]
                        server.tell(f"set {i}-bad {cluster} {swapped} bad")
                        until("the bad routes are refused",
                              lambda n=before: server.report()["nacks"] > n)
                    server.tell(f"set {i} {cluster} {swapped} good")
                    until(f"update {i} is in effect", lambda w="ab"[cluster ^ swapped]:
                          harness.get(ingress, "/").headers["x-origin"] == w)
            load.check()
            until("each response is answered", lambda: (lambda r: r["acks"] + r["nacks"] >=
                                                        r["responses"])(server.report()))
            report = server.report("end")
            assert report["streams"] == 1 and report["problems"] == 0, report
            assert sluice.end() == 0
    print(f"{api_type}: {UPDATES} updates, {bad} bad ones refused; {report}; {load.total()} requests, "
          "0 failed", flush=True)


harness.need("sluice", "origin")
classes = build()
for ads in ("GRPC", "DELTA_GRPC"):
    pair(classes, ads)
