"""AC/DC: alternating compressed and decompressed training.

"AC/DC: Alternating Compressed/DeCompressed Training of Deep Neural Networks",
https://arxiv.org/abs/2106.12379. After a dense warm-up, sparse and dense phases
alternate: at the beginning of a compressed phase the largest weights of the
whole model are kept, at the beginning of a decompressed one all others come
back, from 0. The last phase is compressed.
"""

from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.due import Due
from keras_snn.callbacks.bases.mask_update import MaskUpdate
from keras_snn.checks import check_integer
from keras_snn.choosing.by_score import check_scope
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import set_masks


class ACDCUpdate(MaskUpdate):
    """Trains sparse and dense in turn, and ends sparse.

    Args:
        sparsity: Fraction of zeros in compressed phases, in [0, 1).
        interval: Epochs of a phase, an int >= 1. Defaults to 5.
        begin: Share of training that is the dense warm-up, in [0, 1).
            Defaults to 0.1.
        end: Share of training after which it stays compressed, in
            [`begin`, 1). Defaults to 0.75.
        scope: As for `prune_magnitude`. Defaults to `"global"`, the paper's.

    Raises:
        ValueError: If an argument is out of range or, when training begins,
            the model has no masks or no epoch begins after `end`.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=100, callbacks=[ACDCUpdate(0.9)])
    ```
    """

    def __init__(
        self, sparsity, interval=5, *, begin=0.1, end=0.75, scope="global"
    ):
        super().__init__(Due(1, "epochs", at_once=True))
        masks.check_sparsity(sparsity)
        check_integer("interval", interval, 1, "or masks would never change")
        check_scope(scope)
        if not 0 <= begin <= end < 1:
            raise ValueError(
                "Arguments `begin` and `end` must be shares of training with "
                "0 <= begin <= end < 1, or training ends before it is sparse. "
                f"Received: {begin=}, {end=}"
            )
        self.sparsity = sparsity
        self.interval = interval
        self.begin = begin
        self.end = end
        self.scope = scope

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.check_reached("end", self.end)

    def update_at(self, moment):
        epoch, epochs = moment.step, self.params["epochs"]
        compressed = self.compresses(epoch, epochs)
        if epoch == 0:  # Whatever the masks are: all weights compete.
            self.update(self.model, False)
        before = epoch > 0 and self.compresses(epoch - 1, epochs)
        if compressed != before:
            self.update(self.model, compressed)

    def compresses(self, epoch, epochs):
        """Whether an epoch of a training of `epochs` is a compressed one."""
        since = epoch - self.begin * epochs
        return epoch / epochs >= self.end or (
            since >= 0 and since // self.interval % 2 == 0
        )

    def update(self, model, compressed, *, optimizer=None):
        """Begins a phase: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model with masks.
            compressed: Whether the phase is a compressed one.
            optimizer: The Keras optimizer whose slots to zero. Defaults to the
                one the model was compiled with.

        Raises:
            ValueError: If the model has no masks, or a weight is NaN or
                infinite. Nothing has changed then.
        """
        weights = masked_weights(model)
        if compressed:
            chosen = masks_by_score(
                weights, magnitudes(weights), self.sparsity, scope=self.scope
            )
        else:
            chosen = {p: m.mask_array() | True for p, m in weights.items()}
        requested = self.sparsity if compressed else 0.0
        set_masks(model, chosen, optimizer=optimizer, requested=requested)

    def get_config(self):
        """The arguments."""
        return {
            "sparsity": self.sparsity,
            "interval": self.interval,
            "begin": self.begin,
            "end": self.end,
            "scope": self.scope,
        }
