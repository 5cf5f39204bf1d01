"""Find out how much memory this process can still allocate: of the machine, its control groups, its address space."""

import math
import os
from pathlib import Path

# Addresses that are asked for and not used: memory is taken in pieces of up to 256 MiB, and a thread has a stack and a
# heap of its own. They count where the address space is limited.
UNUSED_ADDRESSES = 5 << 26


def available_memory() -> float:
    """Return the bytes that this process can still allocate without swapping; infinity where that is not known.

    It is the least that physical memory, the limits of control groups (versions 1 and 2, and those of the groups around
    them) and the limit of the address space (``ulimit -v``, ``RLIMIT_AS``) leave. On macOS it is half of the
    physical memory; on Windows it is not known.

    Examples
    --------
    >>> available_memory() > 0
    True
    """
    if not hasattr(os, "sysconf"):  # Windows
        return math.inf
    if not Path("/proc/meminfo").exists():
        return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES")) // 2
    with open("/proc/meminfo", encoding="utf-8") as lines:
        kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if ":" in line}
    free = kib.get("MemAvailable", kib["MemFree"]) * 1024
    return max(0, min([free, *_free_in_groups(), *_free_addresses()]))


def _free_in_groups() -> list[int]:
    """Return the free bytes within the limits of this process's control groups (man 7 cgroups), if there are limits."""
    groups = {"": "/", "memory": "/"}  # of version 2, and of the memory controller of version 1
    if Path("/proc/self/cgroup").exists():
        with open("/proc/self/cgroup", encoding="utf-8") as lines:
            for line in lines:
                _, controllers, group = line.rstrip("\n").split(":", 2)
                groups.update(dict.fromkeys(controllers.split(","), group))
    kinds = (
        ("", ("memory.max", "memory.current", "inactive_file")),
        ("memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
    )
    found = []
    for controller, (limit, used, cached) in kinds:
        steps = [step for step in groups[controller].split("/") if step]
        # Inside a container the path is often that of the host, and the container's own group is the root.
        for depth in range(len(steps) + 1):
            folder = "/".join(["/sys/fs/cgroup", *filter(None, [controller]), *steps[:depth]])
            bound, taken = _read_words(f"{folder}/{limit}"), _read_words(f"{folder}/{used}")
            if bound and taken and bound[0].isdigit():
                stat = _read_words(f"{folder}/memory.stat")
                # Pages of files that were read count as used, and are dropped when memory is short.
                dropped = int(stat[stat.index(cached) + 1]) if cached in stat else 0
                found.append(int(bound[0]) - int(taken[0]) + dropped)
    return found


def _free_addresses() -> list[int]:
    """Return the free bytes within the limit of the address space, if there is one."""
    import resource  # not on Windows, which has no /proc either

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    size = _read_words("/proc/self/statm")
    if limit == resource.RLIM_INFINITY or not size:
        return []
    return [limit - int(size[0]) * resource.getpagesize() - UNUSED_ADDRESSES]


def _read_words(path: str) -> list[str]:
    if not Path(path).exists():
        return []
    with open(path, encoding="ascii") as file:
        return file.read().split()
