"""``python -m handstyle.book``: list the exercises of the book, and grade a file of answers."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from handstyle.book.grading import Exercise, chapters, exercises_of, grade, load_answers
from handstyle.foundations.errors import HandstyleError


def main(arguments: Sequence[str] | None = None) -> int:
    """List the exercises, or grade a file.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, by default the process's.

    Returns
    -------
    int
        0 if all that was graded is right, 1 if not, 2 if nothing could be graded.

    Examples
    --------
    >>> main(["list", "1"])
    1. A picture painted by an optimizer
        ch01-row             a row of pixels: row_of_pixels
        ch01-shares          who has the say: shares
    0
    """
    parser = argparse.ArgumentParser(prog="python -m handstyle.book", description="The exercises of the book.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | grade")
    listed = commands.add_parser("list", help="the chapters and their exercises")
    listed.add_argument("chapter", nargs="?", type=int, help="only this one")
    graded = commands.add_parser("grade", help="grade the answers to a chapter, or to one exercise")
    graded.add_argument("what", help="a chapter's number, or the label of an exercise: 6, ch06-strided")
    graded.add_argument("file", type=Path, help="a Python file with the functions")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "list":
            print("\n".join(_list(chosen.chapter)))
            return 0
        asked = _asked(chosen.what)
        answers = load_answers(chosen.file)
    except HandstyleError as error:
        print(f"python -m handstyle.book: {error}", file=sys.stderr)
        return 2
    grades = []
    for one in asked:
        grades.append(grade(one, answers))
        print(grades[-1], flush=True)
    right = sum(g.passed for g in grades)
    print(f"{right} of {len(grades)} right")
    return 0 if right == len(grades) else 1


def _list(only: int | None) -> list[str]:
    titles = chapters()
    if only is not None and only not in titles:
        raise HandstyleError(_no_chapter(only))
    lines = []
    for number, title in titles.items():
        if only in (None, number):
            lines += [f"{number}. {title}"]
            lines += [f"    {e.label:20} {e.title}: {', '.join(e.functions)}" for e in exercises_of(number)]
    return lines


def _asked(what: str) -> list[Exercise]:
    number = what.removeprefix("ch")[:2].removesuffix("-")
    if not number.isdecimal():
        raise HandstyleError(f"{what!r}: give a chapter's number or an exercise's label, as `list` shows them")
    asked = exercises_of(int(number))
    if not asked:
        raise HandstyleError(_no_chapter(int(number)))
    if "-" not in what:
        return asked
    chosen = [e for e in asked if e.label == what]
    if not chosen:
        raise HandstyleError(f"no exercise {what}: chapter {int(number)} has {', '.join(e.label for e in asked)}")
    return chosen


def _no_chapter(number: int) -> str:
    there = sorted(chapters())
    return f"chapter {number} has no exercises to grade: those of chapters {there[0]} to {there[-1]} have"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # the reader of the pipe has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
