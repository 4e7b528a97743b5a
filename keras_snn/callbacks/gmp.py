"""GMP: gradual magnitude pruning.

"To prune, or not to prune: exploring the efficacy of pruning for model
compression", https://arxiv.org/abs/1710.01878. The sparsity follows a schedule,
cubic by default, and at each of its steps the smallest weights go, for good.

Differs from the paper: one threshold for the whole model, as in "Are Sparse
Neural Networks Better Hard Sample Learners?",
https://arxiv.org/abs/2409.09196; `scope="layer"` is the paper's. The last
update lands on the final sparsity, whether or not `frequency` meets it.
"""

from itertools import pairwise

import numpy as np

from keras_snn import patterns
from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.scheduled_update import ScheduledUpdate
from keras_snn.choosing.by_score import SCOPES
from keras_snn.choosing.by_score import active_masks
from keras_snn.choosing.by_score import check_scope
from keras_snn.choosing.by_score import magnitudes
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import sparsity as sparsity_of
from keras_snn.masking.set_masks import check_pruned
from keras_snn.masking.set_masks import checked_optimizer
from keras_snn.masking.set_masks import set_masks


class GMPUpdate(ScheduledUpdate):
    """Prunes by magnitude during training, as a schedule says.

    A step is one update of the optimizer. An update at step t comes after t
    updates of the optimizer, before the next; the last comes as soon as
    `end_step` of them are done. Masks only shrink.

    A subclass prunes by another score: it defines `scores`, and sets `revive`
    where inactive weights are to compete as well. Masks then go on changing
    after the schedule's end, at its sparsity.

    Args:
        schedule: A `PruningSchedule`, any object of its protocol, such as
            tfmot's, or `DuringTraining`, which speaks in shares of training.
        scope: `"global"` (default): one threshold for the model. `"layer"`:
            the same sparsity in every layer, where none is sparser already.
            `"lamp"`: as for `prune_magnitude`.
        pattern: Which masks are allowed, as for `prune_magnitude`. On the way
            to N:M, what the pattern keeps stays, and of the rest the smallest
            go first, as in jaxpruner's iterative N:M pruning. Defaults to any.

    Raises:
        TypeError: If `schedule` cannot be called with a step.
        ValueError: If `scope` is unknown, the final sparsity is not that of
            the pattern or, when training begins, the model has no masks or
            the schedule ends after training.

    Warns, when training begins, if it will prune nothing: the schedule asks
    for no more zeros than there are, or for fewer as it goes on.

    The best epoch of such a training is often one before the final sparsity.
    Put an `EarlyStopping` or a `ModelCheckpoint(save_best_only=True)` into a
    `OnceSparse`, which shows it epochs of that sparsity alone.

    Example:

    ```python
    model = keras_snn.sparsify(model, sparsity=0.0)
    model.compile("sgd", "mse")
    update = GMPUpdate(DuringTraining(0.9, begin=0.1, end=0.8))
    best = keras.callbacks.EarlyStopping(restore_best_weights=True)
    callbacks = [update, OnceSparse(best, 0.9)]
    model.fit(x, y, epochs=20, validation_split=0.1, callbacks=callbacks)
    ```
    """

    scopes = SCOPES
    revive = False

    def __init__(self, schedule, *, scope="global", pattern=None):
        super().__init__(schedule, keeps_up=self.revive)
        check_scope(scope, self.scopes)
        self.scope = scope
        self.pattern = patterns.get(pattern)
        final = getattr(schedule, "final_sparsity", None)
        final = getattr(schedule, "target_sparsity", final)
        if final is not None:
            self.pattern.sparsity(final)

    def on_train_begin(self, logs=None):
        patterns.for_weights(self.pattern, masked_weights(self.model))
        super().on_train_begin(logs)

    def doubts(self):
        yield from super().doubts()
        asked, now = self.due.wanted, sparsity_of(self.model)
        if self.revive or not asked:
            return
        # A training that goes on may be where its schedule ended.
        goes_on = self.due.first > 0 and max(asked) == now
        if max(asked) <= now and now > 0 and not goes_on:
            yield (
                "Pruning only removes weights, so this training prunes "
                "nothing: ask for a sparsity above that of the model, or begin "
                "with `sparsify(model, 0.0)`. Received: a schedule up to "
                f"{max(asked):.6g}, and {self.model.name!r} of sparsity "
                f"{now:.6g}"
            )
        elif any(after < before for before, after in pairwise(asked)):
            yield (
                "Pruning only removes weights, so sparsity stays at its "
                "highest where a schedule decreases. Received: a schedule that "
                f"reaches {max(asked):.6g} and ends with {asked[-1]:.6g}"
            )

    def scores(self, weights):
        """What tells which weights stay, those of the highest scores.

        Args:
            weights: Dict of path to `MaskedWeight`.

        Returns:
            A dict of path to float array of the weight's shape: magnitudes.
        """
        return magnitudes(weights)

    def update(self, model, sparsity, *, optimizer=None):
        """Prunes once: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model with masks.
            sparsity: Fraction of zeros in all, in [0, 1). Where the model is
                that sparse and nothing revives, nothing happens.
            optimizer: The Keras optimizer whose slots to zero, or one of
                `torch.optim`. Defaults to the one the model was compiled with.

        Raises:
            ValueError: If the model has no masks, the sparsity is out of range
                or would empty a layer, a weight cannot have the pattern, or a
                score is NaN or infinite. Nothing has changed then.
        """
        sparsity = masks.check_sparsity(sparsity)
        weights = masked_weights(model)
        optimizer = checked_optimizer(optimizer, model)
        if self.params is None:  # In a loop of a user's own.
            check_pruned(weights, active_masks(weights), optimizer)
        if not self.revive and sparsity <= sparsity_of(model):
            return
        chosen = self._chosen(weights, sparsity)
        set_masks(model, chosen, optimizer=optimizer, requested=sparsity)

    def _chosen(self, weights, sparsity):
        scores, pattern = self.scores(weights), self.pattern
        if isinstance(pattern, patterns.NM):
            final = pattern.sparsity(None)
            if sparsity < final and not np.isclose(sparsity, final):
                whole = masks_by_score(
                    weights, scores, None, revive=self.revive, pattern=pattern
                )
                scores, pattern = _first(whole, scores), None
        return masks_by_score(
            weights,
            scores,
            sparsity,
            scope=self.scope,
            revive=self.revive,
            pattern=pattern,
        )

    def get_config(self):
        """The arguments; a schedule of tfmot comes back as the same of ours."""
        return {
            **super().get_config(),
            "scope": self.scope,
            "pattern": patterns.serialize(self.pattern),
        }


def _first(chosen, scores):
    """Scores by which what is chosen comes before everything else."""
    low = min(score.min() for score in scores.values())
    high = max(score.max() for score in scores.values())
    return {
        path: np.where(chosen[path], 1 + high - low, 0) + score
        for path, score in scores.items()
    }
