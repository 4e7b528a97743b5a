"""What a file takes and gives: its signature, samples, and their outputs."""

import re

import keras
import numpy as np
from keras import ops

from keras_snn.export.precision import in_float32

ROWS = 4  # Of samples that are drawn.


def structure(model):
    """The model's symbolic inputs as it takes them; None if subclassed."""
    if not getattr(model, "inputs", None):
        return None
    if isinstance(model, keras.Sequential):
        return model.inputs[0]
    return model.input


def packed(model, flat):
    """One value an input, in the structure that the model takes."""
    inputs = structure(model)
    if inputs is None:
        return flat[0]
    return keras.tree.pack_sequence_as(inputs, flat)


def signature(model, samples, batch_size):
    """What the file takes.

    Args:
        model: A built Keras model.
        samples: Its inputs, or None; they tell those of a subclassed model.
        batch_size: Rows of every batch, or None for the model's own.

    Returns:
        A list of dicts `{"shape", "dtype", "name"}`, one an input, in the
        order of `keras.tree.flatten`.
    """
    inputs = structure(model)
    if inputs is not None:
        specs = [
            (tuple(t.shape), t.dtype, _name(t.name))
            for t in keras.tree.flatten(inputs)
        ]
    elif samples is None:
        raise ValueError(
            "A subclassed model needs `samples`, which tell the shape of its "
            f"input. Received: {model.name!r} and samples=None"
        )
    else:
        x = _array(samples)
        dtype = "float32" if x.dtype.kind == "f" else x.dtype.name
        specs = [((None, *x.shape[1:]), dtype, "input")]
    return [
        {"shape": (batch_size or rows, *shape), "dtype": dtype, "name": name}
        for (rows, *shape), dtype, name in specs
    ]


def sample_arrays(model, signature, samples, seed):
    """Arrays that fit the signature, one an input: the user's, or drawn."""
    if samples is None:
        rng = np.random.default_rng(seed)
        return [_drawn(spec, rng) for spec in signature]
    return _checked(model, signature, samples, "samples")


def representative_arrays(model, signature, representative):
    """Arrays of as many rows, one an input, from all that the user gives.

    Args:
        model: A built Keras model.
        signature: What `signature` returned.
        representative: Inputs of the model, or an iterable of such batches.
    """
    if _are_inputs(model, representative):
        representative = [representative]
    of_any_rows = [
        {**spec, "shape": (None, *spec["shape"][1:])} for spec in signature
    ]
    given = [
        _checked(model, of_any_rows, batch, "representative")
        for batch in representative
    ]
    arrays = [np.concatenate(parts) for parts in zip(*given, strict=True)]
    rows = signature[0]["shape"][0] or 1
    if not arrays or len(arrays[0]) < rows:
        raise ValueError(
            "Argument `representative` must hold one batch of the file at "
            "least, or nothing tells the range of activations. "
            f"Received: {len(arrays[0]) if arrays else 0} rows, for batches "
            f"of {rows}"
        )
    return arrays


def batches(signature, arrays):
    """Whole batches of the file's own size, as dicts of name to array."""
    rows = signature[0]["shape"][0] or 1
    for first in range(0, len(arrays[0]) - rows + 1, rows):
        yield {
            spec["name"]: x[first : first + rows]
            for spec, x in zip(signature, arrays, strict=True)
        }


def outputs(model, arrays):
    """The Keras model's outputs in float32, by the names the file gives."""
    with in_float32(model):
        given = model(packed(model, arrays), training=False)
    if not isinstance(given, dict):
        given = {
            f"output_{index}": output
            for index, output in enumerate(keras.tree.flatten(given))
        }
    found = {
        name: ops.convert_to_numpy(ops.cast(output, "float32"))
        for name, output in given.items()
    }
    if not all(np.isfinite(output).all() for output in found.values()):
        raise ValueError(
            "The model's outputs must be finite, or the file's cannot be "
            f"compared with them. Received: {model.name!r}, which gives NaN "
            "or infinity on the samples"
        )
    return found


def _name(name):
    """`name` as TensorFlow allows it."""
    return re.sub(r"\W", "_", name).lstrip("_") or "input"


def _are_inputs(model, value):
    """Whether a value is one batch, as the model takes it, and not several."""
    if not keras.tree.is_nested(structure(model)):
        return hasattr(value, "shape")
    try:
        keras.tree.assert_same_structure(structure(model), value)
    except (TypeError, ValueError):
        return False
    return all(hasattr(x, "shape") for x in keras.tree.flatten(value))


def _checked(model, signature, samples, argument):
    """Inputs of a model as arrays that fit its signature, one an input."""
    # A tuple for one input is no array, but perhaps a batch with its labels.
    if keras.tree.is_nested(structure(model)) or isinstance(samples, tuple):
        samples = keras.tree.flatten(samples)
    else:
        samples = [samples]
    arrays = [_array(x) for x in samples]
    wanted = [spec["shape"] for spec in signature]
    shapes = [x.shape for x in arrays]
    if (
        not len(shapes) == len(wanted)
        or not all(map(_fits, shapes, wanted))
        or len({rows for rows, *_ in shapes}) > 1
    ):
        raise ValueError(
            f"Argument `{argument}` must be inputs of the model: arrays of the "
            f"shapes {wanted}, where None is any number of at least 1, with "
            f"as many rows each. Received: arrays of the shapes {shapes}"
        )
    return [
        x.astype(spec["dtype"])
        for x, spec in zip(arrays, signature, strict=True)
    ]


def _array(x):
    return ops.convert_to_numpy(x) if ops.is_tensor(x) else np.asarray(x)


def _drawn(spec, rng):
    rows, *shape = spec["shape"]
    if None in shape:
        raise ValueError(
            "A model with inputs of any size needs `samples`, to run the file "
            f"on. Received: samples=None and an input of shape {spec['shape']}"
        )
    shape = (rows or ROWS, *shape)
    if keras.backend.is_float_dtype(spec["dtype"]):
        return rng.random(shape).astype(spec["dtype"])
    return rng.integers(0, 2, shape).astype(spec["dtype"])


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(
        size > 0 and of in (None, size)
        for size, of in zip(shape, wanted, strict=True)
    )
