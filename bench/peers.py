"""The proxies that bench/compare measures: how each is configured for a scenario, and started.

All listen on loopback with one worker, pinned to one core, access log off. `Setting` says what a
scenario asks for; a peer that cannot do it says so by returning None.
"""

import dataclasses
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

TYPE = "type.googleapis.com/envoy."
PROXY_CORE, LOAD_CORE = "0", "1"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Features: forwarded headers, request id and path normalisation, all on or all off (as far as
    the peer allows); how many prefix routes or hosts stand before the one that is asked for; and
    where HTTP/2 without TLS is spoken instead of HTTP/1.1."""
    features: bool = True
    routes: int = 1
    hosts: int = 1
    h2_clients: bool = False
    h2_origin: bool = False


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process, name, log, longest_s=60):
    begin = time.monotonic()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return time.monotonic() - begin
        except OSError:
            if process.poll() is not None or time.monotonic() - begin > longest_s:
                raise RuntimeError(f"{name} does not listen:\n" +
                                   log.read_text(errors="replace")[-2000:]) from None
            time.sleep(0.0005)


def family(pid):
    """The process and its descendants."""
    pids = [pid]
    for p in pids:
        for children in glob.glob(f"/proc/{p}/task/*/children"):
            try:
                pids += [int(c) for c in pathlib.Path(children).read_text().split()]
            except OSError:
                pass
    return pids


class Running:
    """A started proxy."""

    def __init__(self, name, command, port, folder):
        self.name, self.port = name, port
        log = folder / f"{name}.{port}.log"
        with open(log, "wb") as out:
            begin = time.monotonic()
            self.process = subprocess.Popen(["taskset", "-c", PROXY_CORE, *map(str, command)],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            wait_for(port, self.process, name, log)
        except RuntimeError:
            self.stop()
            raise
        self.ready_s = time.monotonic() - begin
        self.pids = family(self.process.pid)

    def cpu_s(self):
        """CPU time of all its threads, from the scheduler's own nanoseconds."""
        total = 0
        for pid in family(self.process.pid):
            for stat in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                total += int(pathlib.Path(stat).read_text().split()[0])
        return total / 1e9

    def resident_kib(self):
        """Of the first process all that is resident, of those that it forked what is their own."""
        total = 0
        for i, pid in enumerate(family(self.process.pid)):
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            key = "Private_Dirty" if i > 0 else "Rss"
            total += int(re.search(key + r":\s+(\d+)", text).group(1))
        return total

    def switches(self):
        """How often its threads went to sleep."""
        total = 0
        for pid in family(self.process.pid):
            for status in glob.glob(f"/proc/{pid}/task/*/status"):
                text = pathlib.Path(status).read_text()
                total += int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", text).group(1))
        return total

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                for pid in reversed(family(self.process.pid)):
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()


def first_line(*command):
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    return (out.stdout + out.stderr).strip().splitlines()[0].strip()


# ---- Envoy's bootstrap, which Sluice reads too.

def envoy_routes(setting):
    to = {"cluster": "origin", "timeout": "15s"}
    routes = [{"match": {"prefix": f"/service/{i}/"}, "route": to}
              for i in range(1, setting.routes)] + [{"match": {"prefix": "/"}, "route": to}]
    if setting.hosts == 1:
        return [{"name": "all", "domains": ["*"], "routes": routes}]
    return [{"name": f"h{i}", "domains": [f"h{i}.example"], "routes": routes}
            for i in range(setting.hosts)]


def bootstrap(setting, port, upstream):
    def address(p):
        return {"socket_address": {"address": "127.0.0.1", "port_value": p}}
    on = setting.features
    hcm = {
        "@type": TYPE + "extensions.filters.network.http_connection_manager.v3."
                        "HttpConnectionManager",
        "codec_type": "HTTP2" if setting.h2_clients else "HTTP1",
        "stat_prefix": "in", "use_remote_address": on, "normalize_path": on, "merge_slashes": on,
        "generate_request_id": on, "skip_xff_append": not on,
        "server_header_transformation": "OVERWRITE" if on else "PASS_THROUGH",
        "route_config": {"name": "routes", "virtual_hosts": envoy_routes(setting)},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": TYPE + "extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": not on}}],
    }
    http2 = {"typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}}} if setting.h2_origin else {}
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), 1000000)
    return {"static_resources": {
        "listeners": [{"name": "in", "address": address(port), "filter_chains": [{"filters": [
            {"name": "hcm", "typed_config": hcm}]}]}],
        "clusters": [{"name": "origin", "type": "STATIC", "connect_timeout": "1s",
                      **http2, "circuit_breakers": {"thresholds": [limits]},
                      "load_assignment": {"cluster_name": "origin", "endpoints": [
                          {"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]}}]}}


class Floor:
    """The bare relay: moves the same bytes and understands none."""
    name = "floor"

    def __init__(self, bin_dir):
        self.program = bin_dir / "floor"

    def found(self):
        return self.program.exists()

    def version(self):
        return "bare relay of this repository"

    def command(self, setting, port, upstream, folder):
        if setting.routes > 1 or setting.hosts > 1 or setting.h2_clients:
            return None
        return [self.program, port, upstream]


class Sluice:
    """The release binary with a bootstrap."""
    name = "sluice"

    def __init__(self, bin_dir):
        self.program = bin_dir / "sluice"

    def found(self):
        return self.program.exists()

    def version(self):
        return first_line(self.program, "--version")

    def command(self, setting, port, upstream, folder):
        config = folder / f"sluice.{port}.json"
        config.write_text(json.dumps(bootstrap(setting, port, upstream)))
        return [self.program, "-c", config, "--concurrency", "1", "-l", "warning",
                "--drain-time-s", "1"]


class StaticProxy(Sluice):
    """Sluice's data plane from tables written by hand: the same without xDS in the process."""
    name = "static"

    def __init__(self, bin_dir):
        super().__init__(bin_dir)
        self.program = bin_dir / "bench" / "static_proxy"

    def version(self):
        return "Sluice's data plane from tables written by hand"

    def command(self, setting, port, upstream, folder):
        if setting.hosts > 1 or setting.h2_clients:
            return None
        return [self.program, port, upstream, "1", f"routes={setting.routes}",
                *(["edge"] if setting.features else [])]


class Envoy:
    name = "envoy"

    def __init__(self, bin_dir):
        del bin_dir
        named = os.environ.get("SLUICE_ENVOY")
        found = [named] if named else glob.glob(
            "build/peers/lib/python3*/site-packages/envoy/_bin/envoy")
        self.program = found[0] if found else None

    def found(self):
        return self.program is not None and os.access(self.program, os.X_OK)

    def version(self):
        out = subprocess.run([self.program, "--version"], capture_output=True, text=True,
                             check=False).stdout
        return "Envoy " + re.search(r"/(\d+\.\d+\.\d+)/", out).group(1)

    def command(self, setting, port, upstream, folder):
        config = folder / f"envoy.{port}.json"
        config.write_text(json.dumps(bootstrap(setting, port, upstream)))
        return [self.program, "-c", config, "--concurrency", "1", "--use-dynamic-base-id",
                "-l", "error"]


class Nginx:
    name = "nginx"
    CONF = """
worker_processes 1; daemon off; pid FOLDER/nginx.PORT.pid; error_log FOLDER/nginx.PORT.err;
worker_rlimit_nofile 20000;
events { worker_connections 19000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
  server_names_hash_max_size 65536; server_names_hash_bucket_size 128;
  client_body_temp_path FOLDER/nb; proxy_temp_path FOLDER/np; fastcgi_temp_path FOLDER/nf;
  scgi_temp_path FOLDER/ns; uwsgi_temp_path FOLDER/nu;
  upstream origin { server 127.0.0.1:UPSTREAM; keepalive 512; keepalive_requests 1000000000; }
  proxy_http_version 1.1; proxy_set_header Connection "";
FEATURES
SERVERS
}
"""
    FEATURES = """  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id;"""

    def __init__(self, bin_dir):
        del bin_dir
        self.program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")

    def found(self):
        return self.program is not None

    def version(self):
        return first_line(self.program, "-v")

    def command(self, setting, port, upstream, folder):
        if setting.h2_origin:
            return None
        http2 = " http2" if setting.h2_clients else ""
        locations = "".join(f"location /service/{i}/ {{ proxy_pass http://origin; }}\n"
                            for i in range(1, setting.routes))
        locations += "location / { proxy_pass http://origin; }\n"
        names = ["_"] if setting.hosts == 1 else [f"h{i}.example" for i in range(setting.hosts)]
        servers = "".join(f"server {{ listen 127.0.0.1:{port}{http2}; server_name {n};\n{locations}}}\n"
                          for n in names)
        text = self.CONF.replace("FEATURES", self.FEATURES if setting.features else "")
        for key, value in (("SERVERS", servers), ("FOLDER", str(folder)), ("PORT", str(port)),
                           ("UPSTREAM", str(upstream))):
            text = text.replace(key, value)
        config = folder / f"nginx.{port}.conf"
        config.write_text(text)
        return [self.program, "-c", config, "-p", folder]


class Haproxy:
    name = "haproxy"
    CONF = """
global
  nbthread 1
  maxconn 9900
  expose-experimental-directives
defaults
  mode http
  timeout client 3600s
  timeout server 60s
  timeout connect 5s
  timeout http-keep-alive 3600s
frontend f
  bind 127.0.0.1:PORT CLIENTS
  maxconn 9900
FEATURES
ROUTES
  default_backend origin
backend origin
  http-reuse always
  server s 127.0.0.1:UPSTREAM ORIGIN
"""
    FEATURES = """  option forwardfor
  http-request normalize-uri path-merge-slashes
  http-request normalize-uri path-strip-dotdot
  http-request set-header X-Forwarded-Proto http
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id"""

    def __init__(self, bin_dir):
        del bin_dir
        self.program = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")

    def found(self):
        return self.program is not None

    def version(self):
        return first_line(self.program, "-v").split(" - ")[0]

    def command(self, setting, port, upstream, folder):
        routes = ""
        table = folder / f"haproxy.{port}.map"
        if setting.routes > 1:
            table.write_text("".join(f"/service/{i}/ origin\n" for i in range(1, setting.routes)))
            routes = f"  use_backend %[path,map_beg({table},origin)]"
        elif setting.hosts > 1:
            table.write_text("".join(f"h{i}.example origin\n" for i in range(setting.hosts)))
            routes = f"  use_backend %[req.hdr(host),lower,map_str({table},origin)]"
        text = self.CONF.replace("FEATURES", self.FEATURES if setting.features else "")
        for key, value in (("ROUTES", routes), ("UPSTREAM", str(upstream)), ("PORT", str(port)),
                           ("CLIENTS", "proto h2" if setting.h2_clients else ""),
                           ("ORIGIN", "proto h2" if setting.h2_origin else "")):
            text = text.replace(key, value)
        config = folder / f"haproxy.{port}.cfg"
        config.write_text(text)
        return [self.program, "-f", config, "-db"]


class Nghttpx:
    """It has no request ids; paths are always normalised."""
    name = "nghttpx"

    def __init__(self, bin_dir):
        del bin_dir
        self.program = shutil.which("nghttpx")

    def found(self):
        return self.program is not None

    def version(self):
        return first_line(self.program, "--version")

    def command(self, setting, port, upstream, folder):
        patterns = [""]
        if setting.routes > 1:
            patterns += [f";/service/{i}/" for i in range(1, setting.routes)]
        elif setting.hosts > 1:
            patterns += [f";h{i}.example" for i in range(setting.hosts)]
        lines = [f"frontend=127.0.0.1,{port};no-tls", "workers=1", "errorlog-file=/dev/null",
                 "no-ocsp=yes", "backend-connections-per-host=512", "rlimit-nofile=20000",
                 "worker-frontend-connections=0", "frontend-keep-alive-timeout=3600"]
        http2 = ";proto=h2" if setting.h2_origin else ""
        lines += [f"backend=127.0.0.1,{upstream}{p or ';'}{http2}" for p in patterns]
        lines += (["add-x-forwarded-for=yes"] if setting.features else
                  ["no-via=yes", "no-add-x-forwarded-proto=yes", "no-server-rewrite=yes"])
        config = folder / f"nghttpx.{port}.conf"
        config.write_text("\n".join(lines) + "\n")
        return [self.program, f"--conf={config}"]


class H2o:
    """In the HTTP/2 scenarios only. It has no request ids and speaks HTTP/1.1 to origins."""
    name = "h2o"

    def __init__(self, bin_dir):
        del bin_dir
        self.program = shutil.which("h2o")

    def found(self):
        return self.program is not None

    def version(self):
        return first_line(self.program, "--version")

    def command(self, setting, port, upstream, folder):
        if not setting.h2_clients or setting.h2_origin:
            return None
        config = folder / f"h2o.{port}.json"  # JSON is YAML
        config.write_text(json.dumps({
            "listen": {"host": "127.0.0.1", "port": port}, "num-threads": 1,
            "hosts": {"default": {"paths": {"/": {
                "proxy.reverse.url": f"http://127.0.0.1:{upstream}"}}}},
            "proxy.preserve-host": "ON",
            "proxy.emit-x-forwarded-headers": "ON" if setting.features else "OFF"}))
        return [self.program, "-m", "worker", "-c", config]


ALL = [Floor, Sluice, StaticProxy, Nginx, Haproxy, Nghttpx, H2o, Envoy]
