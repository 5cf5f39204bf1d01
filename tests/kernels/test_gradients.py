"""What engines do with an objective's terms before the first evaluation."""

import tracemalloc

import numpy as np
import pytest

from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import target_bytes
from handstyle.kernels.gradients import scaled_terms
from handstyle.losses.content import ContentTerm, relative_scale
from handstyle.losses.gram import Moments, StyleTerm
from handstyle.losses.normalized import NormalizedTerm
from handstyle.losses.patches import PatchTerm

rng = np.random.default_rng(0)


def test_a_scale_is_that_of_the_reference_and_takes_no_array_of_the_targets_size():
    target = rng.standard_normal((1024, 64, 128)).astype(np.float32)
    mask = rng.uniform(0, 1, (1024, 64, 1)).astype(np.float32)
    for where in (None, mask):
        tracemalloc.start()
        (scaled,) = scaled_terms([ContentTerm("relu4_2", target, mask=where)])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert scaled.scale == pytest.approx(relative_scale(target, where), rel=1e-12)
        assert peak < target.nbytes / 2


def test_other_terms_keep_their_scales_and_an_inner_term_gets_one():
    given, other = ContentTerm("relu4_2", np.ones((2, 2, 1)), scale=0.5), StyleTerm("relu1_1", MOMENTS)
    assert scaled_terms([given]) == (given,)
    (style,) = scaled_terms([other])
    assert style.scale == other.factor == 1 / 16, "of the style term, relative to its target"
    (outer,) = scaled_terms([NormalizedTerm(ContentTerm("relu4_2", np.ones((2, 2, 1))), 3.0)])
    assert (outer.weight, outer.inner.scale) == (3.0, 0.25)
    with pytest.raises(HandstyleError, match="the target is zero everywhere"):
        scaled_terms([ContentTerm("relu4_2", np.zeros((2, 2, 1)))])


MOMENTS = Moments(1.0, np.ones(4), np.ones((4, 4)))


def test_the_bytes_of_targets_are_those_of_all_arrays_each_once():
    content = ContentTerm("relu4_2", np.zeros((4, 4, 2)), mask=np.zeros((4, 4, 1)))
    style = StyleTerm("relu1_1", MOMENTS)
    assert target_bytes([content, NormalizedTerm(style, 1.0), style]) == 8 * (32 + 16 + 4 + 16)
    patches = PatchTerm("relu3_1", np.zeros((5, 5, 2)))
    assert target_bytes([patches]) == 8 * (50 + 9 * 9 * 2)
