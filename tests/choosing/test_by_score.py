"""A method of one's own is a score, and layers that may collapse."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import get_masks
from keras_snn import masked_weights
from keras_snn import prune_by_score
from keras_snn import prune_magnitude
from keras_snn.choosing.in_rounds import masks_in_rounds

A = np.array([[0.1, -0.2, 0.3], [-0.6, 0.05, 0.8]], "float32")
B = np.array([[-0.9, 0.5], [0.7, 0.4], [0.2, -0.55]], "float32")
SCORES = {
    "a/kernel": np.array([[6, 5, 4], [3, 2, 1]]),
    "b/kernel": np.array([[1, 2], [3, 4], [5, 6.5]]),
}


def model_of(sparsity=0.0, a=A, **options):
    dense = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, use_bias=False, name="a"),
            layers.Dense(2, use_bias=False, name="b"),
        ]
    )
    dense.set_weights([a, B])
    return keras_snn.sparsify(dense, sparsity, seed=1, **options)


def test_the_highest_scores_stay():
    model = model_of()
    masks = prune_by_score(model, SCORES, 0.5)
    np.testing.assert_array_equal(masks["a/kernel"], [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(masks["b/kernel"], [[0, 0], [0, 1], [1, 1]])
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, masks[path])
    masked = masked_weights(model)["b/kernel"]
    np.testing.assert_array_equal(masked.weight_array(), B * masks["b/kernel"])


def test_any_mapping_of_arrays_or_tensors_in_any_order():
    tensors = {
        p: ops.convert_to_tensor(s, "float32") for p, s in SCORES.items()
    }
    expected = prune_by_score(model_of(), SCORES, 0.5, scope="layer")
    for scores in (tensors, dict(reversed(tensors.items()))):
        masks = prune_by_score(model_of(), scores, 0.5, scope="layer")
        assert list(masks) == list(expected)
        for path, mask in masks.items():
            np.testing.assert_array_equal(mask, expected[path])


def test_magnitude_pruning_is_one_line():
    model = model_of()
    scores = {
        p: abs(m.weight_array()) for p, m in masked_weights(model).items()
    }
    masks = prune_by_score(model, scores, 0.7, distribution="erk")
    expected = prune_magnitude(model_of(), 0.7, distribution="erk")
    for path, mask in masks.items():
        np.testing.assert_array_equal(mask, expected[path])


def test_what_is_inactive_stays_so_unless_it_revives():
    model = model_of(0.5, distribution="uniform")
    active = get_masks(model)["a/kernel"]
    masks = prune_by_score(model, SCORES, 0.6, scope="layer")
    assert not (masks["a/kernel"] & ~active).any()
    masks = prune_by_score(model, SCORES, 0.5, scope="layer", revive=True)
    np.testing.assert_array_equal(masks["a/kernel"], [[1, 1, 1], [0, 0, 0]])


def test_momentum_of_what_goes_is_reset():
    model = model_of()
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    for slot in optimizer.momentums:
        slot.assign(ops.ones_like(slot.value))
    masks = prune_by_score(model, SCORES, 0.5, optimizer=optimizer)
    for slot, mask in zip(optimizer.momentums, masks.values(), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(slot.value), mask)


@pytest.mark.parametrize(
    ("scores", "arguments", "message"),
    [
        ({"a/kernel": A}, {}, "one array for each.*Received: .*'a/kernel'"),
        ({**SCORES, "c": A}, {}, r"one array for each.*'c': \(2, 3\)"),
        ({**SCORES, "a/kernel": A.T}, {}, r"one array for each.*\(3, 2\)"),
        ({**SCORES, "b/kernel": B * np.nan}, {}, "NaN.*'b/kernel'"),
        (SCORES, {"sparsity": None}, r"in \[0, 1\).*None"),
        (SCORES, {"sparsity": 0.2}, "at least that of the model"),
        (SCORES, {"scope": "local"}, "`scope` must be one of"),
    ],
)
def test_nothing_changes_on_wrong_arguments(scores, arguments, message):
    model = model_of(0.4)
    before = get_masks(model)
    with pytest.raises(ValueError, match=message):
        prune_by_score(model, scores, **{"sparsity": 0.6, **arguments})
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, before[path])


@pytest.mark.parametrize(
    ("arguments", "counts"),
    [({}, [0, 6]), ({"distribution": {"a": 0.99}}, [0, 3])],
)
def test_layers_collapse_on_request_alone(arguments, counts, tmp_path):
    kept = prune_magnitude(model_of(a=A / 100), 0.5)
    assert kept["a/kernel"].sum() == 1
    model = model_of(a=A / 100)
    masks = prune_magnitude(model, 0.5, keep_layers=False, **arguments)
    assert [int(mask.sum()) for mask in masks.values()] == counts
    assert keras_snn.sparsity(model) == 1 - sum(counts) / 12
    with pytest.raises(ValueError, match="at least one weight, or the layer's"):
        keras_snn.set_masks(model_of(), masks)
    model.compile("adam", "mse")
    x = np.ones((4, 2), "float32")
    model.fit(x, x, epochs=3, verbose=0, callbacks=[keras_snn.SETUpdate(1)])
    assert [int(m.sum()) for m in get_masks(model).values()] == counts
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    keras_snn.summary(loaded, print_fn=lambda line: None)
    for each in (model, loaded, keras_snn.strip(loaded)):
        assert not each.predict(x, verbose=0).any()


def test_a_model_keeps_one_weight_at_least():
    with pytest.raises(ValueError, match="at least one weight, or.* 0 active"):
        prune_magnitude(model_of(), 0.99, keep_layers=False)


def test_rounds_score_what_the_one_before_left():
    weights, seen = masked_weights(model_of(0.25)), []

    def scores_at(masks):
        seen.append(sum(int(mask.sum()) for mask in masks.values()))
        return {p: s + 10.0 * ~masks[p] for p, s in SCORES.items()}

    masks = masks_in_rounds(weights, scores_at, 0.75, 2)
    assert seen == [9, 5]  # Of 12, as 3 of them will be left.
    for path, mask in masks.items():
        assert not (mask & ~weights[path].mask_array()).any()
    again = masks_in_rounds(weights, scores_at, 0.75, 2, revive=True)
    assert seen == [9, 5, 9, 5]
    assert any((again[p] != mask).any() for p, mask in masks.items())
    for path, mask in again.items():  # What a round pruned comes back alone.
        assert not (mask & ~weights[path].mask_array()).any()


def test_a_pattern_of_one_sparsity_is_reached_in_one_round():
    weights = masked_weights(model_of())
    with pytest.raises(ValueError, match="1:2 has one sparsity.*rounds=3"):
        masks_in_rounds(weights, lambda _: SCORES, 0.5, 3, pattern="1:2")
