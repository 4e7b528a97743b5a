"""A table of a sparse model: what is masked, and what is left alone and why."""

import math
import sys
from html import escape

import keras

from keras_snn.masking.mask_state import masked_layers
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.weight_owners import weight_owners
from keras_snn.shown import elided

SHORTEST_NAME = 16  # Characters that are left of one, whatever the width.
EXAMPLES = 3  # Named for each reason to leave weights alone.


def summary(model, *, line_length=None, print_fn=None):
    """Prints each masked weight with its size and sparsity, and the totals.

    In a notebook the table is shown as HTML.

    Args:
        model: A Keras model with masks.
        line_length: Characters a line. Defaults to the terminal's width.
            Longer names lose their middle.
        print_fn: A function of a string to print with. Defaults to `print`.

    Returns:
        A `Summary`: `str` gives the table; a notebook shows it.

    Raises:
        ValueError: If the model has no masks.

    Example:

    ```python
    keras_snn.summary(keras_snn.sparsify(model, 0.9))
    ```
    """
    shown = Summary(model, line_length)
    if print_fn is None and _notebook() is not None:
        shown.display()
    else:
        (print_fn or print)(str(shown))
    return shown


class Summary:
    """The table of a model's masks, as they were when it was made.

    Args:
        model: A Keras model with masks.
        line_length: Characters a line. Defaults to the terminal's width.
    """

    def __init__(self, model, line_length=None):
        weights = masked_weights(model)
        self.title = f"Masks of {model.name!r}"
        self.columns = ["Weight", "Shape", "Size", "Active", "Sparsity"]
        # Where layers compute sparse, which ones do.
        mixed = {masked.computes for masked in weights.values()} != {"masked"}
        self.rows, size, active = [], 0, 0
        for path, masked in weights.items():
            of, kept = masked.size, masked.active_count()
            size, active = size + of, active + kept
            row = [path, str(tuple(masked.shape)), *_counts(of, kept)]
            self.rows.append(row + [masked.computes] * mixed)
        self.total = ["Total", "", *_counts(size, active)] + [""] * mixed
        self.columns += ["Computed"] * mixed
        self.lines = list(_lines(model, weights, active, size))
        self.line_length = line_length
        self._shown_in = None

    def __str__(self):
        import rich.console
        import rich.table
        import rich.text

        console = rich.console.Console(width=self.line_length, highlight=False)
        table = rich.table.Table(title=self.title, show_footer=True)
        lengths = [
            max(map(len, cells))
            for cells in zip(self.columns, self.total, *self.rows, strict=True)
        ]
        room = console.width - sum(lengths[1:]) - 3 * len(lengths) - 1
        for column, total in zip(self.columns, self.total, strict=True):
            numeric = column in ("Size", "Active", "Sparsity")
            justify = "right" if numeric else "left"
            table.add_column(column, footer=total, justify=justify)
        for path, *others in self.rows:
            name = elided(path, max(room, SHORTEST_NAME))
            table.add_row(rich.text.Text(name), *others)
        with console.capture() as capture:
            console.print(table, *self.lines, sep="\n")
        return capture.get()

    def __repr__(self):
        *_, sparsity = self.total[:5]
        return f"<{self.title}: {len(self.rows)} weights, sparsity {sparsity}>"

    def _repr_html_(self):
        def row(cells, tag):
            inside = "".join(f"<{tag}>{escape(c)}</{tag}>" for c in cells)
            return f"<tr>{inside}</tr>"

        lines = "<br>".join(escape(line.strip()) for line in self.lines)
        return (
            f"<table><caption>{escape(self.title)}</caption>"
            f"<thead>{row(self.columns, 'th')}</thead>"
            f"<tbody>{''.join(row(cells, 'td') for cells in self.rows)}</tbody>"
            f"<tfoot>{row(self.total, 'th')}</tfoot></table><p>{lines}</p>"
        )

    def display(self):
        """Shows it in the cell of a notebook that runs."""
        from IPython.display import HTML
        from IPython.display import display

        display(HTML(self._repr_html_()))
        self._shown_in = _notebook()

    def _ipython_display_(self):
        # What ends a cell is shown by it: not once more in the same cell.
        if self._shown_in is None or self._shown_in != _notebook():
            self.display()


def _counts(size, active):
    return f"{size:,}", f"{active:,}", f"{1 - active / size:.4f}"


def _notebook():
    """The number of the cell of a notebook that runs; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell.execution_count if hasattr(shell, "kernel") else None


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
