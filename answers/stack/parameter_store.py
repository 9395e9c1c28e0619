"""Serves the embedded stack's parameter store, for supervisor: `python -m answers.stack.parameter_store --port … --file …`."""

from __future__ import annotations

from answers.stack.parameters import store
from answers.stack.settings import Settings

if __name__ == "__main__":
    settings = Settings.load()
    store.main(settings.secrets, settings.parameters())
