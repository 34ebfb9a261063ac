#!/usr/bin/env python3
"""Sluice paired with go-control-plane's own caches and server, in each way that people use them:
updates without pause while requests flow. No request fails, every version comes into effect, every
response is answered once, and each bad resource is refused by name.

    tests/pairing/go_control_plane_test.py [--updates N] [MODE...]

Runs where Go is present and can fetch its modules; skipped (77) elsewhere. The short form, which the
tests run, is 300 updates a mode; `--updates 5000` is the long one.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import harness  # noqa: E402

MODES = {
    "ads": "snapshot cache, state of the world over ADS",
    "linear": "a mux of linear caches, state of the world over ADS",
    "delta": "snapshot cache, incremental over ADS",
    "delta-linear": "a mux of linear caches, incremental over ADS",
    "types": "snapshot cache, state of the world, a stream for each type",
    "delta-types": "snapshot cache, incremental, a stream for each type",
    "rest": "snapshot cache, polled over REST",
}
ALWAYS = ("ads", "linear")  # the others are skipped while Sluice refuses their bootstrap


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def build():
    """Returns the program. Go's own cache makes a second time quick."""
    if shutil.which("go") is None:
        skip("no Go here")
    environment = dict(os.environ, GOFLAGS="-mod=readonly", GOTOOLCHAIN="local")
    fetched = subprocess.run(["go", "mod", "download"], cwd=HERE, env=environment,
                             capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        skip(f"Go's modules cannot be fetched: {fetched.stderr[-500:]}")
    program = harness.BIN / "pairing"
    subprocess.run(["go", "build", "-o", program, "."], cwd=HERE, env=environment, check=True)
    return program


def config_source(mode):
    grpc = "grpc_services: [ { envoy_grpc: { cluster_name: control } } ]"
    sources = {
        "types": f"api_type: GRPC, {grpc}",
        "delta-types": f"api_type: DELTA_GRPC, {grpc}",
        "rest": "api_type: REST, cluster_names: [control], refresh_delay: 0.05s",
    }
    if mode not in sources:
        return harness.ADS
    return ("{ resource_api_version: V3, api_config_source: { transport_api_version: V3, "
            f"{sources[mode]} }} }}")


def bootstrap(mode, port):
    http2 = "" if mode == "rest" else harness.http2()
    ads = ""
    if config_source(mode) == harness.ADS:
        ads = (f"ads_config: {{ api_type: {'DELTA_GRPC' if 'delta' in mode else 'GRPC'}, "
               "transport_api_version: V3, "
               "grpc_services: [ { envoy_grpc: { cluster_name: control } } ] }")
    return f"""node: {{ id: pairing, cluster: test }}
dynamic_resources:
  {ads}
  lds_config: {config_source(mode)}
  cds_config: {config_source(mode)}
{harness.static_bootstrap(clusters=[harness.static_cluster("control", port, http2)])}"""


def pair(program, mode, updates):
    with harness.Site() as site:
        origins = [site.origin("a"), site.origin("b")]
        ingress = harness.free_port()
        log = site.folder / "pairing.log"
        with open(log, "wb") as errors:
            control = subprocess.Popen(
                [program, "-mode", mode, "-ingress", str(ingress), "-updates", str(updates),
                 "-origins", ",".join(map(str, origins))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            port = int(control.stdout.readline().split()[-1])
            sluice = site.sluice(bootstrap(mode, port))
            longest = 60 + updates
            out, _ = control.communicate("go\n", timeout=longest)
        finally:
            control.kill()
            control.wait()
        if control.returncode != 0:
            raise AssertionError(f"{mode}: {log.read_text()}\n{out}")
        report = json.loads(out.splitlines()[-1])
        assert report["updates"] == updates, report
        assert report["failed"] == 0 and report["requests"] > updates, report
        assert not report["problems"], report
        if mode != "rest":
            assert report["nacks"] >= report["bad_updates"] > 0, report
        assert sluice.end() == 0
        return report


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("modes", nargs="*")
    args = parser.parse_args()
    harness.need("sluice", "origin")
    program = build()
    for mode in args.modes or MODES:
        if mode not in ALWAYS and not harness.takes(bootstrap(mode, 1)):
            print(f"{mode}: skipped: Sluice refuses its bootstrap ({MODES[mode]})")
            continue
        r = pair(program, mode, args.updates)
        print(f"{mode}: {r['updates']} updates and {r['bad_updates']} bad ones, {r['acks']} ACKs, "
              f"{r['nacks']} NACKs, {r['streams']} streams; {r['requests']} requests, 0 failed; "
              f"in effect after {r['effect_median_ms']:.1f} ms (median), "
              f"{r['effect_longest_ms']:.1f} ms (longest)", flush=True)


main()
