"""FLOPs of inference and of training, counted from layers and masks.

The rule, for one sample:

- A multiplication and an addition are 2 FLOPs. What is counted are products
  with kernels: of Dense, EinsumDense, and every convolution.
- An active weight is used once at each output position of a convolution (each
  input position of a transposed one), once in a Dense layer, and once for each
  vector that a Dense or EinsumDense layer is applied to. Inactive weights cost
  nothing, as on a device that skips zeros.
  Forward = 2 * sum over layers of active weights * uses.
- At the edge of a padded image a kernel counts in full, as in TensorFlow's
  profiler. XLA's cost analysis leaves out what hangs over: 13% of a ResNet18
  for 32x32.
- Not counted: biases, normalisation, activations, pooling, additions, the
  products of attention that have no weights, masks themselves.
- A training step is 3 times the forward: forward, gradient by inputs, gradient
  by active weights. The optimizer is not counted, nor are mask updates.
- A step of an attack in training is 2 times the forward: forward, and gradient
  by inputs.

It is the rule of "Rigging the Lottery: Making All Tickets Winners",
https://arxiv.org/abs/1911.11134 (appendix on FLOPs), for methods with no dense
gradient, on the densities at each time. LTH and OMP train a dense network
first: add its FLOPs.
"""

import math

from keras_snn.flops.layers import kernels
from keras_snn.flops.layers import layer_flops
from keras_snn.masking.mask_state import has_masks
from keras_snn.masking.mask_state import masked_weights


def layer_densities(model):
    """The share of active weights of each kernel, by path.

    Args:
        model: A Keras model. Without masks, or where a kernel has none, it is
            dense: 1.

    Returns:
        A dict of weight path to float in (0, 1].

    Raises:
        ValueError: If a layer has a kernel whose FLOPs are not known.

    Example:

    ```python
    model = keras_snn.sparsify(model, 0.9)
    print(layer_densities(model)["conv1/kernel"])
    ```
    """
    counts = _own_counts(model)
    return {
        path: counts[path] / math.prod(owner.shape) if path in counts else 1.0
        for path, owner in kernels(model).items()
    }


def inference_flops(model, input_shape=None, masks=None):
    """FLOPs of one sample's forward pass, by the rule of this module.

    Args:
        model: A built Keras model with one input, with masks or without.
        input_shape: Shape of a sample, where the model does not know it.
        masks: Mapping of weight path to bool array; kernels it does not name
            are dense. Defaults to the model's own masks, if any.

    Returns:
        An int.

    Raises:
        ValueError: If a mask is of no kernel of the model or has another
            shape, or FLOPs are not known: see `layer_flops`.

    Example:

    ```python
    inference_flops(resnet18((32, 32, 3), 100))  # about 1.1e9
    ```
    """
    found = kernels(model)
    if masks is None:
        counts = _own_counts(model)
    else:
        _check_known(masks, found)
        for path, mask in masks.items():
            shape = found[path].shape
            if mask.shape != shape:
                raise ValueError(
                    f"The mask of {path!r} must have its weight's shape, "
                    f"{shape}. Received: a mask of shape {mask.shape}"
                )
        counts = {path: int(mask.sum()) for path, mask in masks.items()}
    dense = layer_flops(model, input_shape)
    return sum(
        flops // math.prod(found[path].shape) * counts[path]
        if path in counts
        else flops
        for path, flops in dense.items()
    )


def training_flops(
    model, samples, densities=None, *, attack_steps=0, input_shape=None
):
    """FLOPs of training, by the rule of this module.

    Args:
        model: A built Keras model with one input, with masks or without.
        samples: How many samples training sees: images times epochs.
        densities: Masks over time, a list of pairs `(share, densities)`: the
            share of training, > 0, and a dict of weight path to the density
            of that kernel, in [0, 1], as from `layer_densities`; kernels that
            it does not name are dense. Shares have the sum 1. Defaults to the
            model's own masks, all the time.
        attack_steps: Gradients by the image that each step of training takes
            to attack it: those of `PGD(steps=...)`.
        input_shape: Shape of a sample, where the model does not know it.

    Returns:
        A float.

    Raises:
        ValueError: If an argument is out of range or names no kernel.

    Example:

    ```python
    dense = training_flops(resnet18((32, 32, 3), 100), 200 * 50_000)
    omp = dense + training_flops(sparse, 200 * 50_000)
    ```
    """
    if not samples > 0 or attack_steps < 0:
        raise ValueError(
            "Arguments `samples` and `attack_steps` must be > 0 and >= 0. "
            f"Received: samples={samples!r}, attack_steps={attack_steps!r}"
        )
    if densities is None:
        densities = [(1.0, layer_densities(model))]
    found = kernels(model)
    for share, of_layer in densities:
        _check_known(of_layer, found)
        if not share > 0 or not all(0 <= d <= 1 for d in of_layer.values()):
            raise ValueError(
                "Argument `densities` must have shares > 0 and densities in "
                f"[0, 1]. Received: share={share}, {of_layer}"
            )
    total = math.fsum(share for share, _ in densities)
    if not math.isclose(total, 1, rel_tol=1e-6):
        raise ValueError(
            "Argument `densities` must cover all of training: shares with the "
            f"sum 1. Received: a sum of {total}"
        )
    dense = layer_flops(model, input_shape)
    forward = math.fsum(
        share * flops * of_layer.get(path, 1.0)
        for share, of_layer in densities
        for path, flops in dense.items()
    )
    return samples * forward * (3 + 2 * attack_steps)


def _own_counts(model):
    """The active weights of each kernel with a mask, by path."""
    if not has_masks(model):
        return {}
    weights = masked_weights(model)
    return {
        path: weights[path].active_count()
        for path in kernels(model)
        if path in weights
    }


def _check_known(paths, found):
    unknown = set(paths) - set(found)
    if unknown:
        raise ValueError(
            "Masks and densities must be of kernels of the model. Received: "
            f"{sorted(unknown)}; the kernels are {list(found)}"
        )
