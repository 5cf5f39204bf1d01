"""Cells of a notebook, run in a real kernel."""

import re

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
nbformat = pytest.importorskip("nbformat")

from nbclient import NotebookClient  # noqa: E402

RUN = "size=48, iterations=12, network='random', style_layers='relu1_1,relu2_1'"


@pytest.fixture
def cells(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("photo.png", "art.png"):
        Image.fromarray(rng.integers(0, 256, (48, 40, 3), np.uint8)).save(tmp_path / name)

    def run(*sources):
        """Run the cells, and return what each shows: a list of outputs."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        NotebookClient(notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": tmp_path}}).execute()
        return [cell.outputs for cell in notebook.cells]

    return run


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook_shows_pictures_progress_and_what_was_interrupted(cells):
    first = f"import handstyle\nhandstyle.stylize('photo.png', 'art.png', {RUN}, progress=True)"
    live = f"_ = handstyle.stylize('photo.png', 'art.png', {RUN}, callback=handstyle.live(every=5))"
    stop = (
        "def stop(now):\n    if now.iteration == 3: raise KeyboardInterrupt\n"
        f"handstyle.stylize('photo.png', 'art.png', {RUN}, callback=stop)"
    )
    painted, shown, interrupted, kept, network, plot, _ = cells(
        first,
        live,
        stop,
        "handstyle.last_result().show()",
        "handstyle.load_network()",
        "handstyle.last_result().plot()",
        "import sys; print(sys.last_value)",
    )
    bar, result = painted
    assert "40 x 48 px: 12/12" in bar.data["text/html"]
    assert "<progress value='1.000'>" in bar.data["text/html"]
    assert result.data["text/plain"] == "<Result 40 x 48 px, 12 iterations: all 12 iterations done>"
    assert "data:image/png;base64" in result.data["text/html"]
    assert "image/png" in result.data
    assert len(shown) == 1, "replaced in place"
    assert re.search(r"<img width='40' src='data:image/png.*12/12", shown[0].data["text/html"])
    assert interrupted[-1].output_type == "error"
    assert "interrupted after 3 iterations" in interrupted[-1].evalue
    assert "3 iterations: interrupted" in kept[0].data["text/html"]
    assert len(network[0].data["text/plain"].splitlines()) == 1
    assert any("image/png" in output.get("data", {}) for output in plot)
