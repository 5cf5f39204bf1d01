"""The painter of mutants paints with them: each takes the place of what the painting calls."""

import numpy as np
import pytest
from mutants import paint

from handstyle.network.vgg import random_weights

SUBJECTS = sorted({mutant.subject for mutant in paint.MUTANTS} - paint.NOT_PAINTED)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_mutant_is_called(subject, monkeypatch):
    monkeypatch.setattr(paint, "SIZE", 64)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 224, 3) if subject in paint.TILED else (2, 48, 64, 3))
    calls = []

    def noted(*arguments, **options):
        calls.append(subject)
        return paint.GENUINE[subject](*arguments, **options)

    paint.paint(subject, noted, tuple(pictures), random_weights(), iterations=1)
    assert calls
