"""From a dense model to a sparse one, and back to an ordinary one."""

import warnings

import keras
import numpy as np
from keras import ops

from keras_snn import patterns
from keras_snn.channels.shrink import remove_channels
from keras_snn.channels.walk import check_graph
from keras_snn.checks import check_built
from keras_snn.choosing.at_random import random_masks
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.compute.conversion import to_dense
from keras_snn.compute.conversion import to_sparse
from keras_snn.masking.in_use import give_up
from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.masked_layer import MaskedLayer
from keras_snn.masking.masked_layer import check_unmasked
from keras_snn.masking.selection import chosen_owners
from keras_snn.masking.set_masks import set_masks
from keras_snn.masking.sparse_model import SparseModel
from keras_snn.masking.sparse_model import around
from keras_snn.masking.trained import looks_trained
from keras_snn.masking.weight_owners import weight_owners
from keras_snn.xnnpack import ENOUGH
from keras_snn.xnnpack import sparse_part

MASKS = ("random", "magnitude")
POLICIES = ("xnnpack",)


def sparsify(
    model,
    sparsity=None,
    distribution=None,
    *,
    masks=None,
    pattern=None,
    seed=0,
    include=None,
    exclude=None,
    policy=None,
    wrapper=MaskedLayer,
    compute="masked",
):
    """Makes a model sparse: masks around all of it.

    They are drawn at random, for a model that is to be trained sparse from
    the beginning, or, for one that is trained, keep its largest weights. The
    model is wrapped, not copied: its weights are those of the sparse model,
    pruned in place, and `strip` gives it back. Every Dense, EinsumDense,
    convolution and recurrent kernel is masked, first and last layer included.
    `sparsity=0` keeps every weight, for methods that choose the mask
    themselves.

    Args:
        model: A built Keras model of any kind: Functional, Sequential, nested
            or subclassed. Compile what is returned, not this.
        sparsity: Fraction of zeros over all masked weights, in [0, 1).
            Defaults to 0.8, or to that of a pattern such as `"2:4"`.
        distribution: How it is shared out: `"erk"`, `"erdos_renyi"`,
            `"uniform"`, `"uniform+"`, see `keras_snn.distributions`; a function
            of (shapes, sparsity); or a mapping of layer name or weight path to
            sparsity, where the layers that it does not name get `sparsity`.
            Defaults to `"erk"` for random masks, and for those by magnitude to
            none: one threshold for the model.
        masks: `"random"`; or `"magnitude"`, as `prune_magnitude` chooses them,
            for trained weights. Defaults to random ones, with a warning where
            the model looks trained.
        pattern: Which masks are allowed: `"2:4"` and the like, or one of
            `keras_snn.patterns`. Defaults to any.
        seed: Int >= 0; the same seed draws the same masks on every backend.
        include: What to mask besides, such as DepthwiseConv or Embedding
            layers: a layer's name, a weight's name or path, the class of a
            layer or of one around it, a function of the layer that owns a
            weight that returns a bool, or a list of these. Of a layer, its
            weights of rank 2 or more are meant, but no biases.
        exclude: What to leave alone, named in the same ways.
        policy: `"xnnpack"`: mask by default only what LiteRT (TFLite) on ARM
            and in WebAssembly computes the faster for its zeros, which are 1x1
            convolutions of networks that are written for it; see
            `keras_snn.xnnpack`. Defaults to None: mask every kernel.
        wrapper: The class that holds the masks: `MaskedLayer`, or one of those
            in which inactive weights go on training, for methods that need
            them: `StraightThroughLayer`, `MovementLayer`, `HYDRALayer`.
        compute: `"masked"`: dense kernels, under masks. `"sparse"`: as
            `to_sparse` makes it, where layers that are faster so hold their
            nonzeros alone, and no weight is shared with `model`.

    Returns:
        A `keras.Model`, not compiled.

    Raises:
        ValueError: If the sparsity is not in [0, 1) or would empty a layer,
            the model is not built or has masks, a name matches nothing, a
            weight is both included and excluded, none is left to mask, one
            cannot have the pattern, or the policy finds nothing to speed up.
        TypeError: If `include`, `exclude`, `pattern` or `wrapper` is of
            another kind.

    Example:

    ```python
    model = keras_snn.sparsify(model, 0.9, include=keras.layers.Embedding)
    model.compile("sgd", "mse")
    ```

    A trained model, pruned and trained on:

    ```python
    trained = keras.applications.MobileNetV2()
    model = keras_snn.sparsify(trained, 0.8, masks="magnitude")
    model.compile(keras.optimizers.SGD(1e-3), "categorical_crossentropy")
    ```
    """
    if compute not in ("masked", "sparse"):
        raise ValueError(
            "Argument `compute` must be 'masked' or 'sparse'. "
            f"Received: {compute=!r}"
        )
    if masks not in (None, *MASKS):
        raise ValueError(
            f"Argument `masks` must be one of {MASKS}; others are set by "
            "`set_masks`, on `sparsify(model, 0.0)`. "
            f"Received: {masks=!r}"
        )
    if policy not in (None, *POLICIES):
        raise ValueError(
            f"Argument `policy` must be None or one of {POLICIES}. "
            f"Received: {policy=!r}"
        )
    if not (isinstance(wrapper, type) and issubclass(wrapper, MaskedLayer)):
        raise TypeError(
            "Argument `wrapper` must be the class that holds the masks, "
            "MaskedLayer or one of its subclasses; what changes masks in "
            f"training goes to `fit(callbacks=...)`. Received: {wrapper=!r}"
        )
    pattern = patterns.get(pattern)
    sparsity = pattern.sparsity(sparsity, default=0.8)
    _check_wrappable(model)
    fast = _fast_kernels(model, sparsity) if policy else None
    chosen = chosen_owners(model, include, exclude, fast)
    owners = {owner.path: owner for owner in chosen}
    if masks == "magnitude":
        initial = _by_magnitude(owners, sparsity, distribution, pattern)
    else:
        initial = random_masks(
            owners, sparsity, distribution or "erk", pattern, seed
        )
    if masks is None and sparsity > 0 and looks_trained(model):
        warnings.warn(
            "Random masks drop weights whatever they have learned, and this "
            'model looks trained: pass `masks="magnitude"` to keep its largest '
            'weights, or `masks="random"` if it is to begin anew. '
            f"Received: {model.name!r}, and masks=None",
            stacklevel=2,
        )
    masked = wrapper(
        model, [owner.index for owner in chosen], name=f"masked_{model.name}"
    )
    sparse = around(masked, name=model.name)
    set_masks(sparse, initial, requested=sparsity)
    return sparse if compute == "masked" else to_sparse(sparse)


def strip(model, *, shrink=False):
    """Takes the masks off: an ordinary Keras model, its zeros baked in.

    Args:
        model: What `sparsify` returned, or a Functional or Sequential model
            with `MaskedLayer`s inside.
        shrink: Whether to remove the channels that no active weight reads, as
            `prune_channels` leaves them, and those that are constant since no
            active weight writes them: what they emit becomes a bias of what
            reads them. Of Dense, convolution and recurrent layers, with their
            BatchNorm, in a Functional or Sequential model, through residual
            blocks and models inside. GroupNorm and grouped convolutions lose
            whole groups, or the latter as much of each. Channels stay where a
            layer mixes them in another way, such as LayerNorm or a layer of
            your own, and those that emit other than 0 into a kernel that
            hangs over the edge of an image: a warning says how many.

    Returns:
        The user's own model, with the same weights and outputs as `model`;
        where layers compute sparse, a dense copy, and shrunk, a smaller one,
        both with the same outputs but for rounding; where constants became
        biases, in inference alone, since further training of the smaller model
        does not see them. No class of keras_snn is in
        it, so it loads without keras_snn.

    Raises:
        ValueError: If the model has no masks, holds masked layers that only
            its author can take out, or is to be shrunk and is neither
            Functional nor Sequential.

    Example:

    ```python
    plain = keras_snn.strip(model)
    plain.save("plain.keras")  # Loads where keras_snn is not installed.
    ```
    """
    if any(m.computes == "sparse" for m in masked_weights(model).values()):
        model = to_dense(model)
    weights, layers = masked_weights(model), masked_layers(model)
    by_sparsify = isinstance(model, SparseModel)
    if not by_sparsify and not (
        hasattr(model, "inputs") and all(m in model.layers for m in layers)
    ):
        raise ValueError(
            "Masked layers can be taken out of a Functional or Sequential "
            "model only; in a model of another kind, put `masked.layer` where "
            f"the masked layer is. Received: {model.name!r}, a "
            f"{type(model).__name__}"
        )
    if shrink:
        check_graph(layers[0].layer if by_sparsify else model)
    for masked in weights.values():
        masked.prune()
    for layer in layers:
        layer.release()
    plain = layers[0].layer if by_sparsify else _unwrapped(model)
    give_up(model)
    _warn_of_adapters(plain)
    if not shrink:
        return plain
    return remove_channels(
        plain, {id(m.weight): m.mask_array() for m in weights.values()}
    )


def _fast_kernels(model, sparsity):
    """The kernels that XNNPACK computes sparse."""
    part = sparse_part(model)
    if not part.kernels:
        raise ValueError(
            'With `policy="xnnpack"`, a model must have a part that XNNPACK '
            "computes sparse: from a 3x3 convolution with strides 2 on 3 "
            "channels to global average pooling, or nothing is faster for its "
            f"zeros. Received: {model.name!r}, in which "
            f"{'; '.join(part.reasons[:5])}"
        )
    if 0 < sparsity <= ENOUGH:
        warnings.warn(
            "XNNPACK computes sparse where more than 2/3 of the weights are "
            "zero: unless training prunes more, nothing will be faster. "
            f"Received: {sparsity=}",
            stacklevel=3,
        )
    return part.kernels


def _by_magnitude(owners, sparsity, distribution, pattern):
    """What `prune_magnitude` would leave, were all weights active."""
    scores = {
        path: np.abs(ops.convert_to_numpy(owner.weight))
        for path, owner in owners.items()
    }
    return masks_by_score(
        owners,
        scores,
        sparsity,
        distribution=distribution,
        pattern=pattern,
        among={path: np.ones(s.shape, bool) for path, s in scores.items()},
    )


def _unwrapped(model):
    return keras.models.clone_model(
        model,
        clone_function=lambda layer: (
            layer.layer if isinstance(layer, MaskedLayer) else layer
        ),
    )


def _check_wrappable(model):
    if not isinstance(model, keras.Model):
        raise ValueError(
            "Argument `model` must be a Keras model; wrap a single layer by "
            f"hand, in a `MaskedLayer`. Received: {model!r}"
        )
    check_built(model)
    check_unmasked(model)


def _warn_of_adapters(plain):
    adapted = [
        owner.path.rpartition("/")[0]
        for owner in weight_owners(plain)
        if owner.is_adapter
    ]
    if adapted:
        warnings.warn(
            "Low-rank adapters are dense, and Keras adds them to the kernel "
            "when it saves a model: these layers are not sparse any more. "
            f"Received: a model with LoRA in {sorted(set(adapted))}",
            stacklevel=3,
        )
