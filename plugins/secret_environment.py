"""Puts secrets into the environment of a program that a task starts, at the last moment, and nowhere else.

Not on its command line, which every user of the machine can list. Not through a template: what is rendered is stored and
shown. The secret is looked up when the task runs, and Airflow's log masks it from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.bash import BashOperator

from plugins.errors import SettingInvalid

if TYPE_CHECKING:
    from airflow.sdk import Context


def look_up_secrets(secrets: Mapping[str, str]) -> dict[str, str]:
    """Build the environment for these secrets.

    :param secrets: name in the environment -> "connections/ID" (its password) or "variables/KEY"
    :raises SettingInvalid: a connection has no password; :raises SecretUnavailable: the store failed
    """
    from airflow.sdk import Connection, Variable

    found = {}
    for name, source in secrets.items():
        kind, _, key = source.partition("/")
        value = {"connections": lambda key: Connection.get(key).password, "variables": Variable.get}[kind](key)
        if not value:
            raise SettingInvalid(f"{source}, for {name}, has no {'password' if kind == 'connections' else 'value'}")
        found[name] = value
    return found


class SecretBashOperator(BashOperator):
    """A BashOperator whose program finds secrets in its environment.

    Its environment is `env` and the secrets only: Airflow's own, with the database's address, is none of its business.

    :param secrets: see `look_up_secrets`; not templated
    """

    def __init__(self, *, secrets: Mapping[str, str], env: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(env=env or {}, append_env=False, **kwargs)
        self.secrets = dict(secrets)

    def get_env(self, context: Context) -> dict[str, str]:
        """Return the environment; a copy, since `env` is a templated field."""
        return {**super().get_env(context), **look_up_secrets(self.secrets)}


class SecretSparkSubmitOperator(SparkSubmitOperator):
    """A SparkSubmitOperator whose driver finds secrets in its environment: Spark's properties are listed in its UI.

    :param secrets: see `look_up_secrets`; not templated
    """

    def __init__(self, *, secrets: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.secrets = dict(secrets)

    def _get_hook(self) -> Any:
        hook = super()._get_hook()
        # In client mode the hook gives these to the process it starts; `env_vars` of the operator would be rendered.
        hook._env_vars = {**(hook._env_vars or {}), **look_up_secrets(self.secrets)}
        return hook
