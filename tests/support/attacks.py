"""Tells what tests/attack/attack.py must be answered: each refusal by the one who is to refuse, not by an accident."""

ALLOWED = ("own connection", "own queue")
REFUSED = {
    "connection table": "OperationalError",
    "token with a guessed key": "403",
    "token with the worker's key": "403",
    "token without signature": "403",
    "own token for another task": "403",
    "memory of the supervisor": "PermissionError",
    "start a run without an account": "401",
    "start a run by the supervisor": "403",
    "their connection by the supervisor": "PERMISSION_DENIED",
    "their Variable by the supervisor": "PERMISSION_DENIED",
    "their XCom": "403",
    "a Variable of the platform": "403",
    "their queue": "NoPermissionError",
    "a message into their queue": "NoPermissionError",
    "messages in their worker's hands": "NoPermissionError",
    "a route from their queue": "NoPermissionError",
    "every key of the broker": "NoPermissionError",
    "the broker's own password": "NoPermissionError",
    "an empty broker": "NoPermissionError",
    "a DAG file": "Errno",
    "a plugin": "Errno",
    "rights": "Errno",
    "another user": "PermissionError",
    "a raw socket": "PermissionError",
}
# By the parameter store, which docker compose has.
REFUSED_BY_THE_STORE = {
    "their connection": "SecretUnavailable",
    "their Variable": "SecretUnavailable",
    "the store as a writer": "StoreError",
}


def differences(answers: dict[str, str], refused: dict[str, str], allowed: tuple[str, ...] = ALLOWED) -> dict[str, str]:
    """Return the attacks that were not answered as they must be, with what they got."""
    assert set(answers) == {*allowed, *refused}, "an attack without a verdict, or a verdict without an attack"
    wrong = {name: answers[name] for name in allowed if not answers[name].startswith("got: ")}
    return wrong | {
        name: answers[name]
        for name, by in refused.items()
        if not (answers[name].startswith("refused: ") and by in answers[name])
    }
