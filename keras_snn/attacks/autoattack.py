"""AutoAttack: the field's standard ensemble of attacks.

Croce and Hein, 2020, "Reliable evaluation of adversarial robustness with an
ensemble of diverse parameter-free attacks", https://arxiv.org/abs/2003.01690,
with the attacks and settings of the authors' code,
https://github.com/fra31/auto-attack, in its versions of those names:

- `"standard"`: APGD on the cross-entropy, APGD-T on the targeted DLR loss and
  FAB-T, with 9 targets each, and Square with 5000 queries.
- `"rand"`, for models that are random: APGD on the cross-entropy and on the DLR
  loss, with gradients averaged over 20 passes.

Differs from the authors' code: what cannot be judged is an error, not only a
warning; fewer classes than 10 have fewer targets.
"""

import warnings

import keras
import numpy as np
from keras import ops

from keras_snn.attacks import logit_losses
from keras_snn.attacks.apgd import APGD
from keras_snn.attacks.apgd import TargetedAPGD
from keras_snn.attacks.fab import FAB
from keras_snn.attacks.logit_attack import LogitAttack
from keras_snn.attacks.logit_attack import tensor
from keras_snn.attacks.square import Square

VERSIONS = ("standard", "rand")
# Limits of the authors' code: of the difference of two passes' outputs, of
# length 1 each, and of the accuracy that Square alone takes away.
SAME_OUTPUTS = 1e-4
LITTLE_ACCURACY = 0.002


@keras.saving.register_keras_serializable(package="keras_snn")
class AutoAttack(LogitAttack):
    """Attacks one after another, each on what is still right.

    Its adversarial accuracy is what robustness is reported by. It takes up to
    2000 gradients and 5000 passes an image: an image that stays right takes
    them all. Images must be of shape (n, rows, columns, channels), and the
    model must have 4 classes, 3 for `"rand"`.

    Args:
        eps: Radius of the ball, in units of pixels in [0, 1].
        norm: `"linf"`, the largest change of any pixel, or `"l2"`, the
            Euclidean length of the change of an image.
        version: `"standard"`, or `"rand"` for a model whose outputs are random
            in inference mode, too.
        seed: Seed of all random draws, an integer.
        steps: Number of steps in each run of APGD and FAB.
        queries: Number of queries of Square. Results with other numbers than
            100 and 5000 are not to be compared with AutoAttack's.
        verbose: Whether to print the accuracy that each attack leaves.

    Calling it warns where its result would be too good: where many gradients
    are zero, and where Square finds what attacks with gradients did not.

    Example:

    ```python
    attack = AutoAttack(eps=8 / 255)
    print(adversarial_accuracy(model, attack, *test))
    ```

    Reference:
        [Reliable evaluation of adversarial robustness with an ensemble of
        diverse parameter-free attacks](https://arxiv.org/abs/2003.01690)
    """

    def __init__(
        self,
        eps=8 / 255,
        *,
        norm="linf",
        version="standard",
        seed=0,
        steps=100,
        queries=5000,
        verbose=False,
    ):
        counts = {"steps": steps, "queries": queries}
        super().__init__(eps, norm=norm, seed=seed, **counts)
        if version not in VERSIONS:
            raise ValueError(
                f"Argument `version` must be one of {VERSIONS}, or there is "
                f"nothing to run. Received: version={version!r}"
            )
        self.version = version
        self.verbose = bool(verbose)
        self.least_classes = 4 if version == "standard" else 3

    def attacks(self):
        """The attacks it consists of, by name, in their order."""
        ball = {"eps": self.eps, "norm": self.norm, "seed": self.seed}
        steps = {**ball, "steps": self.steps}
        if self.version == "rand":
            return {
                "APGD-CE": APGD(loss="ce", eot=20, **steps),
                "APGD-DLR": APGD(loss="dlr", eot=20, **steps),
            }
        return {
            "APGD-CE": APGD(loss="ce", **steps),
            "APGD-T": TargetedAPGD(targets=9, **steps),
            "FAB-T": FAB(targets=9, **steps),
            "Square": Square(queries=self.queries, **ball),
        }

    def _check_shape(self, x):
        Square(self.eps, norm=self.norm)._check_shape(x)

    def _check_network(self, network, x, y):
        x = tensor(x)
        outputs = [ops.convert_to_numpy(network.logits(x, s)) for s in (1, 2)]
        one, two = [
            o / np.maximum(np.linalg.norm(o, axis=1, keepdims=True), 1e-10)
            for o in outputs
        ]
        difference = np.linalg.norm(one - two, axis=1).max()
        if self.version != "rand" and difference > SAME_OUTPUTS:
            raise ValueError(
                'Argument `version` must be "rand" for a model whose outputs '
                "are random, or one lucky pass counts as an adversarial "
                f"example. Received: version={self.version!r}, model="
                f"{network.model.name}, whose outputs differ from pass to pass"
            )
        labels = tensor(outputs[0].argmax(axis=1))
        gradient, _, _ = network.gradient(logit_losses.dlr, x, labels, 1)
        gradient = ops.convert_to_numpy(gradient).reshape(len(gradient), -1)
        zero = int((gradient == 0).all(axis=1).sum())
        if zero:
            warnings.warn(
                f"{zero} of the first {len(gradient)} images have no gradient "
                f"in {network.model.name}: attacks by gradient will find "
                "robustness there that is none.",
                stacklevel=3,
            )

    def _attack(self, images):
        self._say("an attack", images.accuracy(), "before")
        for name, attack in self.attacks().items():
            before = images.accuracy()
            attack._attack(images)
            self._say(name, images.accuracy())
        lost = before - images.accuracy()
        if self.version == "standard" and lost > LITTLE_ACCURACY:
            warnings.warn(
                f"Square, which takes no gradients, found {lost:.1%} more "
                "images than attacks with gradients had: these may be misled, "
                "and robustness is less than it seems. Try Square with more "
                "queries and restarts, or an attack made for this model.",
                stacklevel=3,
            )

    def _say(self, name, accuracy, when="after"):
        if self.verbose:
            print(f"Accuracy {when} {name}: {accuracy:.2%}")

    def get_config(self):
        """The arguments, for Keras to save."""
        return {
            **super().get_config(),
            "version": self.version,
            "verbose": self.verbose,
        }
