"""A walk, played as a candidate would play it beforehand: on a real stack, with every command."""

import pytest


@pytest.mark.claim("9.7")
def test_a_walk_does_what_it_says(stack):
    """The shortest one. What every step of the others shows is in the unit tier."""
    done = stack.answers("walk", "q10", "--check", check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
