"""Which errors are worth a retry."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowFailException


@contextmanager
def permanent(*errors: type[Exception]) -> Iterator[None]:
    """Fail the task at once, without using up its retries, when one of `errors` is raised: retrying cannot help.

    :raises AirflowFailException: with the text of the error
    """
    try:
        yield
    except errors as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
