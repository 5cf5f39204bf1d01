"""A server on the loopback that cuts connections, sends wrong bytes, and honors ranges, as it is told."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves one file; `faults` says what to do with each request in turn, after which all is well.

    With a `mark`, (header, value), it honors ranges, as RFC 9110 has it: the rest if the mark is the same, else all.
    A `careless` one sends the rest in any case.
    """

    def __init__(self, data):
        self.data, self.faults, self.requests, self.mark, self.sent = data, [], 0, None, 0
        self.careless = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests += 1
                fault = outer.faults.pop(0) if outer.faults else None
                if fault == "404":
                    self.send_error(404)
                    return
                body = b"<html>" + outer.data[6:] if fault == "wrong" else outer.data
                start = 0
                same = outer.mark and self.headers.get("If-Range") == outer.mark[1]
                if "Range" in self.headers and (same or outer.careless):
                    start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                if outer.mark:
                    self.send_header(*outer.mark)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                body = body[start:]
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                body = body[: len(body) // 2] if fault == "cut" else body
                outer.sent += len(body)
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/slim.h5"

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
