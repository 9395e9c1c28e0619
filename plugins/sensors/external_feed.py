"""Waits for a feed that somebody else delivers, without holding a worker slot: ExternalFeedSensor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from include import external_feed
from plugins.triggers.external_feed import ExternalFeedTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

# The trigger ends the waiting itself, and says why. This much later the scheduler does, if no triggerer is there.
GRACE = timedelta(minutes=1)


class ExternalFeedSensor(BaseSensorOperator):
    """Succeed when the feed is there; fail at once, without retries, when it is broken or does not come in time.

    It looks once in the worker, then defers: waiting is done by the triggerer, with pauses that double from
    `poke_interval` to `max_wait` seconds.

    :param what: the feed's name, for people
    :param feed: its address: http://, https:// or what ObjectStoragePath takes (templated)
    :param first_line: what the feed must begin with, so that a sign-in page or half a file is not taken for it
    :param timeout: seconds, or a timedelta, from the first look; restarts of the triggerer do not prolong it
    """

    template_fields: Sequence[str] = ("feed",)

    def __init__(
        self,
        *,
        what: str,
        feed: str,
        first_line: str | None = None,
        timeout: timedelta | float,
        poke_interval: timedelta | float = 5,
        max_wait: timedelta | float = 60,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, poke_interval=poke_interval, max_wait=max_wait, **kwargs)
        self.what = what
        self.feed = feed
        self.first_line = first_line

    def execute(self, context: Context) -> Any:
        """Look once; defer while the feed is not there."""
        began = datetime.now(UTC)
        trigger = ExternalFeedTrigger(
            feed=self.feed,
            first_line=self.first_line,
            began=began.isoformat(),
            until=(began + timedelta(seconds=self.timeout)).isoformat(),
            first_pause=self.poke_interval,
            longest_pause=self.max_wait.total_seconds() if self.max_wait else self.poke_interval,
        )
        if (event := asyncio.run(_one_look(trigger))) is None:
            limit = timedelta(seconds=self.timeout) + GRACE
            self.defer(trigger=trigger, method_name="execute_complete", timeout=limit)
        return self.execute_complete(context, event)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Turn the trigger's event into a result or an error that says what to do.

        :returns: {"feed": address without secrets, "waited": seconds}
        :raises AirflowFailException: broken; :raises AirflowSensorTimeout: late. Neither is retried.
        """
        where, waited = (
            f"{self.what} ({external_feed.without_secrets(self.feed)})",
            timedelta(seconds=round(event["waited"])),
        )
        if event["outcome"] == "broken":
            raise AirflowFailException(
                f"{where} is broken: {event['found']}. Waiting cannot help; mend it with who delivers it, then clear "
                f"{self.task_id}."
            )
        if event["outcome"] == "late":
            raise AirflowSensorTimeout(
                f"{where} did not come in {waited} ({event['found']}). Ask who delivers it, then clear {self.task_id}."
            )
        self.log.info("%s is there after %s: %s", where, waited, event["found"])
        return {"feed": external_feed.without_secrets(self.feed), "waited": event["waited"]}

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the trigger; where the scheduler ended the waiting, say that nobody was looking."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as error:
            if next_method == "execute_complete":
                raise
            raise AirflowSensorTimeout(
                f"{self.what}: nobody looked for it until the timeout of {timedelta(seconds=self.timeout)}. Does the "
                f"triggerer run? Then clear {self.task_id}."
            ) from error


async def _one_look(trigger: ExternalFeedTrigger) -> dict[str, Any] | None:

    try:
        seen = await external_feed.look_once(trigger.feed, trigger.first_line)
    except external_feed.FeedBroken as error:
        return dict(trigger.event("broken", str(error)).payload)
    return dict(trigger.event("there", seen.found).payload) if seen.there else None
