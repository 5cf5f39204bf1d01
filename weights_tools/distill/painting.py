"""Paint with a network for its training and evaluation, and make practice paintings for the training set.

A small network that matches its teacher on photographs and paintings may still differ on pictures between the two, and
an optimizer finds such pictures. So the small network paints, and the intermediate pictures join the training set with
the teacher's features: learning on the states that one's own policy visits (Ross, Gordon and Bagnell 2011, arXiv
1011.0686).
"""

from collections.abc import Callable

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, gram_loss, moments_forward
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import Network
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective
from handstyle.optimize.trace import Iteration
from weights_tools.distill.pictures import content_picture, style_picture

STYLE_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_TAP = "relu4_2"
TAPS = (*STYLE_TAPS[:4], CONTENT_TAP, STYLE_TAPS[4])
STYLE_WEIGHT, CONTENT_WEIGHT, VARIATION_WEIGHT = 10.0, 1.0, 1e-5


def paint(
    network: Network,
    content: Array,
    style: Array,
    iterations: int,
    watch: Callable[[int, Array], None] = lambda iteration, p: None,
) -> Array:  # (H, W, 3), (h, w, 3) -> (H, W, 3)
    """Paint `content` in the style of `style`, starting from `content`, with relative losses.

    Parameters
    ----------
    network : Network
        The network whose features define the losses.
    content, style : array
        RGB, 0 to 255.
    iterations : int
        Iterations of L-BFGS-B.
    watch : callable, optional
        Called after each iteration with its number and the picture.

    Returns
    -------
    (H, W, 3) float64 array
        The best picture, not clipped.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> rng = np.random.default_rng(0)
    >>> content, style = content_picture(rng, 32, []), style_picture(rng, 32, [])
    >>> paint(build_network(random_weights()), content, style, iterations=1).shape
    (32, 32, 3)
    """
    c, _ = network.forward(preprocess_forward(content, network.convention), [CONTENT_TAP])
    s, _ = network.forward(preprocess_forward(style, network.convention), STYLE_TAPS)
    objective = Objective(
        network,
        [
            *(StyleTerm(tap, moments_forward(s[tap]), STYLE_WEIGHT) for tap in STYLE_TAPS),
            ContentTerm(CONTENT_TAP, c[CONTENT_TAP], CONTENT_WEIGHT),
            VariationTerm(VARIATION_WEIGHT),
        ],
        content.shape,
    )

    def seen(iteration: Iteration) -> None:
        assert iteration.v is not None
        watch(iteration.iteration, iteration.v.reshape(content.shape))

    return minimize_lbfgsb(objective, content.astype(np.float64).ravel(), iterations, callback=seen).v.reshape(
        content.shape
    )


def judge(teacher: Network, p: Array, content: Array, style: Array) -> tuple[list[float], float]:
    """Return the style and content losses of a painting, measured with the teacher's features.

    Parameters
    ----------
    teacher : Network
        The real VGG-19.
    p : (H, W, 3) array
        The painting; it is clipped to 0 to 255 first, as in a file.
    content, style : array
        The photograph and the painting that it was made from.

    Returns
    -------
    gram : list of five floats
        ``‖G − A‖² / ‖A‖²`` at relu1_1 … relu5_1.
    content : float
        ``‖f − c‖² / ‖c‖²`` at relu4_2.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> rng = np.random.default_rng(0)
    >>> photograph, painting = rng.uniform(0, 255, (2, 32, 32, 3))
    >>> gram, content = judge(build_network(random_weights()), photograph, photograph, painting)
    >>> len(gram), content  # the photograph itself has no content error
    (5, 0.0)
    """
    features = [
        teacher.forward(preprocess_forward(q.astype(np.float32), teacher.convention), TAPS)[0]
        for q in (p.clip(0, 255), content, style)
    ]
    gram = [float(gram_loss(moments_forward(features[0][t]), moments_forward(features[2][t]))[0]) for t in STYLE_TAPS]
    term = ContentTerm(CONTENT_TAP, features[1][CONTENT_TAP])
    return gram, float(term.loss(term.measure(features[0][CONTENT_TAP]))[0])


def paint_practice(
    network: Network, seed: tuple[int, ...], size: int, photographs: list[Array], iterations: int = 60
) -> list[Array]:  # -> [(size, size, 3)]
    """Draw a content and a style, paint with the network, and return the pictures after six of the iterations.

    Parameters
    ----------
    network : Network
        The network that paints.
    seed : tuple of int
        The seed of content and style.
    size : int
        Side of the pictures, px.
    photographs : list of (H, W, 3) array
        From `load_photographs`; if empty, content and style are drawn.
    iterations : int
        Iterations of L-BFGS-B.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> pictures = paint_practice(build_network(random_weights()), (0, 1), 32, [], iterations=2)
    >>> len(pictures), pictures[0].shape  # after the first and the second iteration
    (2, (32, 32, 3))
    """
    rng = np.random.default_rng(seed)
    content, style = content_picture(rng, size, photographs), style_picture(rng, size, photographs)
    keep = {max(1, iterations * part // 60) for part in (3, 8, 16, 30, 45, 60)}
    pictures: list[Array] = []

    def watch(iteration: int, p: Array) -> None:
        if iteration in keep:
            pictures.append(p.astype(np.float32))

    paint(network, content, style, iterations, watch)
    return pictures
