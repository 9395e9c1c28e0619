"""Decides from the outcomes of the candidate's tests: all pass where the module is right, one fails where it is not."""

from answers.exercise.judge import Evidence, Variant, check, wrong

TESTS = "tests/unit/test_compensation.py"
BAD = ("failure", "error")


def outcomes(seen: Evidence, name: str, because: str) -> dict[str, str]:
    """Return the outcome of each test on a module."""
    found: dict[str, str] = seen.value(name, because)["outcomes"]
    return found


def require_passing(seen: Evidence, name: str, where: str, because: str) -> None:
    """Convict where a test fails that should not."""
    found = outcomes(seen, name, because)
    if failed := [test for test, outcome in found.items() if outcome in BAD]:
        wrong(seen=f"{failed[0]} fails {where}", because=because)
    if "passed" not in found.values():
        wrong(seen=f"no test passes {where}", because=because)


@check("there")
def there(seen: Evidence, v: Variant) -> None:
    """Want tests that pass on the module as it is."""
    if not seen.value("there"):
        wrong(seen=f"there is no {TESTS}", because="that is where the tests are looked for")
    require_passing(seen, "given", "on the module as it is", "the module does what its docstring says")


@check("wheats")
def wheats(seen: Evidence, v: Variant) -> None:
    """Want the tests to accept another right module."""
    because = "that module follows the rule; names, messages and the way to the result are its own"
    require_passing(seen, "right", "on another right module", because)


@check("chaffs")
def chaffs(seen: Evidence, v: Variant) -> None:
    """Want a test that passed before to fail on each module with a mistake."""
    because = "somebody may make such a mistake next week, and the tests would be green"
    passed = {test for test, outcome in outcomes(seen, "given", because).items() if outcome == "passed"}
    mistakes, missed = seen.value("mistakes"), []
    assert mistakes
    for number, what in enumerate(mistakes, start=1):
        found = outcomes(seen, f"mistake-{number}", because)
        if not any(found.get(test) == "failure" for test in passed):
            missed.append(what)
    if missed:
        noticed = len(mistakes) - len(missed)
        wrong(
            seen=f"the tests notice {noticed} of {len(mistakes)} mistakes",
            because=because,
            expected=f"not noticed: {', '.join(missed)}",
        )


@check("steady")
def steady(seen: Evidence, v: Variant) -> None:
    """Want the tests to pass in another order, in another zone, on another day."""
    because = "a test that depends on it fails some night, of no fault of the module"
    require_passing(seen, "reversed", "when the tests run in the reverse order", because)
    require_passing(seen, "elsewhere", "in another time zone, on another day", because)
