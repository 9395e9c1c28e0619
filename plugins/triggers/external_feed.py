"""Waits in the triggerer for a feed that arrives late: ExternalFeedTrigger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.external_feed import FeedBroken, look_once, pause_after, without_secrets


class ExternalFeedTrigger(BaseTrigger):
    """Look at the feed again and again, ever more seldom, until it is there, broken, or too late.

    All of its state is in its arguments, and the end of the waiting is an instant: a triggerer that takes it over from
    one that was killed goes on with the same clock.

    :param feed: its address, see `include.external_feed.look_once`
    :param first_line: what the feed must begin with; None to take anything
    :param began: when the waiting began, ISO 8601 with offset
    :param until: when it ends
    :param first_pause: seconds after the first look; they double up to `longest_pause`
    """

    def __init__(
        self, feed: str, first_line: str | None, began: str, until: str, first_pause: float, longest_pause: float
    ) -> None:
        super().__init__()
        self.feed = feed
        self.first_line = first_line
        self.began = began
        self.until = until
        self.first_pause = first_pause
        self.longest_pause = longest_pause

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and its arguments."""
        names = ("feed", "first_line", "began", "until", "first_pause", "longest_pause")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: {"outcome": "there", "broken" or "late", "found": in words, "waited": seconds}."""
        until, looks = datetime.fromisoformat(self.until), 0
        while True:
            at_the_end = datetime.now(UTC) >= until  # then it looks once more, also where the triggerer was away
            try:
                seen = await look_once(self.feed, self.first_line)
            except FeedBroken as error:
                yield self.event("broken", str(error))
                return
            looks += 1
            if seen.there:
                yield self.event("there", seen.found)
                return
            if at_the_end:
                yield self.event("late", f"looks: {looks}, the last one: {seen.found}")
                return
            delay = max(pause_after(looks, self.first_pause, self.longest_pause), seen.again_after)
            delay = min(delay, max(0.0, (until - datetime.now(UTC)).total_seconds()))
            self.log.info("%s: %s; looking again in %.1f s", without_secrets(self.feed), seen.found, delay)
            await asyncio.sleep(delay)

    def event(self, outcome: str, found: str) -> TriggerEvent:
        """Return the event that ends the waiting."""
        waited = (datetime.now(UTC) - datetime.fromisoformat(self.began)).total_seconds()
        return TriggerEvent({"outcome": outcome, "found": found, "waited": round(waited, 1)})
