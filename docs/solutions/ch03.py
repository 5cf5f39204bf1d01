"""Solutions to chapter 3. The tests that hold them grade a reader's file too."""

import numpy as np


def signed_forward(p):  # (H, W, 3), 0 to 255 -> (H, W, 3), -1 to 1
    """Return the picture on the scale from −1, black, to 1, white."""
    return p / 127.5 - 1


def signed_backward(dx):  # (H, W, 3) -> (H, W, 3)
    """Return the gradient at the picture."""
    return dx / 127.5


def halved_in_light(p):  # (H, W, 3), 0 to 255 -> (H/2, W/2, 3)
    """Return the picture at half the size, averaged in linear light (IEC 61966-2-1)."""
    c = p / 255
    light = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    H, W, C = p.shape
    mean = light.reshape(H // 2, 2, W // 2, 2, C).mean(axis=(1, 3))
    return 255 * np.where(mean <= 0.0031308, 12.92 * mean, 1.055 * mean ** (1 / 2.4) - 0.055)
