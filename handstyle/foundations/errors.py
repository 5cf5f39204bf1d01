"""The one error that a user can cause and mend."""


class HandstyleError(ValueError):
    """Something asked for cannot be done; the message is one line: what is wrong, where, what to do."""
