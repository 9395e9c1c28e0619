"""The Answers page in Airflow's UI, as a reader sees it: a real stack, a real browser. Pictures are kept in results/page."""

import json

import pytest

from answers.proof.catalog import load_questions
from answers.stack.settings import Settings
from support import PROJECT, wait_for
from support.api_server import running_server
from support.browser import reader

QUESTIONS = load_questions()
VISIBLE = "getComputedStyle(doc.activeElement).outlineStyle !== 'none' && doc.activeElement.getClientRects().length > 0"


@pytest.fixture(scope="module")
def admin(stack):
    """A reader who has signed in at Airflow's form."""
    with reader(stack.settings.url) as found:
        found.sign_in(stack.settings.secrets["ADMIN_PASSWORD"])
        yield found


def spoken(text: str) -> str:
    """A text as the page shows it: code without its backticks."""
    return " ".join(text.replace("`", "").split())


def choose(admin, number: int) -> None:
    """Open a question by the list of the page."""
    admin.js(f"doc.querySelectorAll('#list a')[{number - 1}].click()")
    admin.wait(f"doc.querySelector('#title').textContent.startsWith('{number} ')", f"question {number}")
    admin.wait("doc.querySelector('#runs')?.childElementCount", "its evidence")


def test_every_question_is_shown_word_for_word_without_an_error_and_for_everybody(admin, stack):
    admin.open("/")
    admin.wait("[...document.querySelectorAll('a')].some((each) => each.textContent.includes('Answers'))", "the entry")
    admin.answers()
    for question in QUESTIONS:
        choose(admin, question.number)
        shown = [
            spoken(text) for text in admin.js("[...doc.querySelectorAll('#answer > p')].map((p) => p.textContent)")
        ]
        assert [text for text in shown if text] == [spoken(part) for part in question.answer.split("\n\n")]
        claims = admin.js("[...doc.querySelectorAll('article')].map((each) => each.innerText)")
        assert len(claims) == len(question.claims)
        for claim, text in zip(question.claims, claims, strict=True):
            assert spoken(claim.text) in spoken(text)
            assert any(word in text for word in ("proven", "failing")), "the state is said by a word"
        for dark in (False, True):
            admin.dark(dark)
            assert admin.serious() == [], f"{question.id}, dark: {dark}"
            admin.picture(f"{question.id}-{'dark' if dark else 'light'}")
        admin.dark(False)
    assert admin.troubles() == []
    assert admin.hosts() == {stack.settings.url.partition("://")[2]}


@pytest.mark.parametrize("width", [320, 640])
def test_a_narrow_window_scrolls_only_one_way(admin, width):
    """320 pixels are a small telephone, and 640 are a window of 1,280 at 200 %."""
    admin.resize(width)
    try:
        for question in QUESTIONS:
            admin.answers(f"?q={question.id}", alone=True)
            wide = admin.js("[doc.documentElement.scrollWidth, doc.documentElement.clientWidth]")
            assert wide[0] <= wide[1], question.id
            assert admin.js("doc.querySelector('#choose').getClientRects().length") == 1, "the list is a choice there"
            admin.picture(f"{question.id}-{width}")
        assert admin.serious() == []
    finally:
        admin.resize(1280)


def test_a_run_appears_without_a_reload(admin, stack):
    admin.answers("?q=q10")
    before = admin.js("doc.querySelectorAll('#runs tbody tr').length")
    stack.answers("run", "q10", "--date", "2013-06-14")
    admin.wait(f"doc.querySelectorAll('#runs tbody tr').length > {before}", "the run's line")
    admin.wait("/\\d+ seats by Boeing/.test(doc.querySelector('#runs').textContent)", "what its task returned")
    admin.js("doc.querySelector('#last a').click()")
    admin.wait("location.pathname.includes('/dags/q10_canary/runs/')", "Airflow's page of the run")


def test_an_address_leads_back_to_the_question_and_the_claim(admin):
    admin.answers("?q=q05#claim-5.2")
    assert admin.text("#title").startswith("5 ")
    top = admin.js("doc.querySelector('[id=\"claim-5.2\"]').getBoundingClientRect().top")
    assert abs(top) < 200, "the claim is in view"
    admin.js("location.reload()")
    admin.wait(
        "doc.querySelector('#title')?.textContent.startsWith('5 ') && doc.querySelector('#claims')", "question 5"
    )
    choose(admin, 6)
    assert (
        admin.js("location.search + document.querySelector('iframe').contentWindow.location.search").count("q=q06") == 2
    )
    admin.js("history.back()")
    admin.wait("doc.querySelector('#title').textContent.startsWith('5 ')", "question 5 again")


def test_the_dag_leads_to_airflow_and_its_tab_back_to_the_question(admin):
    admin.answers("?q=q01")
    admin.js("[...doc.querySelectorAll('a')].find((each) => each.textContent === 'Open the DAG').click()")
    admin.wait("location.pathname.endsWith('/dags/q01_flights_to_clickhouse')", "Airflow's page of the DAG")
    for dag, told in (
        ("q01_flights_to_clickhouse", "Part of question 1: q01_flights_to_clickhouse is made by"),
        ("fleet_transform_MQ", "Part of question 4: fleet_transform_MQ is made by dags/q04_fleet.py"),
    ):
        admin.open(f"/dags/{dag}/plugin/answer")
        admin.wait(f"doc.querySelector('main')?.innerText.includes({json.dumps(told)})", told)
        assert admin.js("doc.querySelector('header').getClientRects().length") == 0, "a tab has no list of its own"
    admin.picture("tab")
    admin.open("/answers/?dag=somebody_elses")
    admin.wait("doc.querySelector('main')?.innerText.includes('No question rests on this DAG')", "a DAG of no question")


def test_the_keyboard_alone_is_enough_and_one_sees_where_one_is(admin):
    admin.answers("?q=q02", alone=True)
    for place in range(25):
        admin.key("Tab")
        assert admin.js(VISIBLE), f"after {place + 1} times Tab: {admin.js('doc.activeElement.outerHTML')}"
    admin.js("doc.querySelector('#list a').focus()")
    admin.key("Enter")
    admin.wait("doc.querySelector('#title').textContent.startsWith('1 ')", "question 1")
    assert admin.js("doc.activeElement.id") == "title", "the focus is where the new text begins"
    admin.js("[...doc.querySelectorAll('button')].find((each) => each.textContent === 'Rehearse').focus()")
    admin.key("Enter")
    hidden = "doc.querySelectorAll('#answer p > span[hidden]').length"
    sentences = admin.wait(hidden, "the answer to be hidden")
    admin.picture("rehearsal")
    admin.js("doc.activeElement.blur()")
    admin.key("Space")
    admin.wait(f"{hidden} === {sentences - 1}", "the first sentence")


def test_an_exported_page_opens_from_a_disk(stack, tmp_path):
    stack.answers("page", "--export", str(tmp_path / "site"))
    with reader(f"file://{tmp_path}/site") as found:
        found.open("/index.html?q=q07")
        found.wait("doc.querySelectorAll('#drawn figure').length > 3", "the plots of question 7")
        assert found.text("#title").startswith("7 ")
        assert len(found.js("[...doc.querySelectorAll('article')].map((each) => each.id)")) == 5
        assert found.js("doc.querySelector('#evidence')") is None, "live evidence needs Airflow"
        assert found.troubles() == []
        found.picture("exported")


@pytest.mark.claim("9.7")
def test_airflow_may_be_served_below_a_path(metadata_database, tmp_path):
    files = [PROJECT / "dags" / "q10_canary.py"]
    with running_server(tmp_path, files, path="/airflow") as server, reader(server.url) as found:
        found.sign_in(Settings.load().secrets["ADMIN_PASSWORD"])
        found.open("/plugin/answers")
        found.wait("doc.querySelector('#claims')?.id", "the first question")
        choose(found, 10)
        assert found.js("location.pathname").startswith("/airflow/plugin/answers/airflow/answers/")
        found.js("location.reload()")
        found.wait("doc.querySelector('#title')?.textContent.startsWith('10 ')", "question 10 again")
        found.wait("doc.querySelector('#claims')", "its claims")
        found.js("[...doc.querySelectorAll('a')].find((each) => each.textContent === 'Open the DAG').click()")
        found.wait("location.pathname === '/airflow/dags/q10_canary'", "Airflow's page of the DAG")
        assert found.troubles() == []


@pytest.mark.claim("6.8")
def test_who_signs_out_elsewhere_is_led_to_the_sign_in(admin):
    """The last test of this reader."""
    admin.answers("?q=q01")
    admin.page.call("Network.clearBrowserCookies")
    wait_for("Airflow's form", lambda: "/login" in admin.js("location.pathname"), 60)
