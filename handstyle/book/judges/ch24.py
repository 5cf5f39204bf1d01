"""Pictures larger than memory."""

import numpy as np

from handstyle.book.grading import exercise, mistake


def _cut(length, tile, halo, stride, before=1, after=1, whole=True, own=1):
    step, spans, at = tile - 2 * halo, [], 0
    while at < length:
        last = at + step + halo >= length if whole else at + step >= length
        end = length if last else at + step
        start, stop = max(0, at - before * halo), min(length, end + after * halo)
        spans.append((start, stop, at, end) if own else (start, stop, start, stop))
        at = end
    return spans


@exercise(
    "ch24-cut",
    "cut a side",
    ["cut"],
    mistake(
        "a halo on one side",
        "what is owned first has nothing before it: the halo is missing on the left",
        cut=lambda *a: _cut(*a, before=0),
    ),
    mistake(
        "half a halo",
        "each tile has half of the halo: two neighbors do not share one, each needs its own",
        cut=lambda *a: _cut(*a, before=0.5, after=0.5),
    ),
    mistake(
        "everything is owned",
        "a tile owns its halo too: what lies near a seam counts twice",
        cut=lambda *a: _cut(*a, own=0),
    ),
    mistake(
        "the last is dropped",
        "the end of the side, which fills no tile, is owned by none",
        cut=lambda length, tile, halo, stride: _cut(length, tile, halo, stride)[:-1],
    ),
)
def _sides(mine, judge):
    for length, tile, halo, stride in ((12, 8, 2, 2), (391, 192, 80, 16), (100, 128, 32, 8), (257, 96, 32, 8)):
        spans = [tuple(span) for span in mine.cut(length, tile, halo, stride)]
        owners = np.zeros(length)
        for _, _, first, last in spans:
            owners[first:last] += 1
        case = f"{length} pixels in tiles of {tile}"
        judge.equal(f"{case}: how often each pixel is owned", owners, np.ones(length), 0)
        judge.holds(f"{case}: in order", spans == sorted(spans))
        judge.holds(f"{case}: small enough", all(stop - start <= tile for start, stop, _, _ in spans))
        judge.holds(f"{case}: a halo before", all(start <= max(0, first - halo) for start, _, first, _ in spans))
        judge.holds(f"{case}: a halo behind", all(stop >= min(length, last + halo) for _, stop, _, last in spans))
        judge.holds(f"{case}: starts in step with the pools", all(start % stride == 0 for start, _, _, _ in spans))
        judge.holds(
            f"{case}: stops in step with the pools", all(b % stride == 0 or b == length for _, b, _, _ in spans)
        )


def _losses(f, target, split=True, total=np.mean):
    parts = [half.reshape(-1, f.shape[2]) for half in (np.split(f, 2, axis=1) if split else [f])]
    return total([((F.T @ F / len(F) - target) ** 2).sum() for F in parts])


@exercise(
    "ch24-split",
    "one sum, two judges",
    ["apart", "together"],
    mistake(
        "means of means",
        "the Gram matrices of the halves are divided before they are added, and the sum is not divided again",
        together=lambda f, target: (
            (sum(F.T @ F / len(F) for F in (h.reshape(-1, f.shape[2]) for h in np.split(f, 2, axis=1))) - target) ** 2
        ).sum(),
    ),
    mistake(
        "exchanged",
        "the halves are judged alone where they should be judged together",
        apart=lambda f, target: _losses(f, target, split=False),
        together=lambda f, target: _losses(f, target),
    ),
    mistake(
        "a sum of losses",
        "the mean of the two losses was asked for, not their sum",
        apart=lambda f, target: _losses(f, target, total=np.sum),
    ),
)
def _split(mine, judge):
    f, target = judge.rng.normal(size=(5, 8, 3)), judge.rng.normal(size=(3, 3))
    f[:, 4:] *= 2
    judge.equal("apart", mine.apart(f, target), _losses(f, target))
    judge.equal("together", mine.together(f, target), _losses(f, target, split=False))
