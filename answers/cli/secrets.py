"""Defines `answers secrets`: the parameter store of the embedded stack, and its Fernet key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from answers.console import out, readable_errors

if TYPE_CHECKING:
    from answers.stack.parameters.client import Parameters
    from answers.stack.settings import Settings

app = typer.Typer(
    help="The parameter store: connections and secret Variables; and the Fernet key.", no_args_is_help=True
)
Name = Annotated[
    str, typer.Argument(help="A connection's id or a Variable's key, as `answers secrets list` shows them.")
]


@app.command("list")
def show() -> None:
    """Show what the parameter store has: names, versions, and when they changed. No values."""
    with readable_errors():
        for each in _store_client(_running_settings()).names():
            line = (
                f"{each['name']:<45} version {each['version']:<4} {each['type']}  {each['changed']:%Y-%m-%d %H:%M:%S}"
            )
            out.print(line, highlight=False, soft_wrap=True)


@app.command()
def seed() -> None:
    """Write the values that the stack starts with. They replace what was rotated since."""
    with readable_errors():
        settings = _running_settings()
        for parameter in _store_client(settings).seed(settings.parameters()):
            out.print(parameter, highlight=False)


@app.command()
def rotate(
    name: Name,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the new value from standard input.")] = False,
) -> None:
    """Give a connection a new random password, or a Variable a new random value. The next task uses it."""
    from answers.stack import dotenv
    from answers.stack.parameters.client import read_secret

    with readable_errors():
        store = _store_client(_running_settings())
        version = store.rotate(name, read_secret(name) if stdin else dotenv.password())
        out.print(f"{name} is version {version}; the next task uses it", highlight=False)


@app.command("rotate-fernet")
def rotate_fernet() -> None:
    """Encrypt the secrets of the metadata database with a new key, while DAGs run."""
    from answers.operate import fernet

    with readable_errors():
        count = fernet.rotate_fernet_key(_running_settings(), lambda line: out.print(line, style="dim", markup=False))
        out.print(f"{count} texts are encrypted with the new key; the old key is gone", highlight=False)


def _running_settings() -> Settings:
    from answers.stack import parts, processes
    from answers.stack.settings import Settings

    settings = Settings.load()
    if processes.supervisor_process(settings) is None:
        raise parts.StackError("the stack is not running: `answers up`")
    return settings


def _store_client(settings: Settings) -> Parameters:
    from answers.stack.parameters.client import Parameters

    return Parameters(settings.parameter_store, settings.secrets["PARAMETER_WRITE_SECRET"])
