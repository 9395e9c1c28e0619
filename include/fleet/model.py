"""Models the fleet: the DAGs of fleet.yaml, which of them wait for which, and the weight that this gives each one.

dags/q04_fleet.py imports this at every parse, so it needs nothing but pydantic and yaml, which Airflow has loaded already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from include.documents import DocumentError, Strict, error_lines, read_yaml

FILE = Path(__file__).parent / "fleet.yaml"
# Those of the feed, with the names of its file airlines.csv.
CARRIERS = {
    "9E": "Endeavor Air",
    "AA": "American Airlines",
    "AS": "Alaska Airlines",
    "B6": "JetBlue Airways",
    "DL": "Delta Air Lines",
    "EV": "ExpressJet Airlines",
    "F9": "Frontier Airlines",
    "FL": "AirTran Airways",
    "HA": "Hawaiian Airlines",
    "MQ": "Envoy Air",
    "OO": "SkyWest Airlines",
    "UA": "United Air Lines",
    "US": "US Airways",
    "VX": "Virgin America",
    "WN": "Southwest Airlines",
    "YV": "Mesa Airlines",
}
Layer = Literal["ingest", "transform", "report", "rollup", "scorecard"]
LOWEST_WEIGHT = 1  # the weight of what nobody waits for


class FleetError(ValueError):
    """fleet.yaml is wrong. A line a mistake; each names file, field and what is wrong with it."""


def _known_carrier(code: str) -> str:
    if code not in CARRIERS:
        raise ValueError(f"unknown carrier {code!r}: the feed has {', '.join(CARRIERS)}")
    return code


def _unique(names: list[str]) -> list[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} occurs twice")
    return names


Text = Annotated[str, Field(min_length=1, max_length=200)]
Owner = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]


class FleetSettings(Strict):
    """Holds what all DAGs of the fleet share."""

    pool: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "fleet"
    sensor_timeout: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 3600
    poke_seconds: Annotated[float, Field(ge=0.5, le=600, allow_inf_nan=False)] = 2
    priorities: bool = True


class Carrier(Strict):
    """One carrier of the feed, by its IATA code."""

    code: Annotated[str, AfterValidator(_known_carrier)]
    owner: Owner = "flight-operations"


class Rollup(Strict):
    """Totals over carriers, published once everything that it waits for has published the same day."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    title: Text
    waits_for: Annotated[list[str], Field(min_length=1), AfterValidator(_unique)]
    priority: Annotated[int, Field(ge=LOWEST_WEIGHT, le=10_000)] = LOWEST_WEIGHT
    owner: Owner = "flight-operations"


class Member(NamedTuple):
    """One DAG of the fleet. `waits_for`: ids of the DAGs whose run of the same date, or event, starts or holds it."""

    layer: Layer
    key: str  # code of the carrier, id of the roll-up
    dag_id: str
    title: str
    owner: str
    weight: int
    waits_for: tuple[str, ...]

    @property
    def dated(self) -> bool:
        """Tell whether its runs have a logical date. A run that an asset event started has none."""
        return self.layer in ("ingest", "transform", "rollup")


class Product(NamedTuple):
    """One partition a day of warehouse.fleet_TABLE: which carriers it adds up, and its columns beside the day."""

    table: str
    carriers: list[str]
    keys: dict[str, str]


class Fleet(Strict):
    """The document."""

    settings: FleetSettings = FleetSettings()
    carriers: Annotated[list[Carrier], Field(min_length=1)]
    rollups: list[Rollup] = Field(default_factory=list)
    scorecard_after: str | None = None

    @model_validator(mode="after")
    def _is_a_graph_without_cycles(self) -> Self:
        codes, ids = [each.code for each in self.carriers], [each.id for each in self.rollups]
        for field, names in (("carriers", codes), ("rollups", ids)):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{field}: {', '.join(twice)} occurs twice")
        for number, rollup in enumerate(self.rollups):
            for name in rollup.waits_for:
                if name not in (*codes, *ids):
                    raise ValueError(
                        f"rollups.{number}.waits_for: {rollup.id} waits for {name!r}, which is neither a carrier nor a "
                        f"roll-up of this file ({', '.join((*codes, *ids))})"
                    )
        if self.scorecard_after is not None and self.scorecard_after not in ids:
            raise ValueError(f"scorecard_after: {self.scorecard_after!r} is no roll-up of this file ({', '.join(ids)})")
        try:
            TopologicalSorter(self._waits_for).prepare()
        except CycleError as error:  # each node of its list is waited for by the next
            raise ValueError(f"rollups: a cycle, {' waits for '.join(reversed(error.args[1]))}") from None
        return self

    @cached_property
    def _waits_for(self) -> dict[str, tuple[str, ...]]:
        return {each.id: tuple(each.waits_for) for each in self.rollups}

    def upstream(self, key: str) -> set[str]:
        """Return the carriers and roll-ups that `key` waits for, directly or through others; `key` itself included."""
        return {key}.union(*(self.upstream(name) for name in self._waits_for.get(key, ())))

    def carriers_of(self, rollup: str) -> list[str]:
        """Return the codes of the carriers that a roll-up adds up, sorted."""
        return sorted(self.upstream(rollup) & {each.code for each in self.carriers})

    def weight(self, key: str) -> int:
        """Return the highest priority among the roll-ups that wait for `key`, directly or through others.

        Airflow's weight rules add up the tasks of one DAG; a weight does not cross from a DAG to those it waits for.
        """
        waiting = [each.priority for each in self.rollups if key in self.upstream(each.id)]
        return max(waiting, default=LOWEST_WEIGHT) if self.settings.priorities else LOWEST_WEIGHT

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """Return every DAG, upstream ones first."""
        found: dict[str, Member] = {}

        def add(layer: Layer, key: str, title: str, owner: str, weight: int, waits_for: Iterable[str] = ()) -> None:
            dag_id = f"fleet_{layer}_{key}" if key else f"fleet_{layer}"
            found[dag_id] = Member(layer, key, dag_id, title, owner, weight, tuple(waits_for))

        for code, owner in ((each.code, each.owner) for each in self.carriers):
            name, weight = CARRIERS[code], self.weight(code)
            add("ingest", code, f"{name}: one day of the feed, checked and landed", owner, weight)
            add("transform", code, f"{name}: typed and published", owner, weight, [f"fleet_ingest_{code}"])
            add("report", code, f"{name}: the day in one row", owner, LOWEST_WEIGHT, [f"fleet_transform_{code}"])
        rollups = {each.id: each for each in self.rollups}
        for key in TopologicalSorter(self._waits_for).static_order():
            if rollup := rollups.get(key):
                above = [f"fleet_{'rollup' if name in rollups else 'transform'}_{name}" for name in rollup.waits_for]
                add("rollup", key, rollup.title, rollup.owner, self.weight(key), above)
        if self.scorecard_after:
            above = [f"fleet_rollup_{self.scorecard_after}"]
            add("scorecard", "", "Carriers ranked by punctuality", "flight-operations", LOWEST_WEIGHT, above)
        return tuple(found.values())

    def products(self, member: Member) -> list[Product]:
        """Return the totals that a member publishes for each day; none for ingest and transform."""
        if member.layer == "report":
            return [Product("reports", [member.key], {"carrier": member.key})]
        if member.layer == "rollup":
            carriers, keys = self.carriers_of(member.key), {"rollup": member.key}
            return [Product("airports", carriers, keys), Product("hours", carriers, keys)]
        if member.layer == "scorecard" and self.scorecard_after:
            return [Product("scorecard", self.carriers_of(self.scorecard_after), {})]
        return []

    def members_needed(self, key: str) -> list[Member]:
        """List the DAGs of a carrier or roll-up and of all that it waits for, upstream ones first, then those that events start.

        :raises FleetError: there is no such carrier or roll-up
        """
        if key not in {each.key for each in self.members if each.key}:
            known = ", ".join(dict.fromkeys(each.key for each in self.members if each.key))
            raise FleetError(f"no carrier or roll-up {key!r}: there are {known}")
        wanted = self.upstream(key)
        last = [self.scorecard_after] if self.scorecard_after in wanted else []
        return [each for each in self.members if (each.key in wanted if each.key else last)]


def load_fleet(file: Path | str | None = None) -> Fleet:
    """Load the fleet of a file: ANSWERS_FLEET, or the fleet.yaml beside this module.

    All or nothing: while the file has a mistake there is no fleet, and Airflow shows the message as an import error.
    Half a fleet would publish totals that lack a carrier.

    :raises FleetError: a line for each mistake, naming file and field
    """
    file = Path(file or os.environ.get("ANSWERS_FLEET") or FILE)
    try:
        return Fleet.model_validate(read_yaml(file, file))
    except OSError as error:
        raise FleetError(f"{file}: {error.strerror}") from error
    except ValidationError as error:
        raise FleetError("\n".join(f"{file}: {mistake}" for mistake in error_lines(error))) from None
    except DocumentError as error:
        raise FleetError(str(error)) from error
