"""RigL: the rigged lottery.

"Rigging the Lottery: Making All Tickets Winners",
https://arxiv.org/abs/1911.11134. At each update, in every layer, the active
weights of the smallest magnitude are dropped, and as many are grown where the
gradient of the loss is largest in magnitude, and start from 0. The share that
is dropped falls by a cosine, from 0.3 to none at three quarters of training.

With a pattern of constant fan-in, or N:M, it is SRigL: "Dynamic Sparse Training
with Structured Sparsity", https://arxiv.org/abs/2305.02299. The smallest of a
layer are dropped all the same, and each output, or each group of inputs, grows
as many as it lacks.

Differs from the papers: the gradient is of a batch drawn from `data`, not of
the one in training; a weight that is dropped and grown at once restarts from 0,
too; SRigL's ablation of neurons is left out.
"""

import numpy as np

from keras_snn.callbacks.bases.by_gradient import ByGradient


class RigLUpdate(ByGradient):
    """Drops the smallest weights, grows those of the largest gradient.

    Args:
        data: Training data to take gradients on: `(x, y)`, arrays of which
            each update draws a batch; a `keras.utils.PyDataset`; or any
            iterable of batches, such as a `tf.data.Dataset`, whose first is
            taken. What `fit` is given is usually right.
        interval: Steps between updates, an int >= 1. Defaults to 100.
        drop_fraction: Alpha: share of a layer's active weights that the first
            update drops, in (0, 1). Defaults to 0.3.
        decay: How it falls until `end`: `"cosine"` (default) or `"linear"`, to
            0.001, or `"constant"`.
        unit: What `interval` counts: `"steps"` (default) or `"epochs"`.
        end: Share of training after which masks stay, in (0, 1]. Defaults to
            0.75.
        batch_size: Rows drawn of `(x, y)`. Defaults to 128.
        loss: A Keras loss, or its name. Defaults to the compiled one.
        pattern: What masks are before and after each update: `"2:4"` and the
            like, or one of `keras_snn.patterns`. Defaults to any.
        seed: Int >= 0. The same seed draws the same rows on every backend and
            after a resume.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs, or
            masks do not have the pattern.
        TypeError: If `data` are of another kind.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.9)
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=20, callbacks=[RigLUpdate((x, y))])
    ```
    """

    def __init__(
        self,
        data,
        interval=100,
        *,
        drop_fraction=0.3,
        unit="steps",
        end=0.75,
        **options,
    ):
        super().__init__(
            data,
            interval,
            drop_fraction=drop_fraction,
            unit=unit,
            end=end,
            **options,
        )

    def grow(self, update, mask, count):
        scores = np.abs(update.gradient)
        return update.pattern.grow_highest(scores, mask, count)
