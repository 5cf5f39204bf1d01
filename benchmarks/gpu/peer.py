"""The objective in PyTorch, with autograd and cuDNN, for comparison with ours."""

import numpy as np


class TorchObjective:
    """Style at relu1_1 … relu5_1 and content at relu4_2, both relative, of a picture (H, W, 3) on a device.

    Parameters
    ----------
    network : Network
        A network with NumPy weights in Caffe's convention, which are copied.
    content, styles : arrays
        The content target (h, w, C), and for each style tap the mean Gram matrix (C, C).
    channels_last : bool
        Whether maps lie as ours do.
    compiled : dict, optional
        What `torch.compile` is given; by default nothing is compiled.
    """

    def __init__(self, torch, network, content, styles, device, channels_last=False, compiled=None):
        self.torch, self.device = torch, device
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.layers = []
        for layer in network.layers:
            if hasattr(layer, "w"):
                w = torch.tensor(np.ascontiguousarray(np.asarray(layer.w).transpose(3, 2, 0, 1)), device=device)
                w = w.to(memory_format=self.memory_format)
                self.layers.append((layer.name, w, torch.tensor(np.asarray(layer.b), device=device)))
            else:
                self.layers.append((layer.name, None, None))
        self.mean = torch.tensor(network.convention.mean, dtype=torch.float32, device=device).view(3, 1, 1)
        tap, target = content
        self.content = tap, torch.tensor(target.transpose(2, 0, 1)[None].copy(), device=device)
        self.content_scale = 1 / float((target.astype(np.float64) ** 2).sum())
        self.styles = {
            tap: (torch.tensor(A, dtype=torch.float32, device=device), 1 / float((A * A).sum()))
            for tap, A in styles.items()
        }

        self.loss = self.value if compiled is None else torch.compile(self.value, **compiled)

    def __call__(self, p):  # (H, W, 3) tensor -> value tensor, (H, W, 3) gradient
        p = p.detach().requires_grad_(True)
        value = self.loss(p)
        (gradient,) = self.torch.autograd.grad(value, p)
        return value.detach(), gradient

    def value(self, p):  # (H, W, 3) tensor -> value tensor
        """Return the value of the objective, for autograd."""
        torch = self.torch
        x = p.permute(2, 0, 1).flip(0).sub(self.mean)[None].contiguous(memory_format=self.memory_format)
        value = 0.0
        for name, w, b in self.layers:
            if w is not None:
                x = torch.nn.functional.conv2d(x, w, b, padding=1)
            elif name.startswith("relu"):
                x = torch.relu(x)
            else:
                x = torch.nn.functional.max_pool2d(x, 2)
            if name in self.styles:
                A, scale = self.styles[name]
                F = x.flatten(2)[0]
                value = value + scale * ((F @ F.T / F.shape[1] - A) ** 2).sum()
            if name == self.content[0]:
                value = value + self.content_scale * ((x - self.content[1]) ** 2).sum()
        return value


def use_tf32(torch, on):
    """Allow or forbid TF32 in convolutions and products; PyTorch's default allows it in convolutions only."""
    torch.backends.cudnn.allow_tf32 = on
    torch.backends.cuda.matmul.allow_tf32 = on
