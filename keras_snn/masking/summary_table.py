"""A table of a sparse model: what is masked, and what is left alone and why."""

import math

import keras

from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.weight_owners import weight_owners

EXAMPLES = 3  # Named for each reason to leave weights alone.


def summary(model, *, line_length=None, print_fn=None):
    """Prints each masked weight with its size and sparsity, and the totals.

    Args:
        model: A Keras model with masks.
        line_length: Characters a line. Defaults to the terminal's width.
        print_fn: A function of a string to print with. Defaults to `print`.

    Raises:
        ValueError: If the model has no masks.

    Example:

    ```python
    keras_snn.summary(keras_snn.sparsify(model, 0.9))
    ```
    """
    import rich.console
    import rich.table

    weights = masked_weights(model)
    table = rich.table.Table(title=f"Masks of {model.name!r}", show_footer=True)
    # Where layers compute sparse, which ones do.
    computes = {masked.computes for masked in weights.values()}
    for column in ("Weight", "Shape"):
        table.add_column(column, footer="Total" if column == "Weight" else "")
    rows = [
        (masked, path, masked.shape, masked.size, masked.active_count())
        for path, masked in weights.items()
    ]
    size, active = (sum(row[place] for row in rows) for place in (3, 4))
    for column, total in (
        ("Size", f"{size:,}"),
        ("Active", f"{active:,}"),
        ("Sparsity", f"{1 - active / size:.4f}"),
    ):
        table.add_column(column, footer=total, justify="right")
    if computes != {"masked"}:
        table.add_column("Computed")
    for masked, path, shape, of, kept in rows:
        row = path, str(shape), f"{of:,}", f"{kept:,}", f"{1 - kept / of:.4f}"
        table.add_row(*row, *[masked.computes][: computes != {"masked"}])
    console = rich.console.Console(width=line_length, highlight=False)
    with console.capture() as capture:
        console.print(table, *_lines(model, weights, active, size), sep="\n")
    (print_fn or print)(capture.get())


def _lines(model, weights, active, size):
    requested = {
        layer.requested_sparsity
        for layer in masked_layers(model)
        if layer.requested_sparsity is not None
    }
    for sparsity in sorted(requested):
        yield (
            f"Sparsity requested: {sparsity:.6g}, achieved: "
            f"{1 - active / size:.6g}"
        )
    stayed = {}
    for layer in masked_layers(model):
        for path, reason in layer.why_masked.items():
            stayed.setdefault(reason, []).append(path)
    yield from _grouped("Computed masked:", stayed)
    yield from _grouped("Left alone:", left_alone(model, weights))


def _grouped(title, paths_of):
    """Lines of the paths for each reason, some of them where they are many."""
    if paths_of:
        yield title
    for reason, paths in paths_of.items():
        if len(paths) <= EXAMPLES:
            yield f"  {reason}: {', '.join(paths)}"
        else:
            examples = ", ".join(paths[:EXAMPLES])
            yield f"  {reason}: {len(paths):,} weights, such as {examples}"


def left_alone(model, weights=None):
    """The trainable weights without a mask, and why they have none.

    Args:
        model: A Keras model with masks.
        weights: Its `masked_weights`, where they are at hand.

    Returns:
        A dict of reason to a list of weight paths.
    """
    weights = masked_weights(model) if weights is None else weights
    masked = {id(m.weight) for m in weights.values()}
    found = {}
    for owner in _owners(model):
        if owner.weight.trainable and id(owner.weight) not in masked:
            found.setdefault(_reason(owner), []).append(owner.path)
    return found


def _owners(model):
    layers = masked_layers(model)
    inside = [owner for layer in layers for owner in weight_owners(layer.layer)]
    known = {id(owner.weight) for owner in inside}
    outside = [
        owner
        for owner in weight_owners(model)
        if id(owner.weight) not in known
        and not isinstance(owner.layer, keras.layers.Wrapper)
    ]
    return inside + outside


def _reason(owner):
    kind = type(owner.layer).__name__
    if "Normalization" in kind:
        return "normalisation"
    if owner.is_default:
        return "excluded"
    if owner.is_adapter:
        return "low-rank adapter"
    shape = owner.weight.shape
    if not owner.is_kernel or math.prod(shape) == max(shape):
        return "bias or other vector"
    return f"{kind}, masked when included"
