"""Prediction depth: the layer from which on a prediction stands.

Baldock, Maennel and Neyshabur, 2021, "Deep Learning Through the Lens of Example
Difficulty", https://arxiv.org/abs/2106.09647: after each of some layers, the
input first and softmax last, a sample is classified by its 30 nearest
neighbours among the training samples. Its depth is the first of these from
which on all agree with the network; 0 is the input.

Differs from the paper: the layers are all activations by default, where the
paper names those of each of its networks; and a sample is no neighbour of its
own.
"""

import keras
import numpy as np
from keras import ops

from keras_snn.checks import check_integer
from keras_snn.hardness.outputs import gives_logits
from keras_snn.hardness.outputs import mean_over_models
from keras_snn.hardness.outputs import outputs_and_targets
from keras_snn.hardness.outputs import probabilities
from keras_snn.layer_outputs import activations
from keras_snn.masking import keras_private


def prediction_depth(
    model,
    x,
    y,
    *,
    layers=None,
    neighbours=30,
    support=None,
    batch_size=128,
    from_logits=None,
):
    """Score samples by the layer in which their class is decided.

    It takes a pass through the model for each layer, and the distances of all
    samples to those of the support: of 50,000 samples give a support.

    Args:
        model: A built Keras model with one output of shape (n, classes), the
            path of a saved one, or a list of these, whose scores are averaged.
        x: Samples, an array of shape (n, ...), un-augmented.
        y: Their classes: integers of shape (n,) or (n, 1), or one-hot.
        layers: Names of the layers after which neighbours are asked, in order.
            Defaults to all `ReLU` and `Activation` layers.
        neighbours: How many are asked; of equal votes the lowest class.
        support: How many of the samples, drawn at random by seed 0, can be
            neighbours. Defaults to all, as in the paper.
        batch_size: Samples a batch.
        from_logits: Whether outputs are logits, or probabilities. Defaults to
            what the loss says that the model is compiled with.

    Returns:
        The scores: float32 of shape (n,), from 0 to the number of layers + 2:
        that, if even the neighbours by softmax do not agree with the network.

    Raises:
        ValueError: If the labels do not fit, there are no such layers or too
            few neighbours, or it is not known whether outputs are logits.

    Example:

    ```python
    depths = prediction_depth(model, x, y, layers=["relu1", "relu2"])
    ```

    Reference:
        [Deep Learning Through the Lens of Example Difficulty](
        https://arxiv.org/abs/2106.09647)
    """
    count = len(x) if support is None else support
    check_integer("support", count, 2, "to be neighbours")
    check_integer("neighbours", neighbours, 1, "to vote")
    if neighbours >= count or count > len(x):
        raise ValueError(
            "Argument `neighbours` must be less than the samples that can be "
            f"neighbours. Received: neighbours={neighbours}, "
            f"support={support}, {len(x)} samples"
        )
    drawn = np.random.default_rng(0).permutation(len(x))[:count]
    drawn.sort()

    def score(model):
        logits = gives_logits(model, from_logits)
        outputs, targets = outputs_and_targets(model, x, y, batch_size)
        final = outputs.argmax(axis=1)
        outputs = probabilities(outputs, logits)
        names = _activation_names(model, x) if layers is None else layers

        def after(name):
            def features(rows):
                return activations(model, [name], x[rows])[name][1]

            return features

        agrees = [
            _votes(features, targets.argmax(axis=1), drawn, neighbours, batches)
            == final
            for features in (
                lambda rows: x[rows],
                *map(after, names),
                lambda rows: outputs[rows],
            )
        ]
        # The last that does not agree, counted from 1; 0 if all do.
        wrong = ~np.array(agrees)
        return np.where(
            wrong.any(axis=0), len(wrong) - wrong[::-1].argmax(axis=0), 0
        )

    batches = [
        np.arange(start, min(start + batch_size, len(x)))
        for start in range(0, len(x), batch_size)
    ]
    return mean_over_models(score, model)


def _activation_names(model, x):
    kinds = keras.layers.Activation | keras.layers.ReLU
    names = [
        layer.name
        for layer in keras_private.flattened_layers(model)
        if isinstance(layer, kinds)
    ]
    if not names:
        raise ValueError(
            "Argument `layers` must name layers where a model has no ReLU and "
            "no Activation, or there is no depth. Received: "
            f"layers=None, model={model.name!r}"
        )
    return list(activations(model, names, x[:1]))  # As they ran.


def _votes(features, labels, support, neighbours, batches):
    """The class of each sample by its nearest neighbours."""
    in_batches = np.split(support, range(128, len(support), 128))
    known = np.concatenate([_flat(features(rows)) for rows in in_batches])
    known = ops.convert_to_tensor(known)
    squares = ops.sum(ops.square(known), axis=1)
    classes = labels.max() + 1
    found = []
    for rows in batches:
        # Less the square of the sample itself, which changes no order.
        mine = ops.convert_to_tensor(_flat(features(rows)))
        distances = squares - 2 * ops.matmul(mine, ops.transpose(known))
        own = rows[:, None] == support
        distances = ops.where(ops.convert_to_tensor(own), np.inf, distances)
        nearest = ops.top_k(-distances, neighbours)[1]
        votes = labels[support[ops.convert_to_numpy(nearest)]]
        counts = [np.bincount(each, minlength=classes) for each in votes]
        found.append(np.argmax(counts, axis=1))
    return np.concatenate(found)


def _flat(features):
    features = np.asarray(features, "float32")
    return features.reshape(len(features), -1)
