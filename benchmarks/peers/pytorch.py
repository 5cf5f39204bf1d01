"""The objective in PyTorch, by autograd, with the same weights and terms."""

import numpy as np
import torch
import torch.nn.functional as F

from handstyle.foundations.backend import Array, cpu_count
from handstyle.losses.gram import Moments
from handstyle.network.sequence import Convolution, Pool
from handstyle.network.vgg import Network


class TorchObjective:
    """``objective(p) -> value, gradient`` for a picture (H, W, 3) in RGB, 0 to 255, as `Objective` computes it.

    Parameters
    ----------
    network : Network
        Its weights are shared with PyTorch, in PyTorch's layout.
    content, styles
        Of `targets`.
    style_weight : float
        Shared among the style layers.
    channels_last : bool
        PyTorch's other memory format; its own default is off.
    dtype : str
        float64 for truth.
    compiled : bool
        By `torch.compile`, at its defaults and for one size; the first call then takes a minute.
    """

    def __init__(
        self,
        network: Network,
        content: tuple[str, Array],
        styles: dict[str, Moments],
        style_weight: float,
        channels_last: bool = False,
        dtype: str = "float32",
        compiled: bool = False,
    ) -> None:
        self.evaluated = torch.compile(self.loss, dynamic=False) if compiled else self.loss
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.dtype = dtype = getattr(torch, dtype)
        torch.set_num_threads(cpu_count())
        convention = network.convention
        self.flip = convention.order == "BGR"
        self.mean = torch.tensor(convention.mean, dtype=dtype).view(3, 1, 1)
        self.std = torch.tensor(convention.std, dtype=dtype).view(3, 1, 1)
        self.scale = convention.scale
        self.layers = []
        for layer in network.layers:
            if isinstance(layer, Convolution):
                w = torch.tensor(np.ascontiguousarray(layer.w.transpose(3, 2, 0, 1)), dtype=dtype)
                b = torch.tensor(layer.b, dtype=dtype)
                self.layers.append((layer.name, "conv", w.to(memory_format=self.format), b))
            else:
                self.layers.append((layer.name, "pool" if isinstance(layer, Pool) else "relu", None, None))
        tap, target = content
        self.content = tap
        self.target = torch.tensor(np.ascontiguousarray(target.transpose(2, 0, 1))[None], dtype=dtype)
        self.content_scale = 1 / float((target.astype(np.float64) ** 2).sum())
        self.styles = {}
        for tap, moments in styles.items():
            A = moments.outer / moments.count
            self.styles[tap] = torch.tensor(A, dtype=dtype), style_weight / len(styles) / float((A * A).sum())

    def loss(self, p: torch.Tensor) -> torch.Tensor:  # (H, W, 3) -> ()
        x = p.permute(2, 0, 1)
        x = x.flip(0) if self.flip else x
        x = ((x * (self.scale / 255) - self.mean) / self.std)[None].contiguous(memory_format=self.format)
        value = torch.zeros((), dtype=self.dtype)
        last = max(i for i, layer in enumerate(self.layers) if layer[0] in (*self.styles, self.content))
        for name, kind, w, b in self.layers[: last + 1]:
            if kind == "conv":
                x = F.conv2d(x, w, b, padding=1)
            elif kind == "relu":
                x = F.relu(x)
            else:
                x = F.max_pool2d(x, 2)
            if name in self.styles:
                A, weight = self.styles[name]
                f = x[0].flatten(1)
                value = value + weight * (f @ f.T / f.shape[1] - A).square().sum()
            if name == self.content:
                value = value + self.content_scale * (x - self.target).square().sum()
        return value

    def __call__(self, p: Array) -> tuple[float, Array]:
        """Return the value and the gradient at the picture."""
        leaf = torch.tensor(p, dtype=self.dtype, requires_grad=True)
        value = self.evaluated(leaf)
        value.backward()
        return float(value.detach()), leaf.grad.numpy()
