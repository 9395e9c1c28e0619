"""Sets up the two stacks: the embedded one (supervisor, PostgreSQL from a wheel, LocalExecutor) and compose's settings."""
