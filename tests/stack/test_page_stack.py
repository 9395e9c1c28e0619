"""The Answers page and the walks on a real stack. Pictures are kept in results/page.

tests/dag/test_page_in_airflow.py has what the page shows in Airflow's UI without a run, and tests/service/test_page_browser.py
what an export shows as well: axe, narrow windows and the keyboard for each question.
"""

import pytest

from answers.proof.catalog import load_questions
from support.browser import reader

OFTEN = "q10"
OTHERS = [question.id for question in load_questions() if question.walk and question.id != OFTEN]


@pytest.fixture
def admin(stack):
    """A reader who has signed in at Airflow's form."""
    with reader(stack.settings.url) as found:
        found.sign_in(stack.settings.secrets["ADMIN_PASSWORD"])
        yield found


def play(stack, question: str) -> None:
    """Play a walk as a candidate would beforehand, with every command."""
    done = stack.answers("walk", question, "--check", check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.claim("6.8")
@pytest.mark.claim("9.7")
def test_a_walk_does_what_it_says_and_its_run_appears_without_a_reload_for_everybody(admin, stack):
    admin.answers(f"?q={OFTEN}")
    admin.wait("doc.querySelector('#runs')?.childElementCount", "the evidence so far")
    before = admin.js("doc.querySelectorAll('#runs tbody tr').length")
    play(stack, OFTEN)
    admin.wait(f"doc.querySelectorAll('#runs tbody tr').length > {before}", "the run's line")
    admin.wait("/\\d+ seats by Boeing/.test(doc.querySelector('#runs').textContent)", "what its task returned")
    admin.js("doc.querySelector('#evidence').scrollIntoView({behavior: 'instant'})")
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
    assert admin.troubles() == []
    admin.js("doc.querySelector('#last a').click()")
    admin.wait("location.pathname.includes('/dags/q10_canary/runs/')", "Airflow's page of the run")


@pytest.mark.long(
    "one of the walks; what every step shows, in the unit tier; their commands in each question's own tests"
)
@pytest.mark.parametrize("question", OTHERS)
def test_every_other_walk_does_what_it_says(stack, question):
    play(stack, question)
