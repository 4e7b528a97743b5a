"""Channel pruning: whole filters go, and the network is really smaller.

"Pruning Filters for Efficient ConvNets", https://arxiv.org/abs/1608.08710: of
each layer, the filters of the smallest L1 norm go, and with them the channels
that they compute, and the kernels of the next layer that read these.

Differs from the paper: where branches are added, as in residual networks, the
norms of all filters of a channel are summed, in place of those of the shortcut
alone; so are those of a group, and of the gates of a recurrent unit. Its
`"global"` scope is ours: norms are in units of their layer's mean, since
filters of different sizes do not compare.
"""

import numpy as np

from keras_snn.arithmetic import masks as mask_arithmetic
from keras_snn.arithmetic.union_find import UnionFind
from keras_snn.channels.graph import ChannelGraph
from keras_snn.choosing.by_score import check_scope
from keras_snn.masking.mask_state import dense_weights
from keras_snn.masking.set_masks import set_masks

ORDERS = {"l1": 1, "l2": 2}


def prune_channels(model, fraction, *, norm="l1", scope="layer"):
    """Masks the channels of the smallest norm, and all that reads them.

    A channel is a filter of a convolution or a unit of a Dense or recurrent
    layer; where branches are added, all those that are summed into it; where
    GroupNorm or a convolution has groups, a whole group. It is masked in the
    kernels that compute it and in those that read it: whatever bias and
    BatchNorm make of it, now or after training, no output depends on it, and
    `strip(model, shrink=True)` takes it away.

    A channel stays if a kernel that computes or reads it has no mask, or if it
    is an output of the model or goes into a layer that mixes channels without
    a kernel, such as LayerNorm, softmax or a layer of your own.

    Args:
        model: A Functional or Sequential model with masks.
        fraction: Fraction of the channels that may go, in [0, 1): of each
            layer, or of each set of layers that are added together; rounded.
            Every layer keeps its best channel at least. The fraction of zeros,
            which `keras_snn.sparsity` reports, is another: a kernel between
            two pruned layers loses about 1 - (1 - fraction)^2 of its weights.
        norm: `"l1"` or `"l2"`, of the active weights of a filter.
        scope: `"layer"`: the fraction of each layer. `"global"`: one threshold
            for the model, on norms divided by their mean in the layer.

    Returns:
        The masks, a dict of weight path to bool array.

    Raises:
        ValueError: If the model has no masks or is of another kind, an
            argument is out of range, a weight is NaN or infinite, no channel
            can go, or a kernel that was sparse before would have no weight
            left. Nothing has changed then.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    keras_snn.prune_channels(model, 0.5)
    model.compile(...)
    model.fit(...)
    smaller = keras_snn.strip(model, shrink=True)
    ```
    """
    weights = dense_weights(model)
    mask_arithmetic.check_sparsity(fraction, "fraction")
    _check_norm(norm)
    check_scope(scope, ("global", "layer"))
    graph = ChannelGraph(model, whole_groups=True)
    prunable = _prunable(graph, weights, model)
    norms = list(_norms(graph, weights, ORDERS[norm]))
    scores = np.zeros(len(prunable))
    best = np.zeros(len(prunable), bool)
    for kernel, of_filters in norms:
        np.add.at(scores, kernel.outputs, of_filters)
    for kernel, _ in norms:
        best[kernel.outputs[np.argmax(scores[kernel.outputs])]] = True
    groups = _groups(graph, prunable)
    if scope == "global":
        for group in groups:
            scores[group] /= max(scores[group].mean(), 1e-30)
        groups = [np.concatenate(groups)]
    kept = np.ones(len(prunable), bool)
    for group in groups:
        kept[group] = _highest(scores[group], best[group], fraction)
    masks = mask_arithmetic.Masks(
        (path, m.mask_array() & graph.kept(m.weight, kept))
        for path, m in weights.items()
    )
    size = sum(mask.size for mask in masks.values())
    active = sum(int(mask.sum()) for mask in masks.values())
    set_masks(model, masks, requested=1 - active / size)
    return masks


def _check_norm(norm):
    if norm not in ORDERS:
        raise ValueError(
            f"Argument `norm` must be one of {tuple(ORDERS)}. Received: {norm=}"
        )


def _prunable(graph, weights, model):
    """By channel, whether masks can cut it off: a bool array."""
    masked = {id(m.weight) for m in weights.values()}
    prunable = ~graph.fixed
    written = np.zeros_like(prunable)
    for kernel in graph.kernels:
        written[kernel.outputs] = True
        if id(kernel.weight) not in masked:
            prunable[kernel.inputs] = prunable[kernel.outputs] = False
    prunable &= written
    if not prunable.any():
        raise ValueError(
            "A channel can be pruned only between masked kernels of Dense or "
            "convolution layers, and not where a layer between them mixes "
            "channels, as LayerNorm and layers of your own may. "
            f"Received: {model.name!r}, where no channel can go"
        )
    return prunable


def _norms(graph, weights, order):
    """Pairs of a masked kernel and the norm of each of its filters."""
    paths = {id(m.weight): path for path, m in weights.items()}
    for kernel in graph.kernels:
        path = paths.get(id(kernel.weight))
        if path is not None:
            masked = weights[path]
            weight = masked.weight_array().astype("float64")
            mask_arithmetic.check_scores(weight, path)
            weight = np.where(masked.mask_array(), weight, 0.0)
            filters = np.moveaxis(weight, kernel.axes[1], 0)
            filters = filters.reshape(len(filters), -1)
            yield kernel, np.linalg.norm(filters, order, axis=1)


def _groups(graph, prunable):
    """Sets of channels of the same layers, each an int array."""
    groups = UnionFind(len(prunable))
    for kernel in graph.kernels:
        outputs = kernel.outputs[prunable[kernel.outputs]]
        groups.unite(outputs[1:], outputs[:-1])
    labels = groups.representatives()
    channels = np.flatnonzero(prunable)
    return [
        channels[labels[channels] == label]
        for label in dict.fromkeys(labels[channels])
    ]


def _highest(scores, best, fraction):
    """Which to keep: the best of each layer, and then the highest scores."""
    count = mask_arithmetic.active_count(len(scores), fraction)
    others = max(0, count - int(best.sum()))
    return best | mask_arithmetic.top_k(scores, others, among=~best)
