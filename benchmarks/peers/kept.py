"""Count what PyTorch keeps from its way forward to its way back, with frozen weights.

``python -m benchmarks.peers.kept`` evaluates the default objective on VGG-19 and adds up the tensors that autograd
saves, each storage once and the network's own weights and the targets not at all: what chapter 9 holds against the bits
of this package. The result is dated JSON in ``benchmarks/results``.
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
    """Count and print."""
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
        print(common.write_results("kept", [{"size": options.size, "what": "saved tensors", "bytes": kept}]))


if __name__ == "__main__":
    main()
