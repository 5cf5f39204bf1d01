"""Read a pickle without importing or calling anything that it names, except functions in a table.

A pickle is a program for a stack machine. The standard machine can import and call any name, so a malicious weight file
can execute code. `PickleMachine` is the standard library's machine in Python (``pickle._Unpickler``) with fewer
instructions, no imports, and bounds on steps and texts. Bytes are views of the file, not copies.
"""

import pickle
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers.reading import check_shape

Names = Mapping[tuple[str, str], Callable[..., Any]]

MAX_STEPS = 200_000  # VGG-19's whole state is below 3,000
MAX_TEXT_BYTES = 4096
# PROTO FRAME MARK STOP POP NONE, numbers, text, bytes, strings of Python 2, containers, memo, names, calls, references
OPCODES = b"\x80\x95(.0N\x88\x89KMJ\x8aGX\x8c\x8dBC\x8eTU}])t\x85\x86\x87suaeqr\x94hjc\x93R\x81bQ"
# Modules whose classes are layers: a pickle that names them is of a whole model.
MODEL_MODULES = ("torch.nn", "torchvision.", "timm.", "__main__")


class Name:
    """An allowed name in a pickle, with its function, which is called only by an instruction of the machine.

    Examples
    --------
    >>> length = Name("builtins", "len", len)
    >>> length.function([1, 2, 3])
    3
    """

    def __init__(self, module: str, name: str, function: Callable[..., Any]) -> None:
        self.module, self.name, self.function = module, name, function


class _View:
    """A file object that reads given bytes and returns views of them."""

    def __init__(self, data: memoryview, position: int) -> None:
        self.data, self.position = data, position

    def read(self, count: int) -> memoryview | bytes:
        if not 0 <= count <= len(self.data) - self.position:
            raise HandstyleError("a damaged pickle (cut short)")
        self.position += count
        view = self.data[self.position - count : self.position]
        return bytes(view) if count == 1 else view  # the machine takes an opcode as bytes

    def readline(self) -> bytes:
        window = bytes(self.data[self.position : self.position + MAX_TEXT_BYTES])
        line = window[: window.find(b"\n") + 1]
        self.position += len(line)
        return line


class _Steps(dict[int, Callable[[Any], None]]):
    """A table of the pickle instructions that limits the number of look-ups."""

    left = MAX_STEPS

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise HandstyleError(f"a pickle of more than {MAX_STEPS} steps: no weight file has so many")
        return super().__getitem__(code)

    def __missing__(self, code: int) -> Callable[[Any], None]:
        raise HandstyleError(f"a pickle with the opcode {bytes([code])!r}, which no weight file needs")


class PickleMachine(pickle._Unpickler):
    """An interpreter of pickles that calls only the functions in a table.

    Parameters
    ----------
    data : memoryview
        The bytes of the pickle; results contain views of them.
    names : mapping
        The allowed names: pairs (module, name) with the functions that are called for them.
    persistent : callable, optional
        Converts a persistent id to a value.

    Examples
    --------
    >>> from collections import OrderedDict
    >>> program = memoryview(pickle.dumps(OrderedDict(conv1_1=[1, 2]), protocol=2))
    >>> value, end = PickleMachine(program, {("collections", "OrderedDict"): dict}).load()
    >>> value
    {'conv1_1': [1, 2]}
    """

    # Of the standard library's machine.
    stack: list[Any]
    metastack: list[list[Any]]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {code: pickle._Unpickler.dispatch[code] for code in OPCODES}

    def __init__(self, data: memoryview, names: Names, persistent: Callable[[Any], Any] | None = None) -> None:
        self.data, self.names, self.persistent = data, names, persistent

    def load(self, start: int = 0) -> tuple[Any, int]:
        """Run the pickle at the position `start`, and return its value and the position after its end.

        Raises
        ------
        HandstyleError
            If the pickle is damaged, or has a name or an instruction that is not allowed.

        Examples
        --------
        >>> program = memoryview(pickle.dumps({"conv1_1": [1, 2]}, protocol=2))
        >>> PickleMachine(program, {}).load() == ({"conv1_1": [1, 2]}, len(program))
        True
        >>> try:
        ...     PickleMachine(memoryview(pickle.dumps(exec, protocol=2)), {}).load()
        ... except HandstyleError as error:
        ...     print(error)
        asks for __builtin__.exec, which no weight file needs; nothing was run
        """
        file = _View(self.data, start)
        super().__init__(cast(Any, file), encoding="bytes")
        self.dispatch = _Steps(type(self).dispatch)  # type: ignore[misc]  # which counts for this pickle alone
        try:
            value = super().load()
        except (HandstyleError, MemoryError):
            raise
        except Exception as error:  # the machine checks little: an empty stack is an IndexError, and so on
            raise HandstyleError(f"a damaged pickle ({' '.join(str(error).split())[:100]})") from None
        return value, file.position

    def find_class(self, module: str, name: str) -> Name:
        """Return the function of a name in the table, as a `Name`; nothing is imported.

        Raises
        ------
        HandstyleError
            If the table does not have the name.

        Examples
        --------
        >>> machine = PickleMachine(memoryview(b""), {("builtins", "len"): len})
        >>> machine.find_class("builtins", "len").function is len
        True
        """
        function = self.names.get((module, name))
        if function is None:
            asked = f"asks for {module[:60]}.{name[:60]}, which no weight file needs; nothing was run"
            if module.startswith(MODEL_MODULES):
                asked += "; a whole model: where it was made, save its weights alone, torch.save(model.state_dict(), …)"
            raise HandstyleError(asked)
        return Name(module, name, function)

    def persistent_load(self, key: Any) -> Any:
        """Return the value of a reference to data outside the pickle, such as a tensor of PyTorch.

        Raises
        ------
        HandstyleError
            If the machine was given no `persistent`.

        Examples
        --------
        >>> tensors = {"0": "the first tensor"}
        >>> PickleMachine(memoryview(b""), {}, persistent=tensors.get).persistent_load("0")
        'the first tensor'
        """
        if self.persistent is None:
            raise HandstyleError("a pickle with references to values outside it, of which there are none")
        return self.persistent(key)

    def _call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise HandstyleError("a damaged pickle (a call of what is no name)")
        self.append(function.function(*arguments))

    def _build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], _PickledDtype | PickledArray):
            self.stack[-1].build(state)
        elif not isinstance(self.stack[-1], dict):  # attributes of an ordered dictionary are of no use here
            raise HandstyleError("a damaged pickle (a state of what has none)")

    def _set_items(self) -> None:
        items = self.pop_mark()
        if not isinstance(self.stack[-1], dict) or len(items) % 2:
            raise HandstyleError("a damaged pickle (keys and values without a dictionary)")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][dictionary_key(key)] = value

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.metastack.append(self.stack)
        self.stack = [key, value]
        self._set_items()

    def _text(self, size: int) -> None:
        if size > MAX_TEXT_BYTES:
            raise HandstyleError("a damaged pickle (a text too long)")
        self.append(str(self.read(size), "utf-8"))

    dispatch |= {
        0x95: lambda self: self.read(8),  # FRAME, a hint for buffering
        ord("R"): _call,
        0x81: _call,  # NEWOBJ: a name applied to arguments
        ord("b"): _build,
        ord("s"): _set_item,
        ord("u"): _set_items,
        ord("X"): lambda self: self._text(int.from_bytes(self.read(4), "little")),
        0x8D: lambda self: self._text(int.from_bytes(self.read(8), "little")),
    }


def dictionary_key(key: Any) -> str | int:
    """Return a dictionary key as text or number, or raise `HandstyleError`; byte strings of Python 2 become text.

    Examples
    --------
    >>> dictionary_key(b"conv1_1"), dictionary_key(7)
    ('conv1_1', 7)
    """
    key = plain_text(key)
    if not isinstance(key, str | int):
        raise HandstyleError("a damaged pickle (a key that is neither text nor a number)")
    return key


def plain_text(value: Any) -> Any:
    """Return bytes as text if they are fewer than `MAX_TEXT_BYTES`, and any other value unchanged.

    Examples
    --------
    >>> plain_text(b"float32"), plain_text(1.5)
    ('float32', 1.5)
    """
    short = isinstance(value, bytes | memoryview) and len(value) < MAX_TEXT_BYTES
    return bytes(value).decode("latin1") if short else value


class _PickledDtype:
    """The dtype of an array in a pickle; it replaces ``numpy.dtype('f4', False, True)``."""

    def __init__(self, kind: Any = None, *_: Any) -> None:
        self.kind = str(plain_text(kind))[:8]
        self.order: Any = "="

    def build(self, state: Any) -> None:
        """Set the byte order from the pickled state (version, byte order, …)."""
        self.order = plain_text(state[1]) if isinstance(state, tuple) and len(state) > 1 else None
        if self.order not in ("<", ">", "|", "="):
            raise HandstyleError("a damaged pickle (a dtype without a byte order)")


class PickledArray:
    """An array in a pickle; it replaces ``numpy._core.multiarray._reconstruct(ndarray, (0,), b'b')``.

    Examples
    --------
    >>> program = memoryview(pickle.dumps(np.arange(3.0), protocol=2))
    >>> array, _ = PickleMachine(program, NUMPY_NAMES).load()
    >>> type(array).__name__, array.state[1]  # the shape
    ('PickledArray', (3,))
    """

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = (1, (), _PickledDtype(), False, None)

    def build(self, state: Any) -> None:
        """Set shape, dtype and data from the pickled state (version, shape, dtype, Fortran order, data).

        Examples
        --------
        >>> array = PickledArray()
        >>> array.build((1, (2,), _PickledDtype("f4"), False, memoryview(np.ones(2, np.float32))))
        >>> array.state[:2]
        (1, (2,))
        """
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _PickledDtype):
            raise HandstyleError("a damaged pickle (an array without a state)")
        self.state = state

    def objects(self) -> list[Any]:
        """Return the objects of an array of objects; an empty list for other arrays.

        Examples
        --------
        >>> layers = memoryview(pickle.dumps(np.array(["conv1_1", "conv1_2"], object), protocol=2))
        >>> PickleMachine(layers, NUMPY_NAMES).load()[0].objects()
        ['conv1_1', 'conv1_2']
        """
        return self.state[4] if isinstance(self.state[4], list) else []

    def values(self, name: str) -> Array:
        """Return the NumPy array, after checking its shape; `name` is that of its layer, for the error message.

        Raises
        ------
        HandstyleError
            If it is no array of floating point, or the number of its bytes is not that of its shape.

        Examples
        --------
        >>> program = memoryview(pickle.dumps(np.arange(3.0), protocol=2))
        >>> PickleMachine(program, NUMPY_NAMES).load()[0].values("conv1_1")
        array([0., 1., 2.])
        """
        _, declared, pickled, fortran, data = self.state
        if (
            not isinstance(declared, tuple)
            or not isinstance(data, memoryview)
            or pickled.kind not in ("f2", "f4", "f8")
        ):
            raise HandstyleError(f"layer {name} is no array of floating point")
        shape = check_shape(name, declared)
        dtype = np.dtype(pickled.kind).newbyteorder(pickled.order)
        if len(data) != int(np.prod(shape)) * dtype.itemsize:
            raise HandstyleError(f"layer {name} has {len(data)} bytes for shape {shape}")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _never_called(*_: Any) -> None:
    raise HandstyleError("a damaged pickle (a class that is called)")


def _encode(text: Any, encoding: Any = "latin1") -> memoryview:
    # The form of short byte strings that Python 3 writes in protocol 2.
    if not isinstance(text, str) or encoding != "latin1":
        raise HandstyleError("a damaged pickle (bytes that are no text)")
    return memoryview(text.encode("latin1"))


# The names in pickles of NumPy arrays and scalars. Scalars, such as the number of an epoch or a loss, are ignored.
NUMPY_NAMES: Names = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): PickledArray for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): lambda *_: None for core in ("core", "_core")},
    ("numpy", "ndarray"): _never_called,
    ("numpy", "dtype"): _PickledDtype,
    ("_codecs", "encode"): _encode,
}
