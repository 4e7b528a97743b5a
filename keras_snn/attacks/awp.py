"""AWP: Adversarial Weight Perturbation.

Wu, Xia and Wang, 2020, "Adversarial Weight Perturbation Helps Robust
Generalization", https://arxiv.org/abs/2004.05884: take the gradient of the
training loss where weights, too, are attacked, and step with it from where
they were:

    v = gamma * ||w|| / ||g|| * g,  with the gradient g at w, for each kernel
    w <- w - rate * (the gradient at w + v)

Differs from the authors' code (https://github.com/csdongxian/AWP): kernels are
all trainable weights of rank 2 or more; g is the gradient of all that training
minimises, penalties included; it begins with training, theirs, with TRADES,
at epoch 10, to save time.
"""

import keras
from keras import ops

from keras_snn import backend
from keras_snn import checks
from keras_snn.attacks.image_gradient import variable_values
from keras_snn.callbacks.bases.training_gradients import weights_tapped
from keras_snn.shown import call_of

TINY = 1e-20  # No division by a gradient of zero: utils_awp.py.


@keras.saving.register_keras_serializable(package="keras_snn")
class AWP:
    """An attack on the weights, for models that train on attacked images.

    Costs one more pass forward and backward in a step. Inactive weights have
    no gradient, and stay 0. The loss that training reports is that of the
    attacked weights, and growth by the gradient of training looks there; on
    `data` of its own it looks at the weights as they are.

    Args:
        gamma: Length of the change of each kernel, in units of the kernel's.
            The paper has 0.01 for adversarial training, 0.005 for TRADES.

    Example:

    ```python
    robust = TRADESModel(model, PGD(eps=8 / 255), weight_attack=AWP(0.005))
    ```

    Reference:
        [Adversarial Weight Perturbation Helps Robust Generalization](
        https://arxiv.org/abs/2004.05884)
    """

    def __init__(self, gamma=0.01):
        checks.check_number("gamma", gamma, "in units of a kernel's length")
        if not 0 < gamma < float("inf"):
            raise ValueError(
                "Argument `gamma` must be positive and finite, or weights are "
                f"not attacked. Received: gamma={gamma}"
            )
        self.gamma = float(gamma)

    __repr__ = call_of

    def changes(self, model, x, y, sample_weight=None):
        """What to add to the weights, inside a training step.

        Args:
            model: The compiled model that is trained.
            x: What the step trains on, attacked images.
            y: Their classes.
            sample_weight: A weight an image, or None.

        Returns:
            A list of pairs of a variable and a tensor of its shape.
        """
        kernels = [v for v in model.trainable_variables if len(v.shape) > 1]
        state = list(zip(model.variables, variable_values(model), strict=True))

        def loss(values):
            changed = list(zip(kernels, values, strict=True))
            with keras.StatelessScope(state_mapping=state + changed):
                y_pred = model(x, training=True)
                return model.compute_loss(x, y, y_pred, sample_weight)

        values = [ops.stop_gradient(kernel.value) for kernel in kernels]
        with weights_tapped(model, None):  # It is not the step's gradient.
            gradients = backend.gradient(loss, values)
        return [
            (kernel, self._change(value, gradient))
            for kernel, value, gradient in zip(
                kernels, values, gradients, strict=True
            )
        ]

    def _change(self, value, gradient):
        length = _length(gradient)
        change = self.gamma * _length(value) / (length + TINY) * gradient
        # What overflows would stay in the weights, were it added to them.
        return ops.where(ops.isfinite(length), change, 0.0)

    def get_config(self):
        """The arguments, for Keras to save."""
        return {"gamma": self.gamma}

    @classmethod
    def from_config(cls, config):
        """Build from what `get_config` returned."""
        return cls(**config)


def _length(tensor):
    return ops.sqrt(ops.sum(ops.square(tensor)))
