"""Real processes on loopback for the end-to-end tests: Sluice, mock-cp, origins, and load.

Everything waits for conditions, nothing sleeps for a fixed time; what a test starts is stopped when
its `with Site(...)` ends. The tests end with a line that says what was counted.
"""

import http.client
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BIN = pathlib.Path(os.environ.get("SLUICE_BIN_DIR", "build/release")).resolve()
LONGEST_S = 20

ADS = "{ ads: {}, resource_api_version: V3 }"
HCM = ("type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
       "HttpConnectionManager")
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
HTTP_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def need(*programs):
    """Skips the test where a program has not been built."""
    missing = [p for p in programs if not (BIN / p).exists()]
    if missing:
        print(f"skipped: not built: {', '.join(missing)} in {BIN}")
        sys.exit(77)


def free_port():
    """Of those that connections do not take: a server may end and come back on it."""
    while True:
        port = random.randrange(16384, 32768)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def until(what, condition, longest_s=LONGEST_S):
    """Calls `condition` until it gives something true, and returns that."""
    end = time.monotonic() + longest_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {longest_s} s: {what}")
        time.sleep(0.005)


def address(port):
    return f"{{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}"


def listener(name, port, routes, more=""):
    """One HTTP listener; `routes` is the connection manager's route source, `more` its other
    fields, both as YAML in braces without these."""
    return f"""{{ name: {name}, address: {address(port)},
  filter_chains: [ {{ filters: [ {{ name: hcm, typed_config: {{
    "@type": "{HCM}", stat_prefix: in, {more} {routes},
    http_filters: [ {{ name: router, typed_config: {{ "@type": "{ROUTER}" }} }} ] }} }} ] }} ] }}
"""


def rds(name):
    return f"rds: {{ route_config_name: {name}, config_source: {ADS} }}"


def load_assignment(cluster, port):
    return f"""{{ cluster_name: {cluster}, endpoints: [ {{ lb_endpoints: [
  {{ endpoint: {{ address: {address(port)} }} }} ] }} ] }}
"""


def static_cluster(name, port, more=""):
    return (f"{{ name: {name}, type: STATIC, connect_timeout: 1s, {more} "
            f"load_assignment: {load_assignment(name, port)} }}\n")


def eds_cluster(name):
    return (f"{{ name: {name}, type: EDS, connect_timeout: 1s, "
            f"eds_cluster_config: {{ eds_config: {ADS} }} }}\n")


def route_config(name, cluster):
    return (f"{{ name: {name}, virtual_hosts: [ {{ name: all, domains: ['*'], routes: [ "
            f"{{ match: {{ prefix: / }}, route: {{ cluster: {cluster} }} }} ] }} ] }}\n")


def static_bootstrap(listeners=(), clusters=()):
    text = "static_resources:\n  listeners:\n"
    text += "".join(f"  - {x}" for x in listeners) if listeners else "  []\n"
    text += "  clusters:\n"
    return text + ("".join(f"  - {x}" for x in clusters) if clusters else "  []\n")


def http2(options=""):
    """What makes a cluster speak HTTP/2, for `more` of static_cluster()."""
    return (f'typed_extension_protocol_options: {{ envoy.extensions.upstreams.http.v3.'
            f'HttpProtocolOptions: {{ "@type": "{HTTP_OPTIONS}", explicit_http_config: '
            f'{{ http2_protocol_options: {{ {options} }} }} }} }},')


def ads_bootstrap(control_port, http2_options="", api_type="GRPC"):
    return f"""node: {{ id: test, cluster: test }}
dynamic_resources:
  ads_config:
    api_type: {api_type}
    transport_api_version: V3
    grpc_services: [ {{ envoy_grpc: {{ cluster_name: control }} }} ]
  lds_config: {ADS}
  cds_config: {ADS}
{static_bootstrap(clusters=[static_cluster("control", control_port, http2(http2_options))])}"""


def takes(bootstrap):
    """Whether Sluice has what the bootstrap asks for: it refuses what it has not."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(bootstrap)
        config.flush()
        return subprocess.run([BIN / "sluice", "-c", config.name, "--mode", "validate"],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=LONGEST_S).returncode == 0


def ads_types():
    """State of the world, and incremental where Sluice has it."""
    if takes(ads_bootstrap(1, api_type="DELTA_GRPC")):
        return ["GRPC", "DELTA_GRPC"]
    print("skipped: incremental ADS, which this Sluice refuses")
    return ["GRPC"]


class Program:
    """A running program and what it has said."""

    def __init__(self, log, *args):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)

    def said(self):
        return self.log.read_text(errors="replace")

    def says(self, text):
        def look():
            if text in self.said():
                return True
            if self.process.poll() is not None:
                raise AssertionError(f"{self.log.stem} ended ({self.process.returncode}) without "
                                     f"saying {text!r}:\n{self.said()}")
            return False
        until(f"{self.log.stem} says {text!r}; it said:\n{self.said()[-2000:]}", look)

    def end(self, how=signal.SIGTERM, longest_s=LONGEST_S):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(longest_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.log.stem} did not end within {longest_s} s of signal "
                                 f"{how}:\n{self.said()[-2000:]}") from None


class Site:
    """A folder and the processes that were started in it."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-e2e-"))
        self.resources = self.folder / "resources"
        self.resources.mkdir()
        self.programs = []
        return self

    def __exit__(self, kind, value, trace):
        for program in reversed(self.programs):
            if program.process.poll() is None:
                program.end(signal.SIGKILL)
        if kind is not None:
            for program in self.programs:
                print(f"---- {program.log.name}\n{program.said()[-3000:]}", file=sys.stderr)
        shutil.rmtree(self.folder)

    def start(self, log, *args):
        program = Program(self.folder / f"{log}.log", *args)
        self.programs.append(program)
        return program

    def origin(self, name, port=0, host="127.0.0.1"):
        """Returns its port."""
        program = self.start(f"origin-{name}", BIN / "origin", port, name, host)
        program.says("listening on ")
        return int(program.said().split("listening on ")[1].split()[0])

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def resource(self, name, text):
        """Puts a file into the control plane's folder by a rename, so that it is whole."""
        self.file(name, text).rename(self.resources / name)

    def control_plane(self, port, *flags):
        return self.start("mock-cp", BIN / "mock-cp", "--listen", f"127.0.0.1:{port}",
                          "--resources", self.resources, *flags)

    def sluice(self, bootstrap, *flags):
        config = self.file("bootstrap.yaml", bootstrap)
        return self.start("sluice", BIN / "sluice", "-c", config, "--concurrency", 2, *flags)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


def get(port, path="/", headers=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Load:
    """Requests without pause on some connections, half of them kept alive, half new for each
    request; everything but a 200 of an origin is a failure."""

    def __init__(self, port, connections=8, path="/bytes/100"):
        self.port, self.path = port, path
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.by_origin = {}
        self.failures = []
        self.threads = [threading.Thread(target=self._run, args=(i % 2 == 0,))
                        for i in range(connections)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        until("the load runs", lambda: self.total() > 100 or self.failures)
        return self

    def __exit__(self, *exception):
        self.stop.set()
        for t in self.threads:
            t.join()

    def total(self):
        with self.lock:
            return sum(self.by_origin.values())

    def _run(self, keep_alive):
        connection = None
        while not self.stop.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                connection.request("GET", self.path)
                response = connection.getresponse()
                body = response.read()
                origin = response.headers.get("x-origin")
                ok = response.status == 200 and len(body) == 100 and origin
                with self.lock:
                    if ok:
                        self.by_origin[origin] = self.by_origin.get(origin, 0) + 1
                    else:
                        self.failures.append(f"{response.status} {body[:200]!r}")
                if keep_alive and ok:
                    continue
            except (OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.failures.append(repr(error))
            connection.close()
            connection = None

    def check(self):
        if self.failures:
            kinds = {}
            for f in self.failures:
                kinds[f] = kinds.get(f, 0) + 1
            raise AssertionError(f"{len(self.failures)} of {self.total()} requests failed: {kinds}")
