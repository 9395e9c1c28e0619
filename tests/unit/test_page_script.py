"""The files that the Answers page consists of: colours that can be told apart, text that stays text, and few bytes."""

import re

import pytest

from answers.page import data
from support import PROJECT

CSS = (PROJECT / "answers/page/static/page.css").read_text()


def luminance(colour: str) -> float:
    """The relative luminance of a colour, by WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [":root", ":root.dark"])
def test_the_colours_of_both_themes_can_be_told_from_their_grounds(theme):
    block = re.search(rf"^{re.escape(theme)} \{{(.*?)^\}}", CSS, re.M | re.S)[1]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    grounds = ("ground", "raised", "code")
    for text in ("text", "soft", "link", "good", "changed", "bad", "none"):
        for ground in grounds:
            assert contrast(colours[text], colours[ground]) >= 4.5, f"{theme}: {text} on {ground}"
    for ground in grounds:
        assert contrast(colours["focus"], colours[ground]) >= 3, f"{theme}: focus on {ground}"
    for text in ("text", "soft"):
        assert contrast(colours[text], colours["mark"]) >= 4.5, f"{theme}: {text} on the line that is meant"


SCRIPT = (PROJECT / "answers/page/static/page.js").read_text()


@pytest.mark.claim("9.7")
def test_a_state_is_said_by_a_shape_a_word_and_a_colour():
    shapes, classes = (
        {word or name: value for word, name, value in re.findall(r'(?:"([^"]+)"|(\w+)): "([^"]+)"', table)}
        for table in re.findall(r"^const (?:SHAPES|CLASSES) = \{(.*?)\};", SCRIPT, re.M)
    )
    states = {data.PROVEN, data.PROVEN_THEN, data.FAILING, data.NOT_PROVEN}
    assert set(shapes) == set(classes) == states
    assert len(set(shapes.values())) == len(set(classes.values())) == 4
    colours = [re.search(rf"^\.state\.{name} \{{ color: (.*?);", CSS, re.M)[1] for name in classes.values()]
    assert len(set(colours)) == 4
    assert re.search(
        r"function mark\(state\).*?\$\{SHAPES\[state\]\}.*?CLASSES\[state\].*?, shape, state\);", SCRIPT, re.S
    )


@pytest.mark.claim("6.8")
def test_the_script_sets_text_as_text_and_speaks_to_no_other_host():
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "srcdoc", "new Function"):
        assert word not in SCRIPT
    for file in (PROJECT / "answers/page/static").iterdir():
        hosts = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", file.read_text())
        assert [host for host in hosts if "www.w3.org" not in host] == [], file.name
    page = (PROJECT / "answers/page/static/index.html").read_text()
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=|(?:src|href)=\"/", page)


def test_the_page_is_small():
    assert len(SCRIPT) < 25_000
    assert sum(file.stat().st_size for file in (PROJECT / "answers/page/static").iterdir()) < 60_000
