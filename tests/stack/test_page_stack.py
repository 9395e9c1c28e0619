"""The Answers page in Airflow's UI, as a reader sees it: a real stack, a real browser. Pictures are kept in results/page.

tests/service/test_page_browser.py has what an export shows as well: axe, narrow windows and the keyboard for each question.
"""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text

from answers.proof.catalog import load_questions
from answers.stack.settings import Settings
from support import PROJECT, wait_for
from support.api_server import running_server
from support.browser import reader

QUESTIONS = load_questions()
HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>"


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


def test_a_run_appears_without_a_reload_for_everybody(admin, stack):
    admin.answers("?q=q10")
    admin.wait("doc.querySelector('#runs')?.childElementCount", "the evidence so far")
    before = admin.js("doc.querySelectorAll('#runs tbody tr').length")
    stack.answers("run", "q10", "--date", "2013-06-14")
    admin.wait(f"doc.querySelectorAll('#runs tbody tr').length > {before}", "the run's line")
    admin.wait("/\\d+ seats by Boeing/.test(doc.querySelector('#runs').textContent)", "what its task returned")
    admin.js("doc.querySelector('#evidence').scrollIntoView()")
    for dark in (False, True):
        admin.dark(dark)
        assert admin.serious() == [], f"what axe calls serious; dark: {dark}"
        admin.picture(f"live-{'dark' if dark else 'light'}")
    admin.dark(False)
    admin.resize(320)
    wide = admin.js("[doc.documentElement.scrollWidth, doc.documentElement.clientWidth]")
    admin.picture("live-320")
    admin.resize(1280)
    assert wide[0] <= wide[1], "a narrow window scrolls one way only"
    admin.js("doc.querySelector('#last a').click()")
    admin.wait("location.pathname.includes('/dags/q10_canary/runs/')", "Airflow's page of the run")


def test_every_question_is_shown_word_for_word_without_an_error(admin, stack):
    admin.open("/")
    admin.wait("[...document.querySelectorAll('a')].some((each) => each.textContent.includes('Answers'))", "the entry")
    admin.answers()
    for question in QUESTIONS:
        choose(admin, question.number)
        shown = admin.js("[...doc.querySelectorAll('#answer > p')].map((p) => p.textContent)")
        assert [spoken(text) for text in shown if text.strip()] == [
            spoken(part) for part in question.answer.split("\n\n")
        ]
        claims = admin.js("[...doc.querySelectorAll('article')].map((each) => each.innerText)")
        assert len(claims) == len(question.claims)
        for claim, told in zip(question.claims, claims, strict=True):
            assert spoken(claim.text) in spoken(told)
    assert admin.troubles() == []
    assert admin.hosts() == {stack.settings.url.partition("://")[2]}


def test_an_address_leads_back_to_the_question_and_the_claim(admin):
    admin.answers("?q=q05#claim-5.2")
    assert admin.text("#title").startswith("5 ")
    in_view = "Math.abs(doc.querySelector('[id=\"claim-5.2\"]')?.getBoundingClientRect().top) < 200"
    admin.wait(in_view, "the claim in view")
    admin.js("location.reload()")
    admin.wait("doc.querySelector('#title')?.textContent.startsWith('5 ')", "question 5 again")
    admin.wait(in_view, "the claim in view again")
    choose(admin, 6)
    addresses = "location.search + document.querySelector('iframe').contentWindow.location.search"
    assert admin.js(addresses).count("q=q06") == 2
    admin.js("history.back()")
    admin.wait("doc.querySelector('#title')?.textContent.startsWith('5 ')", "question 5 once more")


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


@pytest.mark.claim("6.8")
def test_who_signs_out_elsewhere_is_led_to_the_sign_in(admin):
    """The last test of this reader."""
    admin.answers("?q=q01")
    admin.page.call("Network.clearBrowserCookies")
    wait_for("Airflow's form", lambda: "/login" in admin.js("location.pathname"), 60)


@pytest.mark.claim("9.7")
def test_airflow_may_be_served_below_a_path(metadata_database, tmp_path):
    files = [PROJECT / "dags" / "q09_refunds.py"]
    with running_server(tmp_path, files, path="/airflow") as server, reader(server.url) as found:
        store_run(server, HOSTILE)
        found.sign_in(Settings.load().secrets["ADMIN_PASSWORD"])
        found.open("/plugin/answers")
        found.wait("doc.querySelector('#claims')?.id", "the first question")
        choose(found, 9)
        assert HOSTILE in found.text("#runs"), "the name of a run is a text like any other"
        assert found.js("doc.querySelectorAll('#body script, #body img').length") == 0
        assert found.js("location.pathname").startswith("/airflow/plugin/answers/airflow/answers/")
        found.js("location.reload()")
        found.wait("doc.querySelector('#title')?.textContent.startsWith('9 ')", "question 9 again")
        found.wait("doc.querySelector('#claims')?.id", "its claims")
        found.js("[...doc.querySelectorAll('a')].find((each) => each.textContent === 'Open the DAG').click()")
        found.wait("location.pathname === '/airflow/dags/q09_refunds'", "Airflow's page of the DAG")
        assert found.troubles() == []


def store_run(server, run_id: str) -> None:
    """Put a run into the table as it is: Airflow itself would refuse its name."""
    columns = {"dag_id": "q09_refunds", "run_id": run_id, "run_type": "manual", "state": "success"}
    columns |= {"run_after": datetime.now(UTC).isoformat(), "clear_number": 0, "log_template_id": None}
    names = ", ".join(columns)
    engine = create_engine(server.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.begin() as connection:
        statement = f"INSERT INTO dag_run ({names}) VALUES ({', '.join(f':{name}' for name in columns)})"
        connection.execute(text(statement), columns)
    engine.dispose()
