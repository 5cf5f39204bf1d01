"""Measure the memory of the tensors that PyTorch's autograd saves in a forward pass, with frozen weights.

``python -m benchmarks.peers.saved_tensors`` evaluates the default objective on VGG-19 and adds up the saved tensors:
each storage once, without the network's weights and the targets. Chapter 9 compares the sum with the bits that this
package keeps. With ``--save`` the result is written as dated JSON to ``benchmarks/results``.
"""

import argparse
from typing import Any

import torch

from benchmarks import common
from handstyle.cli.torch_peer import TorchObjective


def saved_bytes(peer: TorchObjective, p: Any) -> int:
    """Return the bytes of the tensors that autograd saves in an evaluation at a picture (H, W, 3)."""
    own = {peer.target.untyped_storage().data_ptr()} | {A.untyped_storage().data_ptr() for A, _ in peer.styles.values()}
    own |= {w.untyped_storage().data_ptr() for *_, w, _ in peer.layers if w is not None}
    kept: dict[int, int] = {}

    def note(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        peer.loss(peer.tensor(p).requires_grad_())
    return sum(kept.values())


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--save", action="store_true", help="keep the result in benchmarks/results")
    options = parser.parse_args()
    network = common.network_with("auto")
    content, styles = common.targets(network, options.size)
    peer = TorchObjective(network, (common.CONTENT, content), styles, common.STYLE_WEIGHT)
    kept = saved_bytes(peer, common.picture("tubingen.jpg", options.size))
    print(f"{options.size} x {options.size}: {kept / 2**20:.0f} MiB are kept, torch {torch.__version__}")
    if options.save:
        print(common.write_results("saved-tensors", [{"size": options.size, "what": "saved tensors", "bytes": kept}]))


if __name__ == "__main__":
    main()
