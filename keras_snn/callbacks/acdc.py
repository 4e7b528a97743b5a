"""AC/DC: alternating compressed and decompressed training.

"AC/DC: Alternating Compressed/DeCompressed Training of Deep Neural Networks",
https://arxiv.org/abs/2106.12379. After a dense warm-up, sparse and dense phases
alternate: at the beginning of a compressed phase the largest weights of the
whole model are kept, at the beginning of a decompressed one all others come
back, from 0, and momentum starts again from 0 for the whole model, as in the
authors' scripts. The last phase is compressed.

Differs from the authors' code: counts are exact, where a threshold keeps all or
none of equal weights; BatchNorm's statistics are not computed once more.
"""

import bisect

from keras_snn import patterns
from keras_snn.callbacks.bases.due import Due
from keras_snn.callbacks.bases.mask_update import MaskUpdate
from keras_snn.checks import check_integer
from keras_snn.checks import check_number
from keras_snn.choosing.by_score import check_scope
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import sparsity as sparsity_of
from keras_snn.masking.set_masks import checked_optimizer
from keras_snn.masking.set_masks import reset_slots
from keras_snn.masking.set_masks import set_masks


class ACDCUpdate(MaskUpdate):
    """Trains sparse and dense in turn, and ends sparse.

    Args:
        sparsity: Fraction of zeros in compressed phases, in [0, 1).
        interval: Epochs of a phase, an int >= 1. Defaults to 5.
        begin: Share of training that is the dense warm-up, in [0, 1).
            Defaults to 0.1.
        end: Share of training after which it stays compressed, in
            [`begin`, 1). Defaults to 0.75.
        phases: Instead of these three, the epochs with which phases begin, in
            rising order: the first is compressed, the next decompressed, and
            so on, so that their number is odd. The authors' on ImageNet are
            `[*range(10, 76, 5), 85]` of 100 epochs. Defaults to None.
        scope: As for `prune_magnitude`. Defaults to `"global"`, the paper's.
        pattern: Which masks are allowed in compressed phases, as for
            `prune_magnitude`. Defaults to any.
        reset_momentum: Whether all optimizer slots of the model start again
            with a decompressed phase, or those of weights that come back
            alone. Defaults to True, as in the authors' scripts.

    Raises:
        ValueError: If an argument is out of range, `sparsity` is not that of
            the pattern or, when training begins, the model has no masks, a
            weight cannot have the pattern or no epoch begins after `end` or
            with the last phase.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=100, callbacks=[ACDCUpdate(0.9)])
    ```
    """

    ends_sparser = True

    def __init__(
        self,
        sparsity,
        interval=5,
        *,
        begin=0.1,
        end=0.75,
        phases=None,
        scope="global",
        pattern=None,
        reset_momentum=True,
    ):
        super().__init__(Due(1, "epochs", at_once=True))
        self.pattern = patterns.get(pattern)
        self.sparsity = self.pattern.sparsity(sparsity)
        check_integer("interval", interval, 1, "or masks would never change")
        check_scope(scope)
        check_number("begin", begin, "a share of training")
        check_number("end", end, "a share of training")
        if not 0 <= begin <= end < 1:
            raise ValueError(
                "Arguments `begin` and `end` must be shares of training with "
                "0 <= begin <= end < 1, or training ends before it is sparse. "
                f"Received: {begin=}, {end=}"
            )
        self.interval = interval
        self.begin = begin
        self.end = end
        self.phases = None if phases is None else _checked(list(phases))
        self.scope = scope
        self.reset_momentum = reset_momentum

    def on_train_begin(self, logs=None):
        patterns.for_weights(self.pattern, masked_weights(self.model))
        super().on_train_begin(logs)
        epochs = self.params["epochs"]
        if self.phases is None:
            self.check_reached("end", self.end)
        elif self.phases[-1] >= epochs:
            raise ValueError(
                "Argument `phases` must hold epochs of training, or it would "
                f"end dense. Received: phases={self.phases} and {epochs} epochs"
            )

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
        if self.phases is not None:
            return bisect.bisect(self.phases, epoch) % 2 == 1
        since = epoch - self.begin * epochs
        return epoch / epochs >= self.end or (
            since >= 0 and since // self.interval % 2 == 0
        )

    def update(self, model, compressed, *, optimizer=None):
        """Begins a phase: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model with masks.
            compressed: Whether the phase is a compressed one.
            optimizer: The Keras optimizer whose slots to reset. Defaults to
                the one the model was compiled with.

        Raises:
            ValueError: If the model has no masks, a weight cannot have the
                pattern, or is NaN or infinite. Nothing has changed then.
            TypeError: If `optimizer` is not a Keras optimizer.
        """
        optimizer = checked_optimizer(optimizer, model)
        weights = masked_weights(model)
        if compressed:
            chosen = masks_by_score(
                weights,
                magnitudes(weights),
                self.sparsity,
                scope=self.scope,
                pattern=self.pattern,
            )
            set_masks(
                model, chosen, optimizer=optimizer, requested=self.sparsity
            )
        elif sparsity_of(model) > 0:
            chosen = {p: m.mask_array() | True for p, m in weights.items()}
            set_masks(model, chosen, optimizer=optimizer, requested=0.0)
            for weight in model.trainable_variables:
                if self.reset_momentum:
                    reset_slots(optimizer, weight, False)

    def get_config(self):
        """The arguments."""
        return {
            "sparsity": self.sparsity,
            "interval": self.interval,
            "begin": self.begin,
            "end": self.end,
            "phases": self.phases,
            "scope": self.scope,
            "pattern": patterns.serialize(self.pattern),
            "reset_momentum": self.reset_momentum,
        }


def _checked(phases):
    for place, epoch in enumerate(phases):
        check_integer(f"phases[{place}]", epoch, 0, "an epoch of training")
    if len(phases) % 2 == 0 or sorted(set(phases)) != phases:
        raise ValueError(
            "Argument `phases` must hold an odd number of epochs in rising "
            "order, compressed phases and others in turn, or training would "
            f"end dense. Received: {phases=}"
        )
    return phases
