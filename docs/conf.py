"""The book: Sphinx and MyST-NB; text notebooks, executed when the book is built.

Nothing here reaches out of this machine, at build or at reading: MathJax comes from a package and is copied beside the
pages, the fonts are the reader's own, and no page names another host except in links to follow.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
for folder in (ROOT, HERE, HERE / "_ext"):
    sys.path.insert(0, str(folder))
# The cells run in processes of their own, which must find the package, the figures and the solutions too.
os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, (ROOT, HERE, HERE / "_ext")), os.environ.get("PYTHONPATH", "")])

project = "handstyle"
author = "The handstyle developers"
copyright = author
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinxcontrib.bibtex",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_togglebutton",
    "sphinx_exercise",
    "book",  # _ext/book.py: figures, vendored MathJax, chapter numbers, generated pages
    "computing",  # _ext/computing.py: what scripts and cells compute, again when what they ran has changed
    "flags",  # _ext/flags.py: an anchor for each flag of the command line
    "gallery",  # _ext/gallery.py: the table of mutants
    "quoting",  # _ext/quoting.py: code quoted from the package, in pairs, with the equations' numbers
    "searching",  # _ext/searching.py: what the search page shows of a page, and in which order
]
exclude_patterns = ["_build", "README.md"]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
nitpicky = True
# Other people's types are named in our signatures, but their documentation lies on other hosts.
nitpick_ignore_regex = [("py:.*", r"(?!handstyle).*")]
suppress_warnings = ["config.cache"]

# --- notebooks ---------------------------------------------------------------------------------------------------
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_render_markdown_format = "myst"
nb_execution_cache_path = str(HERE / "_build" / "cells")  # what _ext/computing.py has run
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 2

# --- equations ---------------------------------------------------------------------------------------------------
numfig = True
math_numfig = True
numfig_secnum_depth = 1
math_eqref_format = "({number})"
numfig_format = {"figure": "Figure %s", "table": "Table %s", "code-block": "Listing %s"}
mathjax_path = "mathjax/tex-svg.js"  # one file, its glyphs inside: no font is asked for, even from file://
mathjax3_config = {
    "tex": {
        "macros": {
            "R": r"\mathbb{R}",
            "T": r"^{\mathsf{T}}",
            "norm": [r"\lVert #1 \rVert", 1],
            "abs": [r"\lvert #1 \rvert", 1],
            "dotp": [r"\langle #1,\, #2 \rangle", 2],
            "shape": [r"\underset{\scriptscriptstyle #2}{#1}", 2],
            "pad": r"\mathsf{pad}",
        }
    },
    "options": {"enableMenu": False},  # the menu would fetch its parts when it opens
    "svg": {"fontCache": "global", "displayAlign": "center"},
}

# --- reference ---------------------------------------------------------------------------------------------------
default_role = "literal"
autodoc_typehints = "none"  # numpydoc's Parameters say more: shapes and units
autodoc_member_order = "bysource"
autosummary_generate = False  # _ext/book.py writes the pages in the order of the chapters
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"
bibtex_default_style = "plain"

# --- pages -------------------------------------------------------------------------------------------------------
html_theme = "sphinx_book_theme"
html_title = "handstyle"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = ["left_over.js", "book.js"]  # the first is written by _ext/computing.py
html_show_search_summary = False  # it fetches the pages found, which a browser refuses from file://
html_search_scorer = str(HERE / "_ext" / "search.js")
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],  # one search field is enough, the sidebar's
    "home_page_in_toc": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "logo": {"text": "handstyle"},
    "extra_footer": "Numbers and figures on these pages were computed when they were built; "
    "those of other machines name their file and date.",
}
