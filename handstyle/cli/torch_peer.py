"""Compute the objective in PyTorch, with autograd, for benchmarks only."""

import importlib
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array, cpu_count, to_numpy
from handstyle.losses.gram import Moments
from handstyle.network.sequence import Convolution, Pool
from handstyle.network.vgg import Network


class TorchObjective:
    """The objective of style and content in PyTorch: ``objective(p) -> value, gradient``, as `Objective` computes them.

    The picture p is (H, W, 3), RGB, 0 to 255.

    Parameters
    ----------
    network : Network
        The network, whose weights are copied into PyTorch's layout.
    content : (str, (h, w, C) array) or None
        A content layer and its target features; the relative squared error has weight 1.
    styles : dict of str to Moments
        The target of each style layer.
    style_weight : float
        The weight of the style loss, divided among the style layers.
    channels_last : bool
        Whether arrays have the memory format ``channels_last``, which is not PyTorch's default.
    dtype : str
        The name of the dtype; float64 for exact values.
    compiled : bool or dict
        Whether the function is compiled by `torch.compile` for one size, or its options; the first call then takes a
        minute.
    device : str
        PyTorch's name of the device.
    tf32 : bool
        Whether convolutions and products on a GPU may round to TF32; an attribute that may be changed.

    Examples
    --------
    .. code-block:: python

        objective = TorchObjective(network, None, {"relu1_1": moments_forward(f)}, style_weight=1.0)
        value, dp = objective(p)  # dp: (H, W, 3)
    """

    def __init__(
        self,
        network: Network,
        content: tuple[str, Array] | None,
        styles: dict[str, Moments],
        style_weight: float,
        channels_last: bool = False,
        dtype: str = "float32",
        compiled: bool | dict[str, Any] = False,
        device: str = "cpu",
        tf32: bool = False,
    ) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.device, self.tf32 = device, tf32
        options = compiled if isinstance(compiled, dict) else {"dynamic": False}
        self.evaluate = self.torch.compile(self.loss, **options) if compiled else self.loss
        self.format = self.torch.channels_last if channels_last else self.torch.contiguous_format
        self.dtype = getattr(self.torch, dtype)
        self.torch.set_num_threads(cpu_count())
        convention = network.convention
        self.flip, self.scale = convention.order == "BGR", convention.scale
        self.mean = self.tensor(np.array(convention.mean)[:, None, None])
        self.std: Any = None if set(convention.std) == {1.0} else self.tensor(np.array(convention.std)[:, None, None])
        self.layers: list[tuple[str, str, Any, Any]] = []
        for layer in network.layers:
            if isinstance(layer, Convolution):
                w = self.tensor(to_numpy(layer.w).transpose(3, 2, 0, 1)).to(memory_format=self.format)
                self.layers.append((layer.name, "conv", w, self.tensor(to_numpy(layer.b))))
            else:
                self.layers.append((layer.name, "pool" if isinstance(layer, Pool) else "relu", None, None))
        self.content, self.target, self.content_scale = "", None, 0.0
        if content is not None:
            self.content, target = content
            self.target = self.tensor(target.transpose(2, 0, 1)[None])
            self.content_scale = 1 / float((target.astype(np.float64) ** 2).sum())
        self.styles = {}
        for tap, moments in styles.items():
            A = to_numpy(moments.outer) / float(moments.count)
            self.styles[tap] = self.tensor(A), style_weight / len(styles) / float((A * A).sum())

    def tensor(self, a: Array) -> Any:
        """Return an array as a tensor of the objective's dtype, on its device.

        Examples
        --------
        .. code-block:: python

            p = objective.tensor(np.zeros((64, 64, 3)))  # p.dtype: torch.float32
        """
        return self.torch.tensor(np.ascontiguousarray(a), dtype=self.dtype, device=self.device)

    def loss(self, p: Any) -> Any:  # (H, W, 3) -> ()
        """Return the value at a picture given as a tensor, for autograd.

        Examples
        --------
        .. code-block:: python

            p = objective.tensor(np.zeros((64, 64, 3))).requires_grad_()
            objective.loss(p).backward()  # p.grad: (64, 64, 3)
        """
        x = p.permute(2, 0, 1)
        x = x.flip(0) if self.flip else x
        x = (x if self.scale == 255 else x * (self.scale / 255)) - self.mean
        x = (x if self.std is None else x / self.std)[None].contiguous(memory_format=self.format)
        value: Any = 0.0
        last = max(i for i, layer in enumerate(self.layers) if layer[0] in (*self.styles, self.content))
        functional = self.torch.nn.functional
        for name, kind, w, b in self.layers[: last + 1]:
            if kind == "conv":
                x = functional.conv2d(x, w, b, padding=1)
            elif kind == "relu":
                x = functional.relu(x)
            else:
                x = functional.max_pool2d(x, 2)
            if name in self.styles:
                A, weight = self.styles[name]
                f = x[0].flatten(1)
                value = value + weight * (f @ f.T / f.shape[1] - A).square().sum()
            if name == self.content:
                value = value + self.content_scale * (x - self.target).square().sum()
        return value

    def __call__(self, p: Array) -> tuple[float, Array]:  # (H, W, 3) -> (), (H, W, 3)
        """Return the value and the gradient at the picture, on the host."""
        value, gradient = self.on_device(self.torch.tensor(p, dtype=self.dtype, device=self.device))
        return float(value), gradient.cpu().numpy()

    def on_device(self, p: Any) -> tuple[Any, Any]:  # (H, W, 3) -> (), (H, W, 3)
        """Return the value and the gradient at a picture given as a tensor, as tensors on its device.

        Examples
        --------
        .. code-block:: python

            value, dp = objective.on_device(objective.tensor(np.zeros((64, 64, 3))))  # shapes () and (64, 64, 3)
        """
        self.torch.backends.cudnn.allow_tf32 = self.torch.backends.cuda.matmul.allow_tf32 = self.tf32
        leaf = p.detach().requires_grad_(True)
        value = self.evaluate(leaf)
        (gradient,) = self.torch.autograd.grad(value, leaf)
        return value.detach(), gradient
