"""An HTTP/2 client that sends the frames it is told to, also those that no library would.

Frames are built here; heads are packed and unpacked by hpack, which scripts/setup-peers installs.
"""

import glob
import struct
import sys

import twins

sys.path += glob.glob("build/peers/lib/python3*/site-packages")
try:
    import hpack
except ImportError:
    twins.skip("no hpack for the HTTP/2 client; scripts/setup-peers installs it")

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 0x20
ERRORS = ("NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED "
          "FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM "
          "INADEQUATE_SECURITY HTTP_1_1_REQUIRED").split()
WINDOW = 1 << 24


class H2Client(twins.Client):
    """One connection. What came on a stream is in events(stream): ("headers", [(name, value)]),
    ("data", bytes), ("end", None), ("reset", code), ("goaway", code), ("closed", None)."""

    def __init__(self, port):
        super().__init__(port)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.next_stream = 1
        self.streams = {}
        self.over = None  # how the connection ended
        self.settings = {}
        self.waiting = b""
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.frame(SETTINGS, 0, 0, struct.pack(">HIHI", 2, 0, 4, WINDOW))
        self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW))
        self.flush()
        while not self.settings and self.over is None:
            self.step()

    def frame(self, kind, flags, stream, payload=b""):
        self.waiting += struct.pack(">I", len(payload))[1:]
        self.waiting += struct.pack(">BBI", kind, flags, stream) + payload

    def flush(self):
        """Sends what was built since the last call as one piece."""
        self.send(self.waiting)
        self.waiting = b""

    def head(self, stream, fields, end):
        block = self.encoder.encode([hpack.NeverIndexedHeaderTuple(n, v) for n, v in fields])
        flags = END_STREAM if end else 0
        first, rest = block[:16384], block[16384:]
        self.frame(HEADERS, flags | (0 if rest else END_HEADERS), stream, first)
        while rest:
            first, rest = rest[:16384], rest[16384:]
            self.frame(CONTINUATION, 0 if rest else END_HEADERS, stream, first)

    def open(self, fields, body=b"", trailers=None, end=True):
        """Sends a request; `end`: it is complete."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.streams[stream] = []
        self.head(stream, fields, end and not body and not trailers)
        if body:
            self.frame(DATA, END_STREAM if end and not trailers else 0, stream, body)
        if trailers:
            self.head(stream, trailers, True)
        return stream

    def reset(self, stream, code=8):
        self.frame(RST_STREAM, 0, stream, struct.pack(">I", code))

    def events(self, stream, until):
        """The stream's next events, to the first whose kind is in `until`."""
        taken = []
        self.flush()
        while True:
            while self.streams[stream]:
                taken.append(self.streams[stream].pop(0))
                if taken[-1][0] in until or taken[-1][0] == "reset":
                    return taken
            if self.over is not None:
                return [*taken, self.over]
            self.step()

    def step(self):
        """Reads one frame."""
        head = self.reader.take(9)
        if len(head) < 9:
            self.over = self.over or ("closed", None)
            return
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        payload = self.reader.take(int.from_bytes(head[:3], "big"))
        at = self.streams.get(stream, [])
        if flags & PADDED and kind in (DATA, HEADERS):
            payload = payload[1:len(payload) - payload[0]]
        if kind == HEADERS:
            if flags & PRIORITY:
                payload = payload[5:]
            while not flags & END_HEADERS:
                head = self.reader.take(9)
                flags |= head[4]
                payload += self.reader.take(int.from_bytes(head[:3], "big"))
            at.append(("headers", self.decoder.decode(payload, raw=True)))
        elif kind == DATA and payload:
            at.append(("data", payload))
        elif kind == RST_STREAM:
            at.append(("reset", ERRORS[struct.unpack(">I", payload)[0]]))
        elif kind == GOAWAY:
            code = struct.unpack(">I", payload[4:8])[0]
            if code != 0:
                self.over = ("goaway", ERRORS[code])
        elif kind == SETTINGS and not flags & ACK:
            for i in range(0, len(payload), 6):
                self.settings.update([struct.unpack(">HI", payload[i:i + 6])])
            self.settings.setdefault(0, 0)
            self.frame(SETTINGS, ACK, 0)
            self.flush()
        elif kind == PING and not flags & ACK:
            self.frame(PING, ACK, 0, payload)
            self.flush()
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            at.append(("end", None))
