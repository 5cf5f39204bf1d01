"""Print the help of commands as plain text, and suggest flags in place of unknown ones."""

import difflib
import os
import re
import shlex
import textwrap
from collections.abc import Collection, Sequence
from typing import Any

from cyclopts import CycloptsError, MissingArgumentError, UnknownCommandError, UnknownOptionError, UnusedCliTokensError

from handstyle.cli.options import all_fields, flag
from handstyle.painting.inputs import START_ALIASES
from handstyle.painting.setting_values import RENAMED as RENAMED_SETTINGS

DESCRIPTION_COLUMN = 24  # the column where descriptions begin

CONTENT, STYLES = "the first picture, without a flag", "the pictures after the first, without a flag"

# Names of flags in earlier versions, and their present names.
RENAMED = {**RENAMED_SETTINGS, "licence": "license", "normalise": "normalize"}

# Flags of other programs, without leading dashes, for each flag of this program that has the same effect.
FOREIGN_FLAGS = {
    "--size 512": "image-size max-size img-size imsize end-scale s width img-height content-size",
    "--iterations 300": "i iter iters num-iterations n-iter max-iterations num-steps max-iter",
    "--content-weight 1": "cw content-wt alpha",
    "--strength 0.5": "style-strength intensity style-intensity stylization-strength",
    "--style-weight 10": "sw style-wt beta",
    "--tv-weight 1e-4": "tw tvw tv-wt smoothness total-variation-weight",
    "--color luminance-after": "original-colors preserve-color preserve-colors keep-colors color-preservation",
    "--learning-rate 1": "lr step-size",
    "--weights vgg19": "model model-file network model-weights",
    "--backend cupy": "gpu device cuda devices",
    "--save-every 50": "save-iter checkpoint-iterations",
    "--style-scale 1": "style-scale-fac",
    "--averaging 0.99": "ad avg-decay",
    "--style-blend 1 1": "style-blend-weights style-imgs-weights style-weights",
    "--init content": "init-image initial image-init init-img-type",
    "--init noise": "random-init random",
    "--init-noise 0.5": "initial-noiseblend noise-ratio",
    "--pyramid-min-size 128": "min-scale multiscale scales",
    "--mask m.png": "mask-path mask-paths content-mask content-seg masks semantic-map",
    "--style-mask m.png": "style-seg style-masks style-mask-imgs",
    "--output OUT": "output-image out-file out result output-path img-name",
    "--pooling average": "pool pooling-type",
    CONTENT: "content content-image content-img source-image input",
    STYLES: "style style-image style-img style-images style-imgs styles",
    "--seed 0": "random-seed",
    "--stop-below 0.01": "min-improvement early-stop",
    "--lbfgs-history 10": "lbfgs-num-correction",
    "no flag: the losses are shown while it paints": "print-iter print-iterations verbose progress-plot",
    "no flag: --weights is one file": "proto-file",
}
# What is written for flags of other programs that have no value, or one that means yes.
FIXED = ("--color luminance-after", "--init noise")
VALUES = {**START_ALIASES, "avg": "average", "cudnn": "cupy", "mkl": "numpy"}  # of other programs, and ours
# The arguments of the commands.
USAGE = {
    "stylize": "CONTENT STYLE [STYLE...] [-o OUTPUT] [FLAGS]",
    "texture": "STYLE [STYLE...] [-o OUTPUT] [FLAGS]",
    "reconstruct": "PICTURE --layer LAYER [--of content|style] [-o OUTPUT] [FLAGS]",
    "batch": "FOLDER STYLE [STYLE...] [-o FOLDER] [FLAGS]",
    "frames": "FOLDER|FILM STYLE [STYLE...] [-o FOLDER|FILM] [FLAGS]",
    "sweep": "CONTENT STYLE [STYLE...] --over SETTING=VALUE,VALUE... [-o OUTPUT] [FLAGS]",
    "plan": "[CONTENT STYLE [STYLE...]] [FLAGS]",
    "bench": "[SIZES...] [FLAGS]",
}
WEIGHTS = ("--content-weight", "--style-weight", "--tv-weight")


def plain_help(console: Any, options: Any, panel: Any) -> None:
    """Print one group of flags in the help, each with its description in one or several lines.

    Examples
    --------
    >>> from cyclopts import App
    >>> from rich.console import Console
    >>> app = App(name="paint", help_formatter=plain_help, help_flags=(), version_flags=())
    >>> @app.default
    ... def paint(size: int = 512) -> None:
    ...     '''Paint.
    ...
    ...     Parameters
    ...     ----------
    ...     size : int
    ...         Long side in pixels.
    ...     '''
    >>> app.help_print([], console=Console(width=80))
    paint [ARGS]
    <BLANKLINE>
    Paint.
    <BLANKLINE>
    Parameters
      SIZE, --size            Long side in pixels.
    """
    if not panel.entries:
        return
    lines = [panel.title]
    for entry in panel.entries:
        shown = list(entry.display_labels)  # without --no-clamp beside --clamp
        labels = [one for one in shown if not (one.startswith("--no-") and one.replace("--no-", "--", 1) in shown)]
        label = ", ".join(labels)
        text = " ".join(getattr(entry.description, "plain", "").split()) or _rendered(entry.description, console)
        body = textwrap.wrap(text, max(40, console.width - DESCRIPTION_COLUMN - 4)) or [""]
        if len(label) > DESCRIPTION_COLUMN - 2:
            lines.append(f"  {label}")
            label = ""
        lines += [f"  {label if not at else '':{DESCRIPTION_COLUMN}}{line}".rstrip() for at, line in enumerate(body)]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _rendered(description: Any, console: Any) -> str:
    with console.capture() as capture:
        console.print(description, soft_wrap=True)
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", capture.get()).split())


def explain_error(error: CycloptsError, words: Sequence[str]) -> str:
    """Return an error of the command line parser in one line, with a suggestion of what to type.

    Examples
    --------
    >>> from handstyle.cli import make_app
    >>> words = ["bench", "--size", "256"]
    >>> try:
    ...     make_app().parse_args(words, exit_on_error=False, print_error=False)
    ... except CycloptsError as error:
    ...     print(explain_error(error, words))
    bench has no --size: give the sides without a flag, as in handstyle bench 256 512
    """
    command = next((word for word in words if not word.startswith("-")), "")
    message = str(error)
    if isinstance(error, UnknownOptionError):
        names = {name for argument in error.argument_collection for name in argument.names}
        known = [name for name in names if name.startswith("--")]
        typed = _typed(words)
        unknown = [word for word in typed if word not in names] or [str(error.token.keyword or error.token.value)]
        lacks = f"{command or 'handstyle'} has no {', '.join(unknown)}"
        if len(unknown) > 1 and command == words[0]:
            return f"{lacks}; {_ported(words, typed, names)}"
        if (other := unknown[0].lstrip("-")) in USAGE:
            return f"{lacks}: {other} is a command: handstyle {other} {USAGE[other]}"
        return lacks + _nearest(unknown[0], typed.get(unknown[0], []), known, command)
    if isinstance(error, UnknownCommandError) and words and words[0] == (error.unused_tokens or [""])[0]:
        near = re.search(r'Did you mean "(\w+)"', message)
        if near is None or difflib.SequenceMatcher(None, words[0], near[1]).ratio() < 0.75:
            return f"{words[0]} is not a command; to paint: handstyle stylize CONTENT STYLE [STYLE...]"
    chain = " ".join(error.command_chain or ())
    if isinstance(error, UnusedCliTokensError):
        return f"{chain} takes no {' '.join(error.unused_tokens or ())}; handstyle {chain} --help says what it takes"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        if error.keyword or error.argument.tokens:
            return f"{error.keyword or error.argument.name} needs a value"
        called = f"{chain} {USAGE[chain]}" if chain in USAGE else f"{chain} --help says what it takes"
        message = f"{chain} needs {error.argument.name}: handstyle {called}"
    missing = isinstance(error, MissingArgumentError) or type(error) is CycloptsError  # ours, of a missing STYLE
    if missing and (greedy := _greedy(words)):
        return f"{message} {greedy}"
    return message


def correct_dashes(word: str) -> str:
    """Return a flag that was typed with one dash, such as ``-optimizer``, with two; other words are returned unchanged.

    Examples
    --------
    >>> correct_dashes("-optimizer"), correct_dashes("-out.png"), correct_dashes("-o")
    ('--optimizer', '-out.png', '-o')
    """
    name = word[1:].replace("_", "-").split("=")[0]
    others = {theirs for several in FOREIGN_FLAGS.values() for theirs in several.split()}
    is_flag = word.startswith("-o") and (name in others or name.replace("-", "_") in all_fields())
    return f"-{word}" if is_flag else word


def _typed(words: Sequence[str]) -> dict[str, list[str]]:
    """Return each flag on the command line with its values; a flag that is given twice has the values of both."""
    typed: dict[str, list[str]] = {}
    values: list[str] = []
    for word in words:
        if re.match(r"--?[A-Za-z]", word):
            word, equals, value = word.partition("=")
            values = typed.setdefault(word, [])
            values += [value] * bool(equals)
        else:
            values.append(word)
    return typed


def _ours(given: str, values: Sequence[str], known: Collection[str]) -> str:
    """Return what to type in place of another program's flag, with the values that were given, or "" if unknown."""
    name = given.lstrip("-").replace("_", "-").lower()
    if flag(new := RENAMED.get(name.replace("-", "_"), name)) in known:
        return shlex.join([flag(new), *(VALUES.get(value, value) for value in values)])
    for ours, theirs in FOREIGN_FLAGS.items():
        word, _, example = ours.partition(" ")
        if name not in theirs.split() or (ours.startswith("--") and word not in known):
            continue
        if word == "--backend" and values:
            cpu = "cpu" in values[0] or values[0] in ("-1", "c") or (name, values[0]) == ("cuda", "0")
            return f"--backend {'numpy' if cpu else 'cupy'}"
        if ours in FIXED and values[:1] in (["0"], ["False"], ["false"]):
            return "no flag: it is the default"
        if ours in FIXED or not ours.startswith("--"):
            return ours
        return shlex.join([word, *([VALUES.get(value, value) for value in values] or example.split())])
    return ""


def _ported(words: Sequence[str], typed: dict[str, list[str]], names: Collection[str]) -> str:
    """Return a sentence with the command to write in place of one that has several flags of another program."""
    first = next(at for at, word in enumerate(words) if word in typed or word.split("=")[0] in typed)
    content, styles, flags, left = list(words[1:first]), list[str](), list[str](), list[str]()
    for given, values in typed.items():
        ours = shlex.join([given, *values]) if given in names else _ours(given, values, names)
        if ours == CONTENT:
            content += values
        elif ours == STYLES:
            styles += [each for value in values for each in value.split(",")]
        elif ours.startswith("-"):
            flags.append(ours)
        elif not ours:
            left.append(given)
    lines = [f"write handstyle {' '.join([words[0], shlex.join(content + styles), *flags])}"]
    if left:
        lines.append(f"nothing here is like {', '.join(left)}")
    if "--preset" not in typed and any(one.split()[0] in WEIGHTS for one in flags):
        lines.append("another program's weights are in its own units: add its --preset (handstyle info --preset all)")
    return "; ".join(lines)


def _nearest(given: str, values: Sequence[str], known: Collection[str], command: str) -> str:
    name = given.lstrip("-").replace("_", "-").lower()
    if (new := RENAMED.get(name.replace("-", "_"))) and flag(new) in known:
        return f": it is now called {flag(new)}"
    if f"--{name}" in known:
        return f": write --{name}"
    if ours := _ours(given, values, known):
        return f": use {ours}"
    if command == "bench" and name in ("size", "sizes"):
        return ": give the sides without a flag, as in handstyle bench 256 512"
    if name.replace("-", "_") in all_fields():
        return ": it is a flag of stylize"
    near = difflib.get_close_matches(f"--{name}", known, 1)
    return f": did you mean {near[0]}?" if near else "; --help-all shows every flag"


def _greedy(words: Sequence[str]) -> str:
    lists = {flag(field.name) for field in all_fields().values() if field.help and "tuple" in str(field.hint)}
    for at, word in enumerate(words):
        taken = []
        for value in words[at + 1 :] if word in lists else ():
            if value.startswith("-"):
                break
            taken.append(value)
        if len(taken) > 1:
            return f"({word} took {' '.join(taken)}: put the pictures before it)"
    return ""


def unquoted_name(words: Sequence[str]) -> str:
    """Return a hint if several words with spaces between them name a file, else an empty string.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     open(f"{folder}/my photo.jpg", "w").close()
    ...     unquoted_name(["stylize", f"{folder}/my", "photo.jpg"]).split(": ")[0]
    '; put a name with spaces in quotes'
    """
    spans = ((at, end) for at in range(len(words)) for end in range(at + 2, min(at + 10, len(words) + 1)))
    names = (" ".join(words[at:end]) for at, end in spans)
    found = next((name for name in names if os.path.lexists(name)), "")
    return f"; put a name with spaces in quotes: {shlex.quote(found)}" * bool(found)
