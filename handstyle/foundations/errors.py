"""The errors that a user can cause and mend."""


class HandstyleError(ValueError):
    """A request that cannot be fulfilled. The message is one line: what is wrong, where, and what to do."""


class OutOfMemoryError(HandstyleError, MemoryError):
    """There is not enough memory; the message says what would fit."""
