"""Judges whether a published day can be right, by its last good version, as readers would."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from include.errors import PermanentError
from include.flights import versions

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


class Implausible(PermanentError, ValueError):
    """Says that what was published is valid and yet can hardly be right."""


def check_plausible(client: Client, day: date, lost_at_most: float) -> dict[str, int | None]:
    """Compare a day's flights with those of its last good version. The first version of a day is taken as it is.

    :param lost_at_most: share of the flights that may be gone, 0 to 1
    :returns: {"flights", "before"}
    :raises Implausible: more are gone
    """
    past = versions.history(client, day)
    flights = versions.row_counts(past.current.prints)["flights"] if past.current else 0
    good = past.last_good()
    before = versions.row_counts(past.restorable[good].prints)["flights"] if good is not None else None
    if before and flights < before * (1 - lost_at_most):
        raise Implausible(
            f"{day} has {flights} flights and had {before}: {1 - flights / before:.0%} are gone, at most "
            f"{lost_at_most:.0%} may be"
        )
    return {"flights": flights, "before": before}
