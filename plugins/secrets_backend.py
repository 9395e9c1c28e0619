"""Reads secrets from AWS SSM Parameter Store as the official backend does, and raises if the store cannot be read.

Airflow asks its secrets backends one after the other. An exception of one counts as "not here": an outage of the store is
logged at DEBUG, then the environment and the metadata database are asked, and the task says that the connection isn't
defined, or runs with an old value that somebody left there. Only `AirflowSecretsBackendAccessDenied` ends the search.
So every error of the store becomes that one, except "there is no such parameter". Airflow's configuration names this class, so
every process of Airflow imports this file at its start: no boto3 before the first parameter is wanted.
"""

from __future__ import annotations

import json
from functools import cache, cached_property
from typing import Any, NoReturn

from airflow.providers.amazon.aws.secrets.systems_manager import SystemsManagerParameterStoreBackend
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied

# Timeouts, throttling and 5xx are tried again with exponential backoff; the whole of it takes half a minute at the most.
# (botocore's defaults are 60 s to connect, 60 s to read, five tries.)
PATIENCE = {"connect_timeout": 2, "read_timeout": 5, "retries": {"mode": "standard", "total_max_attempts": 4}}
DENIED = (401, 403)
THROTTLED = ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded")


class SecretUnavailable(AirflowSecretsBackendAccessDenied):
    """A parameter could not be read, and nothing else may answer in its stead. Names parameter and store, never a value."""


class ParameterStoreBackend(SystemsManagerParameterStoreBackend):
    """SSM Parameter Store whose failures are errors. Takes what the official backend takes."""

    @cached_property
    def client(self) -> Any:
        """Return an SSM client that is patient for a bounded time; the official one leaves botocore's defaults."""
        import boto3
        import botocore.session
        from airflow.providers.amazon.aws.hooks.base_aws import SessionFactory
        from airflow.providers.amazon.aws.utils import trim_none_values
        from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
        from botocore.config import Config

        connection = AwsConnectionWrapper.from_connection_metadata(conn_id="parameter_store", extra=self.kwargs)
        if connection.role_arn:
            session = SessionFactory(conn=connection).create_session()
        else:
            base = botocore.session.get_session()
            base.register_component("data_loader", models())
            session = boto3.session.Session(botocore_session=base, **connection.session_kwargs)
        options = {
            "region_name": connection.region_name,
            "verify": connection.verify,
            "endpoint_url": connection.endpoint_url,
            "api_version": self.api_version,
            "use_ssl": self.use_ssl,
            "config": Config(**PATIENCE).merge(connection.botocore_config or Config()),
        }
        return session.client("ssm", **trim_none_values(options))

    def _get_parameter_value(self, ssm_path: str) -> str | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self.client.get_parameter(Name=ssm_path, WithDecryption=True)["Parameter"]["Value"]
        except ClientError as error:
            code, status = error.response["Error"].get("Code", ""), error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code == "ParameterNotFound":
                return None
            if "AccessDenied" in code or status in DENIED:
                self._refuse(
                    ssm_path, f"denied ({code}): may this key read it? Ask for ssm:GetParameter and kms:Decrypt"
                )
            tries = f"after {error.response['ResponseMetadata'].get('RetryAttempts', 0) + 1} tries"
            if code in THROTTLED:
                self._refuse(ssm_path, f"throttled {tries} ({code}): fewer tasks at a time, or a higher throughput")
            self._refuse(ssm_path, f"answered {code} with HTTP {status} {tries}")
        except BotoCoreError as error:  # no address, no connection, no answer in time, no credentials
            self._refuse(ssm_path, f"not reached ({type(error).__name__}): is it up, and is its address right?")
        except Exception as error:  # an answer that is none; its text may hold what was read
            self._refuse(ssm_path, f"gave an answer that cannot be understood ({type(error).__name__})")

    def deserialize_connection(self, conn_id: str, value: str) -> Any:
        """Return the connection that a parameter's value describes, JSON or URI.

        :raises SecretUnavailable: it describes none; the parser's own words would quote the value
        """
        path = self._ensure_leading_slash(self.build_path(self.connections_prefix, conn_id))
        how = "write JSON with conn_type, or a URI"
        try:
            connection = super().deserialize_connection(conn_id, value)
            json.loads(connection.extra or "{}")  # Airflow takes an extra that is no JSON for an empty one
        except Exception as error:
            self._refuse(path, f"holds a value that is no connection ({type(error).__name__}): {how}")
        if not connection.conn_type or (not value.strip().startswith("{") and "://" not in value):
            self._refuse(path, f"holds a value that is no connection (it has no type): {how}")
        return connection

    def _refuse(self, path: str, why: str) -> NoReturn:
        where = self.kwargs.get("endpoint_url") or f"AWS, region {self.kwargs.get('region_name')}"
        raise SecretUnavailable(
            f"secret {path}: {type(self).__name__} (SSM Parameter Store at {where}) {why} [no other place is asked instead]"
        ) from None


@cache
def models() -> Any:
    """Return botocore's description of SSM, read once a process; forks of one that did (see `preload`) have it already."""
    import botocore.loaders

    return botocore.loaders.create_loader()


def preload() -> None:
    """Import and read what a client needs, data only: for a process whose forks run tasks."""
    import airflow.providers.amazon.aws.hooks.base_aws  # noqa: F401

    client = ParameterStoreBackend(region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-").client  # noqa: S106
    client.close()
