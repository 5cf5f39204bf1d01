"""The commands ``handstyle weights list | get | add | convert | verify | card | compare``."""

import textwrap
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from handstyle.cli.signals import status_of_signal
from handstyle.cli.terminal import out, say
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import read_picture
from handstyle.foundations.picture_writing import check_writable, write_picture
from handstyle.network.digests import sha256
from handstyle.network.weights import EMBEDDED, EMBEDDED_FILE, cache_folder
from weights_tools import registry
from weights_tools.card import describe, filters_sheet
from weights_tools.compare import compare
from weights_tools.convert import convert, load
from weights_tools.download import add, get
from weights_tools.known import OXFORD
from weights_tools.verify import verify

weights_app = App(name="weights", help="Download, convert, check and describe pretrained networks.")
ConventionName = Literal["caffe", "torchvision"]


@weights_app.command(name="list")
def list_command(*names: str) -> int:
    """Print the available networks and whether they are installed; with NAMES also their license, digest and URL.

    Parameters
    ----------
    names : str
        Names of networks whose details are printed, or ``all``.

    Examples
    --------
    .. code-block:: console

        $ handstyle weights list
        $ handstyle weights list vgg19
    """
    wanted = [EMBEDDED, *registry.ENTRIES] if "all" in names else list(names)
    for name in wanted:
        if name != EMBEDDED:
            registry.entry(name)  # or an error that lists the names
    try:
        say(f"kept in {cache_folder()}; handstyle weights get NAME gets one, handstyle weights list NAME says more")
    except HandstyleError as error:  # no home folder
        say(str(error))
    megabytes = EMBEDDED_FILE.stat().st_size / 1e6
    ships = f"VGG-19 made small, the default; convention caffe; {megabytes:.1f} MB; ships with the package"
    found = [(EMBEDDED, ships, [f"license {OXFORD}", f"sha256:{sha256(EMBEDDED_FILE)}"])]
    for entry in registry.ENTRIES.values():
        size = f"about {entry.size / 1e6:.0f} MB" if entry.size else "size not known"
        digest = entry.digest or "digest not certain: verified by the self-test only"
        if entry.digest and len(entry.digest) < len("md5:") + 32:
            digest += "…  (its first digits; the rest is not known)"
        here = "installed" if registry.locate(entry.name) else "not installed"
        line = f"{entry.network}; convention {entry.convention}; {size}; {here}"
        found.append((entry.name, line, [f"license {entry.license}", *entry.urls, digest]))
    if not names:
        _rows([(name, line) for name, line, _ in found])
        return 0
    rows = [(name, line, details) for name, line, details in found if name in wanted]
    _rows([row for name, line, details in rows for row in [(name, line), *(("", one) for one in details), ("", "")]])
    return 0


@weights_app.command(name="get")
def get_command(name: str, /, *, keep_source: bool = False) -> int:
    """Download a network, check its digest, convert it and verify it.

    Parameters
    ----------
    name : str
        The name of the network in ``handstyle weights list``.
    keep_source : bool
        Also keep the downloaded file.

    Examples
    --------
    .. code-block:: console

        $ handstyle weights get vgg19
    """
    if name == EMBEDDED:
        say(f"{EMBEDDED} ships with the package; it is what runs without --weights")
        return 0
    try:
        path, findings = get(registry.entry(name), keep_source=keep_source)
    except KeyboardInterrupt:
        say(f"interrupted; the part received is kept, and handstyle weights get {name} continues from there")
        return status_of_signal()
    say(*findings, f"installed: {path}", f"use it: --weights {name}")
    return 0


@weights_app.command(name="add")
def add_command(
    file: str,
    /,
    *,
    as_: Annotated[str, Parameter(name="--as")],
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Install a network from a file on this machine, after the self-test.

    Parameters
    ----------
    file : str
        A file of any format that can be converted; the file is not changed.
    as_ : str
        The name of the network in ``handstyle weights list``.
    overwrite : bool
        Replace the network if it is installed already.

    Examples
    --------
    .. code-block:: console

        $ handstyle weights add vgg_conv.pth --as vgg19-caffe-pth
    """
    path, findings = add(registry.entry(as_), registry.find(file), overwrite=overwrite)
    say(*findings, f"installed: {path}", f"use it: --weights {as_}")
    return 0


@weights_app.command(name="convert")
def convert_command(
    source: str,
    target: Path,
    /,
    *,
    convention: ConventionName | None = None,
    license: str | None = None,
    normalize: bool = False,
    pictures: Annotated[tuple[Path, ...], Parameter(negative=())] = (),
    overwrite: bool = False,
) -> int:
    """Convert a weight file of any supported format to this package's format.

    Parameters
    ----------
    source : str
        A file of Keras (.h5, .weights.h5, .keras), PyTorch (.pth), MatConvNet (.mat), Caffe (.caffemodel), ONNX
        (.onnx) or NumPy (.npz, .npy), or a .safetensors file.
    target : Path
        The file to write.
    convention : str
        The input convention of the network, if it cannot be determined from the file.
    license : str
        The license of the weights, for the provenance.
    normalize : bool
        Rescale each filter to mean activation 1, as Gatys did.
    pictures : tuple of Path
        Pictures on which activations are measured; by default three that are included in the package.
    overwrite : bool
        Replace an existing target.

    Examples
    --------
    .. code-block:: console

        $ handstyle weights convert vgg19.pth vgg19.h5
        $ handstyle weights convert vgg19.pth vgg19.h5 --convention torchvision --normalize
    """
    findings = convert(
        registry.find(source),
        target,
        convention=convention,
        license=license,
        normalized=normalize,
        pictures=pictures,
        overwrite=overwrite,
    )
    say(*findings, f"written: {target}")
    return 0


@weights_app.command(name="verify")
def verify_command(file: str = EMBEDDED, /, *, convention: ConventionName | None = None) -> int:
    """Run the self-test of a weight file; the exit status is 1 if a check fails.

    Parameters
    ----------
    file : str
        A weight file of any supported format, or the name of an installed network.
    convention : str
        The input convention, if it cannot be determined from a file of another program.

    Examples
    --------
    .. code-block:: console

        $ handstyle weights verify vgg19.h5
    """
    verification = verify(registry.find(file), convention)
    say(verification.name)
    _rows(verification.rows())
    say(verification.summary())
    return 0 if verification.passed else 1


@weights_app.command(name="card")
def card_command(file: str = EMBEDDED, /, *, sheet: Path | None = None, overwrite: bool = False) -> int:
    """Print the card of a network, with its provenance, and draw its first filters.

    Parameters
    ----------
    file : str
        A weight file of any supported format, or the name of an installed network.
    sheet : Path
        The picture to write; by default NAME-filters.png in the current folder.
    overwrite : bool
        Replace an existing picture.

    Examples
    --------
    .. code-block:: console

        $ handstyle weights card vgg19.h5 --sheet filters.png
    """
    path = registry.find(file)
    sheet = Path(f"{path.stem}-filters.png") if sheet is None else sheet
    check_writable(sheet, overwrite=overwrite)
    weights, _ = load(path)
    _rows(describe(weights))
    write_picture(sheet, filters_sheet(weights), overwrite=overwrite)
    say(f"first filters, gray is zero: {sheet}")
    return 0


@weights_app.command(name="compare")
def compare_command(first: str, second: str, /, *, picture: Path | None = None) -> int:
    """Print the differences of two networks, layer by layer.

    Parameters
    ----------
    first : str
        A weight file of any supported format, or the name of an installed network.
    second : str
        The other weight file or network.
    picture : Path
        The picture on which features are compared; by default a synthetic one.

    Examples
    --------
    .. code-block:: console

        $ handstyle weights compare vgg19-slim vgg19.h5
    """
    p = read_picture(picture).pixels if picture is not None else None
    one, other = (load(registry.find(name)).weights for name in (first, second))
    rows = compare(one, other, p)
    if not rows:
        raise HandstyleError("the two networks have no layer in common")
    say("relative L2 distance")
    lines: list[tuple[str, ...]] = [("layer", "kernel", "bias", "features")]
    lines += [(row.layer, *(f"{value:.3g}" for value in row[1:])) for row in rows]
    _rows([(layer, "".join(f"{value:>10}" for value in values)) for layer, *values in lines])
    return 0


def _rows(rows: list[tuple[str, str]]) -> None:
    width = max(len(key) for key, _ in rows) + 2
    indent = " " * width
    for key, value in rows:
        # In a terminal a long value is wrapped below itself; in a file or a pipe a row is one line.
        line = f"{key:<{width}}{value}".rstrip()
        if out.is_terminal and out.width > 2 * width and " " in value:
            line = textwrap.fill(
                line, out.width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
            )
        say(line)
