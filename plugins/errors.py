"""Defines errors of plugins that another try cannot mend: somebody has to change what the text names."""

from include.errors import PermanentError


class SettingInvalid(PermanentError, ValueError):
    """A connection, a variable or an address is not as its task needs it."""


class EventMissing(PermanentError, LookupError):
    """No asset event says what the task needs to know."""
