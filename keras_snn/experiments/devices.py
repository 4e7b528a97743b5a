"""One training on several devices, which share each batch of it.

Keras distributes it; what is here has several devices train as one does, but
for the order in which they add up.
"""

import contextlib

from keras_snn import backend
from keras_snn.masking.keras_private import flattened_layers


def check_batches(count, trials):
    """Checks that devices can share the batches of trials.

    Args:
        count: How many share a training.
        trials: List of `Trial`.

    Raises:
        ValueError: If a batch does not divide, or layers compute sparse.
    """
    for trial in trials:
        if count > 1 and trial.compute == "sparse":
            raise ValueError(
                "Layers that compute sparse do so on one CPU, and a training "
                "that devices share would leave that to dense ones. Received: "
                f"compute={trial.compute!r}, {count} devices"
            )
        if trial.batch_size % count:
            raise ValueError(
                "Field `batch_size` must be a multiple of the devices that "
                "share a training, or some have more to do than others. "
                f"Received: batch_size={trial.batch_size}, {count} devices"
            )


def check_there(count):
    """Checks that this process has so many devices.

    Raises:
        ValueError: If it has not, or Keras cannot distribute.
    """
    Devices(count)


class Devices:
    """The first devices, which share a training.

    Args:
        count: How many.

    Raises:
        ValueError: If there are not so many, or Keras cannot distribute.
    """

    def __init__(self, count=1):
        self.count = count
        self._replicas = backend.replicas(count) if count > 1 else None

    def scope(self):
        """A context in which models are made, restored and changed."""
        if self.count == 1:
            return contextlib.nullcontext()
        return self._replicas.scope()

    def sharing(self, model, batches):
        """A context that gives what `fit` is to be given.

        A batch that does not divide, the last of an epoch, is computed whole
        on each device: of all samples, and with the gradient, of one device.

        Args:
            model: The model that `fit` trains.
            batches: A `tf.data.Dataset` of tuples of tensors.
        """
        if self.count == 1:
            return contextlib.nullcontext(batches)
        return self._replicas.sharing(
            flattened_layers(model), self._whole(batches)
        )

    def validation_batch(self, images, batch_size):
        """How many images `fit` is to validate on at once; None for its own.

        JAX shares all of them if the first batch divides, and none otherwise:
        so none, where the last one would not.
        """
        if self.count == 1:
            return None
        return batch_size if images % self.count == 0 else batch_size - 1

    def _whole(self, batches):
        """Batches that divide: others, once for each device."""
        import tensorflow as tf

        def repeated(*batch):
            divides = tf.shape(batch[0])[0] % self.count == 0
            times = tf.where(divides, 1, self.count)
            return tuple(
                tf.tile(part, [times] + [1] * (len(part.shape) - 1))
                for part in batch
            )

        return batches.map(repeated)
