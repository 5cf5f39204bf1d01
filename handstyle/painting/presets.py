"""The same algorithm in many codes: each system's own choices, as data.

A preset is a `StyleConfig` and what it asks of the network. Every number has its source beside it: the repository's
file, or the paper's equation. Where a system's behaviour cannot be had here, or is not worth having, its notes say so;
the resampling of pictures is ours throughout (Lanczos), and one rule says which side a size is.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import Convention
from handstyle.network.sequence import Convolution, Layer, Pool
from handstyle.network.vgg import Network
from handstyle.painting.config import StyleConfig

FIVE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
EQUAL = (0.2,) * 5


@dataclass(frozen=True)
class Preset:
    """A system's choices.

    Parameters
    ----------
    source : str
        Where they were read.
    settings : dict
        Fields of `StyleConfig` that differ from its defaults.
    architecture, weights : str
        The network and the convention of its weights: caffe or torchvision.
    pooling, padding, rounding : str
        See `build_network`; the padding ``first-replicate`` is for the first convolution alone.
    input : Convention, optional
        What the system feeds the network, where that is not the convention of the weights.
    features : str
        Of what size its weights expect features: vgg19, unit (a mean activation of 1), or empty for any.
    notes : tuple of str
        Where this preset departs from the system, or the system from itself.
    """

    source: str
    settings: dict[str, Any]
    architecture: str = "vgg19"
    weights: str = "caffe"
    pooling: str = "max"
    padding: str = "zero"
    rounding: str = "down"
    input: Convention | None = None
    features: str = "vgg19"
    notes: tuple[str, ...] = field(default=())

    @property
    def config(self) -> StyleConfig:
        """The choices of a run."""
        return StyleConfig(**self.settings)

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizers that tolerate it: those that search along a line need a gradient that is their value's."""
        tolerant = []
        for name in ("lbfgsb", "lbfgs", "lbfgs-fixed", "adam", "descent"):
            plain: dict[str, Any] = {
                "restarts": 0,
                "evaluations": 0,
                "averaging": 0.0,
                "learning_rate_schedule": "constant",
                "clamp": False,
            }
            try:
                replace(self.config, optimizer=name, **plain).check()
            except HandstyleError:
                continue
            tolerant.append(name)
        return tuple(tolerant)


def preset(name: str) -> Preset:
    """Return a preset by name.

    Raises
    ------
    HandstyleError
        Naming those there are.
    """
    if name not in PRESETS:
        raise HandstyleError(f"unknown preset {name!r}: use {', '.join(PRESETS)}")
    return PRESETS[name]


def adapt(network: Network, chosen: Preset) -> Network:
    """Give a network the pooling, borders, rounding and input of a preset; its weights and engine stay."""
    return feed(rebuild(network, chosen.pooling, chosen.padding, chosen.rounding), chosen)


def rebuild(network: Network, pooling: str, padding: str, rounding: str) -> Network:
    """Replace the pooling and the borders of a network.

    Parameters
    ----------
    network : Network
        Any; its weights, input and engine stay.
    pooling, padding, rounding : str
        As in `build_network`; the padding may also be ``first-replicate``, the first convolution alone.
    """
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Pool):
            layers.append(replace(layer, kind=pooling, rounding=rounding))
        elif isinstance(layer, Convolution) and padding == "first-replicate":
            layers.append(replace(layer, padding="replicate" if layer.name == "conv1_1" else "zero"))
        elif isinstance(layer, Convolution):
            layers.append(replace(layer, padding=padding))
        else:
            layers.append(layer)
    return replace(network, layers=tuple(layers))


def feed(network: Network, chosen: Preset) -> Network:
    """Let a network be fed as a preset's system feeds it, where the weights are of the kind that the system has."""
    if chosen.input is None or network.convention.name != chosen.weights:
        return network
    return replace(network, convention=chosen.input)


def mismatches(network: Network, chosen: Preset) -> list[str]:
    """Return, a sentence each, what of the preset this network cannot give."""
    notes = []
    if network.architecture != chosen.architecture:
        notes.append(f"the preset is for {chosen.architecture}; this network is a {network.architecture}")
    if network.convention.name not in (chosen.weights, chosen.input.name if chosen.input else chosen.weights):
        notes.append(
            f"the preset is for weights in {chosen.weights}'s convention; these are in {network.convention.name}'s, "
            "so features, and with them the balance to total variation, are of another size"
        )
    return notes


# The systems without a line search have no bound on a step either; here it is `descent.LONGEST`.
# keras-team/keras examples/neural_style_transfer.py; the four generations are copies of 2016 and 2017.
_KERAS: dict[str, Any] = {
    "size": 400,  # img_nrows = 400
    "content_layers": ("relu4_2",),  # block4_conv2, after its ReLU
    "style_layers": FIVE,  # block{1..5}_conv1
    "content_weight": 0.025,  # content_weight
    "style_weight": 1.0,  # style_weight
    "style_layer_weights": EQUAL,  # style_weight / len(feature_layers)
    "tv_weight": 1.0,  # total_variation_weight
    "content_normalization": "sum",  # K.sum(K.square(combination - base))
    "style_normalization": "keras",  # / (4. * (channels ** 2) * (size ** 2)), channels = 3, size = rows * cols
    "tv": "keras",  # K.pow(a + b, 1.25)
    "style_fit": "stretch",  # both pictures are loaded at the output's size
    "optimizer": "lbfgsb",  # fmin_l_bfgs_b
    "iterations": 200,  # 10 rounds of maxfun=20
    "evaluations": 200,
    "lbfgs_history": 10,  # SciPy's default
}
_KERAS_NOTES = (
    "run without interruption; --restarts 10 --evaluations 20 is the script's own loop, which forgets the curvature",
    "the script truncates to 8 bits where this package rounds",
)

PRESETS: dict[str, Preset] = {
    # Our own: relative losses, the photograph as start, a pyramid (chosen by looking).
    "handstyle": Preset("this package", {"pyramid_min_size": 128, "pyramid_factor": 2.0}, features=""),
    "keras-2016-theano": Preset(
        "keras examples/neural_style_transfer.py, January to July 2016 (jcavalieri8619/keras@4e57cf3)",
        # img_width = img_height = 400; x = np.random.uniform(0, 255, ...)
        _KERAS | {"size_rule": "square", "init": "noise"},
        architecture="vgg16",
        # preprocess_image only transposes: RGB, 0 to 255, no mean.
        input=Convention("rgb-255", "RGB", 255.0, (0.0, 0.0, 0.0)),
        notes=_KERAS_NOTES,
    ),
    "keras-2016": Preset(
        "keras examples/neural_style_transfer.py, from August 2016 (zumpchke/keras@3bd2b29)",
        # x = np.random.uniform(0, 255, (1, h, w, 3)) - 128., on the network's input
        _KERAS | {"size_rule": "square", "init": "uniform:-128:127"},
        architecture="vgg16",
        notes=_KERAS_NOTES,
    ),
    "keras": Preset(
        "keras examples/neural_style_transfer.py, to June 2017 (keras-team/keras@7e8495c)",
        _KERAS | {"size_rule": "height", "init": "uniform:-128:127"},  # img_ncols = int(width * img_nrows / height)
        architecture="vgg16",
        notes=_KERAS_NOTES,
    ),
    "keras-2017": Preset(
        "keras examples/neural_style_transfer.py, from June 2017 (keras-team/keras#6877)",
        # VGG19, block5_conv2, x = preprocess_image(base_image_path)
        _KERAS | {"size_rule": "height", "init": "content", "content_layers": ("relu5_2",)},
        notes=_KERAS_NOTES,
    ),
    "keras-io": Preset(
        "keras.io/examples/generative/neural_style_transfer (2020)",
        _KERAS
        | {
            "size_rule": "height",
            "init": "content",
            "content_layers": ("relu5_2",),  # content_layer_name = "block5_conv2"
            "content_weight": 2.5e-8,
            "style_weight": 1e-6,
            "tv_weight": 1e-6,
            "optimizer": "descent",  # keras.optimizers.SGD
            "learning_rate": 100.0,  # ExponentialDecay(100.0, decay_steps=100, decay_rate=0.96)
            "learning_rate_schedule": "exponential:0.96:100",
            "iterations": 4000,
            "evaluations": 0,
        },
        notes=(
            "plain descent has one rate, which is for 400 px: a smaller picture's gradient is larger as its pixels are "
            "fewer, and near 100 px the run diverges; use --learning-rate 10 there",
        ),
    ),
    "gatys": Preset(
        "Gatys, Ecker, Bethge 2016 (CVPR); arXiv 1508.06576",
        {
            "content_layers": ("relu4_2",),  # conv4_2, §3.1
            "style_layers": FIVE,  # conv1_1 … conv5_1, w_l = 1/5
            "style_layer_weights": EQUAL,
            "content_weight": 5e-7,  # not α/β = 1e-3, fig. 3: see the notes
            "style_weight": 1.0,
            "tv_weight": 0.0,
            "content_normalization": "half",  # eq. 1
            "style_normalization": "gatys",  # eq. 4
            "init": "noise",  # white noise
            "style_fit": "stretch",  # the style is resized to the content's size
            "iterations": 500,  # not in the paper; the authors' later code has 500
        },
        pooling="average",
        features="unit",  # §2: each filter's mean activation is 1; here each layer's
        notes=(
            "with its equations as printed, the paper's α/β = 1e-3 gives the photograph back, and so does 1e-5, also "
            "where each filter's mean on photographs is 1; the ratio here was found by looking. The printed one: "
            "--content-weight 1e-3",
        ),
    ),
    "gatys-code": Preset(
        "leongatys/NeuralImageSynthesis BasicStyleTransfer.ipynb, LossLayers.lua; leongatys/PytorchNeuralStyleTransfer",
        {
            "size_rule": "short",  # transforms.Scale(512)
            "content_layers": ("relu4_2",),
            "style_layers": FIVE,
            "content_weight": 1.0,  # cw = 1
            "style_weight": 1e3,  # sw/64**2 …, sw = 1e3
            "tv_weight": 0.0,
            "content_normalization": "mean",  # nn.MSECriterion
            "style_normalization": "neural-style",  # (1 / C²) · MSE of F Fᵀ / M
            "init": "content",  # init = 'image'
            "iterations": 500,  # max_iter
            "optimizer": "lbfgs-fixed",  # optim.LBFGS: lr 1, no line search
            "lbfgs_history": 100,  # its default history
        },
        notes=(
            "the notebook goes on at 1024 px for 200 iterations: --pyramid-min-size 512 --iterations-by-scale 500 200",
        ),
    ),
    "gatys-norm": Preset(
        "leongatys/NeuralImageSynthesis BasicStyleTransfer.ipynb, parameters for the normalized network",
        {
            "size_rule": "short",
            "content_layers": ("relu4_2",),
            "style_layers": FIVE,
            "content_weight": 1e6,  # cw = 1e6
            "style_weight": 1e9,  # sw = 1e9 / len(layers['style'])
            "style_layer_weights": EQUAL,
            "tv_weight": 0.0,
            "content_normalization": "mean",
            "style_normalization": "mean",  # no C² here
            "init": "content",
            "iterations": 500,
            "optimizer": "lbfgs-fixed",
            "lbfgs_history": 100,
        },
        features="unit",  # vgg_normalised.caffemodel
    ),
    "neural-style": Preset(
        "jcjohnson/neural-style neural_style.lua @07c4b82",
        {
            "size": 512,  # -image_size
            "content_layers": ("relu4_2",),
            "style_layers": FIVE,
            "content_weight": 5.0,
            "style_weight": 1e2,  # at each layer
            "tv_weight": 1e-3,
            "content_normalization": "mean",  # nn.MSECriterion
            "style_normalization": "neural-style",  # G:div(input:nElement())
            "tv": "neural-style",  # TVLoss:updateGradInput
            "tv_white": 256.0,  # img:mul(256.0)
            "init": "normal:0.001",  # torch.randn(...):mul(0.001)
            "iterations": 1000,
            "optimizer": "lbfgs-fixed",  # torch optim.lbfgs, no line search
            "lbfgs_history": 100,
        },
        rounding="up",  # loadcaffe: ceil
        input=Convention("caffe-256", "BGR", 256.0, (103.939, 116.779, 123.68)),
        notes=("its total variation is in the gradient and not in the loss: no line search follows it",),
    ),
    "neural-style-pt": Preset(
        "ProGamerGov/neural-style-pt neural_style.py @7251405",
        {
            "size": 512,
            "content_layers": ("relu4_2",),
            "style_layers": FIVE,
            "content_weight": 5.0,
            "style_weight": 1e2,
            "tv_weight": 1e-3,
            "content_normalization": "mean",
            "style_normalization": "neural-style",
            "tv": "absolute",  # strength * (sum |x_diff| + sum |y_diff|)
            "init": "normal:0.001",
            "iterations": 1000,
            "optimizer": "lbfgs-fixed",
            "lbfgs_history": 100,  # -lbfgs_num_correction
        },
    ),
    "crowson": Preset(
        "crowsonkb/style-transfer-pytorch style_transfer.py @e7e2c71",
        {
            "size": 512,  # end_scale
            "pyramid_min_size": 128,  # min_scale
            "pyramid_factor": math.sqrt(2),  # gen_scales: end / 2^(i/2)
            "iterations": 500,
            "iterations_by_scale": (1000, 500),  # initial_iterations, iterations
            "content_layers": ("relu4_2",),  # 22
            "style_layers": FIVE,  # 1, 6, 11, 20, 29
            "style_layer_weights": tuple(w / 341 for w in (256, 64, 16, 4, 1)),
            "content_weight": 0.015,
            "style_weight": 1.0,
            "tv_weight": 2.0,
            "content_normalization": "mean",  # ContentLossMSE
            "style_statistic": "wasserstein",  # StyleLossW2
            "style_normalization": "channels",
            "tv": "diagonal",  # TVLoss
            "tv_white": 1.0,  # pictures are 0 to 1
            "optimizer": "adam",
            "learning_rate": 0.02 * 255,  # step_size on 0 to 1
            "beta1": 0.9,
            "beta2": 0.99,
            "epsilon": 1e-8 / 255,  # torch's default; the gradient on 0 to 255 is 255 times smaller
            "averaging": 0.99,  # avg_decay
            "clamp": True,
        },
        weights="torchvision",
        features="",
        padding="first-replicate",
        notes=("square roots of covariances are exact, where the system takes 12 Newton-Schulz steps",),
    ),
    "crowson-caffe": Preset(
        "crowsonkb/style_transfer style_transfer.py, num_utils.py, optimizers.py @47633b9",
        {
            "size": 256,
            "pyramid_min_size": 182,
            "pyramid_factor": math.sqrt(2),
            "iterations": 100,
            "iterations_by_scale": (200, 100),
            "content_layers": ("relu4_2",),
            "style_layers": FIVE,
            "style_layer_weights": EQUAL,  # parse_weights divides by the total
            "content_weight": 0.05,
            "style_weight": 1.0,
            "tv_weight": 5.0,
            "range_weight": 2.0,  # p_weight, p_power 6
            "normalize_gradients": True,  # normalize
            "tv": "wrapped",  # tv_norm, β = 2
            "tv_white": 2.0,  # img / 127.5
            "init": "noise",  # np.random.uniform(0, 255)
            "optimizer": "adam",
            "learning_rate": 15.0,  # step_size, in grey levels
            "learning_rate_schedule": "root:0.05",  # step_size / i^0.5, i += 0.05
            "epsilon": 1.1920929e-07,  # num_utils.EPS
            "averaging": 0.95,  # 1 − 1 / 20, the averaging window
        },
        rounding="up",
        notes=(
            "its gradient is normalize_gradients layer by layer and is no function's gradient: no line search follows it",
            "one tile, so no random shifts",
        ),
    ),
    "anishathalye": Preset(
        "anishathalye/neural-style neural_style.py, stylize.py @d0a1148",
        {
            "content_layers": ("relu4_2",),  # content_weight_blend = 1
            "style_layers": FIVE,
            "style_layer_weights": EQUAL,  # normalized to 1
            "content_weight": 5.0,
            "style_weight": 500.0,
            "tv_weight": 100.0,
            "content_normalization": "mean",  # 2 · l2_loss / size
            "style_normalization": "neural-style",  # gram / features.size; 2 · l2_loss / gram size
            "tv": "separate",
            "init": "normal:0.256",  # tf.random_normal(shape) * 0.256
            "blend": "losses",
            "optimizer": "adam",
            "learning_rate": 10.0,
            "iterations": 1000,
        },
        rounding="up",  # padding SAME
        notes=("the system does not resize the photograph",),
    ),
    "aleksa": Preset(
        "gordicaleksa/pytorch-neural-style-transfer neural_style_transfer.py, utils.py, vgg_nets.py",
        {
            "size": 400,
            "size_rule": "height",
            # vgg_nets.py names it conv4_2, but the ReLU that follows works in place on the same tensor.
            "content_layers": ("relu4_2",),
            "style_layers": FIVE,
            "style_layer_weights": EQUAL,  # / len(target_style_representation)
            "content_weight": 1e5,
            "style_weight": 3e4,
            "tv_weight": 1.0,
            "content_normalization": "mean",
            "style_normalization": "mean",  # MSELoss(reduction='sum') of F Fᵀ / (C M)
            "tv": "absolute",
            "optimizer": "lbfgs",  # line_search_fn='strong_wolfe'
            "lbfgs_history": 100,
            "iterations": 1000,
        },
        weights="torchvision",
        # IMAGENET_MEAN_255, IMAGENET_STD_NEUTRAL = [1, 1, 1]
        input=Convention("torchvision-255", "RGB", 255.0, (123.675, 116.28, 103.53)),
    ),
    "cysmith": Preset(
        "cysmith/neural-style-tf neural_style.py @a2c374f",
        {
            "size": 512,  # --max_size
            "content_layers": ("conv4_2",),  # before the ReLU; its bias cancels
            "style_layers": FIVE,
            "style_layer_weights": (0.04,) * 5,  # 0.2, and divided by the number of layers again
            "content_weight": 5.0,
            "style_weight": 1e4,
            "tv_weight": 1e-3,
            "content_normalization": "cysmith",  # content_loss_function = 1
            "style_normalization": "gatys",
            "tv": "absolute",  # tf.image.total_variation
            "style_fit": "stretch",
            "blend": "losses",
            "mask_mode": "cysmith",
            "iterations": 1000,
            "optimizer": "lbfgsb",  # ScipyOptimizerInterface
        },
        pooling="average",
        rounding="up",  # padding SAME
        notes=("the system left SciPy's stopping tests on, which end a run of large values after a step or two",),
    ),
    "tensorflow-tutorial": Preset(
        "tensorflow/docs site/en/tutorials/generative/style_transfer.ipynb",
        {
            "size": 512,  # max_dim
            "content_layers": ("relu5_2",),  # block5_conv2
            "style_layers": FIVE,
            "style_layer_weights": EQUAL,  # style_weight / num_style_layers
            "content_weight": 1e4,
            "style_weight": 1e-2,
            "tv_weight": 30.0,
            "content_normalization": "mean",
            "style_normalization": "mean",  # G / (I J), reduce_mean
            "tv": "absolute",  # tf.image.total_variation
            "tv_white": 1.0,  # pictures are 0 to 1
            "optimizer": "adam",
            "learning_rate": 0.02 * 255,  # learning_rate on 0 to 1
            "beta1": 0.99,
            "epsilon": 1e-1 / 255,
            "clamp": True,  # clip_0_1
            "iterations": 1000,  # 10 epochs of 100 steps
        },
    ),
    "pytorch-tutorial": Preset(
        "pytorch/tutorials advanced_source/neural_style_tutorial.py",
        {
            "size": 512,  # imsize on a GPU; 128 without
            "style_fit": "stretch",  # both pictures must have one size
            "content_layers": ("conv2_2",),  # conv_4
            "style_layers": ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),  # conv_1 … conv_5, before ReLU
            "content_weight": 1.0,
            "style_weight": 1e6,
            "tv_weight": 0.0,
            "content_normalization": "mean",
            "style_normalization": "neural-style",  # G.div(a * b * c * d), mse_loss
            "optimizer": "lbfgs-fixed",  # optim.LBFGS
            "lbfgs_history": 100,
            "clamp": True,  # input_img.clamp_(0, 1)
            "iterations": 300,  # num_steps
        },
        weights="torchvision",
        features="",
        notes=("the first step is 1 in grey levels, not in 255ths; later steps are the same",),
    ),
    "spst": Preset(
        "bgalerne/scaling_painting_style_transfer spst.py, vgg_by_blocks.py @d39643c; arXiv 2212.13459",
        {
            "size": 1024,
            "size_rule": "short",
            "pyramid_min_size": 512,  # halved while above minimal_scale_threshold = 1023
            "pyramid_factor": 2.0,
            "iterations": 30,
            "iterations_by_scale": (600, 200, 66, 30),  # spst-fast: max(600 // 3^s, 30)
            "content_layers": ("relu4_2",),  # r42
            "style_layers": FIVE,  # r11 … r51
            "content_weight": 1.0,
            "style_weight": 1e3,  # 1e3 / n²
            "style_normalization": "neural-style",
            "means_weight": 1e4,  # w n² wmeanstd / 100, wmeanstd = 1000
            "tv_weight": 0.0,
            "content_normalization": "mean",
            "optimizer": "lbfgs-fixed",  # optim.LBFGS
            "lbfgs_history": 10,  # 100 at the coarsest scale
        },
        notes=("the history is 10 at every scale",),
    ),
}
