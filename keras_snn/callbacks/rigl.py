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

Differs from the papers: the optimizer takes the step whose gradient an update
looks at, as in the code of "Do We Actually Need Dense Over-Parameterization?",
https://arxiv.org/abs/2102.02887, where RigL's has the update in its place;
counts are rounded where RigL's are cut off; SRigL's ablation of neurons is left
out.
"""

import numpy as np

from keras_snn.callbacks.bases.by_gradient import ByGradient


class RigLUpdate(ByGradient):
    """Drops the smallest weights, grows those of the largest gradient.

    Args:
        data: None (default) for the gradient that training takes: that of the
            step at which an update is due, which comes behind it. Or training
            data to take gradients on: `(x, y)` or `(x, y, sample_weight)`,
            arrays of which each update draws a batch; a
            `keras.utils.PyDataset`; or any iterable of batches, such as a
            `tf.data.Dataset`, whose first are taken.
        interval: Steps between updates, an int >= 1. Defaults to 100.
        drop_fraction: Alpha: share of a layer's active weights that the first
            update drops, in (0, 1). Defaults to 0.3.
        decay: How it falls until `end`: `"cosine"` (default), `"linear"` or
            `"inverse_power"`, a cube, to 0.001, a number, its exponent, or
            `"constant"`.
        unit: What `interval` counts: `"steps"` (default) or `"epochs"`.
        end: Share of training after which masks stay, in (0, 1]. Defaults to
            0.75.
        pattern: What masks are before and after each update: `"2:4"` and the
            like, or one of `keras_snn.patterns`. Defaults to any.
        batch_size: Rows drawn of `(x, y)`. Defaults to 128.
        batches: How many batches, or steps of training, an update looks at the
            mean gradient of, an int >= 1. Defaults to 1.
        loss: A Keras loss, or its name, for gradients on `data`. Defaults to
            the compiled one.
        seed: Int >= 0. The same seed draws the same rows on every backend and
            after a resume.
        grow_init: What grown weights start from: `"zeros"` (default),
            `"random_normal"`, of the standard deviation of the layer's weights,
            or `"random_uniform"`, within their mean magnitude.

    Raises:
        ValueError: If an argument is out of range, there are no data or, when
            training begins, the model has no masks or takes other inputs, or
            masks do not have the pattern.
        TypeError: If `data` are of another kind.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.9)
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=20, callbacks=[RigLUpdate()])
    ```
    """

    def __init__(
        self,
        data=None,
        interval=100,
        *,
        drop_fraction=0.3,
        decay="cosine",
        unit="steps",
        end=0.75,
        pattern=None,
        batch_size=128,
        batches=1,
        loss=None,
        seed=0,
        grow_init="zeros",
    ):
        super().__init__(
            data,
            interval,
            drop_fraction=drop_fraction,
            decay=decay,
            unit=unit,
            end=end,
            pattern=pattern,
            batch_size=batch_size,
            batches=batches,
            loss=loss,
            seed=seed,
            grow_init=grow_init,
        )

    def grow(self, update, mask, count):
        scores = np.abs(update.gradient)
        return update.pattern.grow_highest(scores, mask, count)
