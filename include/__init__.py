"""Holds the business of airflow-answers in plain Python: importable and testable without Airflow."""
