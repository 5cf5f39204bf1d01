"""The gallery of bugs: a row for each mutant, with its code, its verdicts and the chapter that quotes it."""

import functools
import sys

import numpy as np
import pytest
from browser import find_chromium
from conftest_docs import DOCS
from mutants import paint
from pictures.scenes import flow_painting, night_scene
from PIL import Image

from handstyle.painting.load import EMBEDDED, load_weights

sys.path.insert(0, str(DOCS / "_ext"))
gallery = pytest.importorskip("gallery", reason="Sphinx is not installed: pip install --group docs")


def test_every_mutant_has_a_row_with_code_and_verdicts():
    from mutants.table import MUTANTS

    rows = gallery.mutant_rows()
    assert [row.name for row in rows] == [mutant.name for mutant in MUTANTS]
    for row, mutant in zip(rows, MUTANTS, strict=True):
        assert row.code.startswith(f"def {mutant.function.__name__}(")
        assert row.rejected_by
        assert row.picture


def test_every_mutant_has_the_line_that_is_wrong_marked():
    from mutants.table import MUTANTS
    from mutants.wrong_lines import WRONG_LINES

    assert sorted(WRONG_LINES) == sorted(mutant.function.__name__ for mutant in MUTANTS)
    rows = {row.function: row for row in gallery.mutant_rows()}
    code = rows["crop_off_by_one"].code.splitlines()
    assert [code[n - 1].strip() for n in rows["crop_off_by_one"].wrong] == ["return dxpad[:H, :W]"]
    table = gallery.table("")
    assert table.count("<div class='highlight wrong'>") == len(rows)
    assert table.count('<span class="hll">') == sum(len(row.wrong) for row in rows.values())


def test_a_row_shows_the_picture_and_the_loss_that_the_build_has_painted(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "PAINTED", tmp_path)
    Image.new("RGB", (256, 144)).save(tmp_path / "mask_forgotten.png")
    (tmp_path / "values.json").write_text('{"mask_forgotten": [12.5, 3.25]}')
    rows = {line.split('<th scope="row">')[1].split("<")[0]: line for line in by_row(gallery.table("../"))}
    painted, other = rows["mask forgotten"], rows["bias gradient averaged"]
    assert 'src="../_static/mutants/mask_forgotten.png" width="256" height="144"' in painted  # as it was painted
    assert '<td data-key="3.84' in painted
    assert "12.50<br><small>genuine 3.25" in painted
    assert "<img" not in other


def by_row(table):
    body = table.split("<tbody>")[1].replace("\n", " ")
    return [row for row in body.split("<tr ") if 'scope="row"' in row]


def test_the_chapter_of_a_mutant_quotes_it():
    rows = {row.name: row for row in gallery.mutant_rows()}
    assert rows["shift not reversed"].page == "network/convolution"
    assert rows["color map not transposed"].chapter == 26
    unquoted = [row.name for row in rows.values() if not row.page]
    assert len(unquoted) < len(rows) / 2


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_press_on_a_heading_sorts_and_another_turns_round(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "PAINTED", tmp_path)  # without pictures, which lie beside the built page
    page = tmp_path / "page.html"
    text = gallery.table(f"{DOCS.as_uri()}/")
    page.write_text(f"<!doctype html><meta charset=utf-8><title>mutants</title>{text}", encoding="utf-8")
    browser.open(page.as_uri())
    assert not browser.troubles()
    rows = gallery.mutant_rows()
    column = gallery.HEADINGS.index("not seen by")
    press = f"document.querySelectorAll('.mutants thead button')[{column}].click()"
    shown = f"[...document.querySelectorAll('.mutants tbody tr')].map(r => Number(r.cells[{column}].dataset.key))"
    browser.run(press)
    assert browser.run(shown) == sorted(len(row.accepted_by) for row in rows)
    browser.run(press)
    assert browser.run(shown) == sorted((len(row.accepted_by) for row in rows), reverse=True)
    names = "[...document.querySelectorAll('.mutants tbody th')].map(c => c.textContent)"
    browser.run("document.querySelectorAll('.mutants thead button')[1].click()")
    assert browser.run(names) == sorted(row.name for row in rows)


def test_a_mutant_without_effect_paints_the_genuine_picture():
    """With the pictures and the network of the gallery, which shows the genuine picture for it."""
    mutants = [mutant for mutant in paint.MUTANTS if mutant.function.__name__ in paint.WITHOUT_EFFECT]
    assert len(mutants) == len(paint.WITHOUT_EFFECT)
    pictures = [scene(72, 96).astype(np.float64) for scene in (night_scene, flow_painting)]

    @functools.cache
    def painted(subject, function):
        return paint.paint(subject, function, pictures, load_weights(EMBEDDED), iterations=1).picture

    for mutant in mutants:
        genuine = "conv3x3_backward" if mutant.subject in paint.NETWORK else "gram_loss"
        apart = painted(mutant.subject, mutant.function) - painted(genuine, paint.GENUINE[genuine])
        assert not apart.any(), mutant.name
