"""The judges of the exercises: the book's own solutions pass, each known mistake is rejected and named."""

import importlib
import re
from types import SimpleNamespace

import numpy as np
import pytest
from chapters import CHAPTERS
from conftest_docs import DOCS

from handstyle.book.grading import EXERCISES, Exercise, Judge, Mistake, chapters, exercises_of, grade
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward

TITLES = chapters()
EACH = [pytest.param(e, id=e.label) for e in EXERCISES.values()]
MISTAKES = [pytest.param(e, m, id=f"{e.label}-{m.name}") for e in EXERCISES.values() for m in e.mistakes]
PAGES: dict[int, str] = {}
for chapter in CHAPTERS:
    PAGES[chapter.number] = PAGES.get(chapter.number, "") + (DOCS / f"{chapter.page}.md").read_text(encoding="utf-8")


def solutions(asked: Exercise) -> dict[str, object]:
    return vars(importlib.import_module(f"solutions.ch{asked.chapter:02d}"))


@pytest.mark.parametrize("asked", EACH)
def test_the_solution_of_the_book_is_right(asked: Exercise) -> None:
    found = grade(asked, SimpleNamespace(**solutions(asked)))
    assert found.passed, str(found)
    assert len(str(found).splitlines()) == 2


@pytest.mark.parametrize(("asked", "known"), MISTAKES)
def test_a_known_mistake_is_rejected_and_named(asked: Exercise, known: Mistake) -> None:
    found = grade(asked, SimpleNamespace(**{**solutions(asked), **known.functions}))
    assert not found.passed
    assert found.resembles is known, str(found)
    assert f"resembles “{known.name}”" in str(found)
    assert len(str(found).splitlines()) == 2


@pytest.mark.parametrize("asked", EACH)
def test_an_answer_that_is_not_there_is_not_right(asked: Exercise) -> None:
    empty = grade(asked, SimpleNamespace())
    assert not empty.passed
    assert str(empty).startswith("no answer")
    for name in asked.functions if len(asked.functions) > 1 else ():
        half = grade(asked, SimpleNamespace(**{name: solutions(asked)[name]}))
        assert not half.passed
        assert "a part of the answer is missing" in str(half)


@pytest.mark.parametrize("asked", EACH)
def test_an_answer_that_returns_nothing_is_not_right(asked: Exercise) -> None:
    found = grade(asked, SimpleNamespace(**{name: lambda *_, **__: None for name in asked.functions}))
    assert not found.passed
    assert len(str(found).splitlines()) == 2


@pytest.mark.parametrize("asked", EACH)
def test_an_answer_that_is_not_a_number_is_not_right(asked: Exercise) -> None:
    found = grade(asked, SimpleNamespace(**{name: lambda *_, **__: np.nan for name in asked.functions}))
    assert not found.passed


def test_the_judges_ask_what_the_pages_ask() -> None:
    for number, page in PAGES.items():
        on_page = re.findall(r"\{exercise\} Code: (.+)\n:label: (ch\d\d-[a-z-]+)\n((?:(?!:::).*\n)+)", page)
        judged = exercises_of(number)
        assert [(e.title, e.label) for e in judged] == [(title, label) for title, label, _ in on_page]
        for e, (_, _, text) in zip(judged, on_page, strict=True):
            assert all(f"`{name}(" in text for name in e.functions), e.label
            assert e.mistakes, f"{e.label} knows no mistake"


def test_the_titles_are_those_of_the_pages() -> None:
    for number, title in TITLES.items():
        assert re.search(rf"^# {re.escape(title)}(: .+)?$", PAGES[number], re.MULTILINE), number


def test_a_factor_is_found() -> None:
    judge = Judge()
    judge.equal("half", np.arange(6.0).reshape(2, 3) / 2, np.arange(6.0).reshape(2, 3))
    judge.equal("transposed", np.arange(9.0).reshape(3, 3).T, np.arange(9.0).reshape(3, 3))
    judge.equal("reversed", np.arange(6.0)[::-1], np.arange(6.0))
    judge.equal("another shape", np.zeros(3), np.zeros(4))
    assert [c.remark for c in judge.comparisons] == [
        "it is the right one times 0.5",
        "it is the right one, transposed",
        "it is the right one, with axis 0 reversed",
        "its shape is (3,), and (4,) is right",
    ]
    assert not any(c.passed for c in judge.comparisons)


def test_the_matrix_of_the_backward_pass_is_the_transpose(rng: np.random.Generator) -> None:
    matrix_of = importlib.import_module("solutions.ch06").matrix_of
    w = rng.normal(size=(3, 3, 2, 2))
    _, cache = conv3x3_forward(np.zeros((3, 4, 2)), w, np.zeros(2))
    A = matrix_of(lambda u: conv3x3_forward(u, w, np.zeros(2))[0], (3, 4, 2))
    assert np.allclose(A.T, matrix_of(lambda v: conv3x3_backward(v, cache), (3, 4, 2)), atol=1e-14)
