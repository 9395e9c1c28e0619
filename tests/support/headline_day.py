"""A day of the fleet's part `headline` on a test's API server, its tasks done by the test itself."""

from datetime import date
from pathlib import Path
from urllib.parse import quote

from answers.operate.fleet_due import read_published
from answers.operate.repair import Repairer, Request
from include.fleet import totals
from include.fleet.model import load_fleet
from include.flights import engine, feed
from include.flights import warehouse as loader
from include.flights.publish import publish_day
from support import interval, wait_for

DAY = date(2013, 6, 13)
CARRIERS = ("UA", "B6", "EV")
FLEET = load_fleet()
HEADLINE = FLEET.members_needed("headline")


class Day:
    """A day of the headline: its warehouse, and what its tasks would do."""

    def __init__(self, airflow, scheduler, warehouse, feed_dir, folder) -> None:
        self.airflow, self.scheduler, self.warehouse = airflow, scheduler, warehouse
        self.feed_dir, self.folder = feed_dir, folder
        self.worked: list[str] = []
        self.fails = ""

    def work(self) -> None:
        """Make the runs that events start, and do what is queued, as far as its DAG is not paused."""
        self.scheduler.look()
        paused = {each["dag_id"] for each in self.airflow.dags(paused=True)}
        for run in self.airflow.runs(state="queued"):
            (member,) = (each for each in HEADLINE if each.dag_id == run["dag_id"])
            name = member.dag_id.removeprefix("fleet_")
            if member.dag_id not in paused:
                self.worked.append(name)
                if name != self.fails:
                    self.do(member)
                self.end(name, "failed" if name == self.fails else "success", run["dag_run_id"])

    def do(self, member) -> None:
        if member.layer == "ingest":
            landed = feed.land_interval(self.feed_dir, self.folder, *interval(str(DAY)), "test", carrier=member.key)
            self.scheduler.announce(f"fleet.landed.{member.key}", landed)
        elif member.layer == "transform":
            landed = feed.land_interval(self.feed_dir, self.folder, *interval(str(DAY)), "test", carrier=member.key)
            engine.transform_files(self.warehouse, Path(landed["folder"]))
            report = publish_day(
                self.warehouse,
                Path(landed["folder"]),
                DAY,
                DAY,
                landed["rows"],
                "test",
                loader.CARRIERS,
                landed["slice"],
            )
            self.scheduler.announce(f"fleet.published.{member.key}", report)
        for table, carriers, keys in FLEET.products(member):
            totals.publish_totals(self.warehouse, table, DAY, carriers, "test", keys)

    def start(self, *names: str) -> None:
        for name in names:
            assert self.airflow.trigger_day(f"fleet_{name}", DAY)

    def end(self, name: str, state: str, run_id: str = f"answers__{DAY}") -> None:
        """End a run. SQLite lets one write at a time: a server that is asked much says 500."""
        path, body = f"/dags/fleet_{name}/dagRuns/{quote(run_id)}", {"state": state}
        wait_for("the write", lambda: self.airflow.request("PATCH", path, json=body, expect=(200, 500)).is_success)

    def queued(self) -> set[str]:
        """The DAGs that have a run which nobody has done yet."""
        found = self.airflow.runs(state="queued")
        return {run["dag_id"].removeprefix("fleet_") for run in found}

    def pause(self, name: str) -> None:
        self.airflow.pause(f"fleet_{name}")

    def is_paused(self, name: str) -> bool:
        return self.airflow.dag(f"fleet_{name}")["is_paused"]

    def repair(self, **options) -> dict[str, str]:
        """Repair, working meanwhile; the state at the end of everything that was due."""
        asked = Request(FLEET, HEADLINE, [DAY], patience=120, **options)
        looks = Repairer(self.airflow, lambda: read_published(self.warehouse, FLEET, HEADLINE, [DAY]), asked).repair()
        *_, (repairs, _) = ((repairs, self.work()) for repairs in looks)
        return {each.dag_id.removeprefix("fleet_"): each.state for each in repairs}
