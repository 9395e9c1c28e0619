"""Names the secrets of the parameter store, and configures Airflow to ask for them there."""

from __future__ import annotations

import json
import re

BACKEND = "plugins.secrets_backend.ParameterStoreBackend"
REGION = "us-east-1"
CONNECTIONS = "/answers/connections"
VARIABLES = "/answers/variables"

# Only these are asked for; every other name goes straight to the environment and the metadata database.
STORED_CONNECTIONS = (
    "clickhouse_default",
    "kafka_default",
    "object_store",
    "ops_webhook",
    "q06_partner",
    "slack_default",
    "smtp_default",
    "spark_default",
)
STORED_VARIABLES = ("q06_pseudonym_secret",)
# What belongs to a single DAG: only the worker that runs its tasks may read it.
PRIVATE = ("q06_partner", "q06_pseudonym_secret")


def backend_kwargs() -> dict[str, str | None]:
    """Return what both stacks tell the backend; address and key follow in variables of their own."""
    return {
        "connections_prefix": CONNECTIONS,
        "connections_lookup_pattern": f"({'|'.join(STORED_CONNECTIONS)})$",
        "variables_prefix": VARIABLES,
        "variables_lookup_pattern": f"({'|'.join(STORED_VARIABLES)})$",
        "config_prefix": None,
        "region_name": REGION,
    }


def airflow_settings(endpoint: str, key_id: str, secret: str) -> dict[str, str]:
    """Return the environment that makes Airflow ask the parameter store, as the identity that may only read."""
    prefix = "AIRFLOW__SECRETS__BACKEND_KWARG__"
    return {
        "AIRFLOW__SECRETS__BACKEND": BACKEND,
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps(backend_kwargs()),
        f"{prefix}ENDPOINT_URL": endpoint,
        f"{prefix}AWS_ACCESS_KEY_ID": key_id,
        f"{prefix}AWS_SECRET_ACCESS_KEY": secret,
    }


def path(name: str) -> str:
    """Return the parameter of a connection's id or a Variable's key.

    :raises ValueError: the name is not one of those that are kept in the parameter store
    """
    if name in STORED_CONNECTIONS:
        return f"{CONNECTIONS}/{name}"
    if name in STORED_VARIABLES:
        return f"{VARIABLES}/{name}"
    known = ", ".join(sorted((*STORED_CONNECTIONS, *STORED_VARIABLES)))
    raise ValueError(f"{name!r} is not kept in the parameter store; there are {known}")


def shared_parameters() -> frozenset[str]:
    """Return the parameters that every worker may read."""
    return frozenset(path(name) for name in (*STORED_CONNECTIONS, *STORED_VARIABLES) if name not in PRIVATE)


def is_connection(parameter: str) -> bool:
    """Tell whether a parameter holds a connection."""
    return bool(re.match(f"{CONNECTIONS}/", parameter))
