"""Read the energy used by the processor from its counter (RAPL), if the system allows it."""

from pathlib import Path

COUNTERS = Path("/sys/class/powercap")


class EnergyMeter:
    """A meter of the energy that all processor packages use between two readings.

    Parameters
    ----------
    folder : Path
        The folder of Linux's power capping framework, in which ``intel-rapl:N`` is a processor package of Intel or AMD.

    Attributes
    ----------
    why_not : str
        The reason why the energy cannot be read, a sentence; empty if it can.
    """

    def __init__(self, folder: Path = COUNTERS) -> None:
        self.packages = sorted(folder.glob("intel-rapl:[0-9]")) + sorted(folder.glob("intel-rapl:[0-9][0-9]"))
        self.why_not = "" if self.packages else f"the energy is not known: no RAPL counter in {folder}"
        try:
            self.last = [self._microjoules(package) for package in self.packages]
        except (OSError, ValueError):
            self.why_not = f"the energy is not known: {self.packages[0] / 'energy_uj'} can be read by root only"

    def joules(self) -> float:
        """Return the joules used since the last call or, at the first, since construction; NaN if unknown."""
        if self.why_not:
            return float("nan")
        now, total = [self._microjoules(package) for package in self.packages], 0
        for package, before, after in zip(self.packages, self.last, now, strict=True):
            if after < before:  # the counter has overflowed
                after += int((package / "max_energy_range_uj").read_text())
            total += after - before
        self.last = now
        return total / 1e6

    def _microjoules(self, package: Path) -> int:
        return int((package / "energy_uj").read_text())
