"""The Answers page in a real browser, exported and opened from a disk: both themes, narrow windows, the keyboard alone."""

import json
import re

import pytest

from answers.page.export import write
from answers.proof.catalog import load_faults, load_questions
from support import PROJECT
from support.browser import PICTURES, reader

QUESTIONS = load_questions()
FAULTS = load_faults()
VISIBLE = "getComputedStyle(doc.activeElement).outlineStyle !== 'none' && doc.activeElement.getClientRects().length > 0"


@pytest.fixture(scope="module")
def page():
    """A reader of the exported page, which CI keeps with the pictures."""
    folder = PICTURES / "site"
    write(PROJECT, folder)
    with reader(f"file://{folder}") as found:
        yield found


def choose_theme(page, dark: bool) -> None:
    """Have the machine another theme, and wait until the page has followed."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    page.page.call("Emulation.setEmulatedMedia", features=scheme)
    page.wait(f"doc.documentElement.classList.contains('dark') === {json.dumps(dark)}", "the theme")


def show(page, question, width: int = 1280) -> None:
    """Open a question in a window of this width, in the light theme."""
    page.resize(width)
    page.open(f"/index.html?q={question.id}")
    page.wait(f"doc.querySelector('#title')?.textContent.startsWith('{question.number} ')", question.id)
    page.wait(f"doc.querySelectorAll('article').length === {len(question.claims)}", "its claims")
    choose_theme(page, False)


def spoken(text: str) -> str:
    """A text as the page shows it: code and emphasis without their marks."""
    return " ".join(text.replace("`", "").split())


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_a_question_is_shown_word_for_word_and_for_everybody(page, question):
    show(page, question)
    for dark in (False, True):
        choose_theme(page, dark)
        assert page.serious() == [], "what axe calls serious"
        page.picture(f"{question.id}-{'dark' if dark else 'light'}")
    shown = page.js("[...doc.querySelectorAll('#answer > p')].map((p) => p.textContent)")
    assert [spoken(text) for text in shown if text.strip()] == [spoken(part) for part in question.answer.split("\n\n")]
    claims = page.js("[...doc.querySelectorAll('article')].map((each) => each.textContent)")
    heads = page.js("[...doc.querySelectorAll('article h3')].map((each) => each.textContent)")
    seen = page.text("#claims")
    for claim, text, head in zip(question.claims, claims, heads, strict=True):
        assert spoken(claim.text) in spoken(text)
        mistakes = [fault.title for fault in FAULTS if fault.claim == claim.id]
        assert not [title for title in mistakes if title in seen], "a mistake is told only to who asks for it"
        assert any(word in head for word in ("proven", "failing")), "the state is said by a word"
    sections = page.js("[...doc.querySelectorAll('section > h2')].map((each) => each.textContent)")
    assert page.js("[...doc.querySelectorAll('.jumps a')].map((each) => each.textContent)") == sections
    assert page.js("[...doc.querySelectorAll('.jumps a')].every((each) => doc.querySelector(each.hash))")
    assert page.troubles() == []


def test_a_narrow_window_scrolls_only_one_way(page):
    """320 pixels are a small telephone, and 640 are a window of 1,280 at 200 %."""
    for question in QUESTIONS:
        show(page, question, 320)
        for width in (320, 640):
            page.resize(width)
            wide = page.js("[doc.documentElement.scrollWidth, doc.documentElement.clientWidth]")
            assert wide[0] <= wide[1], question.id
            assert page.js("doc.querySelector('#choose').getClientRects().length") == 1, "the list is a choice there"
            page.picture(f"{question.id}-{width}")


def test_the_keyboard_alone_is_enough_and_one_sees_where_one_is(page):
    show(page, QUESTIONS[1])
    for place in range(20):
        page.key("Tab")
        assert page.js(VISIBLE), f"after {place + 1} times Tab: {page.js('doc.activeElement.outerHTML')}"
    page.js("doc.querySelector('#list a').focus()")
    page.key("Enter")
    page.wait("doc.querySelector('#title').textContent.startsWith('1 ')", "question 1")
    page.wait("doc.activeElement.id === 'title'", "the focus, where the new text begins")


def test_who_wants_no_motion_gets_none(page):
    show(page, QUESTIONS[0])
    scrolls = "getComputedStyle(doc.documentElement).scrollBehavior"
    for wish, scroll in (("reduce", "auto"), ("no-preference", "smooth")):
        page.page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": wish}])
        assert page.js(scrolls) == scroll


def test_a_rehearsal_hides_the_answer_and_gives_it_sentence_by_sentence(page):
    show(page, QUESTIONS[0])
    page.js("[...doc.querySelectorAll('button')].find((each) => each.textContent === 'Rehearse').focus()")
    page.key("Enter")
    hidden = "doc.querySelectorAll('#answer p > span[hidden]').length"
    sentences = page.wait(hidden, "the answer to be hidden")
    assert sentences == page.js("doc.querySelectorAll('#answer > p > span').length")
    page.picture("rehearsal")
    page.js("doc.activeElement.blur()")
    page.key("Space")
    page.wait(f"{hidden} === {sentences - 1}", "the first sentence")
    press(page, "Show all")
    assert page.js(hidden) == 0
    pace = page.js("doc.querySelector('#answer p[role=status]').textContent")
    words = len(QUESTIONS[0].answer.split())
    assert re.fullmatch(rf"{words} words in \d+ s: \d+ a minute\.", pace)
    assert page.js("doc.activeElement.textContent") == "Rehearse"


def test_what_is_copied_is_said(page):
    show(page, QUESTIONS[0])
    page.page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    press(page, "Copy link")
    page.wait("/^(Copied|The browser does not let)/.test(doc.querySelector('#live').textContent)", "what became of it")
    assert page.js("doc.activeElement.textContent") == "Copy link", "the focus stays"


def press(page, words: str) -> None:
    """Press the first button with these words, as somebody does who has only a keyboard."""
    page.js(f"[...doc.querySelectorAll('button')].find((each) => each.textContent === '{words}').focus()")
    page.key("Enter")


def test_a_walk_shows_the_lines_that_its_step_speaks_of(page):
    question = QUESTIONS[0]
    show(page, question)
    step = "[...doc.querySelectorAll('#walk li')].find((each) => each.getClientRects().length && each.querySelector('.spoken'))"
    for expected in question.walk[:3]:
        assert spoken(expected.say) == spoken(page.js(f"{step}.querySelector('.spoken').textContent"))
        anchored = page.js(f"{step}.querySelector('pre .here').innerText")
        assert "with DAG(" in anchored or expected.show.rpartition(":")[2] in anchored
        assert page.js(f"{step}.querySelector('pre').getClientRects().length") == 1, "open at once"
        assert page.js(f"[...{step}.querySelectorAll('a')].map((each) => each.textContent)") == list(expected.claim)
        page.js("[...doc.querySelectorAll('#walk button')].find((each) => each.textContent === 'Next').click()")


def test_plots_are_drawn_with_the_same_numbers_in_a_table(page):
    (question,) = [each for each in QUESTIONS if each.id == "q07"]
    show(page, question)
    page.wait("doc.querySelectorAll('#drawn figure').length === 6", "six plots")
    recorded = json.loads((PROJECT / "bench/results/stages.json").read_text())["result"]["alone"]
    figure = "[...doc.querySelectorAll('figure')].find((each) => each.textContent.includes('stages.json'))"
    for text in (f"{figure}.querySelector('svg').textContent", f"{figure}.querySelector('table').textContent"):
        assert str(recorded["transform_spark"]["cpu_s_a_gb"]) in page.js(text)
