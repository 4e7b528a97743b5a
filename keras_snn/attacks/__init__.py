"""Adversarial attacks, and training against them.

Images are floats in [0, 1]; normalisation is a layer inside the model, so that
`eps` means the same for every model.
"""

from keras_snn.attacks.adversarial_accuracy import adversarial_accuracy
from keras_snn.attacks.adversarial_model import AdversarialModel
from keras_snn.attacks.adversarial_validation import AdversarialValidation
from keras_snn.attacks.apgd import APGD
from keras_snn.attacks.apgd import TargetedAPGD
from keras_snn.attacks.autoattack import AutoAttack
from keras_snn.attacks.awp import AWP
from keras_snn.attacks.fab import FAB
from keras_snn.attacks.fgsm import FGSM
from keras_snn.attacks.free_adversarial_model import FreeAdversarialModel
from keras_snn.attacks.mart import MARTModel
from keras_snn.attacks.pgd import PGD
from keras_snn.attacks.square import Square
from keras_snn.attacks.trades import TRADESModel

__all__ = [
    "APGD",
    "AWP",
    "FAB",
    "FGSM",
    "PGD",
    "AdversarialModel",
    "AdversarialValidation",
    "AutoAttack",
    "FreeAdversarialModel",
    "MARTModel",
    "Square",
    "TRADESModel",
    "TargetedAPGD",
    "adversarial_accuracy",
]
