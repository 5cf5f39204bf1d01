"""Read the energy used by the processor (RAPL) or a GPU (NVML) from its counter, if the system allows it."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from handstyle.foundations.backend import Backend
from handstyle.foundations.errors import one_line
from handstyle.network.vgg import Network

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

    Examples
    --------
    >>> EnergyMeter(Path("no-such-folder")).why_not
    'the energy is not known: no RAPL counter in no-such-folder'
    """

    def __init__(self, folder: Path = COUNTERS) -> None:
        self.packages = sorted(folder.glob("intel-rapl:[0-9]")) + sorted(folder.glob("intel-rapl:[0-9][0-9]"))
        self.why_not = "" if self.packages else f"the energy is not known: no RAPL counter in {folder}"
        try:
            self.last = [self._microjoules(package) for package in self.packages]
        except (OSError, ValueError):
            self.why_not = f"the energy is not known: {self.packages[0] / 'energy_uj'} can be read by root only"

    def joules(self) -> float:
        """Return the joules used since the last call or, at the first, since construction; NaN if unknown.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     package = Path(folder, "intel-rapl:0")
        ...     package.mkdir()
        ...     _ = (package / "energy_uj").write_text("1000000")
        ...     meter = EnergyMeter(Path(folder))
        ...     _ = (package / "energy_uj").write_text("3500000")  # microjoules
        ...     meter.joules()
        2.5
        """
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


class GpuMeter:
    """A meter of the energy that a GPU uses between two readings.

    Parameters
    ----------
    backend : Backend
        The backend of the GPU, CuPy's.

    Attributes
    ----------
    why_not : str
        The reason why the energy cannot be read, a sentence; empty if it can.

    Notes
    -----
    NVML brings its counter up to date a few dozen times a second, so the mean of short evaluations needs many rounds.

    Examples
    --------
    >>> from handstyle.foundations.backend import choose_backend
    >>> meter = GpuMeter(choose_backend("numpy"))  # which is no GPU
    >>> meter.why_not.split(":")[0]
    'the energy of the GPU is not known'
    """

    def __init__(self, backend: Backend) -> None:
        self.why_not, self.last = "", 0
        try:
            self.nvml = import_module("pynvml")
            self.nvml.nvmlInit()
            self.gpu = self.nvml.nvmlDeviceGetHandleByPciBusId(backend.xp.cuda.Device().pci_bus_id)
            self.joules()
        except ModuleNotFoundError:
            self.why_not = "the energy of the GPU is not known: pip install nvidia-ml-py"
        except Exception as error:  # NVML's have no base class of their own without the module
            self.why_not = f"the energy of the GPU is not known: {one_line(error)}"

    def joules(self) -> float:
        """Return the joules used since the last call or, at the first, since construction; NaN if unknown.

        Examples
        --------
        >>> from handstyle.foundations.backend import choose_backend
        >>> GpuMeter(choose_backend("numpy")).joules()  # there is no GPU
        nan
        """
        if self.why_not:
            return float("nan")
        before, self.last = self.last, self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.gpu)  # millijoules
        return (self.last - before) / 1e3


Meter = EnergyMeter | GpuMeter


def meter_of(network: Network) -> Meter:
    """Return the meter of the device on which a network computes.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> type(meter_of(build_network(random_weights()))).__name__
    'EnergyMeter'
    """
    backend = network.backend
    return EnergyMeter() if backend.name == "numpy" else GpuMeter(backend)


def unknown_energies(networks: Iterable[Network]) -> list[str]:
    """Return the reasons why the energy of the networks' devices cannot be read, each once.

    Examples
    --------
    >>> unknown_energies([])
    []
    """
    return list(dict.fromkeys(why for network in networks if (why := meter_of(network).why_not)))
