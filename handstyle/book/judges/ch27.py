"""The whole painter."""

from handstyle.book.grading import exercise, mistake
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import scales


def _sides(side, smallest, factor, before=False, down=False, least=0):
    sides = [side]
    while True:
        exact = sides[-1] / factor if before else side / factor ** len(sides)
        following = int(exact) if down else round(exact)
        if following < smallest + least:
            return sides[::-1]
        sides.append(following)


@exercise(
    "ch27-sides",
    "the sizes",
    ["pyramid_sides"],
    mistake(
        "each from the one before",
        "roundings add up; every side is computed from the full one",
        pyramid_sides=lambda *a: _sides(*a, before=True),
    ),
    mistake("rounded down", "int() cuts off", pyramid_sides=lambda *a: _sides(*a, down=True)),
    mistake(
        "the smallest left out",
        "a side that is just as large as the smallest one is a scale, too",
        pyramid_sides=lambda *a: _sides(*a, least=1),
    ),
    mistake("from fine to coarse", "the coarsest comes first", pyramid_sides=lambda *a: _sides(*a)[::-1]),
)
def _pyramid(mine, judge):
    for side, smallest, factor in ((512, 128, 2.0), (600, 100, 1.2), (1000, 100, 1.5), (640, 60, 1.3), (100, 128, 2.0)):
        found = mine.pyramid_sides(side, smallest, factor)
        config = StyleConfig(size=side, pyramid_min_size=smallest, pyramid_factor=factor)
        expected = [max(size) for size in scales(config, (side, side))]
        judge.equal(f"how many scales from {side} down to {smallest} by {factor}", len(found), len(expected), 0)
        judge.equal("the sides", found, expected, 0)


def _work(sizes, iterations, power=1, mean=False):
    H, W = sizes[-1]
    work = sum((h * w) ** power * n for (h, w), n in zip(sizes, iterations, strict=True))
    return round(work / (H * W) ** power / (len(sizes) if mean else 1))


@exercise(
    "ch27-work",
    "the same work",
    ["same_work"],
    mistake(
        "iterations counted per scale",
        "the iterations are added up, as if those on a small picture cost as much as those on a large one",
        same_work=lambda sizes, iterations: sum(iterations),
    ),
    mistake(
        "sides for pixels",
        "half the side is a quarter of the pixels",
        same_work=lambda *a: _work(*a, power=0.5),
    ),
    mistake("a mean", "the work is divided by the number of scales", same_work=lambda *a: _work(*a, mean=True)),
)
def _same_work(mine, judge):
    for sizes, iterations in (
        ([(128, 128), (256, 256), (512, 512)], [300, 300, 300]),
        ([(96, 128), (192, 256)], [40, 10]),
        ([(30, 40), (45, 60), (60, 80)], [100, 50, 25]),
        ([(64, 64)], [7]),
    ):
        found = mine.same_work(list(sizes), list(iterations))
        judge.equal(f"{len(sizes)} scales, the last {sizes[-1]}", found, _work(sizes, iterations), 0)
