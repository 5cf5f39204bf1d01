"""The exercises of the book and their judges: ``python -m handstyle.book`` grades a reader's file."""
