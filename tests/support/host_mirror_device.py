"""A device for tests written on host arrays: a launch copies them over, runs the kernel there, and copies them back."""

from dataclasses import fields, replace

import numpy as np

from handstyle.kernels.cuda.structs import Epilogue, Source


class MirroredDevice:
    """A `Device` of host arrays in front of another one, such as CuPy's."""

    xp = np

    def __init__(self, behind, asarray, to_numpy):
        self.behind, self.asarray, self.to_numpy = behind, asarray, to_numpy
        self.precision = behind.precision

    def empty(self, shape, dtype):
        return np.full(shape, 77, dtype)

    def launch(self, kernel, grid, block, *arguments, dtype, tile=4):
        mirrors = {}  # address -> (host, over there): two arguments may share memory

        def over(host):
            if host is None:
                return None
            address = host.ctypes.data
            if address not in mirrors or mirrors[address][0].nbytes < host.nbytes:
                mirrors[address] = host, self.asarray(host)
            return mirrors[address][1]

        passed = []
        for argument in arguments:
            if isinstance(argument, (Source, Epilogue)):
                values = {field.name: getattr(argument, field.name) for field in fields(argument)}
                argument = replace(argument, **{k: over(v) for k, v in values.items() if not isinstance(v, int)})
            elif isinstance(argument, np.ndarray):
                argument = over(argument)
            passed.append(argument)
        self.behind.launch(kernel, grid, block, *passed, dtype=dtype, tile=tile)
        for host, there in mirrors.values():
            host[...] = self.to_numpy(there)

    def gemm(self, a, b, out, beta=0.0, true=False):
        there = self.asarray(out)
        self.behind.gemm(self.asarray(a), self.asarray(b), there, beta, true)
        out[...] = self.to_numpy(there)
