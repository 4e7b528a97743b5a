"""HYDRA: pruning that knows what robustness rests on.

"HYDRA: Pruning Adversarially Robust Neural Networks",
https://arxiv.org/abs/2002.10509. A trained network is pruned by minimising the
loss that it was trained for, adversarial as a rule, over which weights are
kept: each has a score, and in every layer those of the highest magnitude are
active; see `HYDRALayer`. What is left is fine-tuned then.

Differs from the authors' code: counts of a layer are rounded so that the
model's is met; what they keep of a layer may be shared out otherwise by
`scope="global"`. The optimizer's weight decay reaches scores, as theirs does.
"""

import numpy as np

from keras_snn.callbacks.gmp import GMPUpdate
from keras_snn.checks import check_integer
from keras_snn.masking.hydra_layer import HYDRALayer
from keras_snn.masking.mask_state import wrapped_by
from keras_snn.schedules import ConstantSparsity


class HYDRAUpdate(GMPUpdate):
    """Keeps the weights of the highest scores, at one sparsity.

    Args:
        sparsity: Fraction of zeros in all, in [0, 1).
        interval: Steps between updates, an int >= 1, of which the first comes
            before the first step; there is one after the last step of each
            epoch, too. Defaults to 1, as in the paper.
        scope: `"layer"` (default), the same sparsity in every layer, or
            `"global"`.
        pattern: As for `GMPUpdate`.

    Raises:
        ValueError: If an argument is out of range or, when training begins,
            the model is not wrapped by `HYDRALayer`s.

    Example:

    ```python
    model = keras_snn.sparsify(trained, 0.0, wrapper=HYDRALayer)
    robust = AdversarialModel(model, PGD())
    robust.compile("sgd", loss)
    robust.fit(x, y, epochs=20, callbacks=[HYDRAUpdate(0.9)])

    # What is left is trained on: the same masks, on weights that train.
    masks = keras_snn.get_masks(model)
    model = keras_snn.sparsify(keras_snn.strip(model), 0.0)
    keras_snn.set_masks(model, masks)
    robust = AdversarialModel(model, PGD())
    robust.compile("sgd", loss)
    robust.fit(x, y, epochs=100)
    ```
    """

    scopes = ("layer", "global")
    revive = True
    ends_sparser = False  # All of it is of one sparsity.

    def __init__(self, sparsity, *, interval=1, scope="layer", pattern=None):
        check_integer("interval", interval, 1, "or masks would never change")
        schedule = ConstantSparsity(sparsity, 0, frequency=interval)
        super().__init__(schedule, scope=scope, pattern=pattern)

    def on_train_begin(self, logs=None):
        wrapped_by(self.model, HYDRALayer)
        super().on_train_begin(logs)

    def scores(self, weights):
        return {p: np.abs(m.companion_array()) for p, m in weights.items()}

    def update(self, model, sparsity, *, optimizer=None):
        """Chooses masks once: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model wrapped by `HYDRALayer`s.
            sparsity: Fraction of zeros in all, in [0, 1).
            optimizer: Not used: no weight trains.

        Raises:
            ValueError: If the model is not wrapped so, the sparsity is out of
                range or would empty a layer, or a score is NaN or infinite.
                Nothing has changed then.
        """
        wrapped_by(model, HYDRALayer)
        super().update(model, sparsity, optimizer=optimizer)

    def get_config(self):
        """The arguments."""
        config = super().get_config()
        del config["schedule"]
        return {
            "sparsity": self.schedule.target_sparsity,
            "interval": self.schedule.frequency,
            **config,
        }

    @classmethod
    def from_config(cls, config):
        """The callback of a config."""
        return cls(**config)
