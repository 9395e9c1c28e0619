"""Serves the parameter store of both stacks: moto's SSM, with signatures checked, filled at its start, kept in a file.

    python -m answers.stack.parameter_store --port 9082 --file parameters.json      the embedded stack's
    python -m answers.stack.parameters.store --host 0.0.0.0 --file …                docker compose's, in moto's own image

moto speaks SSM's protocol and keeps everything in memory. Here it checks the signature of every request, knows two readers
(ssm:GetParameter: of everything, and of what is no single DAG's own) and a writer (`answers secrets`), starts with the
stack's connections, and keeps what was written since in a file of mode 0600, so that a restart loses nothing.
GET /requests counts, by action and parameter.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from answers.stack.parameters import contents
from answers.stack.parameters.names import REGION, is_connection, shared

POLICIES = {"reader": ["ssm:GetParameter"], "worker": ["ssm:GetParameter"], "writer": ["ssm:*"]}
IDENTITIES = {"reader": contents.READER, "worker": contents.WORKER, "writer": contents.WRITER}
TARGET = "AmazonSSM."
Start = Callable[..., Any]


def merged(seeds: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, str]:
    """Return what the store starts with: the seeds, the values that were written since, and of a seeded connection its password.

    The rest of a connection, address and port, is the stack's to say: it may have moved since.
    """
    found = {**seeds, **kept}
    for name in seeds.keys() & kept.keys():
        if is_connection(name):
            try:
                password = json.loads(kept[name])["password"]
            except (ValueError, TypeError, KeyError):
                continue  # somebody wrote something else: it stays as it is, and the backend says what is wrong with it
            found[name] = json.dumps({**json.loads(seeds[name]), "password": password})
    return found


def load(file: Path) -> dict[str, str]:
    """Return what was written before; nothing where there is no file.

    :raises SystemExit: the file cannot be read
    """
    try:
        found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise SystemExit(
            f"{file} is damaged: restore it, or remove it to start with the stack's own values; rotated ones are then lost"
        ) from None
    return found


def save(file: Path, document: Any) -> None:
    """Write JSON in one step, readable by its owner only. Not by include/files.py: moto's container has answers/ alone."""
    descriptor, scratch = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as part:
            json.dump(document, part)
            part.flush()
            os.fsync(part.fileno())
        Path(scratch).replace(file)
    finally:
        Path(scratch).unlink(missing_ok=True)


def fill(parameters: Mapping[str, str], identities: Mapping[str, tuple[str, str]]) -> None:
    """Give the moto of this process its parameters and the identities that may ask, by boto3, before it serves anybody.

    :param identities: key and secret of each user of POLICIES
    """
    import boto3
    from moto import mock_aws

    moto = mock_aws()
    moto.start()
    try:
        ssm, iam = (boto3.client(service, region_name=REGION) for service in ("ssm", "iam"))
        for name, value in parameters.items():
            ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
        for user, actions in POLICIES.items():
            iam.create_user(UserName=user)
            rule = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            document = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
            iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=document)
            made = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
            _replace_key(user, made, *identities[user])
    finally:
        moto.stop(remove_data=False)  # it is what the server then serves


def _replace_key(user: str, made: str, key_id: str, secret: str) -> None:
    """Exchange a key that IAM made by chance for the one that Airflow was given before. AWS's own API cannot do that."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.iam.models import iam_backends

    (key,) = (
        each for each in iam_backends[DEFAULT_ACCOUNT_ID]["aws"].users[user].access_keys if each.access_key_id == made
    )
    key.access_key_id, key.secret_access_key = key_id, secret


class Store:
    """A WSGI application around moto's: it counts, and writes down what is written."""

    def __init__(self, file: Path, seeds: Mapping[str, str], keys: Mapping[str, str]) -> None:
        """Start with what `seeds` and `file` have. `keys` are the secret keys of the IDENTITIES."""
        import moto.settings
        from moto.server import DomainDispatcherApplication, create_backend_app

        self.file = file
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._kept: dict[str, str] = load(file)
        fill(merged(seeds, self._kept), {user: (IDENTITIES[user], keys[user]) for user in POLICIES})
        moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0  # from here on, who does not sign is refused
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == "/requests":
            body = json.dumps(self.requests).encode()
            start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
            return [body]
        action = environ.get("HTTP_X_AMZ_TARGET", "")
        if not action.startswith(TARGET):  # moto's other services and its own page know no signature
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(data)
        status: list[str] = []

        def noting(line: str, *rest: Any) -> Any:
            status.append(line)
            return start_response(line, *rest)

        try:
            request = json.loads(data)
        except ValueError:
            request = None
        # moto compares no resource of a policy with the parameter that is asked for.
        if _identity(environ) not in (contents.READER, contents.WRITER):
            wanted = str(request.get("Name")) if isinstance(request, dict) else ""
            if wanted not in shared():
                return _denied(start_response, wanted)
        answer = list(self._moto(environ, noting))
        if not isinstance(request, dict):
            return answer
        with self._lock:
            self.requests[f"{action.removeprefix(TARGET)} {request.get('Name', '*')}"] += 1
            if status[0].startswith("200"):
                self._keep(action.removeprefix(TARGET), request)
        return answer

    def _keep(self, action: str, request: Mapping[str, Any]) -> None:
        if action == "PutParameter":
            save(self.file, self._kept | {request["Name"]: request["Value"]})
            self._kept[request["Name"]] = request["Value"]
        elif action == "DeleteParameter" and request["Name"] in self._kept:
            del self._kept[request["Name"]]
            save(self.file, self._kept)


def _identity(environ: Mapping[str, Any]) -> str:
    """Return the key id that signed a request, read as moto reads it, which checks the signature."""
    return str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].partition("/")[0]


def _denied(start_response: Start, parameter: str) -> list[bytes]:
    """Answer as SSM does to a key whose policy does not have the parameter."""
    message = f"User: worker is not authorized to perform: ssm:GetParameter on resource: {parameter}"
    body = json.dumps({"__type": "AccessDeniedException", "message": message}).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    start_response("400 Bad Request", headers)
    return [body]


def main(secrets: Mapping[str, str], seeds: Mapping[str, str], arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended.

    :param secrets: the secret keys of the identities
    :param seeds: what the store starts with, by path
    :param arguments: those of the command line when None
    """
    parser = argparse.ArgumentParser(prog="parameter-store", description="SSM Parameter Store of the stacks.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--file", type=Path, required=True, help="keeps what is written, mode 0600")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    keys = {"reader": "PARAMETER_READ_SECRET", "worker": "PARAMETER_WORKER_SECRET", "writer": "PARAMETER_WRITE_SECRET"}
    store = Store(options.file, seeds, {user: secrets[name] for user, name in keys.items()})
    serve(store, options.host, options.port)


def serve(store: Store, host: str, port: int) -> None:
    """Serve the store over HTTP/1.1, a thread a connection."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *_: Any) -> None:
            """Log nothing: requests are counted."""

    server = make_server(host, port, store, threaded=True, request_handler=Quiet)
    print(f"parameter store on http://{host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(os.environ, contents.compose(os.environ))
