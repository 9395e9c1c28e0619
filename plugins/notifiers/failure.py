"""Sends failures to Slack and e-mail: the two official notifiers behind one callback that throttles and never raises.

    default_args={"owner": "…", **NOTIFY_FAILURES}, on_failure_callback=notify_failure

The callbacks of tasks run in the task's own process, before its state is reported; those of DAGs, and of tasks whose process
was lost, in the DAG processor, which gives up a file after some time. So both are kept from taking longer than BUDGET.
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from urllib.request import proxy_bypass

from airflow.sdk import BaseNotifier, Variable

from include.alerts import records, throttle

if TYPE_CHECKING:
    from airflow.sdk import Context

BUDGET = 10.0  # seconds that a failure may take longer because it is told
PATIENCE = 4  # seconds for Slack's answer; the e-mail's is in its connection
MAIL_DOMAIN = "example.org"  # owners' mailboxes are below it
LOST = "the task's process ended without a word: killed, or its worker is gone"


class FailureNotifier(BaseNotifier):
    """Tell Slack and the owner's mailbox that a task or a run failed. Never raises; takes BUDGET seconds at most.

    One message per run and cause, a digest in a storm (include.alerts.throttle). As callback of a DAG it speaks only where no
    task's failure was told, as for one that was killed.

    :param slack_conn_id: of a Slack incoming webhook
    :param smtp_conn_id: of an SMTP server, with `timeout` and `retry_limit` in its extra
    :param retry: as a task's on_retry_callback: it says when the next try is
    :param budget: seconds
    """

    def __init__(
        self,
        slack_conn_id: str = "slack_default",
        smtp_conn_id: str = "smtp_default",
        retry: bool = False,
        budget: float = BUDGET,
    ) -> None:
        super().__init__()
        self.slack_conn_id = slack_conn_id
        self.smtp_conn_id = smtp_conn_id
        self.retry = retry
        self.budget = budget

    def __call__(self, *args: Any) -> None:
        """Notify. Not the parent's way: it would render what an error says as a template, and raise."""
        try:
            self.notify(args[0])
        except Exception:
            self.log.exception("nobody was told of this failure")

    def notify(self, context: Context) -> None:
        """Throttle, then tell both channels at the same time."""
        failure, file = describe(dict(context), self.retry), None
        verdict = throttle.Verdict("message")
        try:
            root = _data_root()
            if failure["task_id"] is None and throttle.final_failure_notified(
                root, *(failure[key] for key in ("dag_id", "run_id", "round"))
            ):
                return
            verdict, file = throttle.record_failure(root, failure)
        except Exception as error:  # a full disk must not keep anybody from being told
            self.log.warning("the failure is not recorded, it is told without a look at others: %r", error)
        if verdict.send == "nothing":
            self.log.info("not told: %s", verdict.why)
            return
        subject, text = message(failure, verdict.send, verdict.unsent)
        owner = "operations" if verdict.send == "digest" else failure["owner"]
        arrived = self._send_by(
            {
                "Slack": lambda: self._slack(f"*{subject}*\n{text}"),
                "e-mail": lambda: self._mail([f"{name}@{MAIL_DOMAIN}" for name in owner.split(", ")], subject, text),
            }
        )
        if arrived and file:
            records.mark_notified(file)

    def _send_by(self, channels: dict[str, Callable[[], None]]) -> list[str]:
        """Use each channel in a thread of its own, which is left behind when it takes too long. Returns those that worked."""
        outcome: dict[str, str] = {}

        def use(name: str, send: Callable[[], None]) -> None:
            try:
                send()
                outcome[name] = "told"
            except Exception as error:
                outcome[name] = f"not told: {type(error).__name__}: {error}"

        threads = [threading.Thread(target=use, args=each, daemon=True) for each in channels.items()]
        deadline = time.monotonic() + self.budget
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        seen = dict(outcome)  # who was left behind may add to it
        for name in channels:
            said = seen.get(name, f"not told: no answer within {self.budget:.0f} s")
            (self.log.info if said == "told" else self.log.error)("%s: %s", name, said)
        return [name for name, said in seen.items() if said == "told"]

    def _slack(self, text: str) -> None:

        from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
        from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler, ServerErrorRetryHandler

        notifier = SlackWebhookNotifier(
            slack_webhook_conn_id=self.slack_conn_id,
            text=html.escape(text, quote=False),  # else an error that says <!channel> would call everybody
            timeout=PATIENCE,
            retry_handlers=[RateLimitErrorRetryHandler(max_retry_count=1), ServerErrorRetryHandler(max_retry_count=1)],
        )
        client = notifier.hook.client
        if proxy_bypass(urlsplit(client.url).hostname or ""):
            client.proxy = None  # Slack's client takes the environment's proxy even for addresses that need none
        notifier.notify({})

    def _mail(self, to: list[str], subject: str, text: str) -> None:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        SmtpNotifier(
            to=to, subject=subject, html_content=f"<pre>{html.escape(text)}</pre>", smtp_conn_id=self.smtp_conn_id
        ).notify({})


def describe(context: dict[str, Any], retry: bool = False) -> dict[str, Any]:
    """Describe a failure from a callback's context: of a task, or (without task_id) of a run."""
    from airflow.configuration import conf

    dag, ti = context["dag"], context.get("ti")
    run_id = context.get("run_id") or (ti.run_id if ti else "")
    about: dict[str, Any] = {"dag_id": dag.dag_id, "run_id": run_id, "at": datetime.now(UTC).isoformat("T", "seconds")}
    if context.get("reason") is not None or ti is None:  # the callback of a DAG
        link = conf.get("api", "base_url", fallback="").rstrip("/")
        link += f"/dags/{quote(dag.dag_id, safe='')}/runs/{quote(run_id, safe='')}"
        why = f"the run failed: {context.get('reason')}"
        began = getattr(context.get("dag_run"), "start_date", None)
        since = began.astimezone(UTC).isoformat("T", "seconds") if began else ""
        about |= {"task_id": None, "stage": "failed", "round": since, "owner": dag.owner}
        return about | {"error": why, "link": link}
    task = context.get("task") or ti.task
    error = context.get("exception")
    most = max(getattr(ti, "max_tries", 0) or 0, ti.try_number - 1) + 1
    due = None
    if retry:
        due = (datetime.now(UTC) + task.retry_delay).isoformat(" ", "seconds")
        due = f"at the earliest {due}" if task.retry_exponential_backoff else due
    return about | {
        "task_id": ti.task_id if (getattr(ti, "map_index", -1) or -1) < 0 else f"{ti.task_id}[{ti.map_index}]",
        "stage": "retry" if retry else "failed",
        "round": str(most),  # clearing gives a task more tries
        "owner": task.owner,
        "error": _masked(f"{type(error).__name__}: {error}") if error else f"{ti.task_id}: {LOST}",
        "link": ti.log_url,
        "try": ti.try_number,
        "of": most,
        "next_try": due,
    }


def message(failure: dict[str, Any], kind: str, unsent: tuple[tuple[str, int], ...]) -> tuple[str, str]:
    """Word subject and text, for people."""
    dag_id, earlier = failure["dag_id"], ", ".join(f"{dag} {count}" for dag, count in unsent)
    what = f"{dag_id} {failure['task_id'] or 'as a whole'}"
    lines = [f"DAG: {dag_id}", f"task: {failure['task_id'] or '-'}", f"run: {failure['run_id']}"]
    if "try" in failure:
        lines.append(f"try: {failure['try']} of {failure['of']}; next try: {failure['next_try'] or 'none'}")
    lines += [f"owner: {failure['owner']}", f"error: {failure['error'][:1000]}", f"log: {failure['link']}"]
    if kind == "digest":
        total = sum(count for _, count in unsent)
        return f"{total} more failures within a minute", "\n".join(
            [f"not told singly: {earlier}", "the last one:", *lines]
        )
    if unsent:
        lines.append(f"not told since the last message: {earlier}")
    return f"{what} {'failed, it will be retried' if failure['stage'] == 'retry' else 'failed'}", "\n".join(lines)


def _masked(text: str) -> str:
    """Mask the text as Airflow's log does: what it knows as a secret is not sent to anybody."""
    from airflow.sdk._shared.secrets_masker import redact

    return str(redact(text))


def _data_root() -> Path:

    return Path(Variable.get("data_root"))


notify_failure = FailureNotifier()
NOTIFY_FAILURES = {"on_failure_callback": notify_failure, "on_retry_callback": FailureNotifier(retry=True)}
