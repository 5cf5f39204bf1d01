"""Every CUDA kernel goes through nvcc, for two generations of GPUs, in both precisions."""

import re
import shutil
import subprocess

import pytest

from handstyle.kernels.cuda_source import files, source

NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc") or shutil.which("/usr/local/bin/nvcc")

pytestmark = pytest.mark.skipif(NVCC is None, reason="no nvcc on this machine: the CUDA sources are not compiled")


def compiled(tmp_path, text, arch):
    program = tmp_path / "kernels.cu"
    program.write_text(text)
    command = [NVCC, "-std=c++17", f"-arch={arch}", "-cubin", "-Xptxas=-v", "--Werror=all-warnings", "-o"]
    return subprocess.run([*command, str(tmp_path / "out.cubin"), str(program)], capture_output=True, text=True)


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("file", sorted(set(files().values())))
def test_it_compiles_without_a_warning_and_keeps_in_registers(file, dtype, arch, tmp_path):
    done = compiled(tmp_path, source(file, dtype), arch)
    assert done.returncode == 0, done.stderr
    assert len(re.findall("Compiling entry function", done.stderr)) == list(files().values()).count(file)
    if dtype == "float32":  # an array that is not in registers lies in memory, and the kernel's point is lost
        stacks = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", done.stderr)
        assert stacks
        assert all(int(a) == int(b) == 0 for a, b in stacks), done.stderr


@pytest.mark.parametrize("tile", [2, 6])
def test_other_tiles_compile(tile, tmp_path):
    done = compiled(tmp_path, source("winograd", "float32", tile), "sm_90")
    assert done.returncode == 0, done.stderr


def test_a_mistake_does_not_compile(tmp_path):
    broken = source("lower").replace("s.C", "s.channels")
    assert compiled(tmp_path, broken, "sm_80").returncode != 0
