"""Question 10: DAGs from Git by commit, and a deploy that checks, ships, verifies and undoes (`answers deploy`)."""
