"""A trial: everything that decides a result, frozen, with a stable key."""

import dataclasses
import difflib
import functools
import hashlib
import json
import math
import numbers
import operator

from keras_snn.arithmetic.masks import check_sparsity
from keras_snn.compute.sparse_layer import PAYS
from keras_snn.datasets import SOURCES
from keras_snn.experiments.kinds import KINDS
from keras_snn.experiments.methods import METHODS
from keras_snn.experiments.networks import MODELS
from keras_snn.experiments.registry import claimed
from keras_snn.hardness import epochs_for_equal_steps

# The fields that name a row of a table.
TABLES = {"method": METHODS, "model": MODELS, "hard": KINDS}

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
COMPUTES = ("masked", "sparse")

MOST = 2**31 - 1  # That backends count and draw by.

# What fields and options may be, both ends included, and what only from above.
RANGES = {
    "seed": (0, MOST),
    "epochs": (1, MOST),
    "batch_size": (1, MOST),
    "interval": (1, MOST),
    "weight_decay": (0, 1e30),
    "rotation": (0, 180),
    "attack_steps": (1, MOST),
    "test_attack_steps": (1, MOST),
    "severity": (1, 6),
    "el2n_epoch": (1, MOST),
    "el2n_models": (1, 1000),
    "snip_images": (1, MOST),
    "gmp_begin": (0, 1),
    "gmp_end": (0, 1),
}
POSITIVE = {"width": 64, "learning_rate": 1e30}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One network, trained once.

    Two trials that come to the same have equal keys, on any machine and in any
    process: fields that do not matter to a trial are set to their defaults. The
    defaults are those of "Are Sparse Neural Networks Better Hard Sample
    Learners?", https://arxiv.org/abs/2409.09196.

    Attributes:
        method: A name in `keras_snn.experiments.METHODS`, such as `"set"`.
        sparsity: Fraction of zeros over all masked weights, in [0, 1); that of
            a dense network is 0.
        dataset: A name in `keras_snn.datasets.SOURCES`.
        model: A name in `keras_snn.experiments.MODELS`, such as `"resnet18"`.
        hard: What makes the samples hard: a name in
            `keras_snn.experiments.KINDS`. `"adversarial"`: PGD in training,
            clean and attacked test images. `"corruption"`: training and test
            images each with a random one of 15 corruptions. `"el2n"`: the
            training images of the highest EL2N score, ordinary test images;
            so, by other scores, `"grand"`, `"loss"`, `"margin"`, `"vog"`,
            `"prediction_depth"`, `"forgetting"` and `"aum"`. `"label_noise"`:
            wrong labels in training, right ones in the test. `"none"`: also
            the control of a subset by score, one of its size at random.
        data_ratio: Share of the training images, in (0, 1]: drawn at random,
            or, of `"el2n"` and other scores, the hardest.
        equal_steps: Whether training on a part of the data takes as many steps
            as on all of it: `epochs` and `interval` grow alike. Else it takes
            as many epochs.
        hold_out: Whether the official code's validation part is held out, a
            tenth of the training images. Nothing is chosen by it.
        width: Factor on the number of channels of every layer, in (0, 64].
        seed: Int >= 0, of the weights, the masks and the order of the data.
        epochs: Epochs of training, >= 1; what trains twice does so for this
            many each time.
        batch_size: Images a step.
        learning_rate: Of SGD with momentum 0.9 at the beginning.
        milestones: When it falls to a tenth, as shares of training.
        weight_decay: Of SGD, as PyTorch counts it.
        nesterov: Whether momentum is Nesterov's, as in the official code.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        compute: `"masked"`: dense kernels, under masks. `"sparse"`: layers
            that compute their nonzeros alone, where `keras_snn.to_sparse` finds
            that faster; the same training but for rounding. A trial whose
            masks are not sparse enough from its first step on, of GMP or at a
            sparsity below 0.7, is `"masked"`.
        interval: Epochs between mask updates, for methods that have them.
        augment: Whether images are cropped at random and, where that keeps
            their class, flipped.
        rotation: Largest angle in degrees by which images are turned at
            random, either way; 15 in the paper's adversarial training on
            CIFAR-100.
        attack_eps: Radius of the adversarial attack, in units of pixels in
            [0, 1].
        attack_steps: PGD steps in training, of a quarter of the radius.
        test_attack_steps: PGD steps in evaluation.
        severity: Of the corruptions, 1 to 6.
        el2n_epoch: After how many epochs of training the networks that score
            the samples do so, by EL2N or another score.
        el2n_models: How many networks' scores are averaged.
        options: A dict of what the rows of method, model and kind offer beside
            these fields. Each is an attribute of the trial, too; what a trial's
            own rows do not offer is dropped:

            - `snip_images`: how many images SNIP looks at, 128 by default;
              `snip_ratios_only`: keep only how many weights it leaves each
              layer.
            - `omp_erk_random`: draw the masks of OMP_ERK at random.
            - `gmp_begin`, `gmp_end`: when GMP prunes, as shares of training.
            - `attack_training`: attack in training mode.
            - `corruptions`: `"mixed"`, `"lff0"`, `"lff1"` or one name.
            - `subset`: of a score, `"hardest"`, or, as a control, `"easiest"`.
            - `class_balanced`: keep the same share of each class; of `"none"`,
              too.
            - `record`: what is recorded while ordinary samples are trained on,
              `"forgetting"` or `"aum"`.
            - `noise`: `"symmetric"`, `"asymmetric"` or `"file"`; `noise_rate`:
              the share of labels, or of labels of the classes that change;
              `noise_file`, `noise_column`: as for
              `keras_snn.hardness.read_labels`, a label for each training image
              (the path tells trials apart, not what the file holds).
            - `stem`: of a ResNet, `"cifar"` or `"tiny"`; by default that of the
              data. `last_pool`: of VGG19, `"average"` or `"max"`.

    Raises:
        ValueError: If a field is out of range, or an option is not known.

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
    equal_steps: bool = False
    hold_out: bool = False
    width: float = 1.0
    seed: int = 0
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.1
    milestones: tuple = (0.5, 0.75)
    weight_decay: float = 5e-4
    nesterov: bool = False
    precision: str = "float32"
    compute: str = "masked"
    interval: int = 4
    augment: bool = True
    rotation: float = 0.0
    attack_eps: float = 8 / 255
    attack_steps: int = 10
    test_attack_steps: int = 20
    severity: int = 5
    el2n_epoch: int = 20
    el2n_models: int = 1
    options: tuple = ()

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if field.name != "options":
                value = coerced(field.name, getattr(self, field.name))
                object.__setattr__(self, field.name, value)
        for name, table in {**TABLES, "dataset": SOURCES}.items():
            _check_among(name, getattr(self, name), table)
        if self.method == "dense":
            object.__setattr__(self, "sparsity", 0.0)
        for name, table in TABLES.items():
            own = table[getattr(self, name)].fields
            for unused in claimed(table) - set(own) if own is not None else ():
                object.__setattr__(self, unused, getattr(Trial, unused))
        object.__setattr__(self, "options", self._own_options())
        self._check_ranges()
        METHODS[self.method].check(self)
        KINDS[self.hard].check(self)
        if self.data_ratio == 1:  # Steps are equal as it is.
            object.__setattr__(self, "equal_steps", False)
        if self.sparsity < PAYS:
            object.__setattr__(self, "compute", Trial.compute)

    def __getattr__(self, name):
        if not name.startswith("_") and name != "options":
            for option, value in self.options:
                if option == name:
                    return value
            offered = self._offered()
            if name in offered:
                return offered[name]
        raise AttributeError(f"A Trial has no field or option {name!r}")

    def _offered(self):
        """The options of the rows of this trial, with their defaults."""
        offered = {}
        for name, table in TABLES.items():
            offered |= table[getattr(self, name)].options
        return offered

    def _own_options(self):
        """What is not a default, of those that the trial's rows offer."""
        offered, given = self._offered(), dict(self.options)
        for name in given:
            if name not in all_options():
                raise ValueError(
                    unknown("An option of a trial", name, all_options())
                )
        given = {
            name: _as(type(default), name, given[name])
            for name, default in offered.items()
            if name in given
        }
        return tuple(sorted(i for i in given.items() if i[1] != offered[i[0]]))

    def _check_ranges(self):
        check_sparsity(self.sparsity)
        for name, (least, most) in RANGES.items():
            value = getattr(self, name, least)  # Of other rows: an option.
            if not least <= value <= most:
                raise ValueError(
                    f"Argument `{name}` must be from {least} to {most}, or "
                    f"it cannot be trained so. Received: {name}={value!r}"
                )
        for name, most in POSITIVE.items():
            if not 0 < getattr(self, name) <= most:
                raise ValueError(
                    f"Argument `{name}` must be > 0, and at most {most:g}. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
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
        if not all(0 < share < 1 for share in self.milestones):
            raise ValueError(
                "Argument `milestones` must be shares of training, in (0, 1). "
                f"Received: milestones={self.milestones}"
            )
        _check_among("precision", self.precision, PRECISIONS)
        _check_among("compute", self.compute, COMPUTES)

    @functools.cached_property
    def key(self):
        """A name for a folder: readable at the front, unique at the end.

        It is of what decides the result, and of that only what is no default:
        a field that is added some day changes no key.
        """
        text = json.dumps(self.content, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.method}-{self.sparsity:g}-seed{self.seed}-{digest}"

    @property
    def content(self):
        """Fields and options that are no defaults, a dict for JSON."""
        fields = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "options"
            and getattr(self, field.name) != field.default
        }
        return {**fields, **dict(self.options)}

    @property
    def dense(self):
        """The trial whose trained network LTH and OMP begin with."""
        return dataclasses.replace(self, method="dense")

    def scheduled(self, images):
        """The trial as it trains on so many images.

        With `equal_steps`, epochs and interval are such that steps, and mask
        updates, are those of training on all of the data.

        Args:
            images: How many images it trains on.

        Returns:
            A `Trial`.
        """
        if not self.equal_steps:
            return self
        total = round(images / self.data_ratio)
        epochs = epochs_for_equal_steps(
            self.epochs, total, images, self.batch_size
        )
        interval = max(1, round(self.interval * epochs / self.epochs))
        return dataclasses.replace(
            self, epochs=epochs, interval=interval, equal_steps=False
        )

    @functools.cached_property
    def builds_on(self):
        """The trials whose networks this one needs, each once."""
        pruned = [self.dense] if METHODS[self.method].from_dense else []
        scoring = KINDS[self.hard].builds_on(self)
        return list(dict.fromkeys([*scoring, *pruned]))


TYPES = {field.name: field.type for field in dataclasses.fields(Trial)}


def all_options():
    """The options of all rows of all tables, with their defaults."""
    return {
        name: default
        for table in TABLES.values()
        for row in table.values()
        for name, default in row.options.items()
    }


def coerced(name, value):
    """A value of a field, as the type that the field has.

    Args:
        name: Of a field or an option.
        value: Anything.

    Raises:
        ValueError: If it cannot be that, or there is no such field.
    """
    options = all_options()
    if name not in TYPES and name not in options:
        raise ValueError(
            unknown("A field of a trial", name, {**TYPES, **options})
        )
    kind = TYPES[name] if name in TYPES else type(options[name])
    return _as(kind, name, value)


def unknown(what, name, known):
    """The text of an error about a name, with the nearest that is known."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"{what} must be one of {sorted(known)}, or nothing would come of it. "
        f"Received: {name!r}{hint}"
    )


def _as(kind, name, value):
    try:
        if kind is float and isinstance(value, numbers.Real):
            if math.isfinite(value):
                return float(value)
        elif kind is int and not isinstance(value, bool):
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            return operator.index(value)
        elif kind is bool and value in (True, False):
            return bool(value)
        elif kind is str and isinstance(value, str):
            return value
        elif kind is tuple and not isinstance(value, str):
            return tuple(_as(float, name, each) for each in value)
    except TypeError:
        pass
    raise ValueError(
        f"Argument `{name}` must be of type {kind.__name__}. "
        f"Received: {name}={value!r}"
    )


def _check_among(name, value, known):
    if value not in known:
        raise ValueError(
            f"Argument `{name}` must be one of {sorted(known)}. "
            f"Received: {name}={value!r}"
        )
