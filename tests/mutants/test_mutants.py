"""The checks reject every mutant, for the reason given, and accept the genuine function in its place."""

import inspect

import pytest
from mutants import catalogue
from mutants.harness import GENUINE, SUBJECTS
from mutants.table import ALL, MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.function.__name__)
def test_rejected_and_accepted_as_the_table_says(mutant: Mutant) -> None:
    reports = SUBJECTS[mutant.subject](mutant.function)
    for check in mutant.rejected_by:
        assert not reports[check], f"{mutant.name} passes: {reports[check]}"
    for check in mutant.accepted_by:  # what the check cannot see, which is why there is more than one
        assert reports[check], f"{mutant.name} is seen: {reports[check]}"
    assert mutant.rejected_by


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_genuine_is_accepted_in_the_same_place(subject: str) -> None:
    for check, report in SUBJECTS[subject](GENUINE[subject]).items():
        assert report, f"{check}: {report}"


def test_every_mutant_of_the_catalogue_is_in_the_table_once() -> None:
    functions = [f for _, f in inspect.getmembers(catalogue, inspect.isfunction) if f.__module__ == catalogue.__name__]
    assert sorted(f.__name__ for f in functions) == sorted(mutant.function.__name__ for mutant in MUTANTS)
    assert set(SUBJECTS) == set(GENUINE) == {mutant.subject for mutant in MUTANTS}


def test_at_least_twenty_fall_to_the_three_questions() -> None:
    assert sum(bool(set(mutant.rejected_by) & set(ALL)) for mutant in MUTANTS) >= 20
