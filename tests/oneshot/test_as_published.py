"""Masks against the published code of each method, in NumPy.

On two linear layers with softmax cross-entropy, whose derivatives are short.
Each rule of selection is that of the official code; counts are rounded where it
cuts them off.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import force
from keras_snn import grasp
from keras_snn import prune_magnitude
from keras_snn import snip
from keras_snn import synflow

RNG = np.random.default_rng(5)
X = RNG.normal(size=(10, 6))
CLASSES = RNG.integers(0, 4, 10)
FIRST, LAST = RNG.normal(size=(6, 8)), RNG.normal(size=(8, 4))
SIZE = FIRST.size + LAST.size
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def model_of():
    dense = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, use_bias=False, name="first"),
            layers.Dense(4, use_bias=False, name="last"),
        ]
    )
    dense.set_weights([FIRST, LAST])
    return keras_snn.sparsify(dense, 0.0)


def softmax(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def gradients(first, last, x=X, classes=CLASSES, temperature=1.0):
    """Of the mean cross-entropy, by both kernels."""
    hidden = x @ first
    p = softmax(hidden @ last / temperature)
    d = (p - np.eye(4)[classes]) / temperature / len(x)
    return x.T @ (d @ last.T), hidden.T @ d


def hessian_product(first, last, along, x, classes, temperature):
    """The derivative of those gradients along a direction, by hand."""
    hidden = x @ first
    p = softmax(hidden @ last / temperature)
    d = (p - np.eye(4)[classes]) / temperature / len(x)
    hidden_by = x @ along[0]
    logits_by = (hidden_by @ last + hidden @ along[1]) / temperature
    p_by = p * (logits_by - (p * logits_by).sum(1, keepdims=True))
    d_by = p_by / temperature / len(x)
    return (
        x.T @ (d_by @ last.T + d @ along[1].T),
        hidden_by.T @ d + hidden.T @ d_by,
    )


def topmost(scores, kept):
    """Masks by the kept-th highest score of both layers, as `torch.topk`."""
    threshold = np.sort(np.concatenate([s.ravel() for s in scores]))[-kept]
    return [score >= threshold for score in scores]


def assert_masks(masks, expected):
    for mask, wanted in zip(masks.values(), expected, strict=True):
        np.testing.assert_array_equal(mask, wanted)


@pytest.mark.parametrize("sparsity", [0.5, 0.8])
def test_snip(sparsity):
    scores = [
        np.abs(w * g)
        for w, g in zip((FIRST, LAST), gradients(FIRST, LAST), strict=True)
    ]
    total = sum(score.sum() for score in scores)
    kept = round(SIZE * (1 - sparsity))
    expected = topmost([score / total for score in scores], kept)
    masks = snip(model_of(), X, CLASSES, sparsity, loss=LOSS)
    assert_masks(masks, expected)


@pytest.mark.parametrize("sparsity", [0.5, 0.8])
@pytest.mark.parametrize("halves", [True, False])
def test_grasp(sparsity, halves):
    """g and H g summed over two halves, the highest of -w H g removed."""
    parts = [slice(0, 5), slice(5, 10)] if halves else [slice(0, 10)]
    batches = [(X[part], CLASSES[part], 200.0) for part in parts]
    g = [gradients(FIRST, LAST, *batch) for batch in batches]
    along = [sum(of_layer) for of_layer in zip(*g, strict=True)]
    hg = [hessian_product(FIRST, LAST, along, *batch) for batch in batches]
    scores = [
        -w * sum(of_layer)
        for w, of_layer in zip(
            (FIRST, LAST), zip(*hg, strict=True), strict=True
        )
    ]
    norm = abs(sum(score.sum() for score in scores)) + 1e-10
    scores = [score / norm for score in scores]
    # The code keeps what is at or below the lowest of those to remove, and so
    # one weight more than it says.
    removed = SIZE - round(SIZE * (1 - sparsity))
    acceptable = np.sort(np.concatenate([s.ravel() for s in scores]))[-removed]
    masks = grasp(
        model_of(),
        X,
        CLASSES,
        sparsity,
        loss=LOSS,
        batch_size=5 if halves else None,
    )
    assert_masks(masks, [score < acceptable for score in scores])


@pytest.mark.parametrize("revive", [True, False])
def test_force_and_iter_snip(revive):
    """Saliencies at the pruned weights; a pruned one's is the least or not."""
    kept, rounds = 0.2, 6
    masks = [np.ones_like(FIRST), np.ones_like(LAST)]
    for step in range(rounds):
        pruned = [w * m for w, m in zip((FIRST, LAST), masks, strict=True)]
        weights = (FIRST, LAST) if revive else pruned
        scores = [
            np.abs(w * g)
            for w, g in zip(weights, gradients(*pruned), strict=True)
        ]
        least = min(score.min() for score in scores)
        if not revive:
            for score, mask in zip(scores, masks, strict=True):
                score[mask == 0] = least
        share = np.exp(-(step + 1) * -np.log(kept) / rounds)
        masks = topmost(scores, round(SIZE * share))
    found = force(
        model_of(),
        X,
        CLASSES,
        1 - kept,
        loss=LOSS,
        rounds=rounds,
        revive=revive,
    )
    assert_masks(found, masks)


@pytest.mark.parametrize("rounds", [1, 3, 20])
def test_synflow(rounds):
    """|w * dR/dw| of the masked |w|, density to the power of progress."""
    density = 0.15
    masks = [np.ones_like(FIRST), np.ones_like(LAST)]
    for done in range(1, rounds + 1):
        first, last = np.abs(FIRST) * masks[0], np.abs(LAST) * masks[1]
        scores = [
            first * last.sum(1),  # For an input of ones.
            first.sum(0)[:, None] * last,
        ]
        kept = round(SIZE * density ** (done / rounds))
        joined = np.sort(np.concatenate([s.ravel() for s in scores]))
        threshold = joined[SIZE - kept - 1]  # The highest that goes.
        masks = [(score > threshold) * 1.0 for score in scores]
    assert_masks(synflow(model_of(), 1 - density, rounds=rounds), masks)


def test_global_magnitude():
    kept = round(SIZE * 0.3)
    expected = topmost([np.abs(FIRST), np.abs(LAST)], kept)
    assert_masks(prune_magnitude(model_of(), 0.7), expected)


def lamp_scores(weight):
    """Of the squares in ascending order: each by the sum of what follows."""
    squares = weight.ravel() ** 2
    order = np.argsort(squares)
    ascending = squares[order]
    before = np.concatenate([[0.0], np.cumsum(ascending)[:-1]])
    scores = np.empty_like(squares)
    scores[order] = ascending / (squares.sum() - before)
    return scores.reshape(weight.shape)


def test_lamp():
    """Survivors of each layer by one threshold, then its largest weights."""
    kept = round(SIZE * 0.3)
    survivors = topmost([lamp_scores(FIRST), lamp_scores(LAST)], kept)
    expected = [
        np.abs(w) >= np.sort(np.abs(w).ravel())[-int(mask.sum())]
        for w, mask in zip((FIRST, LAST), survivors, strict=True)
    ]
    assert_masks(prune_magnitude(model_of(), 0.7, scope="lamp"), expected)


@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("include_kernel", [True, False])
@pytest.mark.usefixtures("drawn_by_numpy")
def test_erdos_renyi(sparsity, include_kernel):
    """RigL's `get_sparsities_erdos_renyi`, which rounds zeros down."""
    shapes = {"conv": (3, 3, 4, 16), "wide": (144, 40), "head": (40, 10)}
    dense_layers = set()
    while True:
        rhs, divisor, raw = 0, 0, {}
        for name, shape in shapes.items():
            size = np.prod(shape)
            zeros = int(np.floor(sparsity * size))
            if name in dense_layers:
                rhs -= zeros
                continue
            rhs += size - zeros
            taken = shape if include_kernel else shape[-2:]
            raw[name] = np.sum(taken) / np.prod(taken)
            divisor += raw[name] * size
        eps = rhs / divisor
        largest = max(raw.values())
        if eps * largest <= 1:
            break
        dense_layers |= {n for n, value in raw.items() if value == largest}
    model = keras.Sequential(
        [
            keras.Input((5, 5, 4)),
            layers.Conv2D(16, 3, name="conv"),
            layers.Flatten(),
            layers.Dense(40, name="wide"),
            layers.Dense(10, name="head"),
        ]
    )
    masks = keras_snn.get_masks(
        keras_snn.sparsify(
            model, sparsity, "erk" if include_kernel else "erdos_renyi"
        )
    )
    for path, mask in masks.items():
        name = path.split("/")[0]
        density = eps * raw[name] if name in raw else 1.0
        assert abs(mask.sum() - density * mask.size) <= 3, path
