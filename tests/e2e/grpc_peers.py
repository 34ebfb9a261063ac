"""A public gRPC client and server (grpcio) for the end-to-end tests, without generated code: all
messages are bytes.

`import grpc_peers` before `import grpc`: it puts grpcio into the build folder where Python has
none, with pip, and skips the test where that cannot be.
"""

import concurrent.futures
import importlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading

import harness

GRPCIO = "grpcio==1.85.1"
FOLDER = harness.BIN / "python"


def _ensure():
    sys.path.insert(0, str(FOLDER))
    try:
        import grpc  # pylint: disable=import-outside-toplevel
        return grpc
    except ImportError:
        pass
    # By a rename, so that it is whole: another test may be about to do the same.
    folder = tempfile.mkdtemp(prefix="python-", dir=harness.BIN)
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--target", folder, GRPCIO], capture_output=True, text=True, check=False)
    if installed.returncode == 0 and not FOLDER.exists():
        try:
            os.rename(folder, FOLDER)
        except OSError:
            pass
    shutil.rmtree(folder, ignore_errors=True)
    if not FOLDER.exists():
        print(f"skipped: {GRPCIO} cannot be installed: {installed.stderr[-500:]}")
        sys.exit(77)
    importlib.invalidate_caches()
    import grpc  # pylint: disable=import-outside-toplevel
    return grpc


grpc = _ensure()

HTTP2 = (f'typed_extension_protocol_options: {{ envoy.extensions.upstreams.http.v3.'
         f'HttpProtocolOptions: {{ "@type": "{harness.HTTP_OPTIONS}", explicit_http_config: '
         f'{{ http2_protocol_options: {{}} }} }} }},')
OPTIONS = [("grpc.max_metadata_size", 256 * 1024), ("grpc.absolute_max_metadata_size", 256 * 1024),
           ("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


def ask(size, payload=b""):
    """A request for a message of `size` bytes."""
    return struct.pack(">I", size) + payload


def answer(request):
    """`size` bytes, or as many as were asked for; an empty request has an empty answer."""
    return bytes(struct.unpack(">I", request[:4])[0]) if request else b""


class Server:
    """The service interop.Test. What the client's metadata asks for: x-initial and x-trailing-bin
    come back, x-code and x-message-bin become the status, x-cancels says that a Chat will be
    cancelled."""

    def __init__(self):
        self.cancelled = 0
        self.begun = 0
        self.deadlines = []
        self.lock = threading.Lock()
        pool = concurrent.futures.ThreadPoolExecutor(max_workers=64)
        self.server = grpc.server(pool, options=OPTIONS)
        one, many = False, True
        methods = {"Unary": (one, one, self._unary), "Upload": (many, one, self._upload),
                   "Download": (one, many, self._download), "Chat": (many, many, self._chat),
                   "Sleep": (one, one, self._sleep)}
        make = {(one, one): grpc.unary_unary_rpc_method_handler,
                (many, one): grpc.stream_unary_rpc_method_handler,
                (one, many): grpc.unary_stream_rpc_method_handler,
                (many, many): grpc.stream_stream_rpc_method_handler}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "interop.Test", {name: make[up, down](self._told(run))
                             for name, (up, down, run) in methods.items()}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *exception):
        self.server.stop(0).wait()

    def _told(self, run):
        """`run` with what the metadata asks for around it."""
        def call(request, context):
            with self.lock:
                self.begun += 1
                self.deadlines.append(context.time_remaining())
            context.add_callback(lambda: self._ended(context))
            metadata = dict(context.invocation_metadata())
            initial = [(k, v) for k, v in metadata.items() if k.startswith("x-initial")]
            if initial:
                context.send_initial_metadata(initial)
            context.set_trailing_metadata(
                [(k, v) for k, v in metadata.items() if k.startswith("x-trailing")])
            if "x-code" in metadata:
                code = next(c for c in grpc.StatusCode if c.value[0] == int(metadata["x-code"]))
                context.abort(code, metadata["x-message-bin"].decode())
            return run(request, context)
        return call

    def _ended(self, context):
        with self.lock:
            if context.code() is None:  # nobody said how: the client went
                self.cancelled += 1

    @staticmethod
    def _unary(request, context):
        context.set_code(grpc.StatusCode.OK)
        return answer(request)

    @staticmethod
    def _upload(requests, context):
        total = sum(len(r) for r in requests)
        if context.is_active():
            context.set_code(grpc.StatusCode.OK)
        return struct.pack(">Q", total)

    @staticmethod
    def _download(request, context):
        for (size,) in struct.iter_unpack(">I", request):
            yield bytes(size)
        if context.is_active():
            context.set_code(grpc.StatusCode.OK)

    @staticmethod
    def _chat(requests, context):
        for request in requests:
            yield answer(request)
        if "x-cancels" in dict(context.invocation_metadata()):
            Server._wait_for_end(context)
        elif context.is_active():
            context.set_code(grpc.StatusCode.OK)

    @staticmethod
    def _sleep(_, context):
        Server._wait_for_end(context)
        return b""

    @staticmethod
    def _wait_for_end(context):
        """Until the client cancels, or has gone. Its last request may end before that is known."""
        over = threading.Event()
        if context.add_callback(over.set):
            over.wait(harness.LONGEST_S)


class Client:
    """One connection to a port of loopback."""

    def __init__(self, port, **more):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS, **more)
        prefix = "/interop.Test/"
        self.unary = self.channel.unary_unary(prefix + "Unary")
        self.upload = self.channel.stream_unary(prefix + "Upload")
        self.download = self.channel.unary_stream(prefix + "Download")
        self.chat = self.channel.stream_stream(prefix + "Chat")
        self.sleep = self.channel.unary_unary(prefix + "Sleep")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.channel.close()


class Talk:
    """A stream of messages both ways, said and heard one by one."""

    def __init__(self, client, **more):
        self.said = threading.Semaphore(0)
        self.words = []
        self.call = client.chat(self._words(), **more)

    def _words(self):
        while True:
            self.said.acquire()  # pylint: disable=consider-using-with
            word = self.words.pop(0)
            if word is None:
                return
            yield word

    def say(self, word):
        """None: no more."""
        self.words.append(word)
        self.said.release()

    def hear(self):
        return next(self.call)
