"""Question 5: flight-status events on Kafka, and what consumes them without losing or doubling one."""
