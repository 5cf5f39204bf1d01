"""The energy that a processor has taken, by its own counter (RAPL), where the system lets it be read."""

from pathlib import Path

COUNTERS = Path("/sys/class/powercap")


class EnergyMeter:
    """Adds up the joules of all processor packages between readings.

    Parameters
    ----------
    folder : Path
        Of Linux' power capping framework, in which each package is ``intel-rapl:N`` (also on AMD's processors).

    Attributes
    ----------
    why_not : str
        Why there is no reading, in a sentence; empty if there is one.
    """

    def __init__(self, folder: Path = COUNTERS) -> None:
        self.packages = sorted(folder.glob("intel-rapl:[0-9]")) + sorted(folder.glob("intel-rapl:[0-9][0-9]"))
        self.why_not = "" if self.packages else f"the energy is not known: no RAPL counter in {folder}"
        try:
            self.last = [self._microjoules(package) for package in self.packages]
        except (OSError, ValueError):
            self.why_not = f"the energy is not known: {self.packages[0] / 'energy_uj'} can be read by root only"

    def joules(self) -> float:
        """Return the joules since the last call, or since the meter was made; NaN where they cannot be read."""
        if self.why_not:
            return float("nan")
        now, total = [self._microjoules(package) for package in self.packages], 0
        for package, before, after in zip(self.packages, self.last, now, strict=True):
            if after < before:  # the counter has passed its end
                after += int((package / "max_energy_range_uj").read_text())
            total += after - before
        self.last = now
        return total / 1e6

    def _microjoules(self, package: Path) -> int:
        return int((package / "energy_uj").read_text())
