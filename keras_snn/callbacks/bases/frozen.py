"""What frozen layers, which keep their masks, leave to those that train."""

from keras_snn.arithmetic import masks


def sparsity_beside(active, moving, wanted, name):
    """The sparsity of the weights that move, for one of the whole model.

    Args:
        active: Dict of path to mask, of all masked weights.
        moving: The paths of those that move; the others keep their masks.
        wanted: The sparsity of the whole model, in [0, 1).
        name: The argument that asks for it, for the error.

    Raises:
        ValueError: If the others alone keep more than that.
    """
    size = sum(mask.size for mask in active.values())
    of_moving = sum(active[path].size for path in moving)
    kept = sum(int(m.sum()) for p, m in active.items() if p not in moving)
    left = masks.active_count(size, wanted) - kept
    if left < len(moving):
        raise ValueError(
            f"Argument `{name}` must leave weights to layers that train, "
            "beside what frozen ones keep: freeze fewer, or prune them first. "
            f"Received: {name}={wanted}, {size - of_moving} of {size} weights "
            f"are in frozen layers, which keep {kept}"
        )
    return 1 - left / of_moving
