"""Extends the StatsD client to outlive its receiver: `[metrics] statsd_custom_client_path`."""

from __future__ import annotations

import socket
import time
from typing import Any

from statsd import StatsClient

LOOK_UP_EVERY = 30.0  # seconds


class PatientStatsClient(StatsClient):
    """Looks its receiver's address up when there is something to send, and again every half minute.

    The stock client asks once, when it is made. If the name does not resolve at that moment, Airflow gives up metrics for
    the life of the process (of the scheduler: for days); if the receiver later comes back with another address, as a
    container does, they go to the old one. Metrics that cannot be sent are lost, as always with UDP; the caller never
    sees an error.

    :param host: name or address
    :param port: UDP port
    :param prefix: first part of every name
    :param ipv6: whether to look for an IPv6 address
    """

    def __init__(
        self, host: str = "localhost", port: int = 8125, prefix: str | None = None, ipv6: bool = False
    ) -> None:
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self._target = (host, port, family, socket.SOCK_DGRAM)
        self._sock = socket.socket(family, socket.SOCK_DGRAM)
        self._prefix = prefix
        self._maxudpsize = 512
        self._addr: Any = None
        self._asked: float | None = None

    def _send(self, data: str) -> None:
        now = time.monotonic()
        if self._asked is None or now - self._asked >= LOOK_UP_EVERY:
            self._asked = now
            try:
                self._addr = socket.getaddrinfo(*self._target)[0][4]
            except OSError:
                self._addr = None
        if self._addr is not None:
            super()._send(data)
