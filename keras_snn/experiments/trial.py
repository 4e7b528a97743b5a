"""A trial: everything that decides a result, frozen, with a stable key."""

import dataclasses
import hashlib
import json

from keras_snn.datasets import SOURCES
from keras_snn.experiments.methods import METHODS
from keras_snn.masks import check_sparsity
from keras_snn.schedules import check_interval

MODELS = ("resnet18", "resnet34", "vgg16", "vgg19")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One network, trained once.

    Two trials with equal fields have equal keys, on any machine and in any
    process; the defaults are those of "Are Sparse Neural Networks Better Hard
    Sample Learners?", https://arxiv.org/abs/2409.09196.

    Attributes:
        method: A name in `METHODS`, such as `"set"`.
        sparsity: Fraction of zeros over all masked weights, in [0, 1); that of
            a dense network is 0.
        dataset: A name in `keras_snn.datasets.SOURCES`.
        data_ratio: Share of the training images, in (0, 1].
        model: `"resnet18"`, `"resnet34"`, `"vgg16"` or `"vgg19"`.
        width: Factor on the number of channels of every layer, > 0.
        seed: Int >= 0, of the weights, the masks and the order of the data.
        epochs: Epochs of training, >= 1; what trains twice does so for this
            many each time.
        batch_size: Images a step.
        learning_rate: Of SGD with momentum 0.9 at the beginning; a tenth of it
            after half, a hundredth after three quarters of training.
        weight_decay: Of SGD, decoupled.
        nesterov: Whether momentum is Nesterov's, as in the official code.
        interval: Epochs between mask updates, for methods that have them; a
            dense network has the default.
        augment: Whether images are cropped at random and, where that keeps
            their class, flipped.
        attack_eps: Radius of the adversarial attack, in units of pixels in
            [0, 1]; 0 trains on clean images.
        attack_steps: PGD steps in training, of a quarter of the radius.
        test_attack_steps: PGD steps in evaluation.

    Raises:
        ValueError: If a field is out of range.

    Example:

    >>> Trial(method="set", sparsity=0.9, dataset="digits", model="vgg16").key
    'set-0.9-seed0-...'
    """

    method: str
    sparsity: float
    dataset: str
    model: str
    data_ratio: float = 1.0
    width: float = 1.0
    seed: int = 0
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    nesterov: bool = False
    interval: int = 4
    augment: bool = True
    attack_eps: float = 0.0
    attack_steps: int = 10
    test_attack_steps: int = 20

    def __post_init__(self):
        _check_among("method", self.method, METHODS)
        _check_among("dataset", self.dataset, SOURCES)
        _check_among("model", self.model, MODELS)
        if self.method == "dense":
            object.__setattr__(self, "sparsity", 0.0)
            object.__setattr__(self, "interval", Trial.interval)
        check_sparsity(self.sparsity)
        check_interval(self.interval)
        for name in ("epochs", "batch_size", "attack_steps", "width"):
            _check_positive(name, getattr(self, name))
        _check_positive("test_attack_steps", self.test_attack_steps)
        _check_positive("learning_rate", self.learning_rate)
        if not 0 < self.data_ratio <= 1:
            raise ValueError(
                "Argument `data_ratio` must be in (0, 1], a share of the "
                f"training images. Received: data_ratio={self.data_ratio}"
            )
        if not 0 <= self.attack_eps < 1:
            raise ValueError(
                "Argument `attack_eps` must be in [0, 1), in units of pixels "
                f"in [0, 1], so 8/255. Received: attack_eps={self.attack_eps}"
            )
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(
                f"Argument `seed` must be an int >= 0. Received: {self.seed!r}"
            )

    @property
    def key(self):
        """A name for a folder: readable in front, unique behind."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.method}-{self.sparsity:g}-seed{self.seed}-{digest}"

    @property
    def dense(self):
        """The trial whose trained network LTH and OMP begin with."""
        return dataclasses.replace(self, method="dense")


def _check_among(name, value, known):
    if value not in known:
        raise ValueError(
            f"Argument `{name}` must be one of {sorted(known)}. "
            f"Received: {name}={value!r}"
        )


def _check_positive(name, value):
    if not value > 0:
        raise ValueError(
            f"Argument `{name}` must be > 0. Received: {name}={value!r}"
        )
