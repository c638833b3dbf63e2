"""What stands between a laptop and its server and does what it likes: a TLS proxy in front of ess-server that answers by script, on
raw sockets, since no library says what no server should say. And a place elsewhere, where nothing must ever arrive."""

import http.client
import socket
import ssl
import struct
import threading
from urllib.parse import urlsplit


class Elsewhere:
    """Another host. Whoever connects to it has been led astray."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.visitors = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.visitors += 1
            connection.close()

    def close(self):
        self.socket.close()


class Exchange:
    """One request, before anything has been done about it."""

    def __init__(self, proxy, stream, reader, method, target, headers):
        self.proxy, self.stream, self.reader = proxy, stream, reader
        self.method, self.target, self.headers = method, target, headers
        self.path = urlsplit(target).path
        self.length = int(headers.get("content-length", 0))
        self._body = None
        self.is_open = True

    @property
    def body(self):
        if self._body is None:
            self._body = self.reader.read(self.length)
        return self._body

    def forward(self, body=None):
        """What ess-server makes of it: status, headers, body."""
        connection = http.client.HTTPSConnection("localhost", self.proxy.server_port, context=self.proxy.upstream, timeout=30)
        try:
            skipped = ("connection", "content-length", "accept-encoding")
            headers = {name: value for name, value in self.headers.items() if name not in skipped}
            connection.request(self.method, self.target, body=self.body if body is None else body, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def send(self, data):
        self.stream.sendall(data)

    def answer(self, status, headers=None, body=b"", reason="Whatever", version="HTTP/1.1", length=None):
        headers = {name: value for name, value in (headers or {}).items()
                   if name.lower() not in ("content-length", "transfer-encoding", "connection")}
        if status != 204 and not any(name.lower() == "transfer-encoding" for name in headers):
            headers["Content-Length"] = len(body) if length is None else length
        head = f"{version} {status} {reason}".rstrip() + "\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items())
        self.send(head.encode() + b"\r\n" + (b"" if self.method == "HEAD" else body))

    def end(self):
        """An orderly end of the connection."""
        self.is_open = False

    def reset(self):
        """RST, as a router does it that has forgotten the connection."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.is_open = False


class Hostile:
    """`act(exchange)` may do anything and returns True; anything else is passed on as it is."""

    def __init__(self, bench, act, certificate=None):
        self.act = act
        self.seen = []
        authority = bench.server_directory / "authority"
        place = bench.directory / "hostile"
        if not place.exists():
            bench._run([bench.server_binary, "enrol", "--directory", bench.server_directory, "--name", "front", "--output", place])
        self.upstream = ssl.create_default_context(cafile=authority / "ca.pem")
        self.upstream.load_cert_chain(place / "client.pem", place / "client.key")
        self.server_port = bench.port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*(certificate or (authority / "server.pem", authority / "server.key")))
        self.context.load_verify_locations(authority / "ca.pem")
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.refuse_next = 0
        threading.Thread(target=self._serve, daemon=True).start()
        bench.programs.append(self)

    # As the bench closes programs.
    @property
    def process(self):
        return self

    def poll(self):
        return None

    def kill(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        try:
            with self.lock:
                refused, self.refuse_next = self.refuse_next > 0, max(0, self.refuse_next - 1)
            if refused:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return connection.close()
            with self.context.wrap_socket(connection, server_side=True) as stream:
                reader = stream.makefile("rb")
                while self._exchange(stream, reader):
                    pass
                # The descriptor is closed only when the reader is, too.
                reader.close()
        except (OSError, ssl.SSLError, ValueError, http.client.HTTPException):
            connection.close()

    def _exchange(self, stream, reader):
        words = reader.readline().decode("latin-1").split()
        if len(words) != 3:
            return False
        headers = {}
        while (line := reader.readline().decode("latin-1").strip()):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        exchange = Exchange(self, stream, reader, words[0], words[1], headers)
        with self.lock:
            self.seen.append((exchange.method, exchange.path, exchange.length))
        if not self.act(exchange):
            exchange.answer(*exchange.forward())
        if exchange.is_open:
            _ = exchange.body
        return exchange.is_open
