"""No test of a claim mocks the code that the claim points at; and the check that says so finds one that does."""

from pathlib import Path

import pytest

from answers.proof import anchors, seams
from support import PROJECT
from support.tiny_project import Project

HEAD = """
import pytest
from unittest import mock
from unittest.mock import patch
import shop.price
from shop import price, till
from shop.till import total as added_up

CLOCK = price
"""
TEST = '@pytest.mark.claim("1.1")\ndef test_it(monkeypatch):\n    '
# The code under test, of claim 1.1, is shop/price.py:total; shop/till.py imports it, and has a clock of its own.
MOCKS = {
    "by module": 'monkeypatch.setattr(price, "total", lambda prices: 3)',
    "by dotted module": 'monkeypatch.setattr(shop.price, "total", lambda prices: 3)',
    "by path": 'monkeypatch.setattr("shop.price.total", lambda prices: 3)',
    "where it is imported": 'monkeypatch.setattr(till, "total", lambda prices: 3)',
    "under another name": 'monkeypatch.setattr(CLOCK, "total", lambda prices: 3)',
    "imported in the test": "import shop.price as p\n    p.total = mock.Mock(return_value=3)",
    "unittest.mock": 'with mock.patch("shop.price.total", return_value=3):\n        pass',
    "patch": 'with patch("shop.till.total"):\n        pass',
    "patch.object": 'with mock.patch.object(price, "total"):\n        pass',
    "a part of it": 'monkeypatch.setattr(price.total, "tax", 0)',
    "taken away": 'monkeypatch.delattr(price, "total")',
}
SEAMS = {
    "a clock": 'monkeypatch.setattr(till, "now", lambda: 3)',
    "a constant": 'monkeypatch.setattr(price, "CURRENCY", "USD")',
    "the standard library's": 'monkeypatch.setattr("time.sleep", lambda _: None)',
    "an object of the test": 'box = object\n    monkeypatch.setattr(box, "total", 3)',
    "a spy": "real = price.total\n    def spy(prices):\n        return real(prices)\n"
    '    monkeypatch.setattr(price, "total", spy)',
    "the environment": 'monkeypatch.setenv("total", "3")',
}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A project with one claim, whose packages count as its own."""
    monkeypatch.setattr(seams, "OURS", ("shop",))
    project = Project(tmp_path / "project")
    project.write("shop/till.py", "from shop.price import total\n\n\ndef now():\n    return 0\n")
    return project


def found(shop, body: str, head: str = HEAD) -> list[str]:
    shop.write("tests/unit/test_price.py", head + TEST + body + "\n    assert price.total([1, 2]) == 3\n")
    return seams.mocked_symbols(shop.root)


@pytest.mark.claim("9.2")
@pytest.mark.parametrize("kind", MOCKS)
def test_a_test_that_mocks_the_code_under_test_is_found(shop, kind):
    (line,) = found(shop, MOCKS[kind])
    assert line.startswith("tests/unit/test_price.py:")
    assert line.endswith(": test_it proves 1.1 and replaces shop/price.py:total")


@pytest.mark.claim("9.2")
@pytest.mark.parametrize("kind", SEAMS)
def test_a_test_may_replace_what_lies_at_a_seam(shop, kind):
    assert found(shop, SEAMS[kind]) == []


@pytest.mark.claim("9.2")
def test_what_a_fixture_or_a_decorator_replaces_counts_too(shop):
    fixture = '@pytest.fixture\ndef fake(monkeypatch):\n    monkeypatch.setattr(price, "total", sum)\n\n'
    assert len(found(shop, "pass", HEAD + fixture)) == 1
    assert len(found(shop, "pass", HEAD + '@mock.patch("shop.price.total")\n')) == 1


@pytest.mark.claim("9.2")
def test_a_test_of_another_claim_may_replace_it(shop):
    shop.write_question(claims=[shop.claim("1.1", "shop/till.py:now"), shop.claim("1.2")])
    assert found(shop, MOCKS["by module"]) == []


@pytest.mark.claim("9.2")
def test_no_test_of_this_project_mocks_what_it_proves():
    assert seams.mocked_symbols() == []
    files = {PROJECT / test.file for test in anchors.claimed_tests()}
    everything = [each for file in files for each in seams.replacements(Path(file))]
    assert len(everything) > 10, "there are seams, and the check sees them"
