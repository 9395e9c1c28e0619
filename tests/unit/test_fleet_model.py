"""fleet.yaml: what it may say, what its errors say, who waits for whom, and what that weighs."""

import csv

import pytest

from include.fleet.model import CARRIERS, FILE, FleetError, load_fleet
from include.flights.feed import default_feed
from support import fleet


@pytest.mark.claim("4.1")
def test_more_than_fifty_dags_of_which_three_for_each_carrier_of_the_feed():
    members = load_fleet().members
    assert len({member.dag_id for member in members}) == len(members) == 55
    with (default_feed() / "airlines.csv").open() as file:
        carriers = {row["carrier"] for row in csv.DictReader(file)}
    assert set(CARRIERS) == carriers
    for layer in ("ingest", "transform", "report"):
        assert {member.key for member in members if member.layer == layer} == carriers


def test_members_come_after_what_they_wait_for():
    seen = set()
    for member in load_fleet().members:
        assert set(member.waits_for) <= seen
        seen.add(member.dag_id)


@pytest.mark.claim("4.5")
def test_a_priority_reaches_everything_that_a_roll_up_waits_for_and_nothing_else():
    weights = {member.dag_id: member.weight for member in load_fleet().members}
    critical = {f"fleet_{layer}_{code}" for code in ("B6", "EV", "UA") for layer in ("ingest", "transform")}
    assert {dag_id for dag_id, weight in weights.items() if weight == 100} == critical | {"fleet_rollup_headline"}
    assert weights["fleet_ingest_OO"] == weights["fleet_rollup_leisure"] == weights["fleet_rollup_network"] == 10
    assert {weight for dag_id, weight in weights.items() if "report" in dag_id or "score" in dag_id} == {1}


@pytest.mark.claim("4.5")
def test_without_priorities_every_dag_weighs_the_same(tmp_path):
    other = fleet.document(settings={"priorities": False})
    assert {member.weight for member in load_fleet(fleet.write(tmp_path, other)).members} == {1}


def test_a_part_of_the_fleet_has_all_that_it_waits_for():
    found = [member.dag_id for member in load_fleet().members_needed("headline")]
    assert len(found) == 10
    assert found[-1] == "fleet_rollup_headline"
    assert load_fleet().members_needed("network")[-1].dag_id == "fleet_scorecard"
    with pytest.raises(FleetError, match="no carrier or roll-up 'XX': there are UA, B6"):
        load_fleet().members_needed("XX")


CARRIER, ROLLUP = {"code": "UA"}, {"id": "one", "title": "One", "waits_for": ["UA"]}


def small(**changes):
    return {"carriers": [CARRIER], "rollups": [ROLLUP], **changes}


@pytest.mark.claim("4.1")
@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("carriers: [", "fleet.yaml, line 2: not valid YAML: "),
        ("carriers:\n- code: UA\n  code: DL\n", "fleet.yaml, line 3: not valid YAML: code occurs twice"),
        ("", "Input should be a valid dictionary"),
        ("- 1", "Input should be a valid dictionary"),
        (small(carriers=[]), "carriers: List should have at least 1 item"),
        (small(carriers=7), "carriers: Input should be a valid list"),
        (small(carriers=[{"code": "XX"}]), "carriers.0.code: unknown carrier 'XX': the feed has 9E, AA, "),
        (small(carriers=[{"code": 9.0}]), "carriers.0.code: Input should be a valid string (quote it: '9.0')"),
        (small(carriers=[CARRIER, CARRIER]), "carriers: UA occurs twice"),
        (small(carriers=[{"code": "UA", "owner": "A B"}]), "carriers.0.owner: String should match pattern"),
        (small(carriers=[{"code": "UA", "dags": 3}]), "carriers.0.dags: Extra inputs are not permitted"),
        (small(rollups=[{**ROLLUP, "id": "One!"}]), "rollups.0.id: String should match pattern"),
        (small(rollups=[ROLLUP, ROLLUP]), "rollups: one occurs twice"),
        (small(rollups=[{**ROLLUP, "title": ""}]), "rollups.0.title: String should have at least 1 character"),
        (small(rollups=[{**ROLLUP, "waits_for": []}]), "rollups.0.waits_for: List should have at least 1 item"),
        (small(rollups=[{**ROLLUP, "waits_for": ["UA", "UA"]}]), "rollups.0.waits_for: UA occurs twice"),
        (small(rollups=[{**ROLLUP, "waits_for": ["DL"]}]), "rollups.0.waits_for: one waits for 'DL', which is neither"),
        (small(rollups=[{**ROLLUP, "priority": 0}]), "rollups.0.priority: Input should be greater than or equal to 1"),
        (small(rollups=[{**ROLLUP, "priority": "high"}]), "rollups.0.priority: Input should be a valid integer"),
        (small(rollups=[{**ROLLUP, "owner": ""}]), "rollups.0.owner: String should match pattern"),
        (small(scorecard_after="two"), "scorecard_after: 'two' is no roll-up of this file (one)"),
        (small(settings={"pool": "a pool"}), "settings.pool: String should match pattern"),
        (small(settings={"sensor_timeout": 0}), "settings.sensor_timeout: Input should be greater than 0"),
        (small(settings={"sensor_timeout": 604800}), "settings.sensor_timeout: Input should be less than or equal to"),
        (small(settings={"poke_seconds": float("nan")}), "settings.poke_seconds: Input should be"),
        (small(settings={"priorities": "yes"}), "settings.priorities: Input should be a valid boolean"),
        (small(pools=1), "pools: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_is_named_by_file_and_field(tmp_path, document, message):
    file = fleet.write(tmp_path, document)
    with pytest.raises(FleetError) as refused:
        load_fleet(file)
    assert str(refused.value).startswith(file)
    assert message in str(refused.value)


@pytest.mark.claim("4.1")
def test_a_cycle_through_configuration_is_printed_with_its_path(tmp_path):
    rollups = fleet.document()["rollups"]
    next(each for each in rollups if each["id"] == "leisure")["waits_for"].append("network")
    with pytest.raises(FleetError) as refused:
        load_fleet(fleet.write(tmp_path, fleet.document(rollups=rollups)))
    path = str(refused.value).partition("a cycle, ")[2].split(" waits for ")
    assert path[0] == path[-1]
    assert set(path) == {"leisure", "network"}
    with pytest.raises(FleetError, match="rollups: a cycle, one waits for one"):
        load_fleet(fleet.write(tmp_path, small(rollups=[{**ROLLUP, "waits_for": ["one"]}])))


def test_every_mistake_of_the_file_is_reported_at_once(tmp_path):
    with pytest.raises(FleetError) as refused:
        load_fleet(fleet.write(tmp_path, {"carriers": [{"code": "XX"}, {"code": "YY"}], "rollups": [{}]}))
    assert len(str(refused.value).splitlines()) == 5


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FleetError, match=r"nowhere.yaml: No such file"):
        load_fleet(tmp_path / "nowhere.yaml")


def test_the_file_can_be_another_one(tmp_path, monkeypatch):
    monkeypatch.setenv("ANSWERS_FLEET", fleet.write(tmp_path, small()))
    assert len(load_fleet().members) == 4
    monkeypatch.delenv("ANSWERS_FLEET")
    assert load_fleet() == load_fleet(FILE)
