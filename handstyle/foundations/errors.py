"""The errors that a user can cause and mend."""


class HandstyleError(ValueError):
    """Something asked for cannot be done; the message is one line: what is wrong, where, what to do."""


class OutOfMemoryError(HandstyleError, MemoryError):
    """There is not enough memory; the message says what would fit."""
