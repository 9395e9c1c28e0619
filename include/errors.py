"""Marks the errors that another try cannot mend: derive from `PermanentError`; plugins/failures.py looks for it."""


class PermanentError(Exception):
    """Marks an error that stays the same however often a task is tried. Its text says what to do."""


class DayMissing(PermanentError, ValueError):
    """The warehouse has no flights of a day. The text says what to run."""
