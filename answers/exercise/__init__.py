"""Tickets for an interview: "change this DAG", judged by what the change does, and proven from both sides."""
