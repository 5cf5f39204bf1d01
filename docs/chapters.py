"""The table of contents: every chapter, its number, title, page and modules. The one place where they are written.

`index.md` gives the pages in this order; `tests/docs/test_docs.py` holds all of them together.
"""

from typing import NamedTuple


class Chapter(NamedTuple):
    """A chapter: its number, its page below ``docs/`` and the modules it explains."""

    number: int
    page: str
    modules: tuple[str, ...]


PARTS = {
    "A first picture": [("first_picture", ("",))],
    "Part I · Before the network": [
        ("foundations/backend", ("foundations.backend",)),
        ("foundations/image", ("foundations.image",)),
        ("foundations/gradcheck", ("foundations.gradcheck",)),
    ],
    "Part II · The network by hand": [
        ("network/padding", ("network.padding",)),
        ("network/convolution", ("network.convolution", "network.weight_gradients")),
        ("network/relu", ("network.relu",)),
        ("network/pooling", ("network.pooling", "network.l2_pooling")),
        ("network/sequence", ("network.sequence",)),
        ("network/vgg", ("network.vgg",)),
        ("network/weights", ("network.weights",)),
    ],
    "Part III · What to ask of a picture": [
        ("losses/content", ("losses.content",)),
        ("losses/gram", ("losses.gram", "losses.patches")),
        ("losses/distribution", ("losses.distribution",)),
        ("losses/total_variation", ("losses.total_variation",)),
        ("losses/regions", ("losses.regions",)),
    ],
    "Part IV · Finding the picture": [
        ("optimize/objective", ("optimize.objective",)),
        ("optimize/lbfgsb", ("optimize.lbfgsb", "optimize.trace")),
        ("optimize/lbfgs", ("optimize.lbfgs", "optimize.two_loop", "optimize.line_search", "optimize.adam")),
        ("optimize/precondition", ("optimize.precondition",)),
    ],
    "Part V · Making it fast": [
        ("kernels/counting", ("kernels.counting",)),
        ("kernels/im2col", ("kernels.cpu.im2col",)),
        ("kernels/winograd", ("kernels.winograd_plain", "kernels.cpu.winograd")),
        ("kernels/fused", ("kernels.cpu.epilogues", "kernels.cpu.passes")),
        ("kernels/cuda", ("kernels.cuda.device",)),
        ("kernels/cuda_tiles", ("kernels.cuda.cublas",)),
        ("kernels/cuda_graphs", ("kernels.cuda.memory_plan", "kernels.cuda.graph")),
        ("kernels/tiles", ("kernels.tiles",)),
    ],
    "Part VI · Painting": [
        ("painting/presets", ("painting.normalizations", "painting.feature_scale", "painting.presets")),
        ("painting/color", ("painting.color",)),
        ("painting/transfer", ("painting.inputs", "painting.plan", "painting.stylize")),
        ("painting/report", ("painting.recipe", "painting.report")),
    ],
}

# Pages that go on with the chapter of the page before them, under its number.
CONTINUED = {"losses/distribution", "optimize/precondition", "kernels/cuda_tiles", "kernels/cuda_graphs"}


def _numbered() -> list[Chapter]:
    chapters, number = [], 0
    for page, modules in (c for part in PARTS.values() for c in part):
        number += page not in CONTINUED
        chapters.append(Chapter(number, page, tuple(f"handstyle.{name}".rstrip(".") for name in modules)))
    return chapters


CHAPTERS = _numbered()
