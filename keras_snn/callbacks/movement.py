"""Movement pruning, for models that are fine-tuned.

"Movement Pruning: Adaptive Sparsity by Fine-Tuning",
https://arxiv.org/abs/2005.07683. Each weight has a score, trained with the
weights, which falls as the weight moves towards 0; see `MovementLayer`. The
weights of the highest scores are active, as many as a schedule says; others may
come back, with the value that they had.

Differs from the paper: scores have the learning rate of the weights; masks are
computed when the schedule is due, not at every step; its soft movement pruning,
by a threshold, is left out.
"""

from keras import ops

from keras_snn.arithmetic import masks
from keras_snn.callbacks.gmp import GMPUpdate
from keras_snn.choosing.by_score import masks_by_score
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import set_masks
from keras_snn.masking.mask_state import wrapped_by
from keras_snn.masking.movement_layer import MovementLayer


class MovementUpdate(GMPUpdate):
    """Prunes by learned scores during training, as a schedule says.

    Args:
        schedule: As for `GMPUpdate`.
        scope: `"global"` or `"layer"`, as for `GMPUpdate`. Defaults to
            `"global"`, the paper's for its best results.

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

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        wrapped_by(self.model, MovementLayer)

    def update(self, model, sparsity, *, optimizer=None):
        """Prunes once: what `fit` does, for a loop of your own.

        Args:
            model: A Keras model wrapped by `MovementLayer`s.
            sparsity: Fraction of zeros in all, in [0, 1).
            optimizer: Not used: all weights keep their slots.

        Raises:
            ValueError: If the model is not wrapped so, the sparsity is out of
                range or would empty a layer, or a score is NaN or infinite.
                Nothing has changed then.
        """
        sparsity = masks.check_sparsity(float(sparsity))
        wrapped_by(model, MovementLayer)
        weights = masked_weights(model)
        scores = {
            path: ops.convert_to_numpy(masked.companion.value)
            for path, masked in weights.items()
        }
        chosen = masks_by_score(
            weights, scores, sparsity, scope=self.scope, revive=True
        )
        set_masks(model, chosen, requested=sparsity)
