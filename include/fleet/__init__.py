"""Describes the fleet: more than fifty DAGs from one YAML file (question 4)."""
