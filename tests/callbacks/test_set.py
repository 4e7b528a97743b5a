"""SET by hand, its timing, and other callbacks beside it."""

import csv

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import SETUpdate
from keras_snn import get_masks
from keras_snn.callbacks.bases.update import Update
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")


def model_of(sparsity=0.5, **options):
    keras.utils.set_random_seed(7)
    dense = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", name="first"),
            layers.Dense(3, name="last"),
        ]
    )
    model = keras_snn.sparsify(dense, sparsity, "uniform")
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", run_eagerly=True, **options)
    return model


class Masks(keras.callbacks.Callback):
    """The masks at the beginning of each epoch, and at the end of training."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(get_masks(self.model))

    def on_train_end(self, logs=None):
        self.seen.append(get_masks(self.model))

    @property
    def changes(self):
        """The epochs at whose beginning masks changed."""
        return [
            epoch
            for epoch in range(1, len(self.seen))
            if any(
                (self.seen[epoch][p] != self.seen[epoch - 1][p]).any()
                for p in self.seen[0]
            )
        ]


def test_the_smallest_of_either_sign_are_dropped_and_as_many_grown():
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, use_bias=False, name="layer")]
    )
    model = keras_snn.sparsify(dense, 0.0)
    weight = np.array(
        [
            [0.1, -0.1, 0.2, -0.2],
            [0.4, -0.4, 0.3, -0.3],
            [5.0, 5.0, 5.0, 5.0],  # Inactive: 0 as soon as it is masked.
            [5.0, 5.0, 5.0, 5.0],
        ],
        "float32",
    )
    dense.layers[0].kernel.assign(weight)
    active = np.repeat([[True], [True], [False], [False]], 4, axis=1)
    keras_snn.set_masks(model, {"layer/kernel": active})

    callback = SETUpdate(drop_fraction=0.5, decay="constant", seed=3)
    callback.update(model, step=4, progress=0.9)

    after = get_masks(model)["layer/kernel"]
    kernel = dense.layers[0].kernel.numpy()
    np.testing.assert_array_equal(kernel[1], weight[1])  # The larger half.
    assert after[1].all()
    assert not kernel[[0, 2, 3]].any()  # Dropped, or grown from 0.
    assert after[[0, 2, 3]].sum() == 4


def test_of_an_uneven_count_each_sign_is_rounded_by_itself():
    weight = np.array([0.1, 0.2, 0.3, 0.4, 0.5, -0.1, -0.2, 0.0])
    mask = np.ones(8, bool)
    kept = SETUpdate().drop(Update(weight, mask), 0.3)
    # 0.3 * 6 non-negative: 2, the zero first; 0.3 * 2 negative: 1.
    np.testing.assert_array_equal(kept, [0, 1, 1, 1, 1, 0, 1, 0])


def test_inactive_weights_of_a_sign_are_not_counted():
    weight = np.array([0.4, 0.3, 0.0, 0.0, 0.0, 0.0])
    mask = weight > 0
    kept = SETUpdate().drop(Update(weight, mask), 0.5)
    np.testing.assert_array_equal(kept, [1, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("decay", "fractions"),
    [
        ("cosine", [0.2, 0.1005, 0.001]),
        ("linear", [0.2, 0.1005, 0.001]),
        ("constant", [0.2, 0.2, 0.2]),
        ("inverse_power", [0.2, 0.025875, 0.001]),
        (2, [0.2, 0.05075, 0.001]),
    ],
)
def test_the_drop_fraction_decays(decay, fractions):
    callback = SETUpdate(decay=decay)
    for progress, fraction in zip((0, 0.5, 1), fractions, strict=True):
        assert callback.fraction_at(progress) == pytest.approx(fraction)
    quarter = {
        "cosine": 0.170857,
        "linear": 0.15025,
        "constant": 0.2,
        "inverse_power": 0.001 + 0.199 * 0.75**3,
        2: 0.001 + 0.199 * 0.75**2,
    }[decay]
    assert callback.fraction_at(0.25) == pytest.approx(quarter, abs=1e-6)


def test_a_drop_fraction_below_the_least_stays_constant():
    callback = SETUpdate(drop_fraction=0.0005)
    assert callback.fraction_at(0) == callback.fraction_at(1) == 0.0005


def test_updates_come_every_interval_and_not_at_the_beginning():
    masks = Masks()
    callback = SETUpdate(2, drop_fraction=0.5, decay="constant")
    model_of().fit(X, Y, epochs=7, verbose=0, callbacks=[callback, masks])
    assert masks.changes == [2, 4, 6]


def test_updates_in_steps_end_where_told():
    """8 rows in batches of 2: 4 steps an epoch, 12 in all."""
    seen = []

    class Steps(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(get_masks(self.model)["first/kernel"])

    callback = SETUpdate(3, drop_fraction=0.5, unit="steps", end=0.75)
    model_of().fit(
        X, Y, batch_size=2, epochs=3, verbose=0, callbacks=[callback, Steps()]
    )
    changes = [n for n in range(1, 12) if (seen[n] != seen[n - 1]).any()]
    assert changes == [3, 6]  # Neither at 9 = 0.75 * 12, nor after it.


def test_two_methods_in_one_fit_are_both_named():
    model = model_of()
    before = model.get_weights()
    schedule = keras_snn.schedules.ConstantSparsity(0.6, 0)
    for callbacks in (
        [SETUpdate(), keras_snn.GMPUpdate(schedule)],
        [SETUpdate(), SETUpdate(2)],
    ):
        with pytest.raises(ValueError, match="both SETUpdate and (GMP|SET)"):
            model.fit(X, Y, verbose=0, callbacks=callbacks)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    model.fit(
        X, Y, epochs=2, verbose=0, callbacks=[SETUpdate(1)]
    )  # Alone, may.


def test_every_layer_keeps_its_count_and_full_or_frozen_ones_their_mask():
    dense = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, name="frozen", trainable=False),
            layers.Dense(6, name="sparse"),
            layers.Dense(3, name="full"),
        ]
    )
    model = keras_snn.sparsify(dense, 0.5, {"full": 0.0})
    before = get_masks(model)
    callback = SETUpdate(1, drop_fraction=0.5)
    for step in range(1, 4):
        callback.update(model, step, 0.1)
    after = get_masks(model)
    for path, mask in after.items():
        assert mask.sum() == before[path].sum()
    assert after["full/kernel"].all()
    np.testing.assert_array_equal(
        after["frozen/kernel"], before["frozen/kernel"]
    )
    assert (after["sparse/kernel"] != before["sparse/kernel"]).any()


def test_steps_and_seeds_draw_differently_and_repeatably():
    def updated(step, seed):
        model = model_of()
        SETUpdate(drop_fraction=0.5, seed=seed).update(model, step, 0.0)
        return np.concatenate([m.ravel() for m in get_masks(model).values()])

    first = updated(4, 0)
    np.testing.assert_array_equal(updated(4, 0), first)
    assert (updated(8, 0) != first).any()
    assert (updated(4, 1) != first).any()


def test_a_loop_of_your_own_resets_its_optimizer():
    model = model_of()
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    variables = model.trainable_variables
    # As masks leave it: no gradient outside of them.
    optimizer.apply([v.value + 0 for v in variables], variables)
    callback = SETUpdate(drop_fraction=0.5)
    before = get_masks(model)
    callback.update(model, 1, 0.0, optimizer=optimizer)
    masked = masked_weights(model)["first/kernel"]
    slot = next(v for v in optimizer.variables if v.shape == (4, 6)).numpy()
    stayed = before["first/kernel"] & masked.mask_array() & (slot != 0)
    assert 0 < stayed.sum() < masked.mask_array().sum()
    assert not slot[~masked.mask_array()].any()


def test_logs_carry_the_sparsity_to_what_comes_behind(tmp_path):
    model = model_of(0.5)
    path = tmp_path / "log.csv"
    log = keras.callbacks.CSVLogger(path)
    history = model.fit(
        X,
        Y,
        epochs=2,
        verbose=0,
        validation_data=(X, Y),
        callbacks=[SETUpdate(1), log],
    ).history
    assert history["sparsity"] == [0.5, 0.5]
    assert {"loss", "val_loss"} < set(history)
    with open(path) as file:
        assert [row["sparsity"] for row in csv.DictReader(file)] == ["0.5"] * 2


@pytest.mark.parametrize("checkpoint_first", [True, False])
def test_a_checkpoint_is_sparse_in_whichever_order(checkpoint_first, tmp_path):
    callbacks = [
        SETUpdate(1, drop_fraction=0.5, decay="constant"),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "{epoch}.weights.h5", save_weights_only=True
        ),
    ]
    if checkpoint_first:
        callbacks.reverse()
    model = model_of()
    model.fit(X, Y, epochs=3, verbose=0, callbacks=callbacks)
    masks = []
    for epoch in (1, 2, 3):
        model.load_weights(tmp_path / f"{epoch}.weights.h5")
        assert keras_snn.sparsity(model) == 0.5
        masks.append(get_masks(model)["first/kernel"])
        for masked in masked_weights(model).values():
            assert not masked.weight_array()[~masked.mask_array()].any()
    assert (masks[0] != masks[1]).any() and (masks[1] != masks[2]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interval": 0}, "`interval` must be an int >= 1.*interval=0"),
        ({"interval": 1.5}, "`interval` must be an int >= 1.*interval=1.5"),
        ({"drop_fraction": 0.0}, r"must be in \(0, 1\).*drop_fraction=0.0"),
        ({"drop_fraction": 1}, r"must be in \(0, 1\).*drop_fraction=1"),
        ({"decay": "cubic"}, "`decay` must be one of.*'cubic'"),
        ({"decay": -1.0}, "exponent > 0.*decay=-1.0"),
        ({"grow_init": "ones"}, "`grow_init` must be one of.*'ones'"),
        ({"drop_by": "size"}, "`drop_by` must be.*'size'"),
        ({"unit": "batches"}, "`unit` must be one of.*'batches'"),
        ({"end": 0}, r"`end` must be a share of training.*end=0"),
        ({"end": 1.5}, r"`end` must be a share of training.*end=1.5"),
        ({"seed": -1}, "`seed` must be an int >= 0.*seed=-1"),
        ({"seed": 0.5}, "`seed` must be an int >= 0.*seed=0.5"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SETUpdate(**arguments)


def test_a_model_without_masks():
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    dense.compile("sgd", "mse", run_eagerly=True)
    before = dense.get_weights()
    with pytest.raises(ValueError, match="keras_snn.sparsify"):
        dense.fit(X, Y, verbose=0, callbacks=[SETUpdate()])
    for weight, value in zip(dense.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_weight_that_is_nan_is_named_and_nothing_changes():
    model = model_of()
    kernel = masked_weights(model)["last/kernel"].weight
    value = kernel.numpy().copy()
    value[0, 0] = np.nan
    kernel.assign(value)
    before = [v.numpy() for v in model.variables]
    with pytest.raises(ValueError, match="NaN or infinite.*'last/kernel'"):
        SETUpdate(drop_fraction=0.5).update(model, 1, 0.0)
    for variable, expected in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), expected)


def test_config_round_trip():
    callback = SETUpdate(3, drop_fraction=0.4, decay="linear", seed=5, end=0.5)
    again = SETUpdate.from_config(callback.get_config())
    assert again.get_config() == {
        "interval": 3,
        "drop_fraction": 0.4,
        "decay": "linear",
        "unit": "epochs",
        "end": 0.5,
        "pattern": None,
        "seed": 5,
        "grow_init": "zeros",
        "drop_by": "sign",
    }


def test_drop_by_magnitude_knows_no_sign():
    weight = np.array([0.1, 0.2, 0.3, 0.4, 0.5, -0.6, -0.7, 0.0])
    callback = SETUpdate(drop_by="magnitude")
    kept = callback.drop(Update(weight, np.ones(8, bool)), 0.5)
    np.testing.assert_array_equal(kept, np.abs(weight) >= 0.4)


@pytest.mark.parametrize("grow_init", ["random_normal", "random_uniform"])
def test_grown_weights_start_at_random(grow_init):
    updated = []
    for _ in range(2):
        model = model_of(0.0)
        keras_snn.prune_random(model, 0.5, seed=1)
        masked = masked_weights(model)["first/kernel"]
        before, weight = masked.mask_array().copy(), masked.weight_array()
        spread = {
            "random_normal": 5 * weight.std(),
            "random_uniform": np.abs(weight).mean(),
        }[grow_init]
        callback = SETUpdate(drop_fraction=0.5, grow_init=grow_init)
        callback.update(model, 1, 0.0)
        mask, after = masked.mask_array(), masked.weight_array()
        new = mask & ~before
        assert new.any() and (after[new] != 0).all()
        assert np.abs(after[new]).max() <= spread
        assert not after[~mask].any()
        updated.append(after.copy())
    np.testing.assert_array_equal(*updated)


class Ever(keras.callbacks.Callback):
    """Which weights have ever been active, told at the end of each epoch."""

    def on_train_begin(self, logs=None):
        self.ever = get_masks(self.model)

    def on_train_batch_begin(self, batch, logs=None):
        for path, mask in get_masks(self.model).items():
            self.ever[path] |= mask

    def on_epoch_end(self, epoch, logs=None):
        self.share = np.concatenate([m.ravel() for m in self.ever.values()])
        assert logs["exploration"] == pytest.approx(self.share.mean())


def test_exploration_is_logged_and_survives_a_resume(tmp_path):
    def train(epochs, *more):
        model = model_of()
        callback = SETUpdate(1, drop_fraction=0.5, decay="constant")
        callbacks = [callback, *more]
        return model.fit(X, Y, epochs=epochs, verbose=0, callbacks=callbacks)

    ever = Ever()
    whole = train(4, ever).history["exploration"]
    assert 0.5 == whole[0] < whole[1] <= whole[-1] == ever.share.mean()

    class Killed(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptedError

    path = str(tmp_path)
    backup = keras.callbacks.BackupAndRestore
    with pytest.raises(InterruptedError):
        train(4, Killed(), backup(path))
    resumed = train(4, backup(path)).history["exploration"]
    np.testing.assert_allclose(resumed, whole[2:])
