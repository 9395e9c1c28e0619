"""Ships DAGs from Git by commit: `answers deploy` checks, ships, verifies and undoes (question 10)."""
