"""The objective in JAX, jitted with its gradient, with the same weights and terms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from handstyle.foundations.backend import Array
from handstyle.losses.gram import Moments
from handstyle.network.sequence import Convolution, Pool
from handstyle.network.vgg import Network


class JaxObjective:
    """The objective of style and content in JAX: ``objective(p) -> value, gradient``, as `Objective` computes them.

    The picture p is (H, W, 3), RGB, 0 to 255.

    Parameters
    ----------
    network : Network
        The network, whose weights are copied. JAX's convolutions take the same layout, channels last.
    content : (str, (h, w, C) array)
        The content layer and its target features; the relative squared error has weight 1.
    styles : dict of str to Moments
        The target of each style layer.
    style_weight : float
        The weight of the style loss, divided among the style layers.
    """

    def __init__(
        self, network: Network, content: tuple[str, Array], styles: dict[str, Moments], style_weight: float
    ) -> None:
        convention = network.convention
        self.flip, self.scale = convention.order == "BGR", convention.scale / 255
        last = max(network.names.index(tap) for tap in (*styles, content[0]))
        self.layers = [
            (layer.name, "conv" if isinstance(layer, Convolution) else "pool" if isinstance(layer, Pool) else "relu")
            for layer in network.layers[: last + 1]
        ]
        self.content = content[0]
        # Arguments of the jitted function: constants of its body would be folded, which takes minutes.
        self.data: dict[str, Any] = {
            "mean": jnp.asarray(convention.mean, jnp.float32),
            "std": jnp.asarray(convention.std, jnp.float32),
            "target": jnp.asarray(content[1]),
            "content scale": 1 / float((content[1].astype(np.float64) ** 2).sum()),
        }
        for layer in network.layers[: last + 1]:
            if isinstance(layer, Convolution):
                self.data[layer.name] = jnp.asarray(layer.w), jnp.asarray(layer.b)
        for tap, moments in styles.items():
            A = moments.outer / moments.count
            weight = style_weight / len(styles) / float((A * A).sum())
            self.data[f"style {tap}"] = jnp.asarray(A, jnp.float32), weight
        self.evaluate = jax.jit(jax.value_and_grad(self.loss))

    def loss(self, p: jax.Array, data: dict[str, Any]) -> jax.Array:  # (H, W, 3) -> ()
        """Return the value at a picture."""
        x = p[..., ::-1] if self.flip else p
        x = ((x * self.scale - data["mean"]) / data["std"])[None]
        value = jnp.zeros((), jnp.float32)
        for name, kind in self.layers:
            if kind == "conv":
                w, b = data[name]
                x = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b
            elif kind == "relu":
                x = jax.nn.relu(x)
            else:
                x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            if f"style {name}" in data:
                A, weight = data[f"style {name}"]
                f = x.reshape(-1, x.shape[-1])
                value = value + weight * ((f.T @ f / f.shape[0] - A) ** 2).sum()
            if name == self.content:
                value = value + data["content scale"] * ((x[0] - data["target"]) ** 2).sum()
        return value

    def __call__(self, p: Array) -> tuple[float, Array]:
        """Return the value and the gradient at the picture."""
        value, gradient = self.evaluate(jnp.asarray(p, jnp.float32), self.data)
        return float(value), np.asarray(gradient)
