"""Marks the errors that another try cannot mend."""


class PermanentError(Exception):
    """Marks an error that stays the same however often a task is tried. Its text says what to do."""
