"""The same rule, by somebody else."""

import bisect
import dataclasses
import datetime as dt
import typing
import zoneinfo

LIMITS, SUMS, NOTHING = [930, 2170], [250, 400, 600], 0
HOURS_OF_NOTICE = 14 * 24


@dataclasses.dataclass(frozen=True, kw_only=False)
class Flight:
    """One flight of a passenger."""

    departs: dt.datetime
    miles: int
    late: typing.Optional[int] = 0  # noqa: UP045
    told: typing.Optional[dt.datetime] = None  # noqa: UP045
    cause: str = "airline"

    def zoned(self):
        """Tell whether every instant has an offset."""
        return all(x.utcoffset() is not None for x in (self.departs, self.told or self.departs))

    def value(self):
        """Return what the flight is worth alone."""
        cancelled = self.late is None
        if self.cause != "airline" or not (cancelled or self.late >= 180):
            return NOTHING
        if cancelled and self.told is not None:
            hours = (self.departs.timestamp() - self.told.timestamp()) / 3600
            if hours >= HOURS_OF_NOTICE:
                return NOTHING
        return SUMS[bisect.bisect_left(LIMITS, self.miles)]


def compensation(flights, now):
    """Grant each flight what the day has left."""
    clock = now()
    if clock.utcoffset() is None or not all(f.zoned() for f in flights):
        raise ValueError("give an offset from UTC with every instant")
    zone, budget, result = zoneinfo.ZoneInfo("America/New_York"), {}, [NOTHING] * len(flights)
    order = sorted(enumerate(flights), key=lambda pair: pair[1].departs.timestamp())
    for place, f in order:
        if f.departs > clock:
            continue
        key = f.departs.astimezone(zone).toordinal()
        granted = min(f.value(), 600 - budget.setdefault(key, 0))
        budget[key] += granted
        result[place] = granted
    return result
