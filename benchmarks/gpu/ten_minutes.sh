#!/bin/sh
# What is claimed of the GPU, checked and measured in about ten minutes: from the root of the checkout, on a machine with
# CUDA, CuPy and PyTorch, `sh benchmarks/gpu/ten_minutes.sh OUT`. It leaves OUT/gpu.json, written after each measurement,
# OUT/gpu.md, and the tests' words in OUT/pytest.txt. The most important first; what has not begun after eight minutes
# is left out and listed under "errors".
out=${1:-.}
mkdir -p "$out"
timeout 240 python -m pytest -m gpu -q -p no:cacheprovider > "$out/pytest.txt" 2>&1
tail -n 3 "$out/pytest.txt"
python benchmarks/gpu/run.py --out "$out/gpu.json" --sizes 512,1024 --minutes 8 \
    --sections machine,gate,evaluation,tuned,compiled,largest,transfers
python benchmarks/gpu/report.py "$out/gpu.json" > "$out/gpu.md"
