"""Passwords in odd places are found; names, paths, placeholders and templates are none."""

import pytest

from dag_integrity.secrets import in_syntax, is_harmless, is_secret_name
from dag_integrity.sources import as_utf8

pytestmark = pytest.mark.claim("9.3")
FOUND = {
    "assignment": 'DB_PASSWORD = "Sommer2024!kiosk"',
    "annotated": 'db_password: str = "hunter2tuna"',
    "attribute": 'hook.password = "hunter2tuna"',
    "subscript": 'config["api_token"] = "a8f5f167f44f4964"',
    "keyword": 'Connection(conn_id="x", password="hunter2tuna")',
    "camel_case": 'connect(clientSecret="hunter2tuna")',
    "dictionary": 'x = {"user": "a", "password": "hunter2tuna"}',
    "default_of_a_parameter": 'def connect(user, password="hunter2tuna"): pass',
    "default_of_the_environment": 'x = os.environ.get("DB_PASSWORD", "hunter2tuna")',
    "default_of_a_variable": 'x = Variable.get("db_password", default="hunter2tuna")',
    "or": 'password = os.environ.get("P") or "hunter2tuna"',
    "pieces": 'password = "hun" + "ter2tuna"',
    "base64": 'password = base64.b64decode("aHVudGVyMnR1bmE=").decode()',
    "bytes": 'password = b"hunter2tuna"',
    "backwards": 'password = "anut2retnuh"[::-1]',
    "address": 'x = "postgresql://report:hunter2tuna@db.example/x"',
    "command": 'BashOperator(task_id="a", bash_command="PGPASSWORD=hunter2tuna psql -h db")',
    "option": 'BashOperator(task_id="a", bash_command="load --password hunter2tuna")',
    "curl": 'BashOperator(task_id="a", bash_command="curl -u report:hunter2tuna https://x.example")',
    "header": 'headers = {"Authorization": "Bearer a8f5f167f44f4964e6c998dee827110c"}',
    "json": 'extra = \'{"token": "a8f5f167f44f4964"}\'',
    "odbc": 'x = "Driver=x;Server=db;UID=sa;PWD=hunter2tuna;"',
    "two_at_once": 'user, password = "sa", "hunter2tuna"',
}
NONE = {
    "name": 'password = "warehouse_db_password"',
    "two_words": 'secret = "warehouse-secret"',
    "environment": 'password = os.environ["DB_PASSWORD"]',
    "constant": 'PASSWORD = "DB_PASSWORD"',
    "path": 'token = "/run/secrets/token"',
    "secret_manager": 'secret = "projects/p/secrets/s/versions/latest"',
    "prefix": 'secret = "airflow/connections/warehouse"',
    "arn": 'secret = "arn:aws:secretsmanager:eu-west-1:1:secret:x"',
    "placeholder": 'password = "<your password>"',
    "change_me": 'password = "changeme"',
    "stars": 'x = "postgresql://report:***@db.example/x"',
    "template": 'password = "{{ conn.warehouse.password }}"',
    "shell": 'bash_command = "PGPASSWORD=$PGPASSWORD psql"',
    "shell_call": 'bash_command = "export TOKEN=$(cat /run/token)"',
    "interpolated": 'x = f"postgresql://{user}:{password}@db.example/x"',
    "formatted": 'x = "postgresql://%(user)s:%(password)s@db.example/x"',
    "url": 'token = "https://login.example/oauth"',
    "of_a_token": 'token_url = "a8f5f167f44f4964"',
    "id_of_a_secret": 'secret_id = "a8f5f167f44f4964"',
    "class": 'secret = "airflow.providers.amazon.aws.secrets.systems_manager.SystemsManagerParameterStoreBackend"',
    "documentation": 'x = """:param password: The password of the user; token: what the API gave."""',
    "message": 'raise ValueError("password: this is not set at all")',
    "none": "password = None",
    "allowed": 'password = "hunter2tuna"  # pragma: allowlist secret',
    "xcom": 'ti.xcom_pull(key="return_value")',
}


@pytest.mark.parametrize("case", FOUND)
def test_a_secret_is_found(case):
    assert in_syntax(FOUND[case])


@pytest.mark.parametrize("case", NONE)
def test_what_only_looks_like_one_is_none(case):
    assert not in_syntax(NONE[case])


def test_the_line_within_a_text_is_named():
    assert {line for line, _ in in_syntax('x = """one\ntwo\nPGPASSWORD=hunter2tuna psql\nfour"""\n')} == {3}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8-sig", "utf-16", "cp1252"])
def test_a_secret_is_found_in_every_encoding(encoding):
    declared = "" if encoding.startswith("utf") else f"# -*- coding: {encoding} -*-\n"
    text = declared + 'NAME = "Relevé"\nPASSWORD = "hunter2tuna"\n'
    assert in_syntax(as_utf8(text.encode(encoding)).decode("utf-8-sig"))


def test_names_and_values():
    assert all(
        map(is_secret_name, ["password", "DB_PASSWORD", "pgpassword", "apiKey", "X-Api-Token", "aws_secret_access_key"])
    )
    assert not any(map(is_secret_name, ["key", "password_file", "token_url", "compass", "author", "monkey", "dag_id"]))
    assert not any(
        map(is_harmless, ["hunter2", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "Sommer2024!kiosk", "pa55", "postgres"])
    )
