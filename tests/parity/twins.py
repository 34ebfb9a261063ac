"""Two proxies with the same bootstrap, an origin that writes down what it received, and a client
that sends bytes as they are: what the parity tests are made of.

All is on loopback. Nothing sleeps for a fixed time; every wait ends with a condition or a limit.
"""

import glob
import json
import os
import pathlib
import re
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
TYPE = "type.googleapis.com/envoy."


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def find_envoy():
    """$SLUICE_ENVOY, or what scripts/setup-peers installed."""
    named = os.environ.get("SLUICE_ENVOY")
    if named:
        return named if os.access(named, os.X_OK) else skip(f"SLUICE_ENVOY={named} is no program")
    found = glob.glob("build/peers/lib/python3*/site-packages/envoy/_bin/envoy")
    return found[0] if found else skip("no Envoy to compare with; scripts/setup-peers installs it")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, condition, longest_s=LONGEST_S):
    end = time.monotonic() + longest_s
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {longest_s} s: {what}")
        time.sleep(0.005)
    return result


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Reader:
    """HTTP/1 messages from a socket, bytes kept as they came."""

    def __init__(self, connection):
        self.connection = connection
        self.buffer = b""
        self.ended = False

    def more(self):
        try:
            got = self.connection.recv(65536)
        except ConnectionResetError:
            got = b""
        self.ended = not got
        self.buffer += got
        return bool(got)

    def take_until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                return None
        taken, self.buffer = self.buffer.split(mark, 1)
        return taken

    def take(self, size):
        while len(self.buffer) < size and self.more():
            pass
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def head(self):
        """(first line, [field lines]) or None at the end."""
        raw = self.take_until(b"\r\n\r\n")
        if raw is None:
            return None
        lines = raw.decode("latin-1").split("\r\n")
        return lines[0], lines[1:]

    def chunked(self):
        """(body, [trailer lines])."""
        body = b""
        while (line := self.take_until(b"\r\n")) is not None:
            size = int(line.split(b";")[0], 16)
            if size == 0:
                trailers = []
                while line := self.take_until(b"\r\n"):
                    trailers.append(line.decode("latin-1"))
                return body, trailers
            body += self.take(size)
            self.take(2)
        return body, ["<cut>"]


def field(lines, name):
    for line in lines:
        if line.lower().startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return None


class Origin:
    """Answers with the script that the request's x-answer names, and keeps what it received."""

    def __init__(self, answers):
        self.answers = answers
        self.received = []
        self.under_way = 0  # heads whose body has not been read to its end
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = Reader(connection)
        try:
            with connection:
                while (head := reader.head()) and self._one(connection, reader, *head):
                    pass
        except OSError:
            pass  # the proxy has gone

    def _one(self, connection, reader, line, fields):
        with self.lock:
            self.under_way += 1
        answer = self.answers[field(fields, "x-answer") or "plain"]
        if field(fields, "expect") and answer.get("continue"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, trailers = b"", []
        entry = {"line": line, "headers": fields}
        if field(fields, "transfer-encoding") == "chunked":
            body, trailers = reader.chunked()
        elif length := field(fields, "content-length"):
            body = reader.take(int(length))
        entry |= {"body": body, "trailers": trailers}
        with self.lock:
            self.under_way = max(0, self.under_way - 1)
            self.received.append(entry)
        if answer.get("wait_for_close"):
            reader.more()
            return False
        connection.sendall(answer["bytes"])
        if answer.get("tunnel"):
            while (data := reader.take(1)):
                connection.sendall(data)
        return not answer.get("close")

    def take(self):
        """What came since the last call, bodies that do not end too."""
        try:
            until("bodies end", lambda: self.under_way == 0, longest_s=2)
        except AssertionError:
            self.under_way = 0
            self.received.append({"line": "a body that did not end", "headers": [], "body": b"",
                                  "trailers": []})
        with self.lock:
            taken, self.received = self.received, []
        return taken


class Client:
    """One connection that sends bytes and reads what comes. Its own port is used once in a run, so
    that a line of the access log belongs to one client."""
    used_ports = set()

    def __init__(self, port):
        refused = []
        while True:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=2)
            own = (port, self.socket.getsockname()[1])
            if own not in self.used_ports:
                break
            refused.append(self.socket)
        for s in refused:
            s.close()
        self.used_ports.add(own)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.socket)
        self.port = self.socket.getsockname()[1]

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # the proxy closed early; what it said before is read all the same

    def response(self, method=b"GET"):
        """One response as a dictionary, interim ones too; None at the end."""
        head = self.reader.head()
        if head is None:
            return None
        line, fields = head
        status = int(line.split()[1])
        body, trailers = b"", []
        bare = method == b"HEAD" or (method == b"CONNECT" and status < 300)
        if not (bare or status in (204, 304) or status < 200):
            if field(fields, "transfer-encoding") == "chunked":
                body, trailers = self.reader.chunked()
            elif (length := field(fields, "content-length")) is not None:
                body = self.reader.take(int(length))
            else:
                while self.reader.more():
                    pass
                body, self.reader.buffer = self.reader.buffer, b""
        return {"line": line, "status": status, "headers": fields, "body": body,
                "trailers": trailers}


class Proxy:
    """A running proxy, its origin, and what its log says."""

    def __init__(self, name, folder, command, answers):
        self.name = name
        self.folder = folder
        self.command = command
        self.origin = Origin(answers)
        self.dead_port = free_port()
        self.ports = {}
        self.access_log = folder / f"{name}.access"
        self.output = folder / f"{name}.out"
        self.process = None

    def port(self, listener):
        while listener not in self.ports:
            if (port := free_port()) not in (*self.ports.values(), self.dead_port):
                self.ports[listener] = port
        return self.ports[listener]

    def start(self, bootstrap):
        config = self.folder / f"{self.name}.json"
        config.write_text(json.dumps(bootstrap, indent=1))
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                [*self.command, "-c", str(config), "--concurrency", "1",
                 "--file-flush-interval-msec", "20"], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out)
        until(f"{self.name} listens", self._listens)

    def _listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended ({self.process.returncode}):\n" +
                                 self.output.read_text(errors="replace")[-4000:])
        return all(accepts(port) for name, port in self.ports.items() if name != "admin")

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def admin(self, path):
        client = Client(self.port("admin"))
        client.send(f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
        return client.response()

    def stats(self):
        text = self.admin("/stats")["body"].decode()
        return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def listener(proxy, name, virtual_hosts, log_format, **options):
    """One HTTP listener of `proxy` as a dictionary; `options` are the connection manager's."""
    hcm = {
        "@type": TYPE + "extensions.filters.network.http_connection_manager.v3."
                        "HttpConnectionManager",
        "stat_prefix": name, "delayed_close_timeout": "0.05s",
        "route_config": {"name": "routes", "virtual_hosts": virtual_hosts},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": TYPE + "extensions.filters.http.router.v3.Router"}}],
        "access_log": [{"name": "file", "typed_config": {
            "@type": TYPE + "extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(proxy.access_log),
            "log_format": {"text_format_source": {"inline_string": log_format}}}}],
    } | options
    return {
        "name": name, "address": address(proxy.port(name)),
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": hcm}]}],
    }


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name, ports, **options):
    return {
        "name": name, "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": address(port)}} for port in ports]}]},
    } | options


class Folder:
    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="sluice-parity-"))
        return self.path

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.path)


UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
DATE = re.compile(r"\b[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT\b")
SERVICE_TIME = re.compile(r"(x-envoy-upstream-service-time: )\d+")


def normalise(text, proxy, client_port):
    """Takes out what differs between two runs of the same proxy."""
    text = UUID.sub("<uuid>", text)
    text = DATE.sub("<date>", text)
    text = SERVICE_TIME.sub(r"\1<ms>", text)
    if text == f"server: {proxy.name}":
        return "server: <own>"  # each says its own name
    text = text.replace(f":{proxy.origin.port}", ":<origin>")
    text = text.replace(f":{proxy.dead_port}", ":<dead>")
    text = text.replace(f":{client_port}", ":<client>")
    for name, port in proxy.ports.items():
        text = text.replace(f":{port}", f":<{name}>")
    return text
