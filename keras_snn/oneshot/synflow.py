"""SynFlow: pruning at initialisation without data, in many rounds.

"Pruning neural networks without any data by iteratively conserving synaptic
flow", https://arxiv.org/abs/2006.05467. With every weight, bias and statistic
of the network replaced by its absolute value, and the network in inference
mode, a weight's score is

    |w * dR/dw|,  R = sum of the outputs for an input of ones

and the sparsity grows exponentially over the rounds, each of which scores what
the one before left. In a layer all scores sum up to the same, so small layers
keep their weights, and none is emptied while others have any to lose.

That holds for networks of ReLU and its like, with BatchNorm or without; with
attention, LayerNorm or saturating activations between, scores are what the
gradient gives, and the paper promises nothing.

Differs from the paper: in place of float64, scores are divided by R and, where
R leaves the range of float32, the first masked weight is scaled by a power of
2. Neither changes their order in a network whose biases are 0 and whose paths
all pass that weight. Every layer keeps a weight, unless `keep_layers=False`.
"""

import functools

import keras
import numpy as np
from keras import ops

from keras_snn.backend import gradient
from keras_snn.backend import jit
from keras_snn.checks import check_inputs
from keras_snn.choosing.by_score import active_masks
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.choosing.in_rounds import masks_in_rounds
from keras_snn.gradients.of_loss import outputs_function
from keras_snn.masking.mask_state import dense_weights
from keras_snn.masking.set_masks import set_masks

LIMIT = 1e34  # Of R and 1 / R in float32.
SCALES = 2.0 ** np.array([0, -37, -74, -111, 37, 74, 111])


def synflow(model, sparsity, *, rounds=100, x=None, keep_layers=True):
    """Keeps the active weights that the most synaptic flow passes through.

    Args:
        model: A Keras model with masks, such as `sparsify(model, 0.0)`, that
            ends in logits: no softmax or sigmoid.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
        rounds: Int >= 1. Defaults to 100, the paper's, at one gradient of one
            sample each.
        x: A batch of inputs in place of ones: for a subclassed model, inputs
            of unknown size, ids of an embedding, or a model that normalises,
            where ones would come out negative.
        keep_layers: As for `snip`. SynFlow empties no layer while others have
            weights to lose, but rounds up where few are left.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: If the model has no masks, the sparsity is not in [0, 1),
            below that of the model, or so high that a layer would be empty,
            the model needs `x` or takes another, its outputs do not grow with
            its weights, or a score is NaN or infinite. Nothing has changed
            then: masks are set after the last round.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    keras_snn.synflow(model, sparsity=0.99)
    ```
    """
    weights = dense_weights(model)
    # Fails now if the last round would, before anything runs.
    masks_by_score(
        weights, magnitudes(weights), sparsity, keep_layers=keep_layers
    )
    if x is None:
        x = _ones(model)
    check_inputs(x, model)
    flow = _Flow(model, weights, x)
    _check_grows(flow, active_masks(weights))
    chosen = masks_in_rounds(
        weights,
        lambda masks: flow(masks)[1],
        sparsity,
        rounds,
        keep_layers=keep_layers,
    )
    set_masks(model, chosen, requested=float(sparsity), keep_layers=keep_layers)
    return chosen


class _Flow:
    """R of a network, and the scores that it gives."""

    def __init__(self, model, weights, x):
        self._model = model
        self._paths = list(weights)
        self._scored = [masked.weight for masked in weights.values()]
        self._masks = [masked.mask for masked in weights.values()]
        taken = {id(v) for v in self._scored}
        self._others = [
            v
            for v in model.trainable_variables + model.non_trainable_variables
            if keras.backend.is_float_dtype(v.dtype) and id(v) not in taken
        ]
        self._x = keras.tree.map_structure(ops.convert_to_tensor, x)
        self._weights = _absolute(self._scored)
        self._rest = _absolute(self._others)
        self._compiled = jit(self._flow)

    def __call__(self, masks, factor=1.0):
        """R and a dict of the scores, of so many times the weights, masked."""
        masks = [ops.convert_to_tensor(masks[path]) for path in self._paths]
        for scale in SCALES:
            weights = [factor * weight for weight in self._weights]
            weights[0] = float(scale) * weights[0]
            total, scores = self._compiled(weights, self._rest, masks, self._x)
            if 1 / LIMIT < abs(float(total)) < LIMIT:
                break
        else:
            raise ValueError(
                "The flow of ones must stay within the range of the model's "
                "floats, or there are no scores: score the model in float32. "
                f"Received: outputs that sum up to {float(total)}"
            )
        arrays = [ops.convert_to_numpy(score) for score in scores]
        scores = dict(zip(self._paths, arrays, strict=True))
        return float(total) / float(scale), scores

    def _flow(self, weights, rest, masks, x):
        outputs_of, _ = outputs_function(
            self._model,
            self._scored,
            x,
            training=False,
            at=zip(self._others + self._masks, rest + masks, strict=True),
        )

        def total(weights):
            outputs = keras.tree.flatten(outputs_of(weights))
            return functools.reduce(ops.add, map(ops.sum, outputs))

        now = total(weights)
        slopes = gradient(lambda w: total(w) / ops.abs(now), weights)
        scores = [
            ops.abs(weight * slope)
            for weight, slope in zip(weights, slopes, strict=True)
        ]
        return now, scores


def _absolute(variables):
    return [
        ops.convert_to_tensor(np.abs(ops.convert_to_numpy(v.value)), v.dtype)
        for v in variables
    ]


def _ones(model):
    inputs = getattr(model, "inputs", None) or []
    if not inputs or not all(
        keras.backend.is_float_dtype(t.dtype) and None not in t.shape[1:]
        for t in inputs
    ):
        raise ValueError(
            "SynFlow feeds ones to float inputs of known shape: pass `x`, a "
            "batch to take in their place. Received: x=None and "
            f"{model.name!r}, with inputs {inputs or 'unknown'}"
        )
    ones = [np.ones((1, *t.shape[1:]), "float32") for t in inputs]
    sequential = isinstance(model, keras.Sequential)
    structure = inputs[0] if sequential else model.input
    return keras.tree.pack_sequence_as(structure, ones)


def _check_grows(flow, chosen):
    (before, _), (after, _) = flow(chosen), flow(chosen, factor=2.0)
    if np.isfinite(before) and np.isclose(before, after, rtol=1e-3, atol=0):
        raise ValueError(
            "SynFlow scores what the sum of the outputs owes to each weight, "
            "so it must grow with the weights; a softmax or sigmoid at the end "
            "holds it fixed: end the model in logits. Received: "
            f"outputs that sum up to {before:.6g}, and to {after:.6g} with "
            "all masked weights doubled"
        )
