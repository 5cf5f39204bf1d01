"""The program ``handstyle``, and ``python -m handstyle``: the command line, or why it cannot be loaded."""

import os
import signal
import sys

LEAST_ADDRESS_SPACE = 512 * 2**20  # bytes; with less, NumPy's and SciPy's libraries do not load, or end the process


def main() -> None:
    """Run the command line; where the process may not have the memory to load it, say so and end with status 1.

    A signal that comes while it is loaded ends the process at once: a KeyboardInterrupt there would be a traceback of
    whatever library is being imported.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: os._exit(128 + number))
    limit = address_space()
    if limit < LEAST_ADDRESS_SPACE:
        sys.exit(
            f"handstyle: the address space of this process is limited to {limit / 2**20:.0f} MiB (ulimit -v); "
            f"{LEAST_ADDRESS_SPACE / 2**20:.0f} MiB are needed to load the program, and more to paint"
        )
    from handstyle.cli import main as run

    run()


def address_space() -> float:
    """Return the limit of this process's address space, in bytes; infinite where there is none."""
    try:
        import resource
    except ImportError:  # Windows
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit


if __name__ == "__main__":
    main()
