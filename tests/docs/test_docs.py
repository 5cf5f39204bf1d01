"""The book as text: contents, the anatomy of chapters, and that prose, code, figures and exercises hold together."""

import ast
import re
import subprocess

import pytest
from chapters import CHAPTERS, PARTS
from conftest_docs import DOCS, ROOT

ANATOMY = (
    "What you will be able to do",
    "By hand",
    "Derivation",
    "The code",
    "Check your gradient",
    "Break it",
    "What it costs",
    "Exercises",
    "Notes",
)
PAGES = {chapter.page: (DOCS / f"{chapter.page}.md").read_text(encoding="utf-8") for chapter in CHAPTERS}
WRITTEN = {page: text for page, text in PAGES.items() if "Not yet written" not in text}
BY_PAGE = {chapter.page: chapter for chapter in CHAPTERS}
# No chapters: for those who paint, for those who measure, for those who change the program.
BESIDE = (
    DOCS / "painting" / "controls.md",
    *(DOCS / "reference" / f"{page}.md" for page in ("speed", "architecture", "mutants")),
    *sorted(DOCS.glob("tasks/*.md")),
)
OTHERS = [page.read_text(encoding="utf-8") for page in BESIDE]
PROSE = "\n".join([*PAGES.values(), *OTHERS])


def test_the_index_lists_the_chapters_in_order():
    listed = re.findall(r"^(?:[a-z_]+/)?[a-z_0-9]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [page for page in listed if page in BY_PAGE] == [chapter.page for chapter in CHAPTERS]


# A sentence that claims the whole book, unless it speaks of what is written.
WHOLE = re.compile(r"\b(every|all|each)\b[^.]*\b(chapters?|formulas?|derivations?|deriv(?:ed|es))\b", re.IGNORECASE)


def claims_of_the_whole_book(text):
    """The sentences, outside of code, that say that the book is complete."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    sentences = re.split(r"(?<=[.!?*])\s+|\n\n|\|", prose)
    return [s for s in sentences if WHOLE.search(s) and not re.search(r"\b(un|not )?written\b", s)]


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_landing_pages_claim_no_more_chapters_than_are_written(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    written, planned = ({BY_PAGE[page].number for page in pages} for pages in (WRITTEN, PAGES))
    assert re.findall(r"(\d+) of (\d+) chapters", text) == [(str(len(written)), str(len(planned)))]
    assert written == planned or claims_of_the_whole_book(text) == []


def test_a_claim_of_the_whole_book_would_be_seen():
    claims = ["Every formula is derived.", "All 28 chapters have exercises.", "with every gradient\nderived and shown."]
    assert claims_of_the_whole_book("\n\n".join(claims)) == claims
    assert claims_of_the_whole_book("Every written chapter has exercises. Each number was printed by its cell.") == []


def test_the_bibliography_names_the_chapters_that_link_to_a_program():
    text = (DOCS / "reference" / "bibliography.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .*?\(https://github\.com/[\w.-]+/([\w.-]+).* \| ([\d, ]+) \|$", text, re.MULTILINE)
    assert len(rows) == 12
    for program, chapters in rows:
        link = re.compile(rf"\(https://[^)]*\b{re.escape(program)}(?![\w-])")
        cited = sorted({BY_PAGE[page].number for page, text in PAGES.items() if link.search(text)})
        assert chapters == ", ".join(map(str, cited)), program


def test_the_chapters_that_set_the_tone_are_written():
    assert {BY_PAGE[page].number for page in WRITTEN} >= {1, 4, 6, 9, 13, 17}


@pytest.mark.parametrize("page", WRITTEN)
def test_a_written_chapter_has_the_anatomy_in_order(page):
    headings = re.findall(r"^## (.+)$", WRITTEN[page], re.MULTILINE)
    assert [h for h in headings if h in ANATOMY] == list(ANATOMY)


@pytest.mark.parametrize("page", WRITTEN)
def test_a_written_chapter_quotes_its_module_and_a_mutant(page):
    quoted = re.findall(r"\{literalinclude\} (\S+)\n:pyobject: (\w+)", WRITTEN[page])
    files = {(DOCS / page).parent.joinpath(path).resolve().relative_to(ROOT).as_posix() for path, _ in quoted}
    assert "tests/mutants/catalogue.py" in files
    if BY_PAGE[page].number > 1:
        module = BY_PAGE[page].modules[0].replace(".", "/") + ".py"
        assert module in files
    check, _, rest = WRITTEN[page].partition("## Check your gradient")[2].partition("## Break it")
    assert "{code-cell}" in check
    broken = rest.partition("## What it costs")[0]
    assert "{code-cell}" in broken
    assert re.search(r"\{drawn\}|\{(?:num)?ref\}`[^`]*fig-", broken), "the bug's picture, here or where it stands"


# --- equations ------------------------------------------------------------------------------------------------------

LABELS = re.findall(r"^:label: ([a-z]+-[a-z-]+)$", PROSE, re.MULTILINE)
EQUATIONS = [label for label in LABELS if not label.startswith("ch")]
CODE = {path: path.read_text(encoding="utf-8") for path in (ROOT / "handstyle").rglob("*.py")}
CITATION = re.compile(r"\bbook: ([a-z]+-[a-z-]+)")


def test_no_equation_label_is_given_twice():
    assert len(EQUATIONS) == len(set(EQUATIONS))


def test_equations_cited_from_code_exist():
    cited = {(path.name, label) for path, text in CODE.items() for label in CITATION.findall(text)}
    assert cited, "the package cites no equation"
    assert {(name, label) for name, label in cited if label not in EQUATIONS} == set()


def test_a_backward_function_that_is_quoted_shows_the_number_of_its_equation():
    pages = {DOCS / f"{page}.md": text for page, text in WRITTEN.items()}
    quoted = {
        ((page.parent / path).resolve(), name)
        for page, text in pages.items()
        for path, name in re.findall(r"\{literalinclude\} (\S+)\n:pyobject: (\w+_backward)$", text, re.MULTILINE)
    }
    assert len(quoted) > 10
    silent = []
    for path, name in sorted(quoted):
        source = path.read_text(encoding="utf-8")
        function = next(node for node in ast.parse(source).body if getattr(node, "name", None) == name)
        lines = source.splitlines()[function.lineno - 1 : function.end_lineno]
        if not CITATION.search("\n".join(lines)):
            silent.append(f"{path.name}: {name}")
    assert silent == []


@pytest.mark.parametrize("page", [page for page in WRITTEN if BY_PAGE[page].number > 1])
def test_the_module_of_a_chapter_cites_its_equations(page):
    module = ROOT / (BY_PAGE[page].modules[0].replace(".", "/") + ".py")
    own = set(re.findall(r"^:label: ([a-z]+-[a-z-]+)$", WRITTEN[page], re.MULTILINE))
    assert own & set(CITATION.findall(CODE[module])), f"{module.name} cites none of {sorted(own)}"


def test_every_numbered_equation_is_used():
    used = set(re.findall(r"\{eq\}`([a-z-]+)`", PROSE)) | {c for text in CODE.values() for c in CITATION.findall(text)}
    assert set(EQUATIONS) - used == set()


# What has no array in it, and so no shape: values and steps that are plain numbers.
PLAIN = {"counting-roof", "counting-sum", "gradcheck-error", "cuda-thread", "cuda-roof"}


@pytest.mark.parametrize("page", WRITTEN)
def test_numbered_equations_have_shapes_under_their_symbols(page):
    equations = re.findall(r"```\{math\}\n:label: (\S+)\n(.*?)```", WRITTEN[page], re.DOTALL)
    assert len(equations) > 3
    assert {label for label, text in equations if r"\shape{" not in text} - PLAIN == set()


# --- code -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", WRITTEN)
def test_a_forward_function_stands_beside_its_backward(page):
    body = WRITTEN[page].partition("## Exercises")[0]
    quoted = set(re.findall(r"^:pyobject: (\w+)$", body, re.MULTILINE))
    pairs = [
        re.findall(r"^:pyobject: (\w+)$", p, re.MULTILINE) for p in re.findall(r"::::\{pair\}(.*?)::::", body, re.S)
    ]
    for name in quoted:
        if name.endswith(("_forward", "_backward")):
            stem = name.removesuffix("_forward").removesuffix("_backward")
            assert [f"{stem}_forward", f"{stem}_backward"] in pairs


# --- figures --------------------------------------------------------------------------------------------------------

DRAWN = re.findall(r"^:::\{drawn\} (\w+)\n:alt: (.+)$", PROSE, re.MULTILINE)
# `parts` draws the cards of the first page, which stand there as single pictures.
SCRIPTS = {path.stem for path in (DOCS / "fig").glob("*.py")} - {"__init__", "common", "problem", "parts"}


def test_figures_and_scripts_are_one_to_one():
    assert len(re.findall(r"\{drawn\}", PROSE)) == len(DRAWN), "a figure lacks its alternative text"
    assert sorted(name for name, _ in DRAWN) == sorted(SCRIPTS)


def test_the_first_page_has_a_picture_for_each_part():
    cards = re.findall(
        r"grid-item-card\} (.+)\n:img-top: _generated/fig/parts/(\d)\.jpg\n:img-alt: .+\n:link: (\S+)",
        (DOCS / "index.md").read_text(encoding="utf-8"),
    )
    assert [f"Part {title}" if n != "0" else title for title, n, _ in cards] == list(PARTS)
    assert [page for *_, page in cards] == [pages[0][0] for pages in PARTS.values()]


def test_no_other_picture_comes_in():
    assert re.findall(r"!\[|\{image\}|\{figure\}", PROSE) == []


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_figure_script_can_be_imported(name):
    tree = ast.parse((DOCS / "fig" / f"{name}.py").read_text(encoding="utf-8"))
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert [argument.arg for argument in main.args.args] == ["out", "quick"]
    assert ast.get_docstring(tree)


# --- exercises ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", WRITTEN)
def test_exercises_are_of_three_kinds_and_solved(page):
    exercises = re.findall(r"\{exercise\} (Pen|Code|Look): .+\n:label: (ch\d\d-[a-z-]+)", WRITTEN[page])
    assert {kind for kind, _ in exercises} == {"Pen", "Code", "Look"}
    assert len(exercises) == WRITTEN[page].count("{exercise}")
    solved = re.findall(
        r"\{solution-start\} (ch\d\d-[a-z-]+)\n:class: dropdown(.*?)\{solution-end\}", WRITTEN[page], re.S
    )
    assert [label for _, label in exercises] == [label for label, _ in solved]
    assert [label for label, text in solved if "```{code-cell}" not in text] == []  # each is executed


@pytest.mark.parametrize("page", WRITTEN)
def test_the_reader_is_told_how_to_be_graded(page):
    """What the exercises ask and what the judges ask is compared in test_exercises.py."""
    assert f"python -m handstyle.book grade {BY_PAGE[page].number} mymodule.py" in WRITTEN[page]


# --- bibliography and files -----------------------------------------------------------------------------------------


def test_every_reference_has_a_doi_or_an_arxiv_number():
    entries = re.split(r"^@", (DOCS / "references.bib").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    without = [entry.split(",")[0] for entry in entries if not re.search(r"^\s+(doi|eprint) = ", entry, re.MULTILINE)]
    assert without == []


def test_references_and_citations_agree():
    keys = set(re.findall(r"^@\w+\{(\w+),", (DOCS / "references.bib").read_text(encoding="utf-8"), re.MULTILINE))
    cited = {key for keys in re.findall(r"\{cite:[tp]\}`([^`]+)`", PROSE) for key in keys.split(",")}
    assert cited - keys == set()
    assert keys - cited == set(), "an entry that no chapter cites"


def test_results_that_the_book_names_are_there_and_those_of_a_named_machine_are_named():
    named = set(re.findall(r"benchmarks/results/[\w.-]+\.json", PROSE))
    assert len(named) > 5
    assert {name for name in named if not (ROOT / name).is_file()} == set()
    measured = {page for page, text in WRITTEN.items() if re.search(r"\bH200\b|\bXeon\b|\bPyTorch \d", text)}
    assert {page for page in measured if "benchmarks/results/" not in WRITTEN[page]} == set()


def test_commands_fit_the_page():
    """A listing has 86 columns where its letters have 14 px (docs/_static/book.css); a longer command wraps."""
    blocks = re.findall(r"^```console\n(.*?)^```", PROSE, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 30
    assert [line for block in blocks for line in block.splitlines() if len(line) > 86] == []


def test_no_notebook_files():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(["git", "ls-files", "*.ipynb"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stdout == ""
