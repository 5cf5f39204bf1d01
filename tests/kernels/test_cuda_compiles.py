"""Every CUDA kernel goes through nvcc, for two generations of GPUs, in both precisions."""

import ctypes
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.kernel_versions import kernels

from handstyle.kernels.cuda.source import BLOCKS, dynamic_shared_bytes, files, source

NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc") or shutil.which("/usr/local/bin/nvcc")

with_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc on this machine: the CUDA sources are not compiled")


THREADS = 256  # of a block, at most
REGISTERS = 65536  # of a block, on every GPU since 2012
ON_DEMAND = 99 << 10  # bytes of shared memory, of a block, on every GPU since 2020
SHARED = 48 << 10  # bytes of a block, beyond which a kernel must ask for more before its launch


def nvrtc():
    """Return the run-time compiler, which is what CuPy uses, or None. It needs no GPU."""
    found = importlib.util.find_spec("nvidia")  # where the wheels of NVIDIA's libraries are installed
    folders = [Path(folder) for folder in (found.submodule_search_locations or [])] if found else []
    wheels = [str(path) for folder in folders for path in sorted(folder.glob("*/lib/libnvrtc.so.*"), reverse=True)]
    for name in (*wheels, "libnvrtc.so.13", "libnvrtc.so.12"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


WHY_NO_NVRTC = "no NVRTC on this machine (pip install nvidia-cuda-nvrtc): what a user's GPU compiles is not tried"
with_nvrtc = pytest.mark.skipif(nvrtc() is None, reason=WHY_NO_NVRTC)


def compiled(tmp_path, text, arch):
    program = tmp_path / "kernels.cu"
    program.write_text(text)
    command = [NVCC, "-std=c++17", f"-arch={arch}", "-cubin", "-Xptxas=-v", "--Werror=all-warnings", "-o"]
    return subprocess.run([*command, str(tmp_path / "out.cubin"), str(program)], capture_output=True, text=True)


@with_nvcc
@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("file", sorted(set(files().values())))
def test_it_compiles_without_a_warning_and_keeps_in_registers(file, dtype, arch, tmp_path):
    done = compiled(tmp_path, source(file, dtype), arch)
    assert done.returncode == 0, done.stderr
    assert len(re.findall("Compiling entry function", done.stderr)) == len(kernels(file, dtype))
    # What only fails when a block is launched: too many registers for its threads, too much shared memory.
    used = re.findall(r"Used (\d+) registers", done.stderr)
    assert len(used) == len(kernels(file, dtype))
    assert all(int(n) * THREADS <= REGISTERS for n in used), done.stderr
    assert all(int(n) <= SHARED for n in re.findall(r"(\d+) bytes smem", done.stderr)), done.stderr
    if dtype == "float32":  # an array that is not in registers lies in memory, and the kernel's point is lost
        stacks = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", done.stderr)
        assert stacks
        assert all(int(a) == int(b) == 0 for a, b in stacks), done.stderr


def test_shared_memory_on_demand_is_what_every_gpu_with_tensor_cores_for_tf32_has():
    assert all(dynamic_shared_bytes(kernel) <= ON_DEMAND for kernel in BLOCKS)


@with_nvcc
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_smaller_tile_compiles(dtype, tmp_path):
    done = compiled(tmp_path, source("winograd", dtype, 2), "sm_90")
    assert done.returncode == 0, done.stderr


@with_nvcc
def test_a_mistake_does_not_compile(tmp_path):
    broken = source("lower").replace("s.C", "s.channels")
    assert compiled(tmp_path, broken, "sm_80").returncode != 0


def compile_at_run_time(text, arch="sm_90"):
    """Compile as CuPy does, to the GPU's own code, and return (status, log, bytes of code)."""
    library, program = nvrtc(), ctypes.c_void_p()
    assert library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * 2)(b"--std=c++17", f"-arch={arch}".encode())
    status = library.nvrtcCompileProgram(program, 2, options)
    length, size = ctypes.c_size_t(), ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(length))
    log = ctypes.create_string_buffer(length.value)
    library.nvrtcGetProgramLog(program, log)
    code = b""
    if status == 0:
        assert library.nvrtcGetCUBINSize(program, ctypes.byref(size)) == 0
        held = ctypes.create_string_buffer(size.value)
        assert library.nvrtcGetCUBIN(program, held) == 0
        code = held.raw
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return status, log.value.decode(), code


@with_nvrtc
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("file", sorted(set(files().values())))
def test_nvrtc_takes_it(file, dtype):
    for tile in (2, 4) if file == "winograd" else (4,):
        status, log, code = compile_at_run_time(source(file, dtype, tile))
        assert status == 0, log
        assert "warning" not in log, log
        for kernel in kernels(file, dtype):  # found by its plain name, as `get_function` looks for it
            assert f".text.{kernel}\0".encode() in code, kernel


@with_nvrtc
def test_nvrtc_refuses_a_header_of_the_host():
    status, log, _ = compile_at_run_time("#include <cstdint>\n" + source("lower"))
    assert status != 0
    assert "cstdint" in log


@pytest.mark.parametrize("kernel", ["implicit_kernel", "implicit_tf32_narrow"])
def test_of_the_long_kernels_only_the_wanted_one_is_compiled(kernel):
    text = source("implicit", "float32", 4, kernel)
    found = {name for name in files() if f"void {name}(" in text}
    assert found == {"implicit_naive", "implicit_kernel", kernel}
    if nvrtc() is None:
        pytest.skip(WHY_NO_NVRTC)
    status, log, code = compile_at_run_time(text)
    assert status == 0, log
    assert f".text.{kernel}\0".encode() in code
