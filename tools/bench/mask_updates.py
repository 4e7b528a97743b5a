"""Mask updates of 25 million weights, against those of PyTorch and jaxpruner.

The weights are those of ResNet50, on one core: on torch against
`torch.nn.utils.prune`, which both prune a dense network; on jax against
jaxpruner, compiled, whose SET drops by magnitude, and so does ours here.
Gradients are drawn before. Ours is done when weights and masks are written, and
so is theirs.
"""

import functools
import itertools

from tools.bench import frame

PAIRS = 5, 2
PAIRS_OF_JAXPRUNER = 3, 1  # Which sorts all weights twice.
SPARSITY = 0.8


def network(sparsity):
    """A sparse ResNet50."""
    import keras

    import keras_snn

    dense = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3))
    return keras_snn.sparsify(dense, sparsity)


def weights_of(model):
    """The masked weights, arrays by their path."""
    import keras_snn

    return {
        path: masked.weight_array()
        for path, masked in keras_snn.masked_weights(model).items()
    }


def pruned(scope):
    """Ratios of magnitude pruning, ours over that of `torch.nn.utils.prune`."""
    import torch
    from torch.nn.utils import prune

    import keras_snn

    model = network(0.0)
    masks, weights = keras_snn.get_masks(model), weights_of(model)
    layers = []

    def make_dense():
        keras_snn.set_masks(model, masks)
        for path, masked in keras_snn.masked_weights(model).items():
            masked.weight.assign(weights[path])
        layers[:] = [(torch.nn.Module(), "weight") for _ in weights]
        for (layer, name), weight in zip(layers, weights.values(), strict=True):
            setattr(layer, name, torch.nn.Parameter(torch.tensor(weight)))

    def theirs():
        if scope == "global":
            kind = prune.L1Unstructured
            prune.global_unstructured(layers, kind, amount=SPARSITY)
        else:
            for layer, name in layers:
                prune.l1_unstructured(layer, name, amount=SPARSITY)

    return frame.in_turn(
        lambda: keras_snn.prune_magnitude(model, SPARSITY, scope=scope),
        theirs,
        frame.pick(*PAIRS),
        before=make_dense,
    )


def moved(method):
    """Ratios of drop and grow, ours over jaxpruner's of the same name."""
    import jax
    import numpy as np

    import keras_snn

    # Which JAX 0.6 took away, and jaxpruner calls.
    jax.tree_map = getattr(jax, "tree_map", jax.tree.map)
    import jaxpruner

    model = network(SPARSITY)
    weights, rng = weights_of(model), np.random.default_rng(0)
    gradients = {
        path: rng.normal(size=weight.shape).astype("float32")
        for path, weight in weights.items()
    }
    if method == "SET":
        ours = keras_snn.SETUpdate(drop_fraction=0.3, drop_by="magnitude")
        given = {}
    else:
        ours = keras_snn.RigLUpdate(drop_fraction=0.3)
        given = {"gradients": gradients}
    theirs = getattr(jaxpruner, method)(
        sparsity_distribution_fn=functools.partial(
            jaxpruner.sparsity_distributions.uniform, sparsity=SPARSITY
        )
    )
    params = jax.tree.map(jax.numpy.asarray, weights)
    grads = jax.tree.map(jax.numpy.asarray, gradients)
    held = {"params": params, "state": theirs.init_state(params)}
    held["state"] = held["state"]._replace(inner_state=())
    steps = itertools.count(1)

    @jax.jit
    def their_update(params, state):
        state = theirs.update_state(state, params, grads)
        state = state._replace(count=state.count + 1)
        return theirs.post_gradient_update(params, state), state

    def of_theirs():
        found = their_update(held["params"], held["state"])
        held["params"], held["state"] = jax.block_until_ready(found)

    return frame.in_turn(
        lambda: ours.update(model, next(steps), 0.0, **given),
        of_theirs,
        frame.pick(*PAIRS_OF_JAXPRUNER),
    )


def cases():
    """What there is on this backend."""
    import keras

    if keras.backend.backend() == "torch":
        for scope in ("global", "layer"):
            yield frame.Case(
                f"magnitude pruning, {scope}",
                functools.partial(pruned, scope),
                peer="torch",
                goal=1,
            )
    else:
        for method in ("SET", "RigL"):
            yield frame.Case(
                f"{method} update",
                functools.partial(moved, method),
                peer="jaxpruner",
                goal=1,
            )
