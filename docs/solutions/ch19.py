"""Solutions to chapter 19. The tests that hold them grade a reader's file too."""

from handstyle.network.vgg import summary


def evaluation_operations(network, H, W):  # -> int
    """Return the operations of all convolutions in one value and gradient."""
    total, C = 0, 3
    for row in summary(network, H, W):
        h, w, K = row.shape
        if row.name.startswith("conv"):
            total += 2 * 18 * h * w * C * K
        C = K
    return total


def largest_side(network, taps, budget):  # -> pixels
    """Return the largest multiple of 16 whose kept bits and features fit."""

    def bytes_kept(side):
        total = 0
        for row in summary(network, side, side):
            total += row.values / 8 if row.name.startswith("relu") else 0
            total += row.values if row.name.startswith("pool") else 0
            total += 4 * row.values if row.name in taps else 0
        return total

    side = 0
    while bytes_kept(side + 16) <= budget:
        side += 16
    return side
