"""Which weights have ever been active in a training.

Their share is R_s of "Do We Actually Need Dense Over-Parameterization?",
https://arxiv.org/abs/2102.02887. It is kept in the state of a method, a bit for
each weight with a mask, and positions for layers that store only nonzeros.
"""

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import method_state
from keras_snn.masking.mask_state import total_size


def explore(model, active, at):
    """Notes which weights are active now.

    Args:
        model: A Keras model with masks.
        active: Dict of path to mask.
        at: Dict of path to positions of nonzeros, of other weights.
    """
    state = method_state(model)
    flat = [np.empty(0, bool), *(mask.ravel() for mask in active.values())]
    now = np.packbits(np.concatenate(flat))
    state["explored"] = state.get("explored", now) | now
    if at:
        weights, offset = masked_weights(model), 0
        known = [state.get("explored_at", np.empty(0, np.int64))]
        for path, positions in at.items():
            known.append(offset + positions)
            offset += weights[path].size
        state["explored_at"] = masks.union(*known)


def explored_share(model):
    """The share of masked weights that were ever noted as active."""
    state = method_state(model)
    explored = np.count_nonzero(np.unpackbits(state["explored"]))
    explored += len(state.get("explored_at", ()))
    return explored / total_size(masked_weights(model))
