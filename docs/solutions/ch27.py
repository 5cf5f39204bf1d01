"""Solutions to chapter 27. The judges that hold them grade a reader's file too."""


def pyramid_sides(side, smallest, factor):  # -> list of int, from coarse to fine
    """Return the long sides of a pyramid."""
    sides = [side]
    while round(side / factor ** len(sides)) >= smallest:
        sides.append(round(side / factor ** len(sides)))
    return sides[::-1]


def same_work(sizes, iterations):  # [(H, W), ...], [int, ...] -> int
    """Return how many iterations at the last size cost as much."""
    H, W = sizes[-1]
    work = sum(h * w * n for (h, w), n in zip(sizes, iterations, strict=True))
    return round(work / (H * W))
