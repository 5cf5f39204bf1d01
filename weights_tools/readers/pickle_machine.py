"""The part of Python's pickle that weight files need, as a machine of its own that imports and calls nothing.

A pickle is a program for a stack machine; the standard one may import any name and call it, which is how a weight file
takes over a computer. Here a name is only a pair of strings, looked up in the table that the reader gives; a name that
is not there ends the reading. Bytes are views of the file, not copies; the numbers of steps and of pushed values are
bounded, so that no file can cost more than it weighs. The opcodes are those of pickletools (CPython), of the
protocols that PyTorch and NumPy have written: 2 to 4.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from handstyle.foundations.errors import HandstyleError

Names = Mapping[tuple[str, str], Callable[..., Any]]

MOST_STEPS = 200_000  # VGG-19's whole state is below 3,000
LONGEST_TEXT = 4096


class Name:
    """A name that the table knows; calling it goes through the table."""

    def __init__(self, module: str, name: str, function: Callable[..., Any]) -> None:
        self.module, self.name, self.function = module, name, function


class _Mark:
    pass


_MARK = _Mark()


class Stateful:
    """A value that BUILD may complete."""

    def build(self, state: Any) -> None:
        """Take the state of the pickle's BUILD."""
        raise NotImplementedError


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise HandstyleError(f"a damaged pickle ({what})")


class PickleMachine:
    """Run one pickle.

    Parameters
    ----------
    data : memoryview
        Of bytes; results keep views of it.
    names : mapping
        (module, name) to the function that stands for it: the only names a file may ask for.
    persistent : callable, optional
        Turns a persistent id into a value.
    """

    def __init__(self, data: memoryview, names: Names, persistent: Callable[[Any], Any] | None = None) -> None:
        self.data, self.names, self.persistent = data, names, persistent

    def load(self, start: int = 0) -> tuple[Any, int]:
        """Run the pickle at `start`; return its value and the position after its end.

        Raises
        ------
        HandstyleError
            If it is damaged, asks for a name that is not in the table, or does anything weights have no need of.
        """
        self.position = start
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        for _ in range(MOST_STEPS):
            code = self._take(1)[0]
            if code == 0x2E:  # STOP
                _need(len(self.stack) == 1, "it leaves more than one value")
                return self.stack[0], self.position
            step = _OPCODES.get(code)
            if step is None:
                raise HandstyleError(f"a pickle with the opcode {bytes([code])!r}, which no weight file needs")
            step(self)
        raise HandstyleError(f"a pickle of more than {MOST_STEPS} steps: no weight file has so many")

    # reading

    def _take(self, count: int) -> memoryview:
        _need(0 <= count <= len(self.data) - self.position, "cut short")
        self.position += count
        return self.data[self.position - count : self.position]

    def _unpack(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _text(self, count: int) -> str:
        _need(count <= LONGEST_TEXT, "a text too long")
        try:
            return bytes(self._take(count)).decode("utf-8")
        except UnicodeDecodeError:
            raise HandstyleError("a damaged pickle (text that is not UTF-8)") from None

    def _line(self) -> str:
        window = bytes(self.data[self.position : self.position + LONGEST_TEXT])
        end = window.find(b"\n")
        _need(end >= 0, "a line without end")
        line = self._text(end)
        self.position += 1
        return line

    # the stack

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _pop(self) -> Any:
        _need(bool(self.stack) and self.stack[-1] is not _MARK, "an empty stack")
        return self.stack.pop()

    def _drop(self) -> None:
        _need(bool(self.stack), "an empty stack")
        self.stack.pop()

    def _top(self, kind: type) -> Any:
        _need(bool(self.stack) and isinstance(self.stack[-1], kind), f"no {kind.__name__} where one is needed")
        return self.stack[-1]

    def _to_mark(self) -> list[Any]:
        values: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if value is _MARK:
                return values[::-1]
            values.append(value)
        raise HandstyleError("a damaged pickle (no mark)")

    def _pushed_tuple(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self._push(tuple(values[::-1]))

    # names and calls

    def _name(self, module: Any, name: Any) -> None:
        _need(isinstance(module, str) and isinstance(name, str), "a name that is no text")
        function = self.names.get((module, name))
        if function is None:
            raise HandstyleError(f"asks for {module[:60]}.{name[:60]}, which no weight file needs; nothing was run")
        self._push(Name(module, name, function))

    def _global(self) -> None:
        module = self._line()
        self._name(module, self._line())

    def _stack_global(self) -> None:
        name = self._pop()
        self._name(self._pop(), name)

    def _reduce(self) -> None:
        arguments = self._pop()
        function = self._pop()
        _need(isinstance(function, Name) and isinstance(arguments, tuple), "a call of what is no name")
        try:
            value = function.function(*arguments)
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(error, HandstyleError):
                raise
            message = f"{function.module}.{function.name} with arguments that do not fit"
            raise HandstyleError(f"a damaged pickle ({message})") from None
        self._push(value)

    def _build(self) -> None:
        state = self._pop()
        _need(bool(self.stack), "an empty stack")
        if isinstance(self.stack[-1], Stateful):
            self.stack[-1].build(state)
        else:  # attributes of an ordered dictionary: PyTorch's _metadata, of no use here
            self._top(dict)

    def _persistent_id(self) -> None:
        key = self._pop()
        if self.persistent is None:
            raise HandstyleError("a pickle that refers to values outside itself, where there are none")
        self._push(self.persistent(key))

    # containers

    def _set_items(self, values: list[Any]) -> None:
        target = self._top(dict)
        _need(len(values) % 2 == 0, "a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if isinstance(key, memoryview):  # a byte string of Python 2
                key = bytes(key[:LONGEST_TEXT]).decode("latin1")
            _need(isinstance(key, str | int), "a key that is neither text nor a number")
            target[key] = value

    def _append(self) -> None:
        value = self._pop()
        self._top(list).append(value)

    def _extend(self) -> None:
        values = self._to_mark()
        self._top(list).extend(values)

    def _memoize(self, index: int) -> None:
        _need(bool(self.stack), "an empty stack")
        self.memo[index] = self.stack[-1]

    def _recall(self, index: int) -> None:
        _need(index in self.memo, "a reference to nothing")
        self._push(self.memo[index])

    def _long(self) -> None:
        self._push(int.from_bytes(self._take(self._unpack("<B")), "little", signed=True))


def _operations() -> dict[int, Callable[[PickleMachine], None]]:
    m = PickleMachine
    table: dict[str, Callable[[PickleMachine], None]] = {
        "\x80": lambda s: _need(s._unpack("<B") <= 5, "an unknown protocol"),
        "\x95": lambda s: _need(s._unpack("<Q") <= len(s.data), "cut short"),  # FRAME: a hint for buffering
        "(": lambda s: s._push(_MARK),
        "0": m._drop,
        "N": lambda s: s._push(None),
        "\x88": lambda s: s._push(True),
        "\x89": lambda s: s._push(False),
        "K": lambda s: s._push(s._unpack("<B")),
        "M": lambda s: s._push(s._unpack("<H")),
        "J": lambda s: s._push(s._unpack("<i")),
        "\x8a": m._long,
        "G": lambda s: s._push(s._unpack(">d")),
        "X": lambda s: s._push(s._text(s._unpack("<I"))),
        "\x8c": lambda s: s._push(s._text(s._unpack("<B"))),
        "\x8d": lambda s: s._push(s._text(s._unpack("<Q"))),
        "B": lambda s: s._push(s._take(s._unpack("<I"))),
        "C": lambda s: s._push(s._take(s._unpack("<B"))),
        "\x8e": lambda s: s._push(s._take(s._unpack("<Q"))),
        "T": lambda s: s._push(s._take(s._unpack("<i"))),
        "U": lambda s: s._push(s._take(s._unpack("<B"))),
        "}": lambda s: s._push({}),
        "]": lambda s: s._push([]),
        ")": lambda s: s._push(()),
        "t": lambda s: s._push(tuple(s._to_mark())),
        "\x85": lambda s: s._pushed_tuple(1),
        "\x86": lambda s: s._pushed_tuple(2),
        "\x87": lambda s: s._pushed_tuple(3),
        "s": lambda s: s._set_items([s._pop(), s._pop()][::-1]),
        "u": lambda s: s._set_items(s._to_mark()),
        "a": m._append,
        "e": m._extend,
        "q": lambda s: s._memoize(s._unpack("<B")),
        "r": lambda s: s._memoize(s._unpack("<I")),
        "\x94": lambda s: s._memoize(len(s.memo)),
        "h": lambda s: s._recall(s._unpack("<B")),
        "j": lambda s: s._recall(s._unpack("<I")),
        "c": m._global,
        "\x93": m._stack_global,
        "R": m._reduce,
        "\x81": m._reduce,  # NEWOBJ: here the same thing, a name applied to arguments
        "b": m._build,
        "Q": m._persistent_id,
    }
    return {ord(code): step for code, step in table.items()}


_OPCODES = _operations()
