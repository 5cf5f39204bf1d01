"""Part V, making it fast: the same functions in fewer passes over memory, each held to the reference by tests."""
