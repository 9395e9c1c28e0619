"""Hands out tickets for an interview ("change this DAG"), and judges a change by what it does."""
