"""Errors that a user can cause and correct, and functions that put any text into their one-line messages."""

import os
from collections.abc import Collection


class HandstyleError(ValueError):
    """A request that cannot be fulfilled. The message is one line: what is wrong, where, and what to do."""


class OutOfMemoryError(HandstyleError, MemoryError):
    """There is not enough memory; the message says what would fit."""


def check_name(kind: str, name: str, known: Collection[str]) -> None:
    """Raise `HandstyleError` unless a name is one of those that are known.

    Examples
    --------
    >>> check_name("padding", "zero", ("zero", "reflect"))
    >>> check_name("padding", "nought", ("zero", "reflect"))
    Traceback (most recent call last):
    handstyle.foundations.errors.HandstyleError: unknown padding 'nought': use zero, reflect
    """
    if name not in known:
        raise HandstyleError(f"unknown {kind} {name!r}: use {', '.join(known)}")


def printable(path: str | os.PathLike[str]) -> str:
    r"""Return a path as one line of text in valid UTF-8: what cannot be printed is escaped.

    Examples
    --------
    >>> print(printable("a\nb\udce9.png"))
    a\nb\xe9.png
    """
    text = encodable(str(path))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def encodable(text: str) -> str:
    r"""Return text that can be encoded in UTF-8: of a file name, bytes that are not UTF-8 are escaped, as ``\xe9``.

    Examples
    --------
    >>> print(encodable("caf\udce9 \u661f"))
    caf\xe9 星
    """
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        raw = text.encode("utf-8", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def one_line(error: Exception | Warning | str) -> str:
    r"""Return an error's message in one line of at most 300 characters, or its type if it has no message.

    Examples
    --------
    >>> one_line(ValueError("first\n  second"))
    'first second'
    """
    return " ".join(encodable(str(error)).split())[:300] or type(error).__name__
