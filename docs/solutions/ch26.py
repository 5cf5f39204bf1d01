"""Solutions to chapter 26. The judges that hold them grade a reader's file too."""

import numpy as np

from handstyle.painting.color import match_histogram


def match_turned(source, target, turns):  # (H, W, 3), (h, w, 3) -> (H, W, 3)
    """Match ranks along the axes of one turned frame after another."""
    for turn in turns:
        source = match_histogram(source @ turn, target @ turn) @ turn.T
    return source


def gray_of_light(p):  # (H, W, 3), 0 to 255 -> (H, W, 3)
    """Return the gray picture that sends out as much light."""
    c = p / 255
    light = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    Y = light @ np.array([0.2126729, 0.7151522, 0.0721750])
    gray = np.where(Y <= 0.0031308, 12.92 * Y, 1.055 * Y ** (1 / 2.4) - 0.055)
    return 255 * np.repeat(gray[..., None], 3, axis=2)
