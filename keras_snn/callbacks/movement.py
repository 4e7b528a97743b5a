"""Movement pruning, for models that are fine-tuned.

"Movement Pruning: Adaptive Sparsity by Fine-Tuning",
https://arxiv.org/abs/2005.07683. Each weight has a score, trained with the
weights, which falls as the weight moves towards 0; see `MovementLayer`. Weights
of the highest scores are active, as many as a schedule says, or, in soft
movement pruning, all whose score is above a threshold; others may come back,
with the value that they had. The optimizer's weight decay leaves scores alone,
as in the authors' code.

Differs from the paper: scores have the learning rate of the weights, where the
authors' code gives them a larger one of their own; masks are computed when the
schedule is due and after the last step of each epoch, not at every step: a
schedule of `frequency=1` does. Of equal scores, such as before they are
trained, that of the larger weight is the higher.
"""

import numpy as np

from keras_snn.arithmetic import masks
from keras_snn.callbacks.bases.scheduled_update import ScheduledUpdate
from keras_snn.callbacks.gmp import GMPUpdate
from keras_snn.choosing.by_score import magnitudes
from keras_snn.masking import keras_private
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import wrapped_by
from keras_snn.masking.movement_layer import MovementLayer
from keras_snn.masking.movement_layer import SoftMovementLayer
from keras_snn.masking.set_masks import set_masks

LEAST_DENSITY = 0.005  # What soft movement pruning keeps of a layer, at least.


class MovementUpdate(GMPUpdate):
    """Prunes by learned scores during training, as a schedule says.

    Args:
        schedule: As for `GMPUpdate`. After its end, masks go on changing
            every `frequency` steps, at the final sparsity.
        scope: `"global"` or `"layer"`, as for `GMPUpdate`. Defaults to
            `"global"`, the paper's for its best results.
        pattern: As for `GMPUpdate`.

    Raises:
        TypeError: If `schedule` cannot be called with a step.
        ValueError: If `scope` is unknown or, when training begins, the model
            is not wrapped by `MovementLayer`s or the schedule ends after
            training.

    Example:

    ```python
    model = keras_snn.sparsify(model, 0.0, wrapper=MovementLayer)
    model.compile("adam", "mse")
    schedule = PolynomialDecay(0.0, 0.9, 200, 2000, frequency=10)
    model.fit(x, y, epochs=20, callbacks=[MovementUpdate(schedule)])
    ```
    """

    scopes = ("global", "layer")  # LAMP is one of magnitudes.
    revive = True

    def on_train_begin(self, logs=None):
        wrapped_by(self.model, MovementLayer)
        super().on_train_begin(logs)
        _spare_weight_decay(self.model)

    def scores(self, weights):
        scores, sizes = _scores(weights), magnitudes(weights)
        largest = max(size.max() for size in sizes.values()) or 1.0
        for path, size in sizes.items():
            # float64 has room for the weight below the last bit of the score.
            room = np.spacing(np.abs(scores[path])).astype("float64") / 4
            scores[path] = scores[path] + room * (size / largest)
        return scores

    def update(self, model, sparsity, *, optimizer=None):
        """Prunes once: what `fit` does, for a loop of your own.

        Let the optimizer of such a loop spare the scores from weight decay:
        `optimizer.exclude_from_weight_decay(var_names=["score"])`.

        Args:
            model: A Keras model wrapped by `MovementLayer`s.
            sparsity: Fraction of zeros in all, in [0, 1).
            optimizer: Not used: all weights keep their slots.

        Raises:
            ValueError: If the model is not wrapped so, the sparsity is out of
                range or would empty a layer, or a score is NaN or infinite.
                Nothing has changed then.
        """
        wrapped_by(model, MovementLayer)
        super().update(model, sparsity, optimizer=optimizer)


class SoftMovementUpdate(ScheduledUpdate):
    """Soft movement pruning: what the sigmoid of its score tells stays.

    How sparse that is, is learned: a penalty, the mean over all layers of the
    mean sigmoid of their scores, pushes scores down. A layer keeps .5% of its
    weights and one at least.

    Args:
        schedule: As for `GMPUpdate`, of the threshold instead of a sparsity:
            in [0, 1), usually from 0. After its end, masks go on changing
            every `frequency` steps.
        penalty: Factor of the penalty at the final threshold, >= 0; it is
            proportional to the threshold. The sparsity rises with it.

    Raises:
        TypeError: If `schedule` cannot be called with a step.
        ValueError: If `penalty` is negative or, when training begins, the
            model is not wrapped by `SoftMovementLayer`s or the schedule ends
            after training.

    Example:

    ```python
    model = keras_snn.sparsify(model, 0.0, wrapper=SoftMovementLayer)
    model.compile("adam", "mse")
    thresholds = PolynomialDecay(0.0, 0.1, 200, 2000, frequency=10)
    callback = SoftMovementUpdate(thresholds, penalty=400)
    model.fit(x, y, epochs=20, callbacks=[callback])
    ```
    """

    def __init__(self, schedule, *, penalty):
        super().__init__(schedule, keeps_up=True)
        if not penalty >= 0:
            raise ValueError(
                "Argument `penalty` must be >= 0, or all scores would rise. "
                f"Received: {penalty=}"
            )
        self.penalty = penalty

    def on_train_begin(self, logs=None):
        wrapped_by(self.model, SoftMovementLayer)
        super().on_train_begin(logs)
        _spare_weight_decay(self.model)

    def update_at(self, moment):
        super().update_at(moment)
        final = self.due.final_sparsity
        share = moment.sparsity / final if final else 1.0
        self._penalise(self.penalty * share)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self._penalise(0.0)

    def update(self, model, threshold, *, optimizer=None):
        """Prunes once: what `fit` does, for a loop of your own.

        Such a loop sets `score_decay` of the wrapper, the penalty's factor.

        Args:
            model: A Keras model wrapped by `SoftMovementLayer`s.
            threshold: What the sigmoid of an active weight's score exceeds, in
                [0, 1).
            optimizer: Not used: all weights keep their slots.

        Raises:
            ValueError: If the model is not wrapped so, the threshold is out of
                range, or a score is NaN or infinite. Nothing has changed then.
        """
        threshold = masks.check_sparsity(float(threshold), "threshold")
        wrapped_by(model, SoftMovementLayer)
        chosen = {}
        for path, score in _scores(masked_weights(model)).items():
            masks.check_scores(score, path)
            # As sigmoid(score) > threshold, which overflows for low scores.
            mask = score > (
                np.log(threshold / (1 - threshold)) if threshold else -np.inf
            )
            least = int(LEAST_DENSITY * score.size) + 1
            enough = np.count_nonzero(mask) >= least
            chosen[path] = mask if enough else masks.top_k(score, least)
        set_masks(model, chosen)

    def _penalise(self, factor):
        layers = wrapped_by(self.model, SoftMovementLayer)
        total = sum(len(layer.masked_weights) for layer in layers)
        for layer in layers:
            share = len(layer.masked_weights) / total
            layer.score_decay.assign(factor * share)

    def get_config(self):
        """The arguments; a schedule of tfmot comes back as the same of ours."""
        return {**super().get_config(), "penalty": self.penalty}


def _scores(weights):
    return {
        path: m.companion_array().astype("float32")
        for path, m in weights.items()
    }


def _spare_weight_decay(model):
    scores = [m.companion for m in masked_weights(model).values()]
    if keras_private.exclude_from_weight_decay(model.optimizer, scores):
        model.make_train_function(force=True)  # It may be traced already.
