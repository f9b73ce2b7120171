"""A server on loopback that behaves as badly as it is told: stalls, cuts off, lies, redirects, fails."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server:
    """`address`, what each path does (`behaves`), and the requests that came: (method, path, Range header)."""

    def __init__(self) -> None:
        self.behaves: dict[str, Behaviour] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.released = threading.Event()  # set at the end: what stalls goes home

        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                server.requests.append((self.command, self.path, self.headers.get("Range")))
                behaviour = server.behaves.get(self.path)
                behaviour(self) if behaviour else self.send_error(404)

            do_GET = do_POST = do_CONNECT = answer  # noqa: N815 - the base class looks for these names

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """The client hung up, which is what most of these tests are about."""

        self.httpd = Quiet(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.httpd.server_port}"


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server while the block runs."""
    server = Server()
    thread = threading.Thread(target=server.httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.httpd.shutdown()
        server.httpd.server_close()


def gives(content: bytes, *, claims: int | None = None, sends: int | None = None, resumes: bool = False) -> Behaviour:
    """Answer with `content`, of which only `sends` bytes are sent and `claims` bytes are claimed."""

    def behave(handler: http.server.BaseHTTPRequestHandler) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-")) if "Range" in handler.headers else 0
        start = start if resumes else 0
        if start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(content) - start if claims is None else claims))
        handler.end_headers()
        handler.wfile.write(content[start:] if sends is None else content[start : start + sends])

    return behave


def stalls(server: Server, content: bytes, after: int) -> Behaviour:
    """Send `after` bytes of `content`, then nothing, with the connection open."""

    def behave(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:after])
        handler.wfile.flush()
        server.released.wait(30)

    return behave


def redirects(to: str) -> Behaviour:
    """Answer that the file is at `to`."""

    def behave(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()

    return behave


def fails(code: int) -> Behaviour:
    """Answer with an error."""
    return lambda handler: handler.send_error(code)
