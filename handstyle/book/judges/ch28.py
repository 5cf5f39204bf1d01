"""What must be written down."""

from handstyle.book.grading import exercise, mistake

_MISSING = "not there"


def _differences(one, other, keys=lambda a, b: {*a, *b}, same=lambda a, b: type(a) is type(b) and a == b):
    pairs = {key: (one.get(key, _MISSING), other.get(key, _MISSING)) for key in keys(one, other)}
    return {key: pair for key, pair in pairs.items() if not same(*pair)}


@exercise(
    "ch28-differences",
    "two recipes",
    ["recipe_differences"],
    mistake(
        "what both have",
        "a setting that only one of the two has is a difference too",
        recipe_differences=lambda a, b: _differences(a, b, keys=lambda a, b: {*a} & {*b}),
    ),
    mistake(
        "what the first has",
        "the second recipe may have a setting that the first has not",
        recipe_differences=lambda a, b: _differences(a, b, keys=lambda a, b: {*a}),
    ),
    mistake(
        "true is one",
        "in Python True == 1 and 1 == 1.0, but a program that reads them may do different things: compare types too",
        recipe_differences=lambda a, b: _differences(a, b, same=lambda a, b: a == b),
    ),
    mistake(
        "close enough",
        "0.1 + 0.2 is not 0.3, and a run that starts with one does not end with the other's picture",
        recipe_differences=lambda a, b: _differences(
            a, b, same=lambda a, b: type(a) is type(b) and (abs(a - b) < 1e-9 if isinstance(a, float) else a == b)
        ),
    ),
)
def _recipes(mine, judge):
    found = mine.recipe_differences
    judge.holds("two equal recipes", found({"a": 1, "b": [1.5, "x"]}, {"b": [1.5, "x"], "a": 1}) == {})
    judge.holds("a changed seed", found({"seed": 0, "size": 64}, {"seed": 1, "size": 64}) == {"seed": (0, 1)})
    judge.holds("only in the first", found({"padding": "zero"}, {}) == {"padding": ("zero", _MISSING)})
    judge.holds("only in the second", found({}, {"padding": "zero"}) == {"padding": (_MISSING, "zero")})
    judge.holds("True and 1", found({"clamp": True}, {"clamp": 1}) == {"clamp": (True, 1)})
    judge.holds("0.1 + 0.2 and 0.3", found({"w": 0.1 + 0.2}, {"w": 0.3}) == {"w": (0.1 + 0.2, 0.3)})
