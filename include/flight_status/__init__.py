"""Consumes flight-status events from Kafka without losing or doubling one (question 5)."""
