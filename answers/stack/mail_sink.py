"""Serves SMTP: takes every e-mail and delivers none. Imported only where e-mails are asked for: see the catcher."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.controller import Controller


class _Handler:
    def __init__(self, keep: Callable[[dict[str, Any]], None]) -> None:
        self.keep = keep

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        body = mail.get_body(("plain", "html"))
        text = body.get_content() if body else ""
        self.keep(
            {
                "from": envelope.mail_from,
                "to": list(envelope.rcpt_tos),
                "subject": str(mail["subject"] or ""),
                "text": text,
            }
        )
        return "250 kept"


def serve(host: str, port: int, keep: Callable[[dict[str, Any]], None]) -> Controller:
    """Take e-mails on a port, in a thread of its own, until the process ends or `stop()` is called.

    :param keep: called with {"from", "to", "subject", "text"} of each
    :raises OSError: the port is taken
    """
    controller = Controller(_Handler(keep), hostname=host, port=port)
    controller.start()
    return controller
