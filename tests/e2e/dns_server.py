"""A DNS server on loopback for the end-to-end tests: A records over UDP, changed while it runs."""

import socket
import struct
import threading


class DnsServer:
    """Answers with what `records` says: {name: [addresses]}. Names that are missing do not exist;
    None is silence. `ttl_s` is every record's."""

    def __init__(self, records, ttl_s=1):
        self.records, self.ttl_s = dict(records), ttl_s
        self.questions = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.05)
        self.port = self.socket.getsockname()[1]
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.stop.set()
        self.thread.join()
        self.socket.close()

    def _run(self):
        while not self.stop.is_set():
            try:
                message, peer = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            answer = self._answer(message)
            if answer:
                self.socket.sendto(answer, peer)

    def _answer(self, message):
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        kind = struct.unpack_from("!H", message, at + 1)[0]
        name = ".".join(labels)
        self.questions += 1
        known = name in self.records
        addresses = self.records.get(name, [])
        if addresses is None:
            return None
        if kind != 1:
            addresses = []
        out = message[:2] + struct.pack("!HHHHH", 0x8180 | (0 if known else 3), 1, len(addresses),
                                        0, 0) + message[12:at + 5]
        for address in addresses:
            out += b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, self.ttl_s, 4)
            out += socket.inet_aton(address)
        return out
