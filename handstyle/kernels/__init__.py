"""Part V, making it fast: the functions of the reference with fewer passes over memory, compared with it by tests."""
