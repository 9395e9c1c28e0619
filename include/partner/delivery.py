"""Hands a signed manifest to the partner."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.errors import PermanentError
from include.partner.signature import sign_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = "/partner"


class SignatureStale(PermanentError, ValueError):
    """The manifest was signed with another secret than the partner's present one."""


def deliver_manifest(
    folder: Path, signature: str, secret: str, post: Callable[[str, dict[str, Any]], Any]
) -> dict[str, Any]:
    """Post FOLDER/manifest.txt with its signature, if the partner will accept it.

    :param secret: the partner's present one
    :param post: takes the path and the JSON body; raises when the partner does not take it
    :returns: what was delivered: manifest and signature
    :raises SignatureStale: the partner would refuse the signature
    """
    manifest = (folder / "manifest.txt").read_bytes()
    if not hmac.compare_digest(sign_manifest(manifest, secret), signature):
        raise SignatureStale(
            f"{folder}/manifest.txt was signed with another secret: rotated since? Clear the task `sign`"
        )
    body = {"manifest": manifest.decode(), "signature": signature}
    post(PATH, body)
    return body
