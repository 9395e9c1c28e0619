"""Extends Airflow: operators, sensors, triggers, notifiers. Imported by name in every Airflow component."""
