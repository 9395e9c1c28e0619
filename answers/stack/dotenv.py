"""Generates `.env`, the settings and secrets of the docker compose stack: `python3 answers/stack/dotenv.py [PATH]`.

Needs the standard library only, as it runs before anything is installed. Keys that a file has are never touched, so a
second run changes nothing, and an upgrade that needs one more key only adds that one. `.env.example` says what each
key is for.
"""

import base64
import os
import secrets
import socket
import sys
import tempfile
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_port(preferred: int = 8080, avoid: tuple = ()) -> int:
    """Return `preferred` if nothing listens on it on this machine, else a port that was free a moment ago."""
    for port in (preferred, *[0] * (len(avoid) + 1)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
            if found not in avoid:
                return found
    raise OSError("no free TCP port on " + LOOPBACK)


def password() -> str:
    """Make a random password."""
    # Letters and digits only: it becomes part of URLs, JSON and command lines.
    return secrets.token_hex(20)


KEYS = {
    "UI_PORT": lambda: str(free_port()),
    "ADMIN_PASSWORD": password,
    # A Fernet key is 32 bytes in URL-safe base64; hex would be refused.
    "FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "JWT_SECRET": lambda: secrets.token_hex(32),
    "API_SECRET_KEY": lambda: secrets.token_hex(32),
    "POSTGRES_PASSWORD": password,
    "REDIS_PASSWORD": password,
    "RABBITMQ_PASSWORD": password,  # made even where Redis is the broker, so that the choice stays one line
    # Of the workers' users of either broker, who reach their own queues only.
    "WORKER_BROKER_PASSWORD": password,
    "PARTNER_BROKER_PASSWORD": password,
    "CLICKHOUSE_PASSWORD": password,
    "SPARK_SECRET": password,
    # Of the parameter store's three identities (answers/stack/parameters), and what question 6 keeps in it.
    "PARAMETER_READ_SECRET": password,
    "PARAMETER_WORKER_SECRET": password,
    "PARAMETER_WRITE_SECRET": password,
    "PARTNER_SECRET": password,
    "PSEUDONYM_SECRET": password,
}


def read(path: Path) -> dict:
    """Read the keys and values of the file at `path`; empty if there is none."""
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def complete(path: Path, keys: dict = KEYS) -> dict:
    """Write the keys that the file at `path` lacks, or has empty, and return those with their new values.

    The file is replaced in one step and readable by its owner only, whatever its mode was before.
    """
    present = read(path)
    added = {key: make() for key, make in keys.items() if not present.get(key)}
    if not added:
        path.chmod(0o600)
        return added
    lines = (
        path.read_text(encoding="utf-8").splitlines() if path.exists() else ["# Made by `make up`; see .env.example."]
    )
    _write(path, lines, added)
    return added


def replace(path: Path, changed: dict) -> None:
    """Give keys of the file at `path` other values, in one step."""
    _write(path, path.read_text(encoding="utf-8").splitlines(), changed)


def _write(path: Path, lines: list, values: dict) -> None:
    # Drop old lines of these keys, empty ones, too: a key stands there once.
    lines = [line for line in lines if line.partition("=")[0].strip() not in values]
    lines += [f"{key}={value}" for key, value in values.items()]
    # Not by include/files.py: this file runs before anything is installed, by any Python 3.
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=".env.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


def main() -> None:
    """Complete the file and say what was done; the admin password is shown only when it is made."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".env").absolute()
    added = complete(path)
    if "ADMIN_PASSWORD" in added:
        print(f"Wrote new secrets to {path}.")
        print(f"Sign in as admin with the password {added['ADMIN_PASSWORD']} (shown only now).")
    elif added:
        print(f"Added to {path}: {', '.join(added)}.")


if __name__ == "__main__":
    main()
