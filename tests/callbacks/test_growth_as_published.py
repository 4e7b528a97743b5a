"""Two updates of each method that grows, against its authors' code.

The formulas are written down here anew, in NumPy, after the code that each
test names, and are given the weights, masks and gradients of hand-made layers.
Counts come out whole, where codes round in ways of their own.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import FlyingBirdUpdate
from keras_snn import GraNetUpdate
from keras_snn import MESTUpdate
from keras_snn import RigLUpdate
from keras_snn import SETUpdate
from keras_snn import SNFSUpdate
from keras_snn.masking import keras_private
from keras_snn.masking.mask_state import masked_weights
from keras_snn.schedules import DuringTraining

SHAPES = {"first/kernel": (8, 10), "last/kernel": (10, 4)}
X = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
Y = np.random.default_rng(1).normal(size=(16, 4)).astype("float32")


@pytest.fixture(scope="module")
def network():
    """Compiled once; each test draws its weights and masks anew."""
    plain = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(10, use_bias=False, name="first"),
            layers.Dense(4, use_bias=False, name="last"),
        ]
    )
    model = keras_snn.sparsify(plain, 0.5, "uniform")
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


class Layers:
    """The weights, masks and momenta of the network as arrays, by path."""

    def __init__(self, model):
        weights = masked_weights(model)
        slots = keras_private.slots
        self.masks = {p: m.mask_array().copy() for p, m in weights.items()}
        self.weights = {p: m.weight_array().copy() for p, m in weights.items()}
        self.momenta = {
            path: keras.ops.convert_to_numpy(
                next(slots(model.optimizer, m.weight))[0]
            ).copy()
            for path, m in weights.items()
        }


def two_updates(model, callback, published, sparsity=0.5, **drawn):
    """Trains, updates, and compares with what is published; twice.

    `published` takes the state before, gradients and the number of the update
    and returns masks and which weights start anew.
    """
    keras_snn.prune_random(model, 0.0)
    rng = np.random.default_rng(2)
    for path, masked in masked_weights(model).items():
        masked.weight.assign(rng.normal(size=SHAPES[path]))
    keras_snn.prune_random(model, sparsity, seed=3, **drawn)
    for number in range(2):
        model.train_on_batch(X, Y)
        gradients = {p: rng.normal(size=s) for p, s in SHAPES.items()}
        before = Layers(model)
        masks, anew = published(before, gradients, number)
        callback.update(model, number + 1, 0.25 * number, gradients=gradients)
        after = Layers(model)
        for path in SHAPES:
            expected, kept = masks[path], masks[path] & ~anew[path]
            np.testing.assert_array_equal(after.masks[path], expected)
            assert (expected != before.masks[path]).any()
            for name in ("weights", "momenta"):
                old, new = getattr(before, name), getattr(after, name)
                np.testing.assert_array_equal(
                    new[path], np.where(kept, old[path], 0.0)
                )


def top(scores, count):
    """The mask of the highest: scores have no ties here."""
    mask = np.zeros(scores.size, bool)
    mask[np.argsort(scores.ravel())[scores.size - count :]] = True
    return mask.reshape(scores.shape)


def new(masks, before):
    return {path: mask & ~before.masks[path] for path, mask in masks.items()}


def test_rigl(network):
    """google-research/rigl, sparse_optimizers_base.py, `_get_update_op`."""

    def published(before, gradients, number):
        masks = {}
        for path, mask in before.masks.items():
            ones = mask.sum()
            prune = int(ones * 0.5)
            score_drop = np.abs(mask * before.weights[path])
            mask1 = top(score_drop, ones - prune)
            score_grow = np.abs(gradients[path])
            lifted = np.where(mask1, score_grow.min() - 1, score_grow)
            masks[path] = mask1 | top(lifted, prune)
        return masks, new(masks, before)  # `reinit_when_same` is False.

    callback = RigLUpdate(drop_fraction=0.5, decay="constant")
    two_updates(network, callback, published, distribution="uniform")


def test_srigl(network):
    """condensed-sparsity, rigl_constant_fan.py, without ablation.

    A row of theirs is an output: a column of ours.
    """

    def published(before, gradients, number):
        masks = {}
        for path, mask in before.masks.items():
            ones = mask.sum()
            fan_in = ones // mask.shape[1]
            keep = ones - int(ones * 0.5)
            drop_mask = top(np.abs(before.weights[path]), keep)
            grow_mask = np.zeros_like(mask)
            for out in range(mask.shape[1]):
                lacks = fan_in - drop_mask[:, out].sum()
                score = np.abs(gradients[path][:, out])
                lifted = np.where(drop_mask[:, out], score.min() - 1, score)
                grow_mask[:, out] = top(lifted, lacks)
            masks[path] = drop_mask | grow_mask
        return masks, new(masks, before)

    pattern = keras_snn.patterns.ConstantFanIn()
    callback = RigLUpdate(drop_fraction=0.5, decay="constant", pattern=pattern)
    two_updates(
        network,
        callback,
        published,
        pattern=pattern,
        distribution="uniform",
    )


def test_srigl_with_ablation(network):
    """condensed-sparsity, `_get_neurons_to_ablate` and what comes behind it.

    The asserts rule out where it takes weights by their place: of those of no
    magnitude, and of an output that holds more than the new fan-in.
    """
    ablated = []

    def published(before, gradients, number):
        masks = {}
        for path, mask in before.masks.items():
            members, outputs = mask.shape
            total = int(mask.size * (1 - 0.5))
            prune = int(mask.sum() * 0.7)
            keep = mask.sum() - prune
            weight, score = abs(before.weights[path]), abs(gradients[path])
            gone = []
            if path == "first/kernel":  # The last layer stays whole.
                salient = top(weight, keep) | top(score, prune)
                by_output = salient.sum(0)
                least = max(1, int(0.8 * (total // outputs)))
                in_order = sorted(by_output, reverse=True)
                least = min(least, in_order[total // members])
                gone = [n for n in range(outputs) if by_output[n] < least]
                ablated.append(set(gone))
            fan_in = total // (outputs - len(gone))
            left = weight.copy()
            left[:, gone] = -1
            kept = top(left, keep)
            assert not (kept & ~mask).any() and kept.sum(0).max() <= fan_in
            masks[path] = kept.copy()
            for out in set(range(outputs)) - set(gone):
                lifted = np.where(kept[:, out], -1, score[:, out])
                masks[path][:, out] |= top(lifted, fan_in - kept[:, out].sum())
        return masks, new(masks, before)

    pattern = keras_snn.patterns.ConstantFanIn()
    callback = RigLUpdate(
        drop_fraction=0.7, decay="constant", pattern=pattern, ablate=0.8
    )
    two_updates(
        network,
        callback,
        published,
        pattern=pattern,
        distribution="uniform",
    )
    first, then = ablated
    assert first and then and first - then, "none came back"


def test_granet(network):
    """VITA-Group/GraNet, sparselearning/core.py, `pruning` and the rest.

    Its threshold is the score of the last weight to be kept, which goes, too,
    by a `>`: one less than it counts, and than ours keeps.
    """

    def published(before, gradients, number):
        weights = before.weights
        decay = (1 - 0.25 * number / 0.5) ** 3
        rate = 0.5 + (0.8 - 0.5) * (1 - decay)
        scores = np.concatenate([np.abs(w).ravel() for w in weights.values()])
        keep = round(scores.size * (1 - rate))
        threshold = np.sort(scores)[scores.size - keep]
        masks = {}
        for path, weight in weights.items():
            mask = (np.abs(weight) >= threshold) & before.masks[path]
            remove = round(0.25 * mask.sum())
            left = top(np.abs(weight) * mask, mask.sum() - remove)
            gradient = np.abs(gradients[path]) * ~left
            masks[path] = left | top(gradient, remove)
        return masks, new(masks, before)  # Masked after growth: values stay.

    schedule = DuringTraining(0.8, begin=0, end=0.5, initial_sparsity=0.5)
    callback = GraNetUpdate(
        schedule=schedule, drop_fraction=0.25, decay="constant"
    )
    two_updates(network, callback, published, distribution="uniform")


def test_flying_bird_plus(network):
    """Sparsity-Win-Robust-Generalization, sparselearning/core.py.

    `magnitude_death`, `gradient_growth`, and what `dst_prune` and `dst_growth`
    make of them; the gap widens before the first update, and validation's loss
    rises before the second.
    """
    history = [
        [(0.5, 0.5, 2.0), (0.6, 0.5, 1.9), (0.7, 0.5, 1.8), (0.7, 0.6, 1.7)],
        [(0.6, 0.6, 1.6), (0.6, 0.6, 1.7), (0.6, 0.6, 1.7)],
    ]
    gaps, losses, asked = [], [], []

    def published(before, gradients, number):
        for accuracy, val_accuracy, val_loss in history[number]:
            callback.note(network, accuracy, val_accuracy, val_loss)
            gaps.append(accuracy - val_accuracy)
            losses.append(val_loss)
        r = 4 + 1
        gap, loss = np.diff(gaps[-r:]), np.diff(losses[-r:])
        dst_prune = 0.5 <= np.sum(gap > 0) / gap.size
        dst_growth = 0.5 <= np.sum(loss >= 0) / loss.size
        asked.append((dst_prune, dst_growth))
        masks = {}
        for path, mask in before.masks.items():
            ones, weight = mask.sum(), np.abs(before.weights[path])
            remove = np.ceil(0.5 * ones)
            more = np.ceil(0.5 * 0.4 * ones) if dst_prune else 0
            left = np.sort(weight * mask, axis=None)
            left = weight > left[int(mask.size - ones + remove + more) - 1]
            grown = int(remove * (1 + 0.25)) if dst_growth else int(remove)
            masks[path] = left | top(np.abs(gradients[path]) * ~left, grown)
        return masks, new(masks, before)

    callback = FlyingBirdUpdate(
        decay="constant",
        monitor=("accuracy", "val_accuracy", "val_loss"),
        begin=0,
        extra_growth=0.25,
    )
    two_updates(network, callback, published, distribution="uniform")
    assert asked == [(True, False), (False, True)]


def test_snfs(network):
    """sparse_learning, sparselearning/core.py and funcs.py, by momentum.

    The gradients stand for the momentum; the second layer's are scaled so that
    it is due the more.
    """

    def published(before, gradients, number):
        share, left, removed = {}, {}, 0
        gradients["last/kernel"] *= 0.5
        for path, mask in before.masks.items():
            share[path] = np.abs(gradients[path][mask]).mean()
            remove = round(0.25 * mask.sum())
            weight = np.abs(before.weights[path]) * mask
            left[path] = top(weight, mask.sum() - remove)
            removed += remove
        total = sum(share.values())
        grown = {p: share[p] / total * removed for p in share}
        # Theirs are rounded up, then what is too much is made up for later:
        # ours are whole, of the largest remainder, and meet the total.
        whole = {p: int(np.floor(g)) for p, g in grown.items()}
        most = max(grown, key=lambda path: grown[path] - whole[path])
        whole[most] += removed - sum(whole.values())
        masks = {
            path: left[path]
            | top(np.abs(gradients[path]) * ~left[path], whole[path])
            for path in left
        }
        return masks, new(masks, before)

    callback = SNFSUpdate(drop_fraction=0.25, decay="constant")
    two_updates(network, callback, published, distribution="uniform")


class Grown:
    """A method whose random growth is told, to be compared."""

    def grow(self, update, mask, count):
        self.grown.append(super().grow(update, mask, count))
        return self.grown[-1]


class GrownMEST(Grown, MESTUpdate):
    pass


class GrownSET(Grown, SETUpdate):
    pass


def grown_at_random(network, callback, dropping, anew):
    """Compares what is left, and that growth is of as many, elsewhere."""
    callback.grown = []

    def published(before, gradients, number):
        left = {
            path: dropping(before.weights[path], mask, gradients[path])
            for path, mask in before.masks.items()
        }
        callback.before = before.masks, left
        return LateMasks(callback), LateAnew(callback, anew)

    two_updates(network, callback, published, distribution="uniform")


class LateMasks:
    """The masks that are known when the update has drawn them."""

    def __init__(self, callback):
        self.callback = callback

    def __getitem__(self, path):
        mask = self.callback.grown[-2 + list(SHAPES).index(path)]
        before, left = self.callback.before
        assert not (left[path] & ~mask).any()
        assert mask.sum() == before[path].sum()
        return mask


class LateAnew(LateMasks):
    def __init__(self, callback, anew):
        super().__init__(callback)
        self.anew = anew

    def __getitem__(self, path):
        mask = super().__getitem__(path)
        before, left = self.callback.before
        return mask & ~(left[path] if self.anew else before[path])


def test_mest(network):
    """MEST, prune_utils/utils_pr.py: importance |w| + lambda |g|.

    Its code starts what is dropped and drawn again from 0.
    """

    def dropping(weight, mask, gradient):
        importance = (np.abs(weight) + 0.5 * np.abs(gradient)) * mask
        return top(importance, mask.sum() - round(0.25 * mask.sum()))

    callback = GrownMEST(
        gradient_weight=0.5, drop_fraction=0.25, decay="constant"
    )
    grown_at_random(network, callback, dropping, anew=False)


def test_set(network):
    """The paper: of either sign the share zeta nearest zero, then at random."""

    def dropping(weight, mask, gradient):
        left = np.zeros_like(mask)
        for of_sign in (mask & (weight >= 0), mask & (weight < 0)):
            count = of_sign.sum()
            keep = count - round(0.25 * count)
            left |= top(np.where(of_sign, np.abs(weight), -1), keep)
        return left

    callback = GrownSET(drop_fraction=0.25, decay="constant")
    grown_at_random(network, callback, dropping, anew=True)
