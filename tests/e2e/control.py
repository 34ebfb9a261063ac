"""Control planes that misbehave: mock-cp through its HTTP interface, a relay that goes dead between
it and Sluice, and a server that sends one gRPC message without end."""

import http.client
import json
import select
import socket
import struct
import threading
import time

import harness

PATIENCE_MS = 20000


class Mock:
    """mock-cp and what its HTTP interface does (docs/mock_cp.md)."""

    def __init__(self, site, port):
        self.admin = harness.free_port()
        log = site.folder / "mock-cp.log"  # the one before wrote there, too
        said = log.read_text().count("serving on port") if log.exists() else 0
        self.program = site.control_plane(port, "--admin", self.admin)
        harness.until("mock-cp serves",
                      lambda: self.program.said().count("serving on port") > said)

    def call(self, method, path, body=None):
        """Returns status and what the JSON says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=60)
        try:
            connection.request(method, path, body=body)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def good(self, method, path, body=None):
        status, answer = self.call(method, path, body)
        assert status == 200, f"{method} {path}: {status} {answer}"
        return answer

    def put(self, text):
        """Sets resources; returns the versions of all types."""
        return self.good("PUT", "/resources", text)["versions"]

    def touch(self, kind):
        return self.good("POST", f"/touch?type={kind}")["versions"]

    def fault(self, text):
        return self.good("POST", f"/faults?{text}")["id"]

    def honest(self):
        self.good("DELETE", "/faults")

    def answered(self, kind, version, how="ack"):
        self.good("GET", f"/wait?type={kind}&version={version}&as={how}&timeout_ms={PATIENCE_MS}")

    def type_record(self, kind):
        """What the open stream said of a type."""
        for stream in self.good("GET", "/clients?open=true&events=0"):
            if kind in stream["types"]:
                return stream["types"][kind]
        return {}

    def check(self):
        status, answer = self.call("GET", "/check")
        assert status == 200, answer


class Listening:
    """A server with a thread for each of its connections, all of which end with it."""

    def __init__(self, port=0):
        self.stopped = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(0.05)
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept)]

    def __enter__(self):
        self.threads[0].start()
        return self

    def __exit__(self, *exception):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        self.listener.close()

    def _accept(self):
        while not self.stopped.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                continue
            thread = threading.Thread(target=self._serve, args=(client,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, client):
        with client:
            try:
                self._talk(client)
            except OSError:
                pass


class Relay(Listening):
    """Hands bytes on between clients and a server on loopback, as long as it is not `dead`: then
    it reads and writes nothing and closes nothing, as a network that lost its way. `pace_s` is how
    long it rests behind each `piece` bytes."""

    def __init__(self, target):
        super().__init__()
        self.target = target
        self.dead = threading.Event()
        self.pace_s, self.piece = 0, 65536

    def _talk(self, client):
        with socket.create_connection(("127.0.0.1", self.target), timeout=5) as server:
            self._run(client, server)

    def _run(self, client, server):
        lost = False  # what was dead once stays so; only new connections come through
        while not self.stopped.is_set():
            lost = lost or self.dead.is_set()
            if lost:
                self.stopped.wait(0.05)
                continue
            ready, _, _ = select.select([client, server], [], [], 0.05)
            for end in ready:
                try:
                    data = end.recv(self.piece)
                    if not data or self.dead.is_set():
                        lost = self.dead.is_set()
                        if not lost:
                            return
                        break
                    (server if end is client else client).sendall(data)
                except OSError:
                    return
                if self.pace_s:
                    time.sleep(self.pace_s)


class EndlessMessage(Listening):
    """An HTTP/2 server that answers each call with one gRPC message of `length` bytes, which it
    sends for as long as the client takes it."""

    PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    HEADERS = bytes([0x88, 0x0f, 0x10, 16]) + b"application/grpc"  # :status 200, content-type
    DATA, HEADERS_FRAME, RST, SETTINGS, PING, WINDOW = 0, 1, 3, 4, 6, 8

    def __init__(self, port, length):
        super().__init__(port)
        self.length = length
        self.sent = 0
        self.calls = 0
        self.resets = 0

    @staticmethod
    def _frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
            ">I", stream) + payload

    def _talk(self, client):
        client.settimeout(0.05)
        client.sendall(self._frame(self.SETTINGS, 0, 0, b""))
        received = bytearray()
        windows, initial, connection = {}, 65535, 65535
        while not self.stopped.is_set():
            try:
                data = client.recv(65536)
                if not data:
                    return
                received += data
            except TimeoutError:
                pass
            if received.startswith(self.PREFACE):
                del received[:len(self.PREFACE)]
            while len(received) >= 9 and not self.PREFACE.startswith(bytes(received[:9])):
                size = int.from_bytes(received[:3], "big")
                if len(received) < 9 + size:
                    break
                kind, flags = received[3], received[4]
                stream = int.from_bytes(received[5:9], "big") & 0x7fffffff
                payload = bytes(received[9:9 + size])
                del received[:9 + size]
                if kind == self.SETTINGS and not flags & 1:
                    for i in range(0, size, 6):
                        name, value = struct.unpack(">HI", payload[i:i + 6])
                        if name == 4:
                            initial = value
                    client.sendall(self._frame(self.SETTINGS, 1, 0, b""))
                elif kind == self.PING and not flags & 1:
                    client.sendall(self._frame(self.PING, 1, 0, payload))
                elif kind == self.WINDOW:
                    step = int.from_bytes(payload, "big") & 0x7fffffff
                    if stream == 0:
                        connection += step
                    elif stream in windows:
                        windows[stream] += step
                elif kind == self.HEADERS_FRAME:
                    self.calls += 1
                    windows[stream] = initial
                    client.sendall(self._frame(self.HEADERS_FRAME, 4, stream, self.HEADERS))
                    head = b"\0" + struct.pack(">I", self.length)
                    client.sendall(self._frame(self.DATA, 0, stream, head))
                    windows[stream] -= len(head)
                    connection -= len(head)
                elif kind == self.RST:
                    self.resets += 1
                    windows.pop(stream, None)
            client.settimeout(5)
            for stream in windows:
                while windows[stream] > 0 and connection > 0:
                    n = min(16384, windows[stream], connection)
                    client.sendall(self._frame(self.DATA, 0, stream, bytes(n)))
                    windows[stream] -= n
                    connection -= n
                    self.sent += n
            client.settimeout(0.001)


def memory_mib(program, what="VmRSS"):
    """VmRSS: now, VmHWM: the most so far."""
    for line in open(f"/proc/{program.process.pid}/status", encoding="ascii"):
        if line.startswith(what + ":"):
            return int(line.split()[1]) / 1024
    raise AssertionError(what)
