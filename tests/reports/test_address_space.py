"""A process whose address space is limited ends in one true line, whatever it was loading."""

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its address space")
@pytest.mark.parametrize(("mebibytes", "said"), [(200, "limited to 200 MiB"), (400, "limited to 400 MiB")])
def test_a_tight_address_space_is_one_line(mebibytes: int, said: str) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes * 2**20, mebibytes * 2**20))

    command = [sys.executable, "-m", "handstyle", "plan", "--size", "256"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=60)
    assert done.returncode in (1, 2), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("handstyle: ")
    assert said in done.stderr
