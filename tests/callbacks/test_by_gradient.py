"""RigL, SNFS, MEST and GraNet by hand, and the data that they look at."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import GraNetUpdate
from keras_snn import MESTUpdate
from keras_snn import RigLUpdate
from keras_snn import SNFSUpdate
from keras_snn import get_masks
from keras_snn.callbacks.bases.batches import Batches
from keras_snn.callbacks.bases.update import Update
from keras_snn.gradients.of_masked import dense_gradients
from keras_snn.masking import keras_private
from keras_snn.masking.mask_state import masked_weights
from keras_snn.schedules import ConstantSparsity
from keras_snn.schedules import DuringTraining

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.normal(size=(8, 3)).astype("float32")
METHODS = {
    "RigL": RigLUpdate,
    "SNFS": SNFSUpdate,
    "MEST": MESTUpdate,
    "GraNet": lambda data, **options: GraNetUpdate(
        data, DuringTraining(0.75, begin=0, end=0.5), **options
    ),
}


def linear():
    """y = x W, whose gradient is 2 x' (x W - y) / n."""
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, use_bias=False, name="layer")]
    )
    model = keras_snn.sparsify(dense, 0.5, seed=3)
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def model_of(sparsity=0.5, distribution="uniform"):
    keras.utils.set_random_seed(7)
    dense = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", name="first"),
            layers.Dense(3, name="last"),
        ]
    )
    model = keras_snn.sparsify(dense, sparsity, distribution)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


def gradient_by_hand(weight):
    return X.T @ (X @ weight - Y) * 2 / Y.size


def test_the_dense_gradient_by_hand():
    model = linear()
    weights = masked_weights(model)
    weight = weights["layer/kernel"].weight_array()
    gradient = dense_gradients(model, weights, X, Y)["layer/kernel"]
    np.testing.assert_allclose(gradient, gradient_by_hand(weight), atol=1e-6)


def test_rigl_drops_the_smallest_and_grows_where_the_gradient_is_largest():
    model = linear()
    masked = masked_weights(model)["layer/kernel"]
    weight, mask = masked.weight_array().copy(), masked.mask_array().copy()
    callback = RigLUpdate((X, Y), drop_fraction=0.5, decay="constant")
    callback.update(model, step=100, progress=0.2)

    # 6 of 12 are active: the 3 smallest go, the 3 steepest of the other 9 come.
    active = np.flatnonzero(mask)
    kept = active[np.argsort(np.abs(weight.flat[active]))[3:]]
    steepness = np.abs(gradient_by_hand(weight)).ravel()
    steepness[kept] = -1
    grown = np.argsort(steepness)[-3:]
    after = np.flatnonzero(get_masks(model)["layer/kernel"])
    np.testing.assert_array_equal(after, np.sort([*kept, *grown]))
    new = np.setdiff1d(grown, active)
    assert not masked.weight_array().flat[new].any()
    stays = np.intersect1d(after, active)  # Dropped and grown again, too.
    assert len(stays) > len(kept)
    np.testing.assert_array_equal(
        masked.weight_array().flat[stays], weight.flat[stays]
    )


@pytest.mark.parametrize(
    ("progress", "fraction"), [(0, 0.3), (0.375, 0.1505), (0.75, 0.001)]
)
def test_rigls_fraction_ends_at_three_quarters(progress, fraction):
    callback = RigLUpdate((X, Y))
    assert callback.fraction_at(progress) == pytest.approx(fraction)


def test_snfs_shares_out_what_was_dropped_by_momentum():
    quiet, loud = np.full((2, 4), 0.1), np.full((2, 4), 0.3)
    active = np.array([[True] * 4, [False] * 4])
    kept = np.array([[True] * 2 + [False] * 2, [False] * 4])
    updates = {
        "quiet": Update(np.ones((2, 4)), active, quiet),
        "loud": Update(np.ones((2, 4)), active, loud),
    }
    callback = SNFSUpdate((X, Y))
    shares = callback.shares(updates, {"quiet": kept, "loud": kept})
    assert shares == {"quiet": 1, "loud": 3}  # Of 2 + 2, as 0.1 to 0.3.


@pytest.mark.parametrize(
    ("redistribution", "expected"),
    [
        ("momentum", {"quiet": 1, "loud": 3}),  # Of 2 + 2, as 0.1 to 0.3.
        ("magnitude", {"quiet": 3, "loud": 1}),
        ("nonzeros", {"quiet": 2, "loud": 2}),
        ("none", {"quiet": 1, "loud": 3}),  # As 8 weights to 24.
    ],
)
def test_snfs_shares_out_by(redistribution, expected):
    active = np.array([True] * 4 + [False] * 4)
    kept = np.array([True] * 2 + [False] * 6)
    pad = [0, 16]
    updates = {
        "quiet": Update(np.where(active, 3.0, 0), active, np.full(8, 0.1)),
        "loud": Update(
            np.pad(np.where(active, 1.0, 0), pad),
            np.pad(active, pad),
            np.full(24, 0.3),
        ),
    }
    callback = SNFSUpdate((X, Y), redistribution=redistribution)
    dropped = {"quiet": kept, "loud": np.pad(kept, pad)}
    assert callback.shares(updates, dropped) == expected


def test_snfs_grows_at_random_on_request():
    model = model_of()
    grown = []
    for growth in ("random", "momentum"):
        keras_snn.prune_random(model, 0.5, seed=1)
        callback = SNFSUpdate((X, Y), growth=growth)
        callback.update(model, 1, 0.0)
        grown.append(get_masks(model)["first/kernel"])
        keras_snn.prune_random(model, 0.0)
    assert (grown[0] != grown[1]).any()


def test_snfs_smooths_the_gradients_of_its_batches():
    model = linear()
    weights = masked_weights(model)
    data = [(X[:4], Y[:4]), (X[4:], Y[4:])]
    callback = SNFSUpdate(data, momentum=0.9, batches=2)
    smoothed = callback.gradients(model, weights, 1)["layer/kernel"]
    first, second = (
        dense_gradients(model, weights, x, y)["layer/kernel"] for x, y in data
    )
    expected = (0.9 * first + second) / 1.9  # To scale, as SGD's momentum.
    np.testing.assert_allclose(smoothed, expected, atol=1e-6)


def test_snfs_moves_weights_between_layers_and_keeps_the_total():
    model = model_of(0.4, {"first": 0.75, "last": 0.0})
    before = get_masks(model)
    callback = SNFSUpdate((X, Y), drop_fraction=0.5)
    callback.update(model, 1, 0.0)
    after = get_masks(model)
    total = sum(mask.sum() for mask in before.values())
    assert sum(mask.sum() for mask in after.values()) == total
    assert after["last/kernel"].sum() < before["last/kernel"].sum()


def test_mest_drops_by_weight_and_gradient():
    update = Update(
        np.array([0.1, 0.2, -0.3, 0.4]),
        np.ones(4, bool),
        np.array([9.0, -1.0, 0.0, 0.0]),
    )
    callback = MESTUpdate((X, Y), gradient_weight=0.1)
    # Scores: 1.0, 0.3, 0.3, 0.4; of equal ones the last goes first.
    np.testing.assert_array_equal(callback.drop(update, 0.25), [1, 1, 0, 1])
    np.testing.assert_array_equal(callback.drop(update, 0.5), [1, 0, 0, 1])
    plain = MESTUpdate((X, Y), gradient_weight=0)
    np.testing.assert_array_equal(plain.drop(update, 0.25), [0, 1, 1, 1])


def test_mest_sheds_the_soft_bound_in_every_layer_alike():
    model = model_of(0.5)
    callback = MESTUpdate((X, Y), 1, final_sparsity=0.75, end=0.5)
    history = model.fit(X, Y, epochs=4, verbose=0, callbacks=[callback]).history
    np.testing.assert_allclose(
        history["sparsity"], [0.5, 0.5, 0.75, 0.75], atol=0.02
    )
    # 42 weights: 10.5 stay, rounded to even; 24 and 18 of them at a quarter.
    counts = [mask.sum() for mask in get_masks(model).values()]
    assert sum(counts) == 10 and abs(counts[0] - 6) <= 1


def test_granet_prunes_by_the_schedule_and_regenerates():
    model = model_of(0.0)
    schedule = DuringTraining(0.75, begin=0, end=0.5)
    callback = GraNetUpdate((X, Y), schedule, 1, batch_size=4)
    first = masked_weights(model)["first/kernel"]
    before = first.weight_array().copy()
    callback.update(model, step=1, progress=0.25)
    # 0.75 * (1 - 0.5 ** 3) of 42 weights are gone.
    assert sum(m.sum() for m in get_masks(model).values()) == 14
    mask = get_masks(model)["first/kernel"]
    smallest_kept = np.abs(before)[mask].min()
    assert smallest_kept < np.abs(before)[~mask].max()  # By gradient.
    np.testing.assert_array_equal(
        first.weight_array(), np.where(mask, before, 0)
    )
    callback.update(model, step=2, progress=0.5)
    assert sum(m.sum() for m in get_masks(model).values()) == 10
    callback.update(model, step=3, progress=0.9)
    assert sum(m.sum() for m in get_masks(model).values()) == 10


@pytest.mark.parametrize("make", [GraNetUpdate, MESTUpdate])
def test_a_final_sparsity_that_no_epoch_reaches(make):
    if make is GraNetUpdate:
        callback = make((X, Y), DuringTraining(0.9, begin=0, end=0.9))
    else:
        callback = make((X, Y), final_sparsity=0.9, end=0.9)
    model = model_of()
    before = model.get_weights()
    with pytest.raises(ValueError, match="never reached.*0.9 and 4 epochs"):
        model.fit(X, Y, epochs=4, verbose=0, callbacks=[callback])
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_granet_takes_shares_of_training_alone():
    with pytest.raises(TypeError, match="must be a DuringTraining"):
        GraNetUpdate((X, Y), ConstantSparsity(0.9, 0))


class Numbered(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = slice(2 * index, 2 * index + 2)
        return X[rows], Y[rows], np.ones(2)  # With sample weights.


def test_batches_of_arrays_are_drawn_by_step():
    batches = Batches((X, Y), batch_size=3, seed=1)
    ((x, y, _),), ((again, *_),) = batches.at(5), batches.at(5)
    np.testing.assert_array_equal(x, again)
    rows = [int(np.flatnonzero((X == row).all(1))[0]) for row in x]
    assert len(set(rows)) == 3
    np.testing.assert_array_equal(y, Y[rows])
    assert any((batches.at(n)[0][0] != x).any() for n in range(5))
    assert len(Batches((X, Y), batch_size=99).at(0)[0][0]) == 8


def test_batches_of_a_dataset_and_of_an_iterable():
    several = Batches(Numbered(), seed=1).at(3, 2)
    assert len(several) == 2
    np.testing.assert_array_equal(several[0][2], np.ones(2))
    assert len(Batches(Numbered()).at(0, 9)) == 4
    listed = Batches(Anew())
    for _ in range(2):  # From the beginning each time.
        np.testing.assert_array_equal(listed.at(7)[0][0], X[:4])


class Anew:
    def __iter__(self):
        return iter([(X[:4], Y[:4]), (X[4:], Y[4:])])


def test_nested_inputs():
    batches = Batches(({"a": X, "b": X + 1}, Y), batch_size=2)
    ((x, _, weight),) = batches.at(0)
    assert weight is None
    np.testing.assert_allclose(x["b"], x["a"] + 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (3, TypeError, "nothing to take gradients on.*data=3"),
        (iter([(X, Y)]), TypeError, "begun again"),
        ((X,), ValueError, "at least one.*1 parts"),
        ((X, Y[:3]), ValueError, r"as many inputs as targets.*\[3, 8\]"),
        ((X[:0], Y[:0]), ValueError, r"at least one.*\[0\]"),
    ],
)
def test_wrong_data(method, data, kind, message):
    with pytest.raises(kind, match=message):
        METHODS[method](data)


@pytest.mark.parametrize("method", METHODS)
def test_data_of_the_wrong_shape_are_named_before_training(method):
    model = model_of()
    before = model.get_weights()
    callback = METHODS[method]((X[:, :3], Y))
    with pytest.raises(ValueError, match=r"\(8, 3\).*\(None, 4\)"):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("method", METHODS)
def test_a_gradient_that_is_nan_names_its_layer_and_nothing_changes(method):
    model = model_of()
    callback = METHODS[method]((X, np.full_like(Y, np.nan)))
    before = model.get_weights()
    with pytest.raises(ValueError, match="NaN or infinite.*'first/kernel'"):
        callback.update(model, 1, 0.1)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MESTUpdate((X, Y), gradient_weight=-1), "`gradient_weight`"),
        (lambda: MESTUpdate((X, Y), final_sparsity=1), "`final_sparsity`"),
        (lambda: SNFSUpdate(redistribution="all"), "`redistribution` must be"),
        (lambda: SNFSUpdate(growth="all"), "`growth` must be one of"),
        (lambda: SNFSUpdate((X, Y), momentum=1), "`momentum` must be in"),
        (lambda: SNFSUpdate((X, Y), batches=0), "`batches` must be an int"),
        (lambda: RigLUpdate((X, Y), 0), "`interval` must be an int"),
        (lambda: RigLUpdate((X, Y), drop_fraction=0), "`drop_fraction`"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_granet_leaves_full_layers_alone():
    model = model_of(0.0)
    before = model.get_weights()
    schedule = DuringTraining(0.75, begin=0.1, end=0.5)
    GraNetUpdate((X, Y), schedule).update(model, 1, 0.05)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_updates_in_steps_that_keras_takes_several_of_at_a_time():
    model, seen = model_of(), []
    callback = RigLUpdate((X, Y), 3, end=1.0)
    callback.update = lambda model, step, *_, **__: seen.append(step)
    callback.set_params({"steps": 8, "epochs": 2})
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        for batch in (0, 4):
            callback.on_train_batch_begin(batch)
    assert seen == [4, 8, 12]


def test_granet_lands_on_the_schedule_and_moves_nothing_more_there():
    """8 steps an epoch: due at 8, 16 and 24, the end, 16, among them."""
    for interval, expected in ((8, [8, 16, 24]), (6, [6, 12, 18, 24, 30])):
        model, seen, landed = model_of(0.0), [], []
        schedule = DuringTraining(0.75, begin=0, end=0.5)
        callback = GraNetUpdate((X, Y), schedule, interval)

        def update(model, step, *args, seen=seen, update=callback.update, **k):
            seen.append(step)
            update(model, step, *args, **k)

        def land(model, progress, landed=landed, land=callback.land):
            before = get_masks(model)
            land(model, progress)
            for path, mask in get_masks(model).items():
                assert not (mask & ~before[path]).any()
            landed.append(progress)

        callback.update, callback.land = update, land
        model.fit(X, Y, 1, epochs=4, verbose=0, callbacks=[callback])
        assert seen == expected
        assert landed == ([] if interval == 8 else [0.5])
        assert sum(m.sum() for m in get_masks(model).values()) == 10


def with_frozen(sparsity):
    model = model_of(sparsity)
    masked_weights(model)["last/kernel"].owner.layer.trainable = False
    return model


def test_granet_ends_at_its_target_beside_a_frozen_layer():
    """Of 42 weights 18 are frozen, and all of them active."""
    model = with_frozen(0.0)
    schedule = DuringTraining(0.5, begin=0, end=0.5)
    callback = GraNetUpdate((X, Y), schedule, 1, unit="epochs")
    history = model.fit(X, Y, epochs=4, verbose=0, callbacks=[callback]).history
    assert history["sparsity"][-1] == 0.5
    assert get_masks(model)["last/kernel"].all()
    schedule = DuringTraining(0.9, begin=0, end=0.5)
    before = model.get_weights()
    with pytest.raises(ValueError, match="schedule=0.9, 18 of 42 .* keep 18"):
        callback = GraNetUpdate((X, Y), schedule, 1)
        model.fit(X, Y, epochs=4, verbose=0, callbacks=[callback])
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("width", [62, 63])
def test_mest_sheds_once_and_in_layers_that_train(width):
    keras.utils.set_random_seed(1)
    dense = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(width, name="first"),
            layers.Dense(5, name="frozen", trainable=False),
        ]
    )
    model = keras_snn.sparsify(dense, 0.5)
    model.compile("sgd", "mse", run_eagerly=True)
    frozen, sheds = get_masks(model)["frozen/kernel"], []
    targets = np.zeros((8, 5), "float32")
    callback = MESTUpdate((X, targets), 1, final_sparsity=0.66, end=0.5)
    shed = callback.shed
    callback.shed = lambda *args, **options: (
        sheds.append(1) or shed(*args, **options)
    )
    model.fit(X, targets, epochs=6, verbose=0, callbacks=[callback])
    masks = get_masks(model)
    assert len(sheds) == 1
    np.testing.assert_array_equal(masks["frozen/kernel"], frozen)
    assert sum(m.sum() for m in masks.values()) == round(0.34 * 9 * width)


# SET alone starts anew what it drops and grows again.
KEPT = {
    "GraNet": lambda: GraNetUpdate(
        (X, Y), DuringTraining(0.6, begin=0, end=0.5), drop_fraction=0.5
    ),
    "RigL": lambda: RigLUpdate((X, Y), drop_fraction=0.6),
    "SNFS": lambda: SNFSUpdate((X, Y), drop_fraction=0.6),
    "MEST": lambda: MESTUpdate((X, Y), drop_fraction=0.6),
    "SRigL": lambda: RigLUpdate(
        (X, Y), drop_fraction=0.6, pattern=keras_snn.patterns.ConstantFanIn()
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_dropped_and_grown_at_once_keeps_value_and_slots(name):
    model = model_of(0.0 if name == "GraNet" else 0.4)
    callback = KEPT[name]()
    if name == "SRigL":
        keras_snn.prune_random(
            model, 0.5, pattern=callback.pattern, distribution="uniform"
        )
    model.fit(X, Y, epochs=2, verbose=0)
    optimizer, weights = model.optimizer, masked_weights(model)
    slots = {
        p: next(keras_private.slots(optimizer, m.weight))[0]
        for p, m in weights.items()
    }
    before = {
        p: (m.mask_array().copy(), m.weight_array().copy(), slots[p].numpy())
        for p, m in weights.items()
    }
    dropped = {}
    drop = callback.drop

    def dropping(update, fraction):
        mask = drop(update, fraction)
        dropped[update.weight.shape] = update.mask & ~mask
        return mask

    callback.drop = dropping
    callback.update(model, 1, 0.1)
    regrown = 0
    for path, (mask, weight, slot) in before.items():
        after = weights[path].mask_array()
        stays = mask & after
        regrown += np.count_nonzero(stays & dropped[weight.shape])
        np.testing.assert_array_equal(
            weights[path].weight_array(), np.where(stays, weight, 0)
        )
        np.testing.assert_array_equal(
            slots[path].numpy(), np.where(stays, slot, 0)
        )
    assert regrown


def test_labels_that_start_at_one_are_told():
    model = linear()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match="from 1 to 3"):
        RigLUpdate((X, np.arange(8) % 3 + 1)).update(model, 1, 0.1)


def test_gradients_that_are_never_finite_say_so():
    model = linear()
    x = np.full_like(X, np.nan)
    before = get_masks(model)
    with pytest.warns(UserWarning, match="2 gradients with NaN or infinity"):
        model.fit(
            x,
            Y,
            batch_size=2,
            verbose=0,
            callbacks=[RigLUpdate(interval=1)],
        )
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, before[path])
