"""``python -m handstyle``: the command line."""

from handstyle.cli import main

main()
