"""A secret that is easy to recognise in whatever form it leaks, and the hunt for it."""

import base64
import json
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil

from support import running_beside

# What shells, URLs, JSON, templates and patterns treat specially is in it, so that its encoded forms differ from it.
CANARY = "c4n4ry/{}+'&\"% ${{{{7*7}}}}$(id)|ä"
# Text that a stranger may send with a run: each part would leave a mark if a shell or a template took it for code.
ATTACK = (
    "$(touch {0}/a) `touch {0}/b` \"; touch {0}/c; ' ; touch {0}/d #\n"
    "touch {0}/e && ${{PARTNER_SECRET}} {{{{ 7*7 }}}} {{% set x = 1 %}} {{{{ conn.q06_partner.password }}}} | tee {0}/f \\"
)


def forms(secret: str) -> dict[str, bytes]:
    """The secret as it would be found: in clear, quoted for JSON, Python and URLs, hexadecimal, and in base64 at any offset."""
    raw = secret.encode()
    found = {
        "clear": raw,
        "JSON": json.dumps(secret)[1:-1].encode(),
        "JSON in JSON": json.dumps(json.dumps(secret)[1:-1])[1:-1].encode(),
        "repr": repr(secret)[1:-1].encode(),
        "URL": quote(secret, safe="").encode(),
        "form": quote_plus(secret).encode(),
        "hex": raw.hex().encode(),
    }
    for offset in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            text = encode(b"\0" * offset + raw)
            first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
            found[f"{name} at {offset}"] = text[first:last]
    return found


def leaks(data: bytes, *secrets: str) -> list[str]:
    """In which forms these secrets are in the data."""
    return [form for secret in secrets for form, text in forms(secret).items() if text in data]


def leaking_files(folder: Path, *secrets: str) -> tuple[dict[str, list[str]], int]:
    """Files below a folder that hold one of the secrets, with the forms; and how many were searched."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    found = {str(file.relative_to(folder)): leaks(file.read_bytes(), *secrets) for file in files}
    return {file: how for file, how in found.items() if how}, len(files)


@contextmanager
def process_list():
    """Every command line that any process of the machine shows meanwhile."""
    seen: set[bytes] = set()

    def look(over: threading.Event) -> None:
        while not over.wait(0.02):
            for pid in psutil.pids():
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as file:
                        seen.add(file.read())
                except OSError:
                    continue

    with running_beside(look):
        yield seen


def dump(stack) -> dict[str, bytes]:
    """Every table of the metadata database, every column as text and as its bytes."""
    import psycopg2

    found = {}
    server = psycopg2.connect(stack.settings.database().replace("+psycopg2", ""))
    try:
        with server.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in cursor.fetchall():
                cursor.execute(f'SELECT * FROM "{table}"')
                cells = (cell for row in cursor.fetchall() for cell in row if cell is not None)
                found[table] = b"\n".join(
                    bytes(cell) if isinstance(cell, memoryview) else str(cell).encode() for cell in cells
                )
    finally:
        server.close()
    return found
