"""Lists, puts and rotates secrets in the parameter store.

In a container: `python -m answers.stack.parameters.client rotate NAME`.

Needs boto3 and the standard library only, as it also runs in the parameter store's own image.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from answers.stack.parameters import contents
from answers.stack.parameters.names import REGION, is_connection, path


class StoreError(ValueError):
    """The parameter store refused, or did not answer. Names parameter and address, never a value."""


class Parameters:
    """The parameter store as the identity that may write."""

    def __init__(self, endpoint: str, secret: str) -> None:
        import boto3
        from botocore.config import Config

        self.endpoint = endpoint
        patience = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
        self._ssm = boto3.client(
            "ssm",
            region_name=REGION,
            endpoint_url=endpoint,
            aws_access_key_id=contents.WRITER,
            aws_secret_access_key=secret,
            config=patience,
        )

    def _call(self, action: str, **request: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._ssm, action)(**request)
        except (BotoCoreError, ClientError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
            what = request.get("Name", "the parameters")
            raise StoreError(f"{action} of {what} at {self.endpoint}: {code}; is the stack up?") from None

    def names(self) -> list[dict[str, Any]]:
        """Return one record per parameter: name, version, type, changed (UTC instant)."""
        page = self._call("describe_parameters")
        found = page["Parameters"]
        while token := page.get("NextToken"):
            page = self._call("describe_parameters", NextToken=token)
            found += page["Parameters"]
        keys = {"name": "Name", "version": "Version", "type": "Type", "changed": "LastModifiedDate"}
        return sorted(
            ({ours: each[theirs] for ours, theirs in keys.items()} for each in found), key=lambda r: r["name"]
        )

    def value(self, parameter: str) -> str:
        """Return a parameter's value."""
        return str(self._call("get_parameter", Name=parameter, WithDecryption=True)["Parameter"]["Value"])

    def put(self, parameter: str, value: str) -> int:
        """Write a SecureString; returns its version."""
        answer = self._call("put_parameter", Name=parameter, Value=value, Type="SecureString", Overwrite=True)
        return int(answer["Version"])

    def rotate(self, name: str, value: str) -> int:
        """Give a connection another password, or a Variable another value. The next task uses it. Returns the version.

        :raises ValueError: the name is unknown, or the value empty
        """
        if not value:
            raise ValueError(
                f"no new value for {name}: give it on standard input, or leave --stdin out to have one made"
            )
        parameter = path(name)
        if is_connection(parameter):
            value = json.dumps({**json.loads(self.value(parameter)), "password": value})
        return self.put(parameter, value)

    def seed(self, seeds: Mapping[str, str]) -> list[str]:
        """Write what the stack starts with, over what was rotated since. Returns the parameters."""
        for parameter, value in seeds.items():
            self.put(parameter, value)
        return sorted(seeds)


def read_secret(name: str) -> str:
    """Read a secret from standard input: the first line of a pipe, or what a person types without an echo."""
    if sys.stdin.isatty():
        return getpass.getpass(f"new value of {name}: ")
    return sys.stdin.readline().rstrip("\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `answers secrets` for the parameter store of docker compose, in its container."""
    parser = argparse.ArgumentParser(prog="python -m answers.stack.parameters.client")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="names and versions")
    commands.add_parser("seed", help="write what the stack starts with, over what was rotated since")
    commands.add_parser("rotate", help="a new value, from standard input").add_argument("name")
    options = parser.parse_args(arguments)
    store = Parameters(os.environ.get("PARAMETER_STORE", "http://127.0.0.1:5000"), os.environ["PARAMETER_WRITE_SECRET"])
    try:
        if options.command == "list":
            for each in store.names():
                print(each["name"], f"version {each['version']}", each["type"])
        elif options.command == "seed":
            print("\n".join(store.seed(contents.compose(os.environ))))
        else:
            print(f"{options.name} is version {store.rotate(options.name, read_secret(options.name))}")
    except ValueError as error:
        sys.exit(f"secrets: {error}")


if __name__ == "__main__":
    main()
