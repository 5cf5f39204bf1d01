"""Read picture files that may be damaged, too large or hostile: limit their pixels, repair PNGs, explain errors."""

import io
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TypeVar

from PIL import Image, UnidentifiedImageError

from handstyle.foundations.errors import HandstyleError, OutOfMemoryError, one_line

ADVICE = "make the picture smaller first"
MAX_PROFILE_BYTES = 1 << 24  # bytes; profiles for print have up to some three million
LIMIT_LOCK = threading.Lock()  # held while Pillow's own limit, which is global, is another one
T = TypeVar("T")


@contextmanager
def explain_errors(name: str) -> Iterator[None]:
    """Raise any error of decoding as a `HandstyleError` of one line with the name of the picture.

    Examples
    --------
    >>> try:
    ...     with explain_errors("cut.png"):
    ...         raise SyntaxError("broken PNG file")
    ... except HandstyleError as error:
    ...     print(error)
    cut.png is damaged or truncated (broken PNG file): fetch it again
    """
    try:
        yield
    except HandstyleError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(f"{name}: there is not enough memory to read it; {ADVICE}") from error
    except Image.DecompressionBombError as error:
        raise HandstyleError(
            f"{name} is too large ({one_line(error)}): make it smaller first, or allow more by `max_pixels`"
        ) from error
    except UnidentifiedImageError as error:
        raise HandstyleError(f"{name} is not a picture that Pillow reads: convert it to PNG") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise HandstyleError(f"{name} cannot be read: {error.strerror or error}") from error
        raise HandstyleError(f"{name} is damaged or truncated ({one_line(error)}): fetch it again") from error


@contextmanager
def pixel_limit(max_pixels: int | None) -> Iterator[None]:
    """Set Pillow's global limit of pixels in a ``with`` block; Pillow refuses pictures of more than twice the limit.

    Examples
    --------
    >>> with pixel_limit(1_000_000):
    ...     Image.MAX_IMAGE_PIXELS
    500000
    """
    if max_pixels is None:
        yield
        return
    with LIMIT_LOCK:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def read_repaired(stream: IO[bytes], read: Callable[[IO[bytes], list[str], bytes | None], T]) -> T:
    """Read a picture; a PNG whose text or color profile is broken is read without them.

    Parameters
    ----------
    stream : file
        The picture's file, open for reading.
    read : callable
        ``read(stream, notes, profile)`` reads it, given notes on what was ignored, and the color profile if it was cut
        out of the stream.

    Returns
    -------
    object
        What `read` returns.

    Examples
    --------
    >>> stream = io.BytesIO(b"a file")
    >>> read_repaired(stream, lambda stream, notes, profile: (stream.read(), notes))
    (b'a file', [])
    """
    try:
        return read(stream, [], None)
    except (HandstyleError, MemoryError, Image.DecompressionBombError):
        raise
    except Exception as error:  # decoders raise errors of any class: SyntaxError, struct.error, RuntimeError
        stream.seek(0)
        rest = _png_without_text(stream.read())
        if rest is None:
            raise
        essential, profile, dropped = rest
        notes = [f"{what} of the PNG cannot be read and was ignored ({one_line(error)})" for what in sorted(dropped)]
        try:
            return read(io.BytesIO(essential), notes, profile)
        except (MemoryError, Image.DecompressionBombError):
            raise
        except Exception:
            raise error from None


def _png_without_text(data: bytes) -> tuple[bytes, bytes | None, set[str]] | None:
    """Return a PNG file without its text and color profile, the profile, and notes on losses; None if it has neither.

    A few bytes of text or profile can decompress to gigabytes, so the profile is decompressed up to a limit.
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    kept, profile, at = [data[:8]], None, 8
    dropped: set[str] = set()
    while at + 12 <= len(data):  # PNG specification, section 5.3: length, type, data, checksum
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunk = data[at : at + 12 + length]
        if kind == b"iCCP":
            profile = _profile_of(chunk[8:-4])
            dropped |= set() if profile else {"the color profile"}
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            dropped.add("the text")
        else:
            kept.append(chunk)
        at += 12 + length
    return (b"".join(kept), profile, dropped) if dropped or profile else None


def _profile_of(chunk: bytes) -> bytes | None:
    """Return the color profile in an iCCP chunk: name, zero byte, method (0, deflate), and the compressed profile."""
    name, _, rest = chunk.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof and rest[:1] == b"\0" and name else None
