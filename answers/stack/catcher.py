"""Catches webhooks and e-mails: where notifications of the stacks go, to be looked at by people and asserted by tests.

    POST   /any/path             a JSON body: kept in memory, and appended to a file as one line of JSON
    GET    /messages?path=/x     [{"at": "2026-01-31T12:00:00.000000+00:00", "path": "/x", "body": ...}], oldest first;
                                 without `path` those of every path
    DELETE /messages             forgets those in memory; the file stays
    PUT    /behaviour            {"path": "/slack", "code": 429, "headers": {"Retry-After": "1"}, "seconds": 0, "times": 1}:
                                 the next `times` posts to a path that begins so are answered like this, after `seconds`,
                                 and not kept; {} ends it
    GET    /health               {"status": "ok"}

With --mail-port it is an SMTP server too; an e-mail is a message of the path /mail: {"from", "to", "subject", "text"}.

Run as `python -m answers.stack.catcher --port 9080 --file catcher.jsonl`. It asks nobody who they are: it listens on
loopback, or inside of a network of containers that publishes no port of it.
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

KEPT = 1000  # messages in memory
MAX_BODY = 1 << 20  # bytes
MOST_UNREAD = 64 << 20  # bytes of a refused body that are waited for
MESSAGES = "/messages"
MAX_FILE = 10 << 20  # bytes; a larger file is set aside as FILE.1


class Catcher(ThreadingHTTPServer):
    """The server. `messages` holds the last `KEPT` of them.

    :param address: host and port; port 0 takes a free one, see `server_port`
    :param file: every message is appended here; made with its folder when it does not exist
    """

    daemon_threads = True
    request_queue_size = 128  # callers that come at the same moment; the default of 5 resets the others

    def __init__(self, address: tuple[str, int], file: Path) -> None:
        self.file = file
        self.messages: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.behaviour: dict[str, Any] = {}
        self._writing = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without the look-up of this machine's own name, which may take seconds where it does not resolve."""
        super(ThreadingHTTPServer, self).server_bind()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def keep_message(self, path: str, body: Any) -> None:
        """Remember one message."""
        message = {"at": datetime.now(UTC).isoformat(timespec="microseconds"), "path": path, "body": body}
        with self._writing:
            if self.file.exists() and self.file.stat().st_size > MAX_FILE:
                self.file.replace(self.file.with_name(f"{self.file.name}.1"))
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(message) + "\n")
            self.messages.append(message)

    def received(self, path: str | None = None) -> list[dict[str, Any]]:
        """List the messages that were posted to `path`, or all of them."""
        with self._writing:
            return [message for message in self.messages if path in (None, message["path"])]

    def behaviour_for(self, path: str) -> dict[str, Any] | None:
        """Return how to answer a post to `path` instead of keeping it; None: as usual."""
        with self._writing:
            told = self.behaviour
            if not told or not path.startswith(told["path"]) or told.get("times", 1) < 1:
                return None
            self.behaviour = told | {"times": told.get("times", 1) - 1}
            return told

    def forget(self) -> None:
        """Forget all messages."""
        with self._writing:
            self.messages.clear()


def messages(port: int, path: str) -> list[dict[str, Any]]:
    """Ask this machine's catcher for the messages that were posted to `path`, oldest first.

    :raises OSError: it does not answer
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", f"{MESSAGES}?{urlencode({'path': path})}")
        return list(json.loads(connection.getresponse().read()))
    finally:
        connection.close()


class _RefusedError(Exception):
    """A request that is not taken: its code and the reason."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # a silent client does not hold its thread for ever
    server: Catcher

    def do_POST(self) -> None:
        try:
            body = self._body()
        except _RefusedError as error:
            return self._refuse(*error.args)
        path = self._url().path
        if told := self.server.behaviour_for(path):
            time.sleep(told.get("seconds", 0))
            return self._answer(told.get("code", 200), {"error": "as it was told"}, told.get("headers", {}))
        self.server.keep_message(path, body)
        return self._answer(200, {"status": "ok"})

    def do_PUT(self) -> None:
        if self._url().path != "/behaviour":
            return self._refuse(404, "there is PUT /behaviour")
        try:
            told = self._body()
        except _RefusedError as error:
            return self._refuse(*error.args)
        kinds = {"path": str, "code": int, "headers": dict, "seconds": int | float, "times": int}
        wrong = told and (
            not isinstance(told, dict)
            or "path" not in told
            or any(not isinstance(value, kinds.get(key, ())) for key, value in told.items())
            or not all(isinstance(value, str) for value in told.get("headers", {}).values())
            or not 200 <= told.get("code", 200) <= 599
            or told.get("seconds", 0) < 0
        )
        if wrong:
            return self._refuse(400, "say for which path, with which code, headers, seconds and times")
        self.server.behaviour = told or {}
        return self._answer(200, {"status": "ok"})

    def do_GET(self) -> None:
        url = self._url()
        if url.path == "/health":
            return self._answer(200, {"status": "ok"})
        if url.path == MESSAGES:
            return self._answer(200, self.server.received(parse_qs(url.query).get("path", [None])[0]))
        return self._refuse(404, "there are GET /messages and GET /health")

    def do_DELETE(self) -> None:
        if self._url().path != MESSAGES:
            return self._refuse(404, "there is DELETE /messages")
        self.server.forget()
        return self._answer(200, {"status": "ok"})

    def _url(self) -> SplitResult:
        try:
            return urlsplit(self.path)
        except ValueError:  # such as http://[
            return SplitResult("", "", self.path, "", "")

    def _body(self) -> Any:
        """Return the request's JSON.

        :raises _RefusedError: with code and reason
        """
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise _RefusedError(411, "say the body's length: Content-Length")
        if len(length) > 18 or int(length) > MAX_BODY:
            raise _RefusedError(413, f"{length[:30]} bytes are too many: at most {MAX_BODY}")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise _RefusedError(400, f"the body is not JSON: {error}") from error

    def _refuse(self, code: int, why: str) -> None:
        self.close_connection = True  # what is left of the body is not the next request
        self._answer(code, {"error": why})
        # Closing with the body unread would reset the connection, and the client might never see the answer.
        self.connection.shutdown(socket.SHUT_WR)
        for _ in range(MOST_UNREAD // MAX_BODY):
            if not self.rfile.read1(MAX_BODY):
                break

    def _answer(self, code: int, document: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Log nothing: messages are in the file, and health checks would drown everything else."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="catcher", description="Catches webhooks and e-mails.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--mail-port", type=int, help="take e-mails on this port; needs the package aiosmtpd")
    options = parser.parse_args(arguments)
    with Catcher((options.host, options.port), options.file) as server:
        if options.mail_port is not None:
            from answers.stack.mail_sink import serve

            serve(options.host, options.mail_port, lambda mail: server.keep_message("/mail", mail))
        print(f"catching webhooks on http://{options.host}:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
