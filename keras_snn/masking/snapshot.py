"""The whole state of a model and its optimizer at a moment of training."""

from typing import NamedTuple

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


class Saved(NamedTuple):
    """What a file of `save_snapshot` holds: see its arguments."""

    arrays: list
    state: dict
    about: str


def save_snapshot(path, arrays, state=None, about=""):
    """Writes a snapshot to an `.npz` file, whole or not at all.

    Args:
        path: Where the file is to be.
        arrays: What `snapshot` returned.
        state: What a method keeps, a dict of names to arrays or numbers: see
            `method_state`. A snapshot has it not, since a model that is put
            back to an earlier moment may keep it.
        about: What tells it from others of the same shapes, a str.
    """
    named = {STATE_PREFIX + n: np.asarray(v) for n, v in (state or {}).items()}
    named |= {str(i): array for i, array in enumerate(arrays)}
    with written(path) as temporary, temporary.open("wb") as file:
        np.savez(file, about=np.array(about), count=len(named), **named)


def load_snapshot(path):
    """What a file holds that `save_snapshot` wrote.

    Args:
        path: Of the file.

    Returns:
        A `Saved`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or holds something else.
    """
    try:
        with open(path, "rb") as file, np.load(file) as found:
            named = dict(found)
        if named and named.keys().isdisjoint({"about", "count"}):
            # Of version 0.1.
            named |= {"about": "", "count": len(named)}
        about, count = str(named.pop("about")), named.pop("count")
        if len(named) != count:  # Of a list of files that was damaged.
            raise ValueError(f"it holds {len(named)} arrays of {count}")
        state = {
            name.removeprefix(STATE_PREFIX): named.pop(name)
            for name in list(named)
            if name.startswith(STATE_PREFIX)
        }
        # By number: of what was lost or has another name, one is missing.
        arrays = [named[str(i)] for i in range(len(named))]
    except FileNotFoundError:
        raise
    except Exception as error:  # Damage may raise anything.
        raise ValueError(
            f"{path} must be a snapshot as it was written, or a model would "
            f"go back to something else. Reading it: {error!r}"
        ) from error
    return Saved(arrays, state, about)


def _variables(model):
    optimizer = getattr(model, "optimizer", None)
    return _of_model(model) + list(getattr(optimizer, "variables", []))


def _of_model(model):
    return list(model.variables)  # In one order, whatever is frozen.


def _shapes(arrays):
    return [tuple(array.shape) for array in arrays]
