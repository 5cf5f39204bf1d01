"""Settings that check themselves: types, ranges and combinations, one line each, in terms of the parameter."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import handstyle
from handstyle.losses.regions import RULES
from handstyle.painting import color, normalizations
from handstyle.painting.config import LossConfig, OptimizerConfig, PyramidConfig, StyleConfig, style_config
from handstyle.painting.setting_values import RENAMED, field_types, literal_values

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"style_layers": "relu1_1"}, {"style_layers": ("relu1_1",)}),
        ({"style_layers": "relu1_1, relu2_1"}, {"style_layers": ("relu1_1", "relu2_1")}),
        ({"style_layers": ["relu1_1"]}, {"style_layers": ("relu1_1",)}),
        ({"mask": "a,b.png"}, {"mask": ("a,b.png",)}),
        ({"style_blend": 1}, {"style_blend": (1.0,)}),
        ({"style_blend": np.array([1, 2])}, {"style_blend": (1.0, 2.0)}),
        ({"size": np.int64(64)}, {"size": 64}),
        ({"style_weight": 3}, {"style_weight": 3.0}),
        ({"clamp": np.bool_(False)}, {"clamp": False}),
    ],
)
def test_what_a_person_would_give_is_taken(given, meant):
    config = StyleConfig(**given)
    for name, value in meant.items():
        assert getattr(config, name) == value
        assert type(getattr(config, name)) is type(value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"init": np.zeros((3, 3))}, "init=ndarray of shape (3, 3)"),
        ({"size": "64"}, "size='64': must be a whole number"),
        ({"size": 64.5}, "size=64.5"),
        ({"size": True}, "size=True"),
        ({"clamp": 1}, "clamp=1: must be True or False"),
        ({"style_layers": None}, "style_layers=None: give names"),
        ({"style_layers": {"relu1_1": 1}}, "style_layers=dict"),
        ({"color": "matc"}, "did you mean match?"),
        ({"optimizer": None}, "optimizer=None: use lbfgsb"),
        ({"tv_weight": float("nan")}, "tv_weight=nan"),
        ({"learning_rate": float("inf")}, "learning_rate=inf: must be finite"),
        ({"learning_rate_schedule": "exponential:10:1e-300", "optimizer": "adam"}, "learning_rate_schedule="),
        ({"style_blend": (float("nan"), 1.0)}, "style_blend=(nan, 1.0)"),
    ],
)
def test_what_cannot_be_meant_is_one_line_that_names_the_parameter(given, words):
    with pytest.raises(handstyle.HandstyleError) as caught:
        StyleConfig(**given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_is_shown_as_the_call_that_makes_it():
    assert repr(StyleConfig()) == "StyleConfig()"
    assert repr(StyleConfig(size=64, style_layers="relu1_1")) == "StyleConfig(size=64, style_layers=('relu1_1',))"
    for config in (handstyle.preset("neural-style"), StyleConfig(strength=0.7), StyleConfig(style_weight=3)):
        assert eval(repr(config)) == config


def test_a_group_checks_itself_alone():
    assert PyramidConfig().pyramid_min_size == StyleConfig().pyramid_min_size == 128
    for group, change in (
        (PyramidConfig, {"pyramid_factor": 1.0}),
        (LossConfig, {"style_normalization": "channels"}),
        (OptimizerConfig, {"clamp": True}),
    ):
        with pytest.raises(handstyle.HandstyleError, match=next(iter(change))):
            group(**change)


def test_the_groups_have_every_field_once():
    groups = StyleConfig.__bases__
    names = [field.name for group in groups for field in dataclasses.fields(group)]
    assert sorted(names) == sorted(field_types(StyleConfig))


def test_the_listed_choices_are_those_that_are_implemented():
    tables = {
        "content_normalization": normalizations.CONTENT,
        "style_normalization": normalizations.STYLE | normalizations.PATCHES,
        "tv": normalizations.VARIATIONS,
        "mask_rule": RULES,
        "color_space": color.SPACES,
        "color_match": color.METHODS,
    }
    for name, table in tables.items():
        assert set(literal_values(field_types(StyleConfig)[name])) == set(table), name


def test_iterations_yield_to_what_is_said_later():
    base = {"iterations": 5, "iterations_by_scale": (9, 9)}
    assert style_config(base).iterations_by_scale == (9, 9)
    assert style_config(base, iterations=2).iterations_by_scale == ()
    assert style_config(base, iterations=2, iterations_by_scale=(3,)).iterations_by_scale == (3,)


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_is_answered_with_the_new(old):
    with pytest.raises(handstyle.HandstyleError, match=f"{old}: it is now called {RENAMED[old]}"):
        style_config({}, **{old: 1})


def test_an_old_value_is_answered_with_the_new():
    with pytest.raises(handstyle.HandstyleError, match="init='grey': it is now called gray"):
        StyleConfig(init="grey")


def test_an_unknown_name_is_answered_in_python_too():
    for name, answer in (("rate", "it is now called learning_rate"), ("sise", "did you mean size?")):
        with pytest.raises(handstyle.HandstyleError, match=answer):
            StyleConfig(**{name: 3})
    changed = dataclasses.replace(StyleConfig(size=64), iterations=5)
    assert copy.deepcopy(changed) == pickle.loads(pickle.dumps(changed)) == StyleConfig(size=64, iterations=5)
