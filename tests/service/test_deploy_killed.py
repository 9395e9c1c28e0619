"""Kills a deploy at each of its steps: the same command finishes it, and --rollback undoes it."""

import pytest

from answers.deploy.deploy import DeployError
from support.deploys import World, document, killed

pytestmark = [pytest.mark.claim("10.4"), pytest.mark.usefixtures("impatient")]


def rollback(world: World):
    with world.journal.locked():
        return world.engine().undo_deploy(world.journal.unfinished(), "asked for")


def many_worlds(tmp_path):
    point = 0
    while True:
        folder = tmp_path / str(point)
        world = World(folder, [document("steady", "a"), document("renamed", "a", "b"), document("held", "a", "b")])
        world.new = world.project.documents(
            "two", document("steady", "a"), document("renamed", "a", "c"), document("held", "a")
        )
        world.seam.change(paused=["held"])
        if not killed(world, point, lambda world=world: world.deploy("two", canary="steady")):
            assert point > 15
            return
        yield world
        point += 1


def test_killed_at_any_point_the_same_command_finishes_it(tmp_path):
    for world in many_worlds(tmp_path):
        assert world.deploy("two", canary="steady").end == "done"
        assert (world.head, world.seam.state["paused"]) == (world.new, ["held"])
        assert world.seam.state["missed"] == {}
        assert world.journal.unfinished() is None


def test_killed_at_any_point_rollback_undoes_it(tmp_path):
    for world in many_worlds(tmp_path):
        done = world.journal.deploys() and world.journal.deploys()[-1].end == "done"
        if world.journal.unfinished() is not None:
            assert rollback(world).end in ("rolled-back", "given-up")
        assert (world.head, world.seam.state["paused"]) == (world.new if done else world.old, ["held"])
        assert world.seam.state["missed"] == {}


def test_killed_while_it_rolls_back_the_next_call_goes_on_with_that(world):
    for point in range(40):
        killed(world, 15, lambda: world.deploy("two"))  # after it has shipped
        assert world.head == world.new
        if not killed(world, point, lambda: rollback(world)):
            break
        if world.journal.unfinished() is not None and "undoing" in world.journal.unfinished().steps:
            with pytest.raises(DeployError, match="failed and is undone now: asked for"):
                world.deploy("two")
        elif world.journal.unfinished() is not None:
            rollback(world)
        assert (world.head, world.seam.state["paused"]) == (world.old, ["held"])
    assert point > 5
    assert world.head == world.old


def test_another_tag_has_to_wait_until_an_interrupted_deploy_is_finished_or_undone(world):
    world.project.documents("three", document("steady", "a"))
    assert killed(world, 8, lambda: world.deploy("two"))
    with pytest.raises(DeployError, match="deploy of two was interrupted: `answers deploy --to two` finishes it"):
        world.deploy("three")
