"""Signs a manifest with HMAC-SHA256. As a program, signs standard input with PARTNER_SECRET of the environment."""

import hmac
import os
import sys


def sign_manifest(manifest: bytes, secret: str) -> str:
    """Compute the signature, hexadecimal."""
    return hmac.new(secret.encode(), manifest, "sha256").hexdigest()


if __name__ == "__main__":
    print(sign_manifest(sys.stdin.buffer.read(), os.environ["PARTNER_SECRET"]))
