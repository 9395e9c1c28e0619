"""Operates the questions' DAGs through Airflow's API: what a person or a daemon does."""
