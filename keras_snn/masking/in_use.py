"""Which sparse models there are, since weights have one mask."""

import gc
import weakref

_IN_USE = weakref.WeakSet()  # Every sparse model, until it is stripped.


def take(model):
    """Notes that a sparse model masks its weights."""
    _IN_USE.add(model)


def give_up(model):
    """Lets another sparse model mask the weights of this one."""
    _IN_USE.discard(model)


def holder_of(layer):
    """The sparse model in use that masks weights of a layer, or None.

    Args:
        layer: A Keras layer or model without masks.
    """
    held = {id(weight) for weight in layer.weights}

    def holders():
        return [
            sparse
            for sparse in _IN_USE
            if not held.isdisjoint(map(id, sparse.weights))
        ]

    if holders():
        gc.collect()  # One that nobody holds any more may hold itself.
    return next(iter(holders()), None)
