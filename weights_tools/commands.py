"""The commands ``handstyle weights list | get | convert | verify | card | compare``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import read_picture
from handstyle.foundations.picture_writing import check_writable, write_picture
from weights_tools import registry
from weights_tools.card import describe, filters_sheet
from weights_tools.compare import compare
from weights_tools.convert import convert, load
from weights_tools.download import get
from weights_tools.verify import verify

weights_app = App(name="weights", help="Get, convert, check and describe pretrained networks.")
out = Console()
ConventionName = Literal["caffe", "torchvision"]


@weights_app.command(name="list")
def list_command() -> int:
    """Print the networks that can be had: convention, licence, size, digest, URL, and which are here."""
    width = max(map(len, registry.ENTRIES))
    _say(f"kept in {registry.cache_folder()}")
    for entry in registry.ENTRIES.values():
        size = f"about {entry.size / 1e6:.0f} MB" if entry.size else "size not known"
        digest = entry.digest or "digest not known for certain: verified by the self-test only"
        if entry.digest and len(entry.digest) < len("md5:") + 32:
            digest += "…"
        here = "installed" if registry.locate(entry.name) else "not installed"
        _say(f"\n{entry.name:<{width}}  {entry.network}; convention {entry.convention}; {size}; {here}")
        _say(*(f"{'':{width}}  {line}" for line in (f"licence {entry.licence}", *entry.urls, digest)))
    return 0


@weights_app.command(name="get")
def get_command(name: str, *, keep_source: bool = False) -> int:
    """Download a network, check its digest, convert it and verify it.

    Parameters
    ----------
    name : str
        As ``handstyle weights list`` shows it.
    keep_source : bool
        Keep the file as published, too.
    """
    path, findings = get(registry.entry(name), keep_source=keep_source)
    _say(*findings, f"installed: {path}")
    return 0


@weights_app.command(name="convert")
def convert_command(
    source: Path,
    target: Path,
    *,
    convention: ConventionName | None = None,
    licence: str | None = None,
    normalise: bool = False,
    pictures: Annotated[tuple[Path, ...], Parameter(negative=())] = (),
    overwrite: bool = False,
) -> int:
    """Convert a network of any supported format to a native file.

    Parameters
    ----------
    source : Path
        Keras .h5, .weights.h5 or .keras; PyTorch .pth; .safetensors; MatConvNet .mat; .caffemodel; .npz, .npy; .onnx.
    target : Path
        The file to write.
    convention : str
        What the network expects of pictures, where its content does not tell.
    licence : str
        Of the weights, for the provenance.
    normalise : bool
        Rescale each filter to mean activation 1, as Gatys did.
    pictures : tuple of Path
        To measure activations on; three that the package draws, unless given.
    overwrite : bool
        Replace an existing target.
    """
    findings = convert(
        source,
        target,
        convention=convention,
        licence=licence,
        normalised=normalise,
        pictures=pictures,
        overwrite=overwrite,
    )
    _say(*findings, f"written: {target}")
    return 0


@weights_app.command(name="verify")
def verify_command(file: Path, *, convention: ConventionName | None = None) -> int:
    """Check a weight file: structure, colours, orientation, convention, fingerprint; exit status 1 if one fails.

    Parameters
    ----------
    file : Path
        Native, or of any format that can be converted.
    convention : str
        For a foreign file that does not tell.
    """
    verification = verify(file, convention)
    _say(*str(verification).splitlines())
    return 0 if verification.passed else 1


@weights_app.command(name="card")
def card_command(file: Path, *, sheet: Path | None = None, overwrite: bool = False) -> int:
    """Print what a network is and where it came from, and draw its first filters.

    Parameters
    ----------
    file : Path
        Native, or of any format that can be converted.
    sheet : Path
        The picture to write; the file's name with -filters.png, in the current folder, unless given.
    overwrite : bool
        Replace an existing picture.
    """
    sheet = Path(f"{file.stem}-filters.png") if sheet is None else sheet
    check_writable(sheet, overwrite=overwrite)
    weights, _ = load(file)
    rows = describe(weights)
    width = max(len(key) for key, _ in rows)
    _say(*(f"{key:<{width}}  {value}" for key, value in rows))
    write_picture(sheet, filters_sheet(weights), overwrite=overwrite)
    _say(f"first filters: {sheet}")
    return 0


@weights_app.command(name="compare")
def compare_command(first: Path, second: Path, *, picture: Path | None = None) -> int:
    """Print how far two networks are apart, layer by layer.

    Parameters
    ----------
    first, second : Path
        Native, or of any format that can be converted.
    picture : Path
        To compare features on; a drawn one, unless given.
    """
    p = read_picture(picture).pixels if picture is not None else None
    rows = compare(load(first)[0], load(second)[0], p)
    if not rows:
        raise HandstyleError("the two networks have no layer in common")
    table = Table(title="relative L2 distance")
    for heading in ("layer", "kernel", "bias", "features"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for row in rows:
        table.add_row(row.layer, *(f"{value:.3g}" for value in row[1:]))
    out.print(table)
    return 0


def _say(*lines: str) -> None:
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
