"""All that a model and its optimizer are at one moment of training."""

import contextlib

import numpy as np
from keras import ops

from keras_snn.files import written
from keras_snn.masking.masked_layer import STATE_PREFIX


def snapshot(model):
    """The values of every variable of a model, and of its optimizer.

    Weights, masks, BatchNorm statistics, random seeds, momentum, step count.

    Args:
        model: A built Keras model, compiled or not.

    Returns:
        A list of NumPy arrays.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        # TensorFlow builds it in the first step, after the first epoch began.
        optimizer.build(model.trainable_variables)
    # A tensor each: in the scope of a strategy of TensorFlow, variables that
    # only the first replica updates give no array.
    return [
        ops.convert_to_numpy(ops.copy(v.value)).copy()
        for v in _variables(model)
    ]


def restore(model, arrays, *, weights=True):
    """Puts a model back to what it was when `snapshot` was taken.

    Where it was compiled again since, the new optimizer stays as it is.

    Args:
        model: The model.
        arrays: What `snapshot` returned.
        weights: Whether everything goes back, or only what tells the optimizer
            where in training it is: its scalars, such as the count of its
            steps and the learning rate.

    Raises:
        ValueError: If the arrays are another model's. Nothing has changed then.
    """
    check_fits(model, arrays)
    variables, own = _variables(model), len(_of_model(model))
    if _shapes(variables) != _shapes(arrays):
        variables = variables[:own]
    pairs = list(zip(variables, arrays, strict=False))
    if not weights:
        pairs = [(v, value) for v, value in pairs[own:] if not value.shape]
    for variable, value in pairs:
        variable.assign(value)


def check_fits(model, arrays):
    """Raises a ValueError if the arrays cannot be this model's."""
    own = _shapes(_of_model(model))
    if _shapes(arrays)[: len(own)] != own:
        raise ValueError(
            "A snapshot belongs to the model it was taken of. Received: "
            f"{model.name!r}, whose weights have other shapes"
        )


def save_snapshot(path, arrays, state=None):
    """Writes a snapshot to an `.npz` file, whole or not at all.

    Args:
        path: Where the file is to be.
        arrays: What `snapshot` returned.
        state: What a method keeps, a dict of names to arrays or numbers: see
            `method_state`. A snapshot has it not, since a model that is put
            back to an earlier moment may keep it.
    """
    named = {STATE_PREFIX + n: np.asarray(v) for n, v in (state or {}).items()}
    with written(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{str(i): a for i, a in enumerate(arrays)}, **named)


def load_snapshot(path):
    """The snapshot in a file that `save_snapshot` wrote."""
    with _opened(path) as arrays:
        count = sum(name.isdigit() for name in arrays.files)
        return [arrays[str(i)] for i in range(count)]


def load_state(path):
    """The state of a method in a file that `save_snapshot` wrote, a dict."""
    with _opened(path) as arrays:
        return {
            name.removeprefix(STATE_PREFIX): arrays[name]
            for name in arrays.files
            if name.startswith(STATE_PREFIX)
        }


@contextlib.contextmanager
def _opened(path):
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        yield arrays


def _variables(model):
    optimizer = getattr(model, "optimizer", None)
    return _of_model(model) + list(getattr(optimizer, "variables", []))


def _of_model(model):
    return list(model.variables)  # In one order, whatever is frozen.


def _shapes(arrays):
    return [tuple(array.shape) for array in arrays]
