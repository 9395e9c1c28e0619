"""Models the flight-status event: what a message must hold, and in words what is wrong with one that does not."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from include.documents import Strict, dotted, error_lines

LARGEST_EVENT = 64 << 10  # bytes; an event has about 200


class BadEvent(ValueError):
    """A message that no retry can make an event. The text is the reason that its dead letter carries."""


class FlightStatus(Strict):
    """One change of a flight's status.

    `event_id` names the change: a message that is sent again carries the same one. `at` is an instant with offset.
    """

    event_id: str = Field(min_length=1, max_length=64)
    flight: str = Field(pattern=r"^\d{4}-\d\d-\d\d/\w{2}\d{1,4}/[A-Z]{3}$", description="day/carrier and number/origin")
    status: Literal["scheduled", "boarding", "departed", "delayed", "cancelled", "landed"]
    at: AwareDatetime


def parse_event(value: bytes | None) -> FlightStatus:
    """Read the event from a message's value.

    :raises BadEvent: with the reason
    """
    if value is None:
        raise BadEvent("no value (a tombstone)")
    if len(value) > LARGEST_EVENT:
        raise BadEvent(f"too large: {len(value)} bytes, an event has at most {LARGEST_EVENT}")
    try:
        return FlightStatus.model_validate_json(value.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadEvent(f"not UTF-8: byte 0x{value[error.start]:02x} at {error.start}") from error
    except ValidationError as error:
        reasons = "; ".join(error_lines(error, lambda location: dotted(location) or "value"))
        raise BadEvent(f"not a flight status: {reasons[:500]}") from error


def coordinates(message: Any) -> dict[str, Any]:
    """Return the place of a message, as AwaitMessageSensor does. A bad message counts, too: processing judges it."""
    return {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
