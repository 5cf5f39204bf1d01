"""Train the small network and its decoders by Adam on the distillation loss.

The result is a function of the settings alone: random numbers are seeded by the step, and sums over pictures are taken
in a fixed order for any number of threads, so an interrupted run ends with the same bits as an uninterrupted one.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.image import preprocess_forward
from handstyle.network.sequence import Layer
from handstyle.network.vgg import Network, Weights, build_network
from weights_tools.distill.painting import TAPS, paint_practice
from weights_tools.distill.pictures import PHOTOGRAPHS, load_photographs, training_picture
from weights_tools.distill.prune import Pruned, prune
from weights_tools.distill.state import State, TrainingSettings, read_state, small_weights, write_state
from weights_tools.distill.sweep import Parameters, picture_gradient

T = TypeVar("T")
U = TypeVar("U")
JUDGING = ("chelsea", "coffee", "rocket")  # photographs of the pictures that judge the closed-form fit
PRUNING, FRESH, BATCH, PRACTICE, DRAWN = range(5)  # numbers of the random streams


def _adam_step(state: State, gradients: Parameters, factor: float) -> None:
    """Change the parameters of `state` by one step of Adam, with its rates multiplied by `factor`.

    Adam is algorithm 1 of Kingma and Ba (2015, arXiv 1412.6980). The caller counts the step.
    """
    t = state.step + 1
    for name, g in gradients.items():
        m = state.first[name] = 0.9 * state.first[name] + 0.1 * g
        v = state.second[name] = 0.999 * state.second[name] + 0.001 * g * g
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-12)
        state.parameters[name] = (state.parameters[name] - factor * state.rates[name] * step).astype(g.dtype)


def step_length(step: int, settings: TrainingSettings) -> float:
    """Return the length of a step relative to the rates.

    From the start and from each restart on, it grows over 50 steps and then falls along a cosine, to 0 at the next
    restart or at the end.

    Examples
    --------
    >>> settings = TrainingSettings({}, steps=700, restarts=(400,))
    >>> [round(step_length(step, settings), 2) for step in (0, 49, 200, 399, 400, 449, 699)]
    [0.02, 0.96, 0.5, 0.0, 0.01, 0.47, 0.0]
    """
    bounds = [0, *(restart for restart in settings.restarts if restart < settings.steps), settings.steps]
    phase = bisect_right(bounds, step) - 1
    first, last = bounds[phase], bounds[phase + 1]
    height = 0.5 if phase else 1.0
    warm = min(1.0, (step - first + 1) / 50)
    return float(height * warm * 0.5 * (1 + np.cos(np.pi * (step - first) / (last - first))))


class Distiller:
    """A training run of the small network.

    Parameters
    ----------
    teacher : Weights
        VGG-19.
    settings : TrainingSettings
        The settings, which determine the result.
    checkpoint : path
        The file of the state; if it exists, the run is resumed from it.
    workers : int
        Number of threads, each of which works on one picture at a time; it does not change the result.
    report : callable, optional
        Called with lines of progress.

    Attributes
    ----------
    state : State
        The state of the run: that of the checkpoint or, in a new run, the closed-form fit.

    Examples
    --------
    >>> import tempfile
    >>> from handstyle.network.vgg import convolution_names, random_weights
    >>> widths = dict.fromkeys(convolution_names("vgg19")[:13], 4)
    >>> few = {"pictures": 2, "judges": 1, "paintings": 0, "pool": 1, "batch": 1, "photographs": False}
    >>> settings = TrainingSettings(widths, steps=1, size=32, **few)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = Distiller(random_weights(), settings, Path(folder, "distill.npz"))
    >>> run.state.step, run.state.parameters["conv1_1/w"].shape
    (0, (3, 3, 3, 4))
    """

    def __init__(
        self,
        teacher: Weights,
        settings: TrainingSettings,
        checkpoint: Path,
        workers: int = 1,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.weights, self.teacher, self.settings = teacher, build_network(teacher), settings
        self.checkpoint, self.report = checkpoint, report
        self.threads = ThreadPoolExecutor(workers)
        self.photographs = load_photographs() if settings.photographs else []
        if checkpoint.exists():
            self.state = read_state(checkpoint, settings)
            report(f"{checkpoint}: going on from step {self.state.step}")
        else:
            self.state = self._start()
            write_state(checkpoint, self.state, settings)
        self.examples = self._spread(self._example, self.state.pool)

    def _spread(self, function: Callable[[T], U], items: Iterable[T]) -> list[U]:
        """Map over pictures on all threads; results in order."""
        return list(self.threads.map(function, items))

    def network(self) -> Network:
        """Return the small network with its present weights.

        Examples
        --------
        >>> import tempfile
        >>> from handstyle.network.vgg import convolution_names, random_weights
        >>> widths = dict.fromkeys(convolution_names("vgg19")[:13], 4)
        >>> few = {"pictures": 2, "judges": 1, "paintings": 0, "pool": 1, "batch": 1, "photographs": False}
        >>> settings = TrainingSettings(widths, steps=1, size=32, **few)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = Distiller(random_weights(), settings, Path(folder, "distill.npz"))
        >>> network = run.network()
        >>> network.names[-1], network.layers[2].w.shape
        ('relu5_1', (3, 3, 4, 4))
        """
        return build_network(small_weights(self.state.parameters, self.weights.convention, {}))

    def run(self) -> None:
        """Train to the last step, and write the checkpoint every `TrainingSettings.practice` steps.

        Examples
        --------
        .. code-block:: python

            run = Distiller(teacher, settings, Path("distill.npz"), workers=2, report=print)
            run.run()  # takes hours; if it is interrupted, the same two lines resume it
        """
        sums: list[dict[str, tuple[float, float]]] = []
        while self.state.step < self.settings.steps:
            sums.append(self.descend())
            done = self.state.step == self.settings.steps
            if done or self.state.step % self.settings.practice == 0:
                self._add_practice()
                write_state(self.checkpoint, self.state, self.settings)
                means = {tap: np.mean([errors[tap] for errors in sums], axis=0) for tap in sums[0]}
                line = ", ".join(f"{tap} {features:.3f}/{gram:.4f}" for tap, (features, gram) in means.items())
                self.report(f"step {self.state.step}: features/Gram {line}")
                sums = []

    def descend(self) -> dict[str, tuple[float, float]]:
        """Take one step of Adam, and return the errors of features and of Gram matrix at each tap.

        They are means over the pictures of the step, before it was taken.

        Examples
        --------
        >>> import tempfile
        >>> from handstyle.network.vgg import convolution_names, random_weights
        >>> widths = dict.fromkeys(convolution_names("vgg19")[:13], 4)
        >>> few = {"pictures": 2, "judges": 1, "paintings": 0, "pool": 1, "batch": 1, "photographs": False}
        >>> settings = TrainingSettings(widths, steps=1, size=32, **few)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = Distiller(random_weights(), settings, Path(folder, "distill.npz"))
        >>> errors = run.descend()
        >>> run.state.step, sorted(errors)
        (1, ['relu1_1', 'relu2_1', 'relu3_1', 'relu4_1', 'relu4_2', 'relu5_1'])
        """
        state, settings = self.state, self.settings
        self._replace_oldest()
        rng = np.random.default_rng((settings.seed, BATCH, state.step))
        chosen = rng.choice(len(state.pool), min(settings.batch, len(state.pool)), replace=False)
        learning = self._layers()[1]

        def one(i: int) -> tuple[float, dict[str, tuple[float, float]], Parameters]:
            return picture_gradient(learning, state.parameters, *self.examples[i], settings.gram_weight)

        results = self._spread(one, chosen)
        gradients = {name: np.mean([g[name] for _, _, g in results], axis=0) for name in results[0][2]}
        _adam_step(state, gradients, step_length(state.step, settings))
        state.step += 1
        return {tap: tuple(np.mean([terms[tap] for _, terms, _ in results], axis=0)) for tap in results[0][1]}

    def _layers(self) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
        # The constant layers, and the trained ones up to the deepest tap.
        network = self.network()
        cut, end = network.names.index(self.settings.learns_from), network.names.index(TAPS[-1]) + 1
        return network.layers[:cut], network.layers[cut:end]

    def _start(self) -> State:
        settings = self.settings
        # The last pictures, which judge the fit, are of photographs that the others do not contain.
        apart = [p for name, p in zip(PHOTOGRAPHS, self.photographs, strict=False) if name in JUDGING]
        others = [p for name, p in zip(PHOTOGRAPHS, self.photographs, strict=False) if name not in JUDGING]

        def draw(i: int) -> Array:
            shown = others if i < settings.pictures - settings.judges else apart
            return training_picture((settings.seed, PRUNING, i), settings.size, shown)

        pictures = self._spread(draw, range(settings.pictures))
        if settings.paintings:
            # A network fitted on a quarter of the pictures makes practice paintings, which are added to the others.
            fitted, judging = pictures[: -settings.judges or None], pictures[settings.pictures - settings.judges :]
            first = self._prune(fitted[::4] + judging[::4], len(judging[::4]))
            network = build_network(Weights("vgg19", self.weights.convention, first.layers, {}))
            seeds = [(settings.seed, PRACTICE, 0, i) for i in range(settings.paintings)]
            pictures = self._paint(network, seeds) + pictures
        pruned = self._prune(pictures, settings.judges)
        parameters = {f"{name}/w": w for name, (w, _) in pruned.layers.items()}
        parameters |= {f"{name}/b": b for name, (_, b) in pruned.layers.items()}
        parameters |= {f"{tap}/decoder": pruned.decoders[tap] for tap in TAPS}
        rates = {name: settings.rate * float(np.sqrt(np.mean(np.square(a)))) for name, a in parameters.items()}
        # At a tap of full width the map is not trained, so that the features become the teacher's own; see `prune`.
        rates |= {f"{tap}/decoder": 0.0 for tap in TAPS if len(set(pruned.decoders[tap].shape)) == 1}
        zeros = {name: np.zeros_like(a) for name, a in parameters.items()}
        order = np.random.default_rng((settings.seed, FRESH)).permutation(len(pictures))[: settings.pool]
        return State(0, parameters, rates, zeros, dict(zeros), [pictures[i] for i in order])

    def _prune(self, pictures: list[Array], judges: int) -> Pruned:
        settings = self.settings
        return prune(
            self.weights,
            settings.widths,
            pictures,
            TAPS,
            judges,
            seed=settings.seed,
            spread=self._spread,
            report=self.report,
        )

    def _paint(self, network: Network, seeds: Sequence[tuple[int, ...]]) -> list[Array]:
        size, photographs, network = self.settings.size, self.photographs, network.with_kernels("auto")
        return [p for way in self._spread(lambda s: paint_practice(network, s, size, photographs), seeds) for p in way]

    def _add_practice(self) -> None:
        seeds = [(self.settings.seed, PRACTICE, self.state.step, i) for i in range(2)]
        self.state.waiting += self._paint(self.network(), seeds)

    def _replace_oldest(self) -> None:
        # The oldest picture of the pool is replaced by one that the network painted, or by a new one.
        state, settings = self.state, self.settings
        if state.step % settings.fresh:
            return
        place = state.step // settings.fresh % len(state.pool)
        if state.waiting:
            p = state.waiting.pop(0)
        else:
            p = training_picture((settings.seed, DRAWN, state.step), settings.size, self.photographs)
        state.pool[place], self.examples[place] = p, self._example(p)

    def _example(self, p: Array) -> tuple[Array, dict[str, Array]]:
        # The input of the trained layers, and the teacher's features at their taps, in half precision, so that those of
        # a few hundred pictures fit into memory; the network is stored in half precision, too.
        fixed, learning = self._layers()
        x = preprocess_forward(p, self.teacher.convention)
        features, _ = self.teacher.forward(x, TAPS)
        for layer in fixed:
            x, _ = layer.forward(x)
        names = {layer.name for layer in learning}
        return x, {tap: f.astype(np.float16) for tap, f in features.items() if tap in names}
