"""Every CUDA kernel goes through nvcc, for two generations of GPUs, in both precisions."""

import ctypes
import re
import shutil
import subprocess

import pytest

from handstyle.kernels.cuda_source import files, source

NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc") or shutil.which("/usr/local/bin/nvcc")

with_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc on this machine: the CUDA sources are not compiled")


def nvrtc():
    """Return the run-time compiler, which is what CuPy uses, or None. It needs no GPU."""
    for version in ("13", "12"):
        try:
            return ctypes.CDLL(f"libnvrtc.so.{version}")
        except OSError:
            continue
    return None


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
    assert len(re.findall("Compiling entry function", done.stderr)) == list(files().values()).count(file)
    if dtype == "float32":  # an array that is not in registers lies in memory, and the kernel's point is lost
        stacks = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", done.stderr)
        assert stacks
        assert all(int(a) == int(b) == 0 for a, b in stacks), done.stderr


@with_nvcc
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_smaller_tile_compiles(dtype, tmp_path):
    done = compiled(tmp_path, source("winograd", dtype, 2), "sm_90")
    assert done.returncode == 0, done.stderr


@with_nvcc
def test_a_mistake_does_not_compile(tmp_path):
    broken = source("lower").replace("s.C", "s.channels")
    assert compiled(tmp_path, broken, "sm_80").returncode != 0


@pytest.mark.skipif(nvrtc() is None, reason="no NVRTC on this machine: what a user's GPU compiles is not tried")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("file", sorted(set(files().values())))
def test_nvrtc_takes_it(file, dtype):
    library, program = nvrtc(), ctypes.c_void_p()
    text = source(file, dtype).encode()
    assert library.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * 2)(b"--std=c++17", b"--gpu-architecture=compute_80")
    status = library.nvrtcCompileProgram(program, 2, options)
    length = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(length))
    log = ctypes.create_string_buffer(length.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    assert status == 0, log.value.decode()
