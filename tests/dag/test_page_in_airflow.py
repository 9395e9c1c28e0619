"""The Answers page in Airflow's UI, in a real browser: an API server below a path, as behind a proxy, and no scheduler.

The page shows a copy of this project, in which the tests may break something. tests/stack/test_page_stack.py has what needs runs.
"""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text

from answers.proof import copies
from answers.proof.catalog import load_questions
from answers.stack.settings import Settings
from support import PROJECT, wait_for
from support.answers_page import token
from support.api_server import running_server
from support.browser import reader

QUESTIONS = load_questions()
DAGS = ("q01_flights_to_clickhouse", "q04_fleet", "q09_refunds")
HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>"
CLAIMS_SHOWN = "doc.querySelector('#claims')?.id"
EVIDENCE_SHOWN = "doc.querySelector('#runs')?.childElementCount"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the project that the page shows. No proof has run there."""
    folder = tmp_path_factory.mktemp("shown") / "project"
    copies.copy_project(PROJECT, folder)
    return folder


@pytest.fixture(scope="module")
def server(metadata_database, tmp_path_factory, site):
    """An API server below /airflow, which knows a run with a hostile name that has returned a hostile value."""
    files = [PROJECT / "dags" / f"{name}.py" for name in DAGS]
    with running_server(tmp_path_factory.mktemp("server"), files, path="/airflow", site=site) as running:
        store_run(running, "q09_refunds", "tell_airlines", {"notices": HOSTILE, "flights": 7, "overdue": 0})
        yield running


@pytest.fixture(scope="module")
def admin(server):
    """A reader who has signed in at Airflow's form."""
    with reader(server.url) as found:
        found.sign_in(Settings.load().secrets["ADMIN_PASSWORD"])
        yield found


def store_run(server, dag: str, task: str, returned: dict) -> None:
    """Put a run and what its task returned into the tables as they are: Airflow itself would refuse the run's name."""
    now = datetime.now(UTC).isoformat()
    run = {"dag_id": dag, "run_id": HOSTILE, "run_type": "manual", "state": "success", "run_after": now}
    run |= {"clear_number": 0, "log_template_id": None}
    value = {"dag_run_id": 1, "dag_id": dag, "run_id": HOSTILE, "task_id": task, "map_index": -1}
    value |= {"key": "return_value", "value": json.dumps(json.dumps(returned)), "timestamp": now}
    engine = create_engine(server.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.begin() as connection:
        for table, row in (("dag_run", run), ("xcom", value)):
            places = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"), row)
    engine.dispose()


def spoken(text: str) -> str:
    """A text as the page shows it: code without its backticks."""
    return " ".join(text.replace("`", "").split())


def click(admin, kind: str, words: str) -> None:
    """Click what has these words: in the Answers page where it is there, else in Airflow's."""
    found = f"[...(doc || document).querySelectorAll('{kind}')].find((each) => each.textContent.includes('{words}'))"
    admin.js(f"{found}.click()")


def choose(admin, number: int) -> None:
    """Open a question by the list of the page."""
    admin.js(f"doc.querySelectorAll('#list a')[{number - 1}].click()")
    title_begins(admin, f"{number} ")
    admin.wait(EVIDENCE_SHOWN, "its evidence")


def title_begins(admin, words: str) -> None:
    admin.wait(
        f"doc.querySelector('#title')?.textContent.startsWith('{words}')", f"a question that begins with {words}"
    )


def note_has(admin, words: str) -> None:
    admin.wait(f"doc.querySelector('#note')?.innerText.includes({json.dumps(words)})", words)


@pytest.mark.claim("9.7")
def test_every_question_is_shown_word_for_word_without_an_error(admin, server):
    admin.wait("[...document.querySelectorAll('a')].some((each) => each.textContent.includes('Answers'))", "the entry")
    click(admin, "a", "Answers")
    admin.wait(CLAIMS_SHOWN, "the first question")
    for question in QUESTIONS:
        choose(admin, question.number)
        shown = admin.js("[...doc.querySelectorAll('#answer > p')].map((p) => p.textContent)")
        assert [spoken(text) for text in shown if text.strip()] == [
            spoken(part) for part in question.answer.split("\n\n")
        ]
        claims = admin.js("[...doc.querySelectorAll('article')].map((each) => each.textContent)")
        for claim, told in zip(question.claims, claims, strict=True):
            assert spoken(claim.text) in spoken(told)
    assert admin.troubles() == []
    assert admin.hosts() == {f"127.0.0.1:{server.port}"}


@pytest.mark.claim("6.8")
def test_a_strangers_text_is_a_text_like_any_other(admin):
    """The name of a run, and what a task returned."""
    admin.answers("?q=q09")
    admin.wait(EVIDENCE_SHOWN, "the run")
    shown = admin.text("#runs")
    assert shown.count(HOSTILE) == 2
    assert f"{HOSTILE} notices about 7 flights" in shown
    assert admin.js("doc.querySelectorAll('#body script, #body img').length") == 0


@pytest.mark.claim("9.7")
def test_an_address_leads_back_to_the_question_and_the_claim(admin):
    admin.answers("?q=q05#claim-5.2")
    title_begins(admin, "5 ")
    in_view = "Math.abs(doc.querySelector('[id=\"claim-5.2\"]')?.getBoundingClientRect().top) < 200"
    admin.wait(in_view, "the claim in view")
    assert admin.js("location.pathname").startswith("/airflow/plugin/answers/airflow/answers/")
    admin.js("location.reload()")
    title_begins(admin, "5 ")
    admin.wait(in_view, "the claim in view again")
    choose(admin, 6)
    addresses = "location.search + document.querySelector('iframe').contentWindow.location.search"
    assert admin.js(addresses).count("q=q06") == 2
    admin.js("history.back()")
    title_begins(admin, "5 ")


@pytest.mark.claim("9.7")
def test_the_page_follows_airflows_theme(admin):
    admin.answers()
    grounds = []
    for dark in (False, True, False):
        admin.dark(dark)
        grounds.append(admin.js("getComputedStyle(doc.body).backgroundColor"))
    assert grounds[0] == grounds[2] != grounds[1]


def test_the_dag_leads_to_airflow_and_its_tab_back_to_the_question(admin):
    admin.answers("?q=q01")
    click(admin, "a", "Open the DAG")
    admin.wait("location.pathname === '/airflow/dags/q01_flights_to_clickhouse'", "Airflow's page of the DAG")
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


@pytest.mark.claim("9.7")
def test_where_nothing_is_proven_the_page_says_why(admin, site):
    admin.answers("?q=q01")
    note_has(admin, "Not proven here: no proof has run in this place.")
    states = admin.js("[...doc.querySelectorAll('article .state')].map((each) => each.innerText)")
    assert states == ["○ not proven"] * len(QUESTIONS[0].claims)
    results = site / "results/prove.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text('{"schema": 2, "claims": {"1.1": {"status": "proven", "tes')  # a disk was full

    def told() -> bool:
        choose(admin, 2)
        return "prove.json cannot be read" in admin.text("#note")

    wait_for("the other reason", told)
    results.unlink()


@pytest.mark.claim("9.7")
def test_a_mistake_in_a_question_is_shown_with_its_place_until_it_is_mended(admin, site):
    file = site / "include/questions/q09.yaml"
    good = file.read_text()
    file.write_text(good + "  nonsense: [\n")
    try:
        admin.open("/plugin/answers/airflow/answers/?q=q09")
        note_has(admin, f"q09.yaml, line {good.count(chr(10)) + 1}: not valid YAML")
        assert admin.js("[...document.querySelectorAll('a')].some((each) => each.textContent === 'Dags')"), (
            "Airflow stays"
        )
    finally:
        file.write_text(good)
    admin.wait(CLAIMS_SHOWN, "the question, without a reload")
    title_begins(admin, "9 ")


@pytest.fixture
def restored(admin):
    """Give the reader its session back."""
    cookies = admin.page.call("Network.getAllCookies")["cookies"]
    yield
    admin.page.call("Network.clearBrowserCookies")
    admin.page.call("Network.setCookies", cookies=cookies)


@pytest.mark.claim("6.8")
def test_who_may_not_read_the_runs_has_the_answer_without_them(admin, server, restored):
    from airflow.api_fastapi.app import create_auth_manager

    create_auth_manager()
    nobody = token(None)["Authorization"].removeprefix("Bearer ")
    admin.page.call("Network.clearBrowserCookies")
    admin.page.call("Network.setCookie", name="_token", value=nobody, url=server.url)
    admin.answers("?q=q09", alone=True)
    admin.wait(EVIDENCE_SHOWN, "what stands in the place of the runs")
    assert admin.text("#runs") == "You may not read the runs of this question's DAG."
    first = QUESTIONS[8].answer.split("\n\n")[0]
    assert spoken(first) in spoken(admin.text("#answer"))


@pytest.mark.claim("6.8")
def test_who_signs_out_elsewhere_is_led_to_the_sign_in(admin, restored):
    admin.answers("?q=q01")
    admin.page.call("Network.clearBrowserCookies")
    admin.wait("location.pathname.includes('/login')", "Airflow's form")


@pytest.mark.claim("9.7")
def test_while_airflow_is_down_the_page_keeps_what_it_has_and_then_goes_on(admin, server):
    admin.answers("?q=q09")
    admin.wait(EVIDENCE_SHOWN, "the run")
    server.stop()
    note_has(admin, "Airflow does not answer. This is as of ")
    assert HOSTILE in admin.text("#runs")
    admin.js("doc.querySelectorAll('#list a')[4].click()")
    server.start()
    title_begins(admin, "5 ")
    admin.wait(
        "doc.querySelector('#runs')?.innerText.includes('answers kafka up')", "question 5's evidence, not question 9's"
    )
    assert "does not answer" not in admin.text("#note")
