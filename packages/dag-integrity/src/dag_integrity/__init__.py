"""Checks the DAGs of any Airflow 3 project before they are merged: `answers integrity PATH`.

The command (command.py) stays light; Airflow is imported in a *zygote* (zygote.py), from which workers are forked that
parse the files (parser.py, guard.py, inspection.py) and can be killed. What they report is put together across DAGs
(across.py), joined with what ruff and detect-secrets find in the text (static.py), and written as a report (report.py).
"""
