"""The batches on which methods look at gradients."""

import keras
import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.checks import check_inputs
from keras_snn.checks import check_integer


class Batches:
    """Batches of training data, the same at the same step.

    Args:
        data: A tuple `(x, y)` or `(x, y, sample_weight)`, arrays or nested
            structures of arrays with one sample a row, of which rows are
            drawn at random; a `keras.utils.PyDataset`, of which batches are;
            or any iterable of batches that can be begun again, such as a list
            or a `tf.data.Dataset`, which is read from the beginning, and so
            should shuffle by itself.
        batch_size: Rows of a batch drawn from arrays.
        seed: Int >= 0.

    Raises:
        ValueError: If there are no data, or not as many targets as inputs.
        TypeError: If they are of another kind.
    """

    def __init__(self, data, batch_size=128, seed=0):
        self.data = data
        self.batch_size = batch_size
        self.seed = check_integer(
            "seed", seed, 0, "which random draws derive from"
        )
        self._in_memory = isinstance(data, tuple)
        if self._in_memory:
            self.rows = _rows(data)
        elif not isinstance(data, keras.utils.PyDataset) and (
            isinstance(data, str)
            or hasattr(data, "shape")  # Rows of an array are no batches.
            or not hasattr(data, "__iter__")
            or iter(data) is data
        ):
            raise TypeError(
                "Argument `data` must be (x, y), a PyDataset or an iterable of "
                "batches that can be begun again, or there is nothing to take "
                f"gradients on. Received: data={data!r}"
            )

    def check_fits(self, model):
        """Raises a `ValueError` if a model takes inputs of another shape."""
        ((x, _, _),) = self.at(0)
        check_inputs(x, model, "data")

    def at(self, step, count=1):
        """`count` batches, those of this step.

        Args:
            step: Int >= 0.
            count: Int >= 1; fewer come where the data have fewer.

        Returns:
            A list of `(x, y, sample_weight)`; the last is None where the
            data have none.
        """
        rng = masks.generator(self.seed, step, 0)
        if self._in_memory:
            return [self._drawn(rng) for _ in range(count)]
        if isinstance(self.data, keras.utils.PyDataset):
            places = rng.choice(
                len(self.data), min(count, len(self.data)), replace=False
            )
            return [_batch(self.data[int(place)]) for place in places]
        return [
            _batch(batch)
            for batch, _ in zip(self.data, range(count), strict=False)
        ]

    def _drawn(self, rng):
        size = min(self.batch_size, self.rows)
        places = np.sort(rng.choice(self.rows, size, replace=False))
        return _batch(
            keras.tree.map_structure(lambda array: array[places], self.data)
        )


def _batch(parts):
    return keras.utils.unpack_x_y_sample_weight(tuple(parts))


def _rows(data):
    sizes = {len(part) for part in keras.tree.flatten(data) if part is not None}
    if len(data) < 2 or len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "Argument `data` must be (x, y), as many inputs as targets and at "
            "least one, or there is nothing to take gradients on. "
            f"Received: {len(data)} parts of lengths {sorted(sizes)}"
        )
    return sizes.pop()
