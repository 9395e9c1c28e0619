"""Posts JSON to the receiver behind an HTTP connection. Plain Python and callbacks are given this function instead of a hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plugins.errors import SettingInvalid

if TYPE_CHECKING:
    from airflow.sdk import Connection

PATIENCE = 10.0  # seconds for an answer


def address(connection: Connection, path: str) -> str:
    """Build the address of a path behind an HTTP connection, by the rules of Airflow's HttpHook.

    The host may be a name, a name with the start of a path, or a whole address. The schema is http and the port is the
    schema's unless the connection says otherwise.

    :raises SettingInvalid: the connection has no host, or one that cannot be part of an address
    """
    import httpx

    host = connection.host or ""
    if host.count(":") > 1 and "/" not in host and "[" not in host:
        host = f"[{host}]"  # IPv6
    base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    try:
        url = httpx.URL(base, **({"port": connection.port} if connection.port else {}))
    except httpx.InvalidURL as error:
        raise SettingInvalid(
            f"connection {connection.conn_id}: host {connection.host!r} is no address: {error}"
        ) from error
    if not url.host:
        raise SettingInvalid(f"connection {connection.conn_id} has no host: give it the receiver's name")
    return str(url.copy_with(path=f"{url.path.rstrip('/')}/{path.lstrip('/')}"))


def poster(connection: Connection, patience: float = PATIENCE) -> Callable[[str, dict[str, Any]], None]:
    """Make a function (path, body) that posts JSON there.

    It raises ConnectionError where nobody answers, or the answer is an error. The connection's login and password are not
    sent: a receiver's password signs what is posted (question 6).

    :param patience: seconds for an answer
    """
    import httpx

    def post(path: str, body: dict[str, Any]) -> None:
        try:
            httpx.post(address(connection, path), json=body, timeout=patience).raise_for_status()
        except httpx.HTTPStatusError as error:
            raise ConnectionError(f"answer {error.response.status_code}") from error
        except httpx.TransportError as error:
            raise ConnectionError(f"no answer: {error}") from error

    return post
