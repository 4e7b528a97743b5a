"""Patterns in whole models: drawn, chosen by score, kept by SET and RigL."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import GraNetUpdate
from keras_snn import MESTUpdate
from keras_snn import RigLUpdate
from keras_snn import SETUpdate
from keras_snn import get_masks
from keras_snn import prune_magnitude
from keras_snn import snip
from keras_snn import sparsify
from keras_snn.masking.mask_state import masked_weights
from keras_snn.patterns import NM
from keras_snn.patterns import AblatedFanIn
from keras_snn.patterns import Blocks
from keras_snn.patterns import ConstantFanIn
from keras_snn.patterns import for_weights
from keras_snn.schedules import DuringTraining

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 8)).astype("float32")
Y = RNG.normal(size=(8, 2)).astype("float32")
PATTERNS = {"2:4": NM(2, 4), "fan": ConstantFanIn(), "4x1": Blocks((4, 1))}
each = pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)


def dense():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(12, activation="relu", name="first"),
            layers.Dense(2, name="last"),
        ]
    )


def model_of(pattern=None, sparsity=0.5, **options):
    model = sparsify(dense(), sparsity, "uniform", pattern=pattern, **options)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


def assert_holds(model, pattern):
    weights = masked_weights(model)
    for path, bound in for_weights(pattern, weights).items():
        bound.check(weights[path].mask_array(), path)
        weight = weights[path].weight_array()
        assert not weight[~weights[path].mask_array()].any()


@each
def test_masks_are_drawn_in_the_pattern(pattern):
    model = model_of(pattern)
    assert_holds(model, pattern)
    assert keras_snn.sparsity(model) == 0.5
    drawn = get_masks(model)
    keras_snn.prune_random(
        model, 0.5, distribution="uniform", pattern=pattern, seed=5
    )
    assert_holds(model, pattern)
    assert (get_masks(model)["first/kernel"] != drawn["first/kernel"]).any()


def test_a_pattern_tells_the_sparsity():
    assert keras_snn.sparsity(sparsify(dense(), pattern="1:4")) == 0.75
    assert keras_snn.sparsity(sparsify(dense(), 0.5, pattern="2:4")) == 0.5
    assert keras_snn.sparsity(sparsify(dense())) == pytest.approx(0.8)


@each
@pytest.mark.parametrize("method", ["magnitude", "snip", "ratios_only"])
def test_masks_are_chosen_in_the_pattern(pattern, method):
    model = model_of(sparsity=0.0)
    if method == "magnitude":
        chosen = prune_magnitude(model, 0.5, pattern=pattern)
    else:
        ratios_only = method == "ratios_only"
        chosen = snip(
            model, X, Y, 0.5, pattern=pattern, ratios_only=ratios_only
        )
    assert_holds(model, pattern)
    assert keras_snn.sparsity(model) == 0.5
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, chosen[path])


def test_blocks_compete_over_the_whole_model():
    model = model_of(sparsity=0.0)
    weights = masked_weights(model)
    last = weights["last/kernel"].weight
    last.assign(100 * last)
    masks = prune_magnitude(model, 0.7, pattern=Blocks((4, 1)))
    assert masks["last/kernel"].all()
    assert sum(mask.sum() for mask in masks.values()) == 36  # 9 of 30 blocks.

    model, blocks = model_of(sparsity=0.0), Blocks((4, 1))
    masks = prune_magnitude(model, 0.75, scope="layer", pattern=blocks)
    # 7.5 of 30 blocks, rounded to even: 6 of 24 and 1.5 of 6.
    assert [int(mask.sum()) for mask in masks.values()] == [24, 8]


def test_a_sparser_pattern_of_the_same_groups():
    model = model_of("2:4")
    before = get_masks(model)
    for path, mask in prune_magnitude(model, pattern="1:4").items():
        assert not (mask & ~before[path]).any()
    with pytest.raises(ValueError, match="at least that of the model"):
        prune_magnitude(model, pattern="2:4")
    sparse = model_of()
    before = sparse.get_weights()
    with pytest.raises(ValueError, match="fewer to choose from"):
        prune_magnitude(sparse, pattern="2:4")
    for weight, value in zip(sparse.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


class Checks(keras.callbacks.Callback):
    """Looks for the pattern before every step, and counts changes."""

    def __init__(self, pattern):
        super().__init__()
        self.pattern = pattern
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        assert_holds(self.model, self.pattern)
        self.seen.append(get_masks(self.model))


SET_AND_RIGL = {
    "SET": lambda **o: SETUpdate(2, unit="steps", drop_fraction=0.5, **o),
    "RigL": lambda **o: RigLUpdate((X, Y), 2, drop_fraction=0.5, **o),
    "MEST": lambda **o: MESTUpdate(
        (X, Y), 2, unit="steps", drop_fraction=0.5, **o
    ),
}


@each
@pytest.mark.parametrize("method", SET_AND_RIGL)
def test_every_update_keeps_the_pattern(pattern, method):
    model = model_of(pattern)
    counts = {path: mask.sum() for path, mask in get_masks(model).items()}
    checks = Checks(pattern)
    callback = SET_AND_RIGL[method](pattern=pattern)
    model.fit(
        X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[callback, checks]
    )
    assert_holds(model, pattern)
    for path, count in counts.items():
        assert {int(masks[path].sum()) for masks in checks.seen} == {count}
    first, last = checks.seen[0], checks.seen[-1]
    assert (first["first/kernel"] != last["first/kernel"]).any()


def test_rigl_with_a_constant_fan_in_by_hand():
    model = model_of(ConstantFanIn())
    masked = masked_weights(model)["last/kernel"]
    weight, mask = masked.weight_array().copy(), masked.mask_array().copy()
    callback = RigLUpdate(
        (X, Y), drop_fraction=0.5, decay="constant", pattern=ConstantFanIn()
    )
    gradient = callback.gradients(model, masked_weights(model), 7)
    callback.update(model, step=7, progress=0.1)
    # 12 of 24 are active, 6 for each output: the 6 smallest of both go.
    active = np.flatnonzero(mask)
    kept = np.zeros(24, bool)
    kept[active[np.argsort(np.abs(weight.flat[active]))[6:]]] = True
    kept = kept.reshape(12, 2)
    steepness = np.where(kept, -1, np.abs(gradient["last/kernel"]))
    expected = kept.copy()
    for output in range(2):
        lacking = 6 - kept[:, output].sum()
        grown = np.argsort(steepness[:, output])[12 - lacking :]
        expected[grown, output] = True
    np.testing.assert_array_equal(masked.mask_array(), expected)


def test_a_small_share_ablates_no_output():
    """Each has a salient weight, and more are not asked for."""
    chosen = []
    for ablate in (None, 0.01):
        model = model_of(ConstantFanIn())
        callback = RigLUpdate(
            (X, Y), drop_fraction=0.3, pattern=ConstantFanIn(), ablate=ablate
        )
        callback.update(model, step=7, progress=0.1)
        callback.update(model, step=8, progress=0.2)
        chosen.append(get_masks(model))
    plain, ablating = chosen
    for path in plain:
        np.testing.assert_array_equal(ablating[path], plain[path])


def test_what_is_left_shares_the_count_of_the_layer():
    model = model_of(ConstantFanIn())
    callback = RigLUpdate(
        (X, Y), 1, end=1.0, pattern=ConstantFanIn(), ablate=1.0
    )
    seen = Checks(AblatedFanIn())
    for _ in range(2):  # The second begins with outputs ablated.
        model.fit(X, Y, batch_size=2, verbose=0, callbacks=[callback, seen])
    assert_holds(model, AblatedFanIn())
    masks = [each["first/kernel"].sum(0) for each in seen.seen]
    assert any((fan_ins == 0).any() for fan_ins in masks)
    for fan_ins in masks:
        assert 48 - np.count_nonzero(fan_ins) < fan_ins.sum() <= 48
    assert get_masks(model)["last/kernel"].sum(0).tolist() == [6, 6]


@pytest.mark.parametrize("ablate", [0, -0.1, 1.1, True, "0.3", np.nan])
def test_a_share_to_ablate_out_of_range(ablate):
    with pytest.raises(ValueError, match=r"`ablate` must be in \(0, 1\]"):
        RigLUpdate(pattern=ConstantFanIn(), ablate=ablate)


@pytest.mark.parametrize("pattern", [None, "2:4", Blocks((4, 1))])
def test_only_a_constant_fan_in_ablates(pattern):
    with pytest.raises(ValueError, match="give `pattern=ConstantFanIn"):
        RigLUpdate(pattern=pattern, ablate=0.3)


def test_mest_sheds_to_a_smaller_fan_in():
    model = model_of(ConstantFanIn())
    callback = MESTUpdate(
        (X, Y), final_sparsity=0.75, pattern=ConstantFanIn(), end=0.5
    )
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[callback])
    assert_holds(model, ConstantFanIn())
    assert keras_snn.sparsity(model) == 0.75


@pytest.mark.parametrize("pattern", [ConstantFanIn(), Blocks((2, 1))], ids=str)
def test_granet_prunes_in_the_pattern(pattern):
    model = model_of(sparsity=0.0)
    schedule = DuringTraining(0.75, begin=0, end=0.5)
    checks = Checks(pattern)
    callback = GraNetUpdate((X, Y), schedule, 1, pattern=pattern)
    model.fit(
        X, Y, batch_size=4, epochs=4, verbose=0, callbacks=[callback, checks]
    )
    assert keras_snn.sparsity(model) == 0.75


def test_layers_of_other_layouts():
    inputs = keras.Input((4, 4, 8))
    outputs = layers.Conv2DTranspose(3, 2, name="up")(inputs)
    outputs = layers.Reshape((25, 3))(outputs)
    outputs = layers.Dense(8, name="between")(outputs)
    outputs = layers.MultiHeadAttention(2, 4, name="heads")(outputs, outputs)
    model = keras.Model(inputs, outputs)
    model = sparsify(model, pattern="2:4", exclude="between")
    masks = get_masks(model)
    assert masks["up/kernel"].shape == (2, 2, 3, 8)
    groups = masks["up/kernel"].reshape(-1, 4)
    assert (groups.sum(1) == 2).all()
    for name in ("query", "key", "value"):
        groups = masks[f"heads/{name}/kernel"].reshape(2, 4, 8)  # Of (8, 2, 4).
        assert (groups.sum(1) == 2).all()
    groups = masks["heads/attention_output/kernel"].reshape(2, 4, 8)
    assert (groups.sum(1) == 2).all()


@pytest.mark.parametrize("method", SET_AND_RIGL)
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_masks_without_the_pattern_at_the_beginning(method, start):
    model = model_of(sparsity=start)
    before = model.get_weights()
    callback = SET_AND_RIGL[method](pattern="2:4")
    message = r"sparsify\(model, pattern=...*'first/kernel' that is not NM"
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, verbose=0, callbacks=[callback])
    if start:
        with pytest.raises(ValueError, match=message):
            callback.update(model, 1, 0.1)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda: sparsify(dense(), pattern="2:5"),
            r"exclude.*'first/kernel'.*\(8, 12\), 8 along axis 0",
        ),
        (
            lambda: sparsify(dense(), pattern=Blocks((1, 3))),
            r"exclude.*'last/kernel'.*2 along axis 1",
        ),
        (lambda: sparsify(dense(), 0.8, pattern="2:4"), "of its own, 0.5"),
        (lambda: sparsify(dense(), pattern="4:4"), "1 <= n < m"),
        (
            lambda: sparsify(dense(), None, {"last": 0}, pattern="2:4"),
            "same sparsity: `exclude`",
        ),
        (lambda: sparsify(dense(), pattern="2/4"), "such as '2:4'.*'2/4'"),
        (
            lambda: prune_magnitude(model_of(sparsity=0.0), pattern="1:3"),
            "exclude.*'first/kernel'",
        ),
        (lambda: prune_magnitude(model_of(sparsity=0.0)), "sparsity=None"),
        (
            lambda: prune_magnitude(
                model_of(sparsity=0.0), 0.99, pattern=ConstantFanIn()
            ),
            "leave every layer at least one",
        ),
        (lambda: SETUpdate(pattern="2:2"), "1 <= n < m"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        change()


def test_a_pattern_of_another_kind():
    with pytest.raises(TypeError, match="`pattern` must be a string.*0.5"):
        sparsify(dense(), pattern=0.5)
