"""Start the program ``handstyle``, also as ``python -m handstyle``."""

import os
import signal
import sys

MIN_ADDRESS_SPACE = 512 * 2**20  # bytes; with less, NumPy's and SciPy's libraries do not load, or end the process


def main() -> None:
    """Run the command line, or exit with a message if the process may not use enough memory to load it.

    A signal during loading ends the process at once, because a KeyboardInterrupt would print a traceback of the library
    that is being imported.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: os._exit(128 + number))
    limit = address_space()
    if limit < MIN_ADDRESS_SPACE:
        sys.exit(
            f"handstyle: the address space of this process is limited to {limit / 2**20:.0f} MiB (ulimit -v); "
            f"{MIN_ADDRESS_SPACE / 2**20:.0f} MiB are needed to load the program, and more to paint"
        )
    from handstyle.cli import main as run

    run()


def address_space() -> float:
    """Return the limit of this process's address space in bytes; infinity if there is none."""
    try:
        import resource
    except ImportError:  # Windows
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit


if __name__ == "__main__":
    main()
