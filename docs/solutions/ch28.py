"""Solutions to chapter 28."""


def recipe_differences(one, other):  # two dicts -> {key: (in one, in the other)}
    """Return what differs between two tables of settings."""
    found = {}
    for key in {**one, **other}:
        pair = one.get(key, "not there"), other.get(key, "not there")
        if pair[0] != pair[1] or type(pair[0]) is not type(pair[1]):
            found[key] = pair
    return found
