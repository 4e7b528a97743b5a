"""What always holds: every method, every optimizer, every backend.

A new method enrols with one row of `METHODS`, an optimizer with one row of
`OPTIMIZERS`, a public class with one row of `INSTANCES`.
"""

import contextlib
import dataclasses
import hashlib
import inspect
import itertools
import pathlib
import re
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops
from keras import optimizers

import keras_snn
from keras_snn import ACDCUpdate
from keras_snn import FlyingBirdUpdate
from keras_snn import GMPUpdate
from keras_snn import GraNetUpdate
from keras_snn import HYDRALayer
from keras_snn import HYDRAUpdate
from keras_snn import LotteryTicket
from keras_snn import MaskedLayer
from keras_snn import MESTUpdate
from keras_snn import MovementLayer
from keras_snn import MovementUpdate
from keras_snn import RigLUpdate
from keras_snn import SETUpdate
from keras_snn import SNFSUpdate
from keras_snn import SoftMovementLayer
from keras_snn import SoftMovementUpdate
from keras_snn import SparseConv2D
from keras_snn import SparseDense
from keras_snn import SRSTEUpdate
from keras_snn import StraightThroughLayer
from keras_snn import TopKASTUpdate
from keras_snn import get_masks
from keras_snn import patterns
from keras_snn import schedules
from keras_snn.experiments import methods
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.snapshot import restore
from keras_snn.masking.snapshot import snapshot

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 6)).astype("float32")
Y = RNG.integers(0, 4, 12)
WEIGHTS = {
    "first/kernel": RNG.normal(size=(6, 16)).astype("float32"),
    "last/kernel": RNG.normal(size=(16, 4)).astype("float32"),
}


@keras.saving.register_keras_serializable(package="battery")
class Trace(layers.Layer):
    """Counts how often the model is traced; on torch, how often it runs."""

    count = 0

    def call(self, inputs):
        Trace.count += 1
        return inputs


def model_of(
    sparsity=0.0,
    optimizer="sgd",
    policy=None,
    dropout=0.0,
    wrapper=MaskedLayer,
    normalized=True,
):
    dense = keras.Sequential(
        [
            keras.Input((6,)),
            Trace(),  # First, where it keeps no channel from being pruned.
            layers.Dense(16, activation="relu", name="first", dtype=policy),
            *([layers.BatchNormalization()] if normalized else []),
            layers.Dropout(dropout, seed=1),
            layers.Dense(4, name="last", dtype=policy),
        ]
    )
    for layer in ("first", "last"):
        dense.get_layer(layer).kernel.assign(WEIGHTS[f"{layer}/kernel"])
    model = keras_snn.sparsify(dense, sparsity, wrapper=wrapper)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Compiled as by default, but for XLA, whose compilations take seconds.
    jit = keras.backend.backend() == "jax"
    model.compile(optimizer, loss, jit_compile=jit)
    return model


def assert_zero_outside(model):
    for path, masked in masked_weights(model).items():
        weight = masked.weight_array()
        assert np.isfinite(weight).all(), path
        if not masked.keeps_inactive:
            assert not weight[~masked.mask_array()].any(), path


class Watch(keras.callbacks.Callback):
    """Looks at weights and masks around every step, behind all others."""

    def __init__(self, traced=False):
        super().__init__()
        self.masks = []
        self.traced = traced

    def look(self):
        assert_zero_outside(self.model)
        self.masks.append(get_masks(self.model))

    def on_train_begin(self, logs=None):
        self.own, self.noted = self.model.train_function, False

    def on_train_batch_begin(self, batch, logs=None):
        self.look()
        self.before = Trace.count  # Methods take gradients until now.
        # One that notes the gradients of training is compiled once.
        noted = self.model.train_function is not self.own
        self.compiles = noted and not self.noted
        self.noted |= noted

    def on_train_batch_end(self, batch, logs=None):
        self.look()
        assert self.model.train_function is self.own
        compiled = keras.backend.backend() != "torch"  # Runs eagerly.
        if self.traced and compiled and not self.compiles:
            assert Trace.count == self.before, "a mask update recompiled"
        self.traced = True

    def on_epoch_end(self, epoch, logs=None):
        self.look()

    def on_train_end(self, logs=None):
        self.look()


class Training:
    """A compiled model that trains under watch, again and again."""

    def __init__(self, model):
        self.model = model
        self.traced = False
        self.masks = []

    def fit(self, *callbacks, epochs=2):
        watch = Watch(self.traced)
        self.model.fit(
            X,
            Y,
            batch_size=4,
            epochs=epochs,
            shuffle=False,
            verbose=0,
            callbacks=[*callbacks, watch],
        )
        assert_zero_outside(self.model)
        self.traced = True
        self.masks += watch.masks


@dataclasses.dataclass
class Method:
    """How a method trains, and what becomes of the masks.

    Attributes:
        train: A function of a `Training`.
        start: The sparsity that it starts from.
        end: The sparsity that it ends with; None where training tells.
        keeps_counts: Whether every layer keeps its count.
        only_shrinks: Whether no mask ever grows.
        wrapper: What holds the masks.
        begin: More about the masks to begin with, as for `prune_random`.
    """

    train: Callable
    start: float = 0.0
    end: float | None = 0.75
    keeps_counts: bool = False
    only_shrinks: bool = False
    wrapper: type = MaskedLayer
    begin: dict = dataclasses.field(default_factory=dict)


def gmp(scope):
    def train(training):
        schedule = schedules.DuringTraining(0.75, begin=0, end=0.6, interval=1)
        training.fit(GMPUpdate(schedule, scope=scope), epochs=4)

    return Method(train, only_shrinks=True)


def in_between(change, **expected):
    """What changes masks once: in the midst of training, slots in use."""

    def train(training):
        training.fit()
        training.masks.append(get_masks(training.model))
        change(training.model)
        training.masks.append(get_masks(training.model))
        training.fit()

    return Method(train, **expected)


def pruning(function, *args, **arguments):
    def change(model):
        masks = function(model, *args, 0.75, **arguments)
        for path, mask in get_masks(model).items():
            np.testing.assert_array_equal(mask, masks[path])

    return in_between(change, only_shrinks=True)


def fitting(make, epochs=4, **expected):
    """What changes masks during one fit, by the callback that `make` gives."""
    return Method(lambda t: t.fit(make(), epochs=epochs), **expected)


def moving(make, **expected):
    """What moves weights about from .5 to .5, keeping layers' counts or not."""
    expected = {"keeps_counts": True, "end": 0.5, **expected}
    return fitting(make, start=0.5, **expected)


HALF = schedules.DuringTraining(0.75, begin=0, end=0.5)


FAN_IN = patterns.ConstantFanIn()


def ticket(training):
    remembers = LotteryTicket()
    training.fit(remembers)
    remembers.rewind(training.model, 0.75)
    training.fit()


def rounds_of_tickets(training):
    remembers = LotteryTicket(epoch=1)
    training.fit(remembers)
    for sparsity in schedules.exponential(0.75, rounds=3):
        training.masks.append(get_masks(training.model))
        remembers.rewind(training.model, sparsity)
        training.fit(remembers)


def ticket_of_a_step(training):
    remembers = LotteryTicket(step=4)
    training.fit(remembers)
    remembers.rewind(training.model, 0.75)
    training.fit()


def learning_rate_rewound(training):
    remembers = LotteryTicket()
    rates = keras.callbacks.LearningRateScheduler(lambda epoch: 0.05)
    training.fit(remembers, rates)
    remembers.rewind(training.model, 0.75, weights=False)
    training.fit()


def by_a_score_of_ones_own(model, sparsity):
    weights = keras_snn.masked_weights(model)
    scores = {path: m.weight_array() for path, m in weights.items()}
    return keras_snn.prune_by_score(model, scores, sparsity)


def flipped(model):
    keras_snn.set_masks(model, {p: ~m for p, m in get_masks(model).items()})


METHODS = {
    "SETUpdate": moving(lambda: SETUpdate(1, drop_fraction=0.5), epochs=3),
    "SETUpdate steps": moving(
        lambda: SETUpdate(2, drop_fraction=0.5, unit="steps", end=0.5)
    ),
    "SETUpdate 1:2": moving(
        lambda: SETUpdate(1, pattern="1:2"), begin={"pattern": "1:2"}
    ),
    "RigLUpdate": moving(lambda: RigLUpdate((X, Y), 2, batch_size=8)),
    "RigLUpdate of training": moving(lambda: RigLUpdate(interval=2)),
    "RigLUpdate constant fan-in": moving(
        lambda: RigLUpdate((X, Y), 2, batch_size=8, pattern=FAN_IN),
        begin={"pattern": FAN_IN, "distribution": "uniform"},
    ),
    "FlyingBirdUpdate": moving(
        lambda: FlyingBirdUpdate((X, Y), 2, batch_size=8)
    ),
    "FlyingBirdUpdate plus, random": moving(
        lambda: FlyingBirdUpdate(
            interval=2,
            growth="random",
            monitor=("exploration", "sparsity", "loss"),
            begin=0.4,
        ),
        keeps_counts=False,
        end=None,
    ),
    "SNFSUpdate": moving(
        lambda: SNFSUpdate((X, Y), batches=2, batch_size=8), keeps_counts=False
    ),
    "MESTUpdate": moving(lambda: MESTUpdate((X, Y), 1)),
    "MESTUpdate soft": moving(
        lambda: MESTUpdate((X, Y), 1, final_sparsity=0.6, end=0.5),
        keeps_counts=False,
        end=0.6,
    ),
    "GraNetUpdate": fitting(lambda: GraNetUpdate((X, Y), HALF, 2)),
    "ACDCUpdate": fitting(lambda: ACDCUpdate(0.75, 1, begin=0.2, end=0.7)),
    "ACDCUpdate momentum": fitting(
        lambda: ACDCUpdate(0.75, phases=[1, 2, 3], reset_momentum=False)
    ),
    "TopKASTUpdate": fitting(
        lambda: TopKASTUpdate(0.75, 0.5, 2), wrapper=StraightThroughLayer
    ),
    "TopKASTUpdate 1:2": fitting(
        lambda: TopKASTUpdate(0.5, 0.25, 2, pattern="1:2"),
        wrapper=StraightThroughLayer,
        end=0.5,
    ),
    "SRSTEUpdate": fitting(
        lambda: SRSTEUpdate("1:2"), wrapper=StraightThroughLayer, end=0.5
    ),
    "MovementUpdate": fitting(
        lambda: MovementUpdate(HALF), wrapper=MovementLayer
    ),
    "SoftMovementUpdate": fitting(
        lambda: SoftMovementUpdate(
            schedules.DuringTraining(0.48, begin=0, end=0.5), penalty=10
        ),
        wrapper=SoftMovementLayer,
        end=None,
    ),
    "HYDRAUpdate": fitting(lambda: HYDRAUpdate(0.75), wrapper=HYDRALayer),
    "GMPUpdate 1:2": fitting(
        lambda: GMPUpdate(
            schedules.DuringTraining(0.5, begin=0, end=0.6, interval=1),
            pattern="1:2",
        ),
        only_shrinks=True,
        end=0.5,
    ),
    "GMPUpdate global": gmp("global"),
    "GMPUpdate layer": gmp("layer"),
    "GMPUpdate lamp": gmp("lamp"),
    "snip": pruning(keras_snn.snip, X, Y),
    "snip ratios_only": pruning(keras_snn.snip, X, Y, ratios_only=True),
    "grasp": pruning(keras_snn.grasp, X, Y),
    "synflow": pruning(keras_snn.synflow, rounds=5),
    "force": pruning(keras_snn.force, X, Y, rounds=4),
    "Iter-SNIP": pruning(keras_snn.force, X, Y, rounds=4, revive=False),
    "prune_magnitude global": pruning(keras_snn.prune_magnitude),
    "prune_magnitude layer": pruning(keras_snn.prune_magnitude, scope="layer"),
    "prune_magnitude lamp": pruning(keras_snn.prune_magnitude, scope="lamp"),
    "prune_magnitude erk": pruning(
        keras_snn.prune_magnitude, distribution="erk"
    ),
    "prune_magnitude 1:2": in_between(
        lambda model: keras_snn.prune_magnitude(model, pattern="1:2"),
        only_shrinks=True,
        end=0.5,
    ),
    "prune_random": pruning(keras_snn.prune_random),
    "prune_channels": pruning(keras_snn.prune_channels),
    "LotteryTicket.rewind": Method(ticket, only_shrinks=True),
    "LotteryTicket rounds": Method(rounds_of_tickets, only_shrinks=True),
    "LotteryTicket step": Method(ticket_of_a_step, only_shrinks=True),
    "LotteryTicket learning rate": Method(
        learning_rate_rewound, only_shrinks=True
    ),
    "prune_by_score": pruning(by_a_score_of_ones_own),
    "set_masks": in_between(flipped, start=0.5, end=0.5),
}

OPTIMIZERS = {
    "SGD": lambda: optimizers.SGD(0.1),
    "SGD momentum": lambda: optimizers.SGD(
        0.1, momentum=0.9, nesterov=True, weight_decay=0.01
    ),
    "Adam": lambda: optimizers.Adam(0.05, amsgrad=True),
    "AdamW": lambda: optimizers.AdamW(0.05, weight_decay=0.1),
    "RMSprop": lambda: optimizers.RMSprop(0.05, momentum=0.9, centered=True),
    "Lion": lambda: optimizers.Lion(0.01, weight_decay=0.1),
    "Adagrad": lambda: optimizers.Adagrad(0.1),
    "Ftrl": lambda: optimizers.Ftrl(0.1, l1_regularization_strength=0.01),
    "Nadam": lambda: optimizers.Nadam(0.05),
    "Adamax": lambda: optimizers.Adamax(0.05),
    "Adadelta": lambda: optimizers.Adadelta(1.0),
    "Adafactor": lambda: optimizers.Adafactor(0.05),
    "Lamb": lambda: optimizers.Lamb(0.05),
    "ScheduleFreeAdamW": lambda: optimizers.ScheduleFreeAdamW(
        0.05, weight_decay=0.1
    ),
    "clipping": lambda: optimizers.SGD(
        0.1, momentum=0.9, global_clipnorm=0.1, loss_scale_factor=64
    ),
    "EMA": lambda: optimizers.SGD(
        0.1, momentum=0.9, use_ema=True, ema_momentum=0.5
    ),
    "EMA overwriting": lambda: optimizers.Adam(
        0.05, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
    "accumulation": lambda: optimizers.SGD(
        0.1, momentum=0.9, gradient_accumulation_steps=2
    ),
    "EMA accumulation": lambda: optimizers.Adam(
        0.05, use_ema=True, gradient_accumulation_steps=2
    ),
    "loss scaling": lambda: optimizers.LossScaleOptimizer(
        optimizers.SGD(0.1, momentum=0.9), dynamic_growth_steps=2
    ),
    "mixed_float16": lambda: optimizers.SGD(0.1, momentum=0.9),
    "mixed_bfloat16": lambda: optimizers.Adam(0.05),
}
if not hasattr(optimizers, "ScheduleFreeAdamW"):  # Keras is older than it.
    del OPTIMIZERS["ScheduleFreeAdamW"]


def check(method, training):
    """The statements about masks, of all that was seen of a training."""
    seen, model = training.masks, training.model
    shapes = {path: mask.shape for path, mask in get_masks(model).items()}
    for before, after in zip(seen, seen[1:], strict=False):
        for path in shapes:
            if method.keeps_counts:
                assert after[path].sum() == before[path].sum()
            if method.only_shrinks:
                assert not (after[path] & ~before[path]).any()
    size = sum(int(np.prod(shape)) for shape in shapes.values())
    active = sum(int(mask.sum()) for mask in get_masks(model).values())
    if method.end is not None:
        assert active == round((1 - method.end) * size)
    if method.end != method.start:
        assert keras_snn.sparsity(model) > method.start
    assert any((seen[0][p] != seen[-1][p]).any() for p in shapes)


@pytest.fixture(scope="module")
def compilations():
    return {}


def compilation(compilations, optimizer, wrapper):
    """One compilation for all methods; each starts from the beginning."""
    key = optimizer, wrapper
    if key not in compilations:
        training = Training(
            model_of(
                optimizer=OPTIMIZERS[optimizer](), dropout=0.1, wrapper=wrapper
            )
        )
        # Of another scale and shape, which tell ways to share out apart; and
        # of the layer before BatchNorm, whose scale does not speed training up.
        first = training.model.get_layer("first").kernel
        first.assign(WEIGHTS["first/kernel"] ** 3 * 2)
        training.fit(*WARM_UP.get(wrapper, list)(), epochs=1)
        compilations[key] = training, snapshot(training.model)
    return compilations[key]


# Leaves out the scores of weight decay, for which the step is traced again.
WARM_UP = {
    MovementLayer: lambda: [MovementUpdate(HALF)],
    SoftMovementLayer: lambda: [SoftMovementUpdate(HALF, penalty=0)],
}


@pytest.fixture(params=["SGD momentum", "Adam"])
def compiled(request, compilations, method):
    return compilation(compilations, request.param, method.wrapper)


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


def test_every_method(method, compiled, tmp_path):
    training, _ = compiled
    start(method, compiled)
    method.train(training)
    check(method, training)
    model, masks = training.model, get_masks(training.model)
    remember(next(n for n, m in METHODS.items() if m is method), model)
    if isinstance(model.optimizer, optimizers.SGD):
        # Once more, to the same masks.
        start(method, compiled)
        method.train(training)
        assert_masks_equal(model, masks)
        return

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_masks_equal(loaded, masks)
    for of_both in (
        (model.weights, loaded.weights),
        (model.optimizer.variables, loaded.optimizer.variables),
    ):
        for one, other in zip(*of_both, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(X)),
        ops.convert_to_numpy(model(X)),
        atol=1e-6,
    )
    model.save_weights(tmp_path / "model.weights.h5")
    start(method, compiled)
    model.load_weights(tmp_path / "model.weights.h5")
    assert_masks_equal(model, masks)


# Each callback once, what reads gradients of every replica, and some at once.
ON_DEVICES = {
    **{
        name.split()[0]: name
        for name in reversed(METHODS)
        if inspect.isclass(getattr(keras_snn, name.split()[0], None))
    },
    "of replicas": "RigLUpdate of training",
    "by gradient": "snip",
    "by magnitude": "prune_magnitude global",
    "by hand": "set_masks",
}.values()


def on_these(count, name, compilations, on_devices):
    """All masks that a method came by, and the model that it has trained."""
    method = METHODS[name]
    key = count, method.wrapper
    with on_devices(count):
        if key not in compilations:
            # Replicas draw their own dropout and have their own statistics.
            model = model_of(
                optimizer=OPTIMIZERS["SGD momentum"](),
                wrapper=method.wrapper,
                normalized=False,
            )
            compilations[key] = Training(model), None
    # On TensorFlow, a model knows its strategy; on JAX, Keras asks each time.
    outside = keras.backend.backend() == "tensorflow"
    with contextlib.nullcontext() if outside else on_devices(count):
        training, beginning = compilations[key]
        if beginning is None:
            training.fit(*WARM_UP.get(method.wrapper, list)(), epochs=1)
            compilations[key] = training, snapshot(training.model)
        start(method, compilations[key])
        method.train(training)
    check(method, training)
    return training.masks, training.model


def replicas(variable):
    value = variable.value
    if keras.backend.backend() == "tensorflow":
        return [each.numpy() for each in value.values]
    return [np.asarray(shard.data) for shard in value.addressable_shards]


@pytest.mark.parametrize("name", ON_DEVICES)
def test_every_method_on_two_devices(name, compilations, on_devices):
    assert_same_on_devices(2, name, compilations, on_devices)


@pytest.mark.parametrize("name", ["SETUpdate", "RigLUpdate of training"])
def test_methods_on_four_devices(name, compilations, on_devices):
    assert_same_on_devices(4, name, compilations, on_devices)


def assert_same_on_devices(count, name, compilations, on_devices):
    """The masks of one device in every step, its weights but for rounding."""
    alone, model = on_these(1, name, compilations, on_devices)
    weights = [v.numpy() for v in model.trainable_variables]
    together, model = on_these(count, name, compilations, on_devices)
    assert len(alone) == len(together)
    for before, after in zip(alone, together, strict=True):
        for one, other in zip(before.values(), after.values(), strict=True):
            np.testing.assert_array_equal(one, other)
    for weight, variable in zip(
        weights, model.trainable_variables, strict=True
    ):
        copies = replicas(variable)
        assert len(copies) == count
        for copy in copies:
            np.testing.assert_array_equal(copy, copies[0])
            np.testing.assert_allclose(copy, weight, rtol=1e-3, atol=1e-4)
    for masked in masked_weights(model).values():
        for mask, weight in zip(
            replicas(masked.mask), replicas(masked.weight), strict=True
        ):
            assert masked.keeps_inactive or not weight[~mask].any()


ENDS = {}  # Masked weights at the end of each method, under SGD.


def end_of(name, compilations):
    if name not in ENDS:
        method = METHODS[name]
        compiled = compilation(compilations, "SGD momentum", method.wrapper)
        start(method, compiled)
        method.train(compiled[0])
        remember(name, compiled[0].model)
    return ENDS[name]


def remember(name, model):
    if isinstance(model.optimizer, optimizers.SGD):
        ENDS[name] = np.concatenate(
            [
                np.where(m.mask_array(), m.weight_array(), 0).ravel()
                for m in masked_weights(model).values()
            ]
        )


def test_no_two_methods_end_alike(compilations):
    """Each differs from its neighbours, or it is not what its row says."""
    ends = {name: end_of(name, compilations) for name in METHODS}
    alike = [
        (one, other)
        for one, other in itertools.combinations(ends, 2)
        if np.allclose(ends[one], ends[other], atol=1e-5)
    ]
    assert not alike


def start(method, compiled):
    training, beginning = compiled
    restore(training.model, beginning)
    keras_snn.prune_random(training.model, method.start, seed=1, **method.begin)
    training.masks = [get_masks(training.model)]


def assert_masks_equal(model, masks):
    own = get_masks(model).values()
    for mask, expected in zip(own, masks.values(), strict=True):
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name):
    """SET and GMP, one after the other, without recompilation."""
    policy = name if name.startswith("mixed") else None
    training = Training(model_of(0.5, OPTIMIZERS[name](), policy))
    for method in ("SETUpdate", "GMPUpdate global"):
        # After a fit with EMA, Keras on JAX leaves a weight and its average in
        # one buffer, which no second fit can take; restoring copies them.
        restore(training.model, snapshot(training.model))
        training.masks = []
        METHODS[method].train(training)
        check(METHODS[method], training)
    assert training.model.optimizer.built
    plain = keras_snn.strip(training.model)
    np.testing.assert_allclose(
        plain.predict_on_batch(X).astype("float32"),  # Of bfloat16, perhaps.
        training.model.predict_on_batch(X).astype("float32"),
        atol=1e-6,
    )


def test_every_optimizer_of_keras_is_enrolled():
    """Muon turns a kernel's update as a whole: weights outside get some."""
    ours = {type(make()).__name__ for make in OPTIMIZERS.values()}
    of_keras = {
        name
        for name, kind in vars(optimizers).items()
        if inspect.isclass(kind) and issubclass(kind, optimizers.Optimizer)
    }
    others = {"Optimizer", "Muon", "MultiOptimizer"}
    assert of_keras - ours == others & of_keras


@pytest.mark.skipif(
    not hasattr(optimizers, "Muon"), reason="Keras is older than Muon"
)
def test_muon_trains_what_is_active_and_strip_drops_the_rest():
    model = model_of(0.5, optimizers.Muon(0.05))
    masks = get_masks(model)
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[SETUpdate(1)])
    outputs, masks = model.predict_on_batch(X), get_masks(model)
    plain = keras_snn.strip(model)
    np.testing.assert_allclose(plain.predict_on_batch(X), outputs, atol=1e-6)
    for path, mask in masks.items():
        kernel = plain.get_layer(path.split("/")[0]).kernel.numpy()
        assert not kernel[~mask].any()


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Ends training in the midst of an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 10:
            raise Killed


RESUMED = {
    "SETUpdate": (lambda: SETUpdate(1), MaskedLayer),
    "GMPUpdate": (
        lambda: GMPUpdate(
            schedules.PolynomialDecay(0.3, 0.8, 3, 14, frequency=4)
        ),
        MaskedLayer,
    ),
    "RigLUpdate": (lambda: RigLUpdate((X, Y), 2, batch_size=8), MaskedLayer),
    "RigLUpdate of training": (
        lambda: RigLUpdate(interval=2, end=1.0),
        MaskedLayer,
    ),
    "MovementUpdate": (lambda: MovementUpdate(HALF), MovementLayer),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_training_ends_as_the_undisturbed_one(name, tmp_path):
    """In another model, with other names and weights, as in a new process."""
    make, wrapper = RESUMED[name]

    def train(*more, seed=0):
        keras.utils.set_random_seed(seed)
        optimizer = OPTIMIZERS["SGD momentum"]()
        model = model_of(0.3, optimizer, wrapper=wrapper)
        model.fit(
            X,
            Y,
            batch_size=4,
            epochs=5,
            shuffle=False,
            verbose=0,
            callbacks=[make(), *more],
        )
        return model

    undisturbed = train()
    backup = keras.callbacks.BackupAndRestore(str(tmp_path))
    with pytest.raises(Killed):
        train(backup, Kill())
    backup = keras.callbacks.BackupAndRestore(str(tmp_path))
    resumed = train(backup, seed=1)
    assert int(resumed.optimizer.iterations) == 15
    assert_masks_equal(resumed, get_masks(undisturbed))
    for one, other in zip(
        undisturbed.variables, resumed.variables, strict=True
    ):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)


def updated_by_set(model):
    for step in (4, 8, 12):
        SETUpdate(drop_fraction=0.3, seed=5).update(model, step, step / 20)


def updated_by_gmp(model):
    callback = GMPUpdate(schedules.ConstantSparsity(0.9, 0))
    for sparsity in (0.6, 0.7, 0.8):
        callback.update(model, sparsity)


def updated_by_rigl(model):
    for step in (4, 8, 12):
        RigLUpdate((X, Y), batch_size=8, seed=5).update(model, step, step / 20)


BITS = {
    "RigLUpdate": (updated_by_rigl, "030b6ae06f559360"),
    "sparsify": (lambda model: None, "92a4ec5a55fd5f9a"),
    "SETUpdate": (updated_by_set, "a4cc463ebcd2a51e"),
    "GMPUpdate": (updated_by_gmp, "f3cf253a40933b9e"),
    "snip": (lambda m: keras_snn.snip(m, X, Y, 0.8), "078523ebe4505cb8"),
    "snip ratios_only": (
        lambda m: keras_snn.snip(m, X, Y, 0.8, ratios_only=True, seed=2),
        "202a18dcdae24b0e",
    ),
    "prune_magnitude": (
        lambda m: keras_snn.prune_magnitude(m, 0.8, scope="layer"),
        "9edf8f8a0474d6fa",
    ),
    "prune_magnitude lamp": (
        lambda m: keras_snn.prune_magnitude(m, 0.8, scope="lamp"),
        "f3cf253a40933b9e",
    ),
    "synflow": (
        lambda m: keras_snn.synflow(m, 0.8, rounds=8),
        "9fb1f29580a9ae4d",
    ),
    "force": (
        lambda m: keras_snn.force(m, X, Y, 0.8, rounds=6),
        "4da6796251c9ef6d",
    ),
    "prune_random": (
        lambda m: keras_snn.prune_random(m, 0.8, seed=2),
        "a5f40ac5a3d5ae79",
    ),
}


@pytest.mark.parametrize("name", BITS)
def test_mask_bits_are_those_of_every_backend_and_release(name):
    change, expected = BITS[name]
    model = model_of(0.5)
    change(model)
    masks = [mask.ravel() for mask in get_masks(model).values()]
    packed = np.packbits(np.concatenate(masks)).tobytes()
    assert hashlib.sha256(packed).hexdigest()[:16] == expected


DATA = X, Y
DYNAMIC = {
    "decay": "linear",
    "unit": "epochs",
    "end": 0.6,
    "seed": 5,
    "grow_init": "random_normal",
}
OF_GRADIENT = {
    "batch_size": 2,
    "batches": 3,
    "loss": "mse",
    "pattern": patterns.Blocks((4, 1)),
}
WRAPPERS = (
    MaskedLayer,
    StraightThroughLayer,
    MovementLayer,
    SoftMovementLayer,
    HYDRALayer,
)
INSTANCES = [
    SETUpdate(
        3,
        drop_fraction=0.4,
        pattern="2:4",
        drop_by="magnitude",
        **DYNAMIC | {"unit": "steps"},
    ),
    RigLUpdate(
        DATA,
        3,
        drop_fraction=0.4,
        **OF_GRADIENT | DYNAMIC | {"pattern": patterns.ConstantFanIn()},
        ablate=0.3,
    ),
    FlyingBirdUpdate(
        DATA,
        3,
        drop_fraction=0.4,
        growth="random",
        monitor=("accuracy", "val_accuracy", "val_loss"),
        begin=0.2,
        window=2,
        threshold=0.7,
        extra_drop=0.3,
        extra_growth=0.2,
        **{n: v for n, v in OF_GRADIENT.items() if n != "pattern"},
        **DYNAMIC,
    ),
    SRSTEUpdate("1:4", 3, penalty=0.1),
    SNFSUpdate(
        DATA,
        3,
        drop_fraction=0.4,
        momentum=0.5,
        redistribution="none",
        growth="random",
        **{n: v for n, v in OF_GRADIENT.items() if n != "pattern"},
        **DYNAMIC | {"unit": "steps"},
    ),
    MESTUpdate(
        DATA,
        3,
        gradient_weight=2,
        final_sparsity=0.9,
        drop_fraction=0.4,
        **OF_GRADIENT,
        **DYNAMIC | {"unit": "steps"},
    ),
    GraNetUpdate(DATA, HALF, 3, drop_fraction=0.4, **OF_GRADIENT | DYNAMIC),
    ACDCUpdate(
        0.5,
        3,
        begin=0.2,
        end=0.9,
        phases=[2, 3, 5],
        scope="layer",
        pattern="2:4",
        reset_momentum=False,
    ),
    TopKASTUpdate(
        0.7,
        0.5,
        3,
        distribution="uniform",
        penalty=0.1,
        pattern=patterns.ConstantFanIn(),
    ),
    MovementUpdate(HALF, scope="layer", pattern=patterns.ConstantFanIn()),
    SoftMovementUpdate(HALF, penalty=3),
    HYDRAUpdate(0.75, interval=2, scope="global", pattern="1:4"),
    GMPUpdate(
        schedules.DuringTraining(0.7, begin=0.2),
        scope="layer",
        pattern=patterns.Blocks((2, 1)),
    ),
    keras_snn.MaskLog("masks.npz", log_dir="logs"),
    LotteryTicket(epoch=1, step=2, filepath="ticket.npz"),
    schedules.ConstantSparsity(0.3, 1, 50, 2),
    schedules.PolynomialDecay(0.1, 0.7, 2, 90, power=2, frequency=3),
    schedules.DuringTraining(
        0.7, begin=0.2, end=0.9, interval=3, initial_sparsity=0.1, power=1
    ),
    *(
        wrapper(layers.Dense(3, name="inner"), ["inner/kernel"])
        for wrapper in WRAPPERS
    ),
    SparseDense(3, 0.75, activation="relu", use_bias=False, nonzeros=5),
    SparseConv2D(
        3,
        2,
        0.75,
        strides=2,
        padding="same",
        kernel_initializer="ones",
        bias_initializer="ones",
        kernel_regularizer="l2",
        bias_regularizer="l2",
        seed=1,
    ),
]


BASES = {keras_snn.MaskUpdate, keras_snn.DropAndGrow, keras_snn.ByGradient}
NO_METHODS = BASES | {keras_snn.MaskLog, keras_snn.OnceSparse}


def exported_methods():
    """The names of all callbacks and functions that choose masks."""
    for name in keras_snn.__all__:
        each = getattr(keras_snn, name)
        if inspect.isclass(each) and each in NO_METHODS:
            continue
        if (
            inspect.isclass(each) and issubclass(each, keras.callbacks.Callback)
        ) or getattr(each, "__module__", "").startswith("keras_snn.oneshot"):
            yield name


# What a trial of the paper does not compare, and needs another wrapper, data
# or a way to train of its own for.
NOT_IN_TRIALS = {
    "ACDCUpdate",
    "FlyingBirdUpdate",
    "GraNetUpdate",
    "HYDRAUpdate",
    "MESTUpdate",
    "MovementUpdate",
    "SNFSUpdate",
    "SRSTEUpdate",
    "SoftMovementUpdate",
    "TopKASTUpdate",
    "force",
    "grasp",
    "prune_channels",
}


def test_every_method_is_enrolled():
    """Here, in the guide's table, and in the trials, where they compare it."""
    exported = set(exported_methods())
    assert {"GMPUpdate", "LotteryTicket", "snip", "prune_random"} <= exported
    home = pathlib.Path(__file__).parents[1]
    guide = (home / "docs/guides/methods.md").read_text()
    table = guide.partition("## All methods")[2].partition("\n\nA gradient")[0]
    trials = inspect.getsource(methods)
    for name in exported:
        call = re.compile(rf"\b{name}\b")
        assert any(map(call.match, METHODS)), f"{name} has no row in METHODS"
        assert call.search(table), f"{name} is not in the guide's table"
        if name not in NOT_IN_TRIALS:
            assert call.search(trials), f"{name} is in no trial"


def test_every_update_has_one_signature():
    for name in exported_methods():
        update = getattr(getattr(keras_snn, name), "update", None)
        if update is None:
            continue
        _, model, *_, optimizer = inspect.signature(update).parameters.values()
        assert model.name == "model", name
        assert optimizer.name == "optimizer" and optimizer.default is None, name
        assert optimizer.kind is inspect.Parameter.KEYWORD_ONLY, name


@pytest.mark.parametrize("instance", INSTANCES)
def test_every_argument_round_trips(instance):
    config = instance.get_config()
    arguments = config.get("config", config)
    for name, parameter in inspect.signature(
        type(instance).__init__
    ).parameters.items():
        if name not in ("self", "kwargs", "options", "data"):
            assert arguments[name] != parameter.default
    data = {"data": DATA} if hasattr(instance, "batch_size") else {}
    again = type(instance).from_config(instance.get_config(), **data)
    assert again.get_config() == config


def test_every_public_class_is_enrolled():
    public = [getattr(keras_snn, name) for name in keras_snn.__all__]
    public += vars(schedules).values()
    classes = {
        each
        for each in filter(inspect.isclass, public)
        if each.__module__.startswith("keras_snn")
        and hasattr(each, "get_config")
    }
    enrolled = {type(instance) for instance in INSTANCES}
    assert classes - enrolled - BASES == {schedules.PruningSchedule}
