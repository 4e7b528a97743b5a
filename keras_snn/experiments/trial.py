"""A trial: everything that decides a result, frozen, with a stable key."""

import dataclasses
import hashlib
import json

from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.checks import check_integer
from keras_snn.datasets import SOURCES
from keras_snn.experiments.methods import METHODS

MODELS = ("resnet18", "resnet34", "vgg16", "vgg19")


HARD = ("none", "el2n", "corruption", "adversarial")

# The fields that matter to one kind of hard samples alone.
OWN_FIELDS = {
    "attack_eps": "adversarial",
    "attack_steps": "adversarial",
    "test_attack_steps": "adversarial",
    "severity": "corruption",
    "el2n_epoch": "el2n",
    "el2n_models": "el2n",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One network, trained once.

    Two trials that come to the same have equal keys, on any machine and in any
    process: fields that do not matter to a trial are set to their defaults.
    Those are of "Are Sparse Neural Networks Better Hard Sample Learners?",
    https://arxiv.org/abs/2409.09196.

    Attributes:
        method: A name in `METHODS`, such as `"set"`.
        sparsity: Fraction of zeros over all masked weights, in [0, 1); that of
            a dense network is 0.
        dataset: A name in `keras_snn.datasets.SOURCES`.
        model: `"resnet18"`, `"resnet34"`, `"vgg16"` or `"vgg19"`.
        hard: What makes the samples hard. `"adversarial"`: PGD in training,
            clean and attacked test images. `"corruption"`: training and test
            images each with a random one of 15 corruptions. `"el2n"`: the
            training images of the highest EL2N score, ordinary test images.
            `"none"`.
        data_ratio: Share of the training images, in (0, 1]: drawn at random,
            or, of `"el2n"`, the hardest.
        width: Factor on the number of channels of every layer, > 0.
        seed: Int >= 0, of the weights, the masks and the order of the data.
        epochs: Epochs of training, >= 1; what trains twice does so for this
            many each time.
        batch_size: Images a step.
        learning_rate: Of SGD with momentum 0.9 at the beginning.
        milestones: When it falls to a tenth, as shares of training.
        weight_decay: Of SGD, as PyTorch counts it.
        nesterov: Whether momentum is Nesterov's, as in the official code.
        interval: Epochs between mask updates, for methods that have them.
        augment: Whether images are cropped at random and, where that keeps
            their class, flipped.
        attack_eps: Radius of the adversarial attack, in units of pixels in
            [0, 1].
        attack_steps: PGD steps in training, of a quarter of the radius.
        test_attack_steps: PGD steps in evaluation.
        severity: Of the corruptions, 1 to 6.
        el2n_epoch: After how many epochs of training the networks that score
            the samples do so.
        el2n_models: How many networks' scores are averaged.

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
    hard: str = "none"
    data_ratio: float = 1.0
    width: float = 1.0
    seed: int = 0
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.1
    milestones: tuple = (0.5, 0.75)
    weight_decay: float = 5e-4
    nesterov: bool = False
    interval: int = 4
    augment: bool = True
    attack_eps: float = 8 / 255
    attack_steps: int = 10
    test_attack_steps: int = 20
    severity: int = 5
    el2n_epoch: int = 20
    el2n_models: int = 1

    def __post_init__(self):
        _check_among("method", self.method, METHODS)
        _check_among("dataset", self.dataset, SOURCES)
        _check_among("model", self.model, MODELS)
        _check_among("hard", self.hard, HARD)
        unused = [n for n, hard in OWN_FIELDS.items() if hard != self.hard]
        if self.method == "dense":
            object.__setattr__(self, "sparsity", 0.0)
            unused.append("interval")
        for name in unused:
            object.__setattr__(self, name, getattr(Trial, name))
        check_sparsity(self.sparsity)
        check_integer(
            "interval", self.interval, 1, "or masks would never change"
        )
        for name in (
            "epochs",
            "batch_size",
            "width",
            "learning_rate",
            "attack_steps",
            "test_attack_steps",
            "el2n_epoch",
            "el2n_models",
        ):
            _check_positive(name, getattr(self, name))
        if not 0 < self.data_ratio <= 1:
            raise ValueError(
                "Argument `data_ratio` must be in (0, 1], a share of the "
                f"training images. Received: data_ratio={self.data_ratio}"
            )
        if not 0 < self.attack_eps < 1:
            raise ValueError(
                "Argument `attack_eps` must be in (0, 1), in units of pixels "
                f"in [0, 1], so 8/255. Received: attack_eps={self.attack_eps}"
            )
        if self.severity not in range(1, 7):
            raise ValueError(
                "Argument `severity` must be an int from 1 to 6. "
                f"Received: severity={self.severity!r}"
            )
        if not all(0 < share < 1 for share in self.milestones):
            raise ValueError(
                "Argument `milestones` must be shares of training, in (0, 1). "
                f"Received: milestones={self.milestones}"
            )
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(
                "Argument `seed` must be an int >= 0. "
                f"Received: seed={self.seed!r}"
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

    @property
    def scoring(self):
        """The trials whose networks score the samples by EL2N.

        Dense ones on all of the data, stopped early, the same for every
        method, sparsity and seed.
        """
        return [
            dataclasses.replace(
                self,
                method="dense",
                hard="none",
                data_ratio=1.0,
                seed=seed,
                epochs=self.el2n_epoch,
                milestones=(),
            )
            for seed in range(self.el2n_models)
        ]


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
