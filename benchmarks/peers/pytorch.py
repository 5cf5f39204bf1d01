"""The objective in PyTorch, by autograd, with the same weights and terms: the one of ``handstyle bench``."""

import torch  # noqa: F401  a peer that is not installed must say so when this module is imported

from handstyle.cli.torch_peer import TorchObjective

__all__ = ["TorchObjective"]
