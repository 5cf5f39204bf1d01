"""The exercises of chapter 19."""

import pytest

from handstyle.network.vgg import build_network, random_weights, summary

pytestmark = [pytest.mark.exercise, pytest.mark.ch19]


@pytest.fixture(scope="module")
def network():
    return build_network(random_weights(widths=(4, 6, 8, 8, 8), deepest="conv3_1"))


def test_evaluation_operations_of_five_convolutions(mine, network):
    pairs = [(32, 3, 4), (32, 4, 4), (16, 4, 6), (16, 6, 6), (8, 6, 8)]  # side, channels in and out
    expected = 2 * sum(2 * 9 * side * side * C * K for side, C, K in pairs)
    assert mine.evaluation_operations(network, 32, 32) == expected


def test_evaluation_operations_of_odd_sides(mine, network):
    convolutions = [row for row in summary(network, 33, 21) if row.name.startswith("conv")]
    into = [3, *(row.shape[2] for row in convolutions)]
    expected = 36 * sum(row.values * C for row, C in zip(convolutions, into, strict=False))
    assert mine.evaluation_operations(network, 33, 21) == expected


def kept(network, taps, side):
    rows = {row.name: row.values for row in summary(network, side, side)}
    bits = sum(values for name, values in rows.items() if name.startswith("relu")) / 8
    codes = sum(values for name, values in rows.items() if name.startswith("pool"))
    return bits + codes + 4 * sum(rows[tap] for tap in taps)


@pytest.mark.parametrize("taps", [["relu1_1"], ["relu2_1", "relu3_1"], []])
@pytest.mark.parametrize("budget", [1000, 10**5, 10**6])
def test_largest_side_fits_and_the_next_does_not(mine, network, taps, budget):
    side = mine.largest_side(network, taps, budget)
    assert side % 16 == 0
    assert side == 0 or kept(network, taps, side) <= budget
    assert kept(network, taps, side + 16) > budget
