"""End a run early: when its last iterations have hardly lowered the loss."""

from handstyle.optimize.trace import Iteration

WINDOW = 10  # iterations for `stop_below`: after one that lowers the value little, the next may lower it much


def describe_settled(trace: list[Iteration], stop_below: float) -> str | None:
    """Return a sentence if the last `WINDOW` iterations lowered the lowest value by less than a fraction of it.

    Parameters
    ----------
    trace : list of Iteration
        The iterations of the run so far.
    stop_below : float
        The fraction; 0 turns the test off.

    Returns
    -------
    str or None

    Examples
    --------
    >>> rows = [Iteration(i, i, value, {}, 0.0) for i, value in enumerate([2.0, *[1.0] * 10], 1)]
    >>> describe_settled(rows, 0.1), describe_settled([*rows, rows[-1]], 0.1)
    (None, 'settled after 12 iterations: the last 10 lowered the loss by less than 0.1 of it')
    """
    if not stop_below or len(trace) <= WINDOW:
        return None
    before, after = min(row.value for row in trace[:-WINDOW]), min(row.value for row in trace[-WINDOW:])
    if not before - after < stop_below * abs(before):
        return None
    done = f"settled after {len(trace)} iterations"
    return f"{done}: the last {WINDOW} lowered the loss by less than {stop_below:g} of it"
