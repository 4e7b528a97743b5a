"""Adversarial attacks, and training against them.

Images are floats in [0, 1]; normalisation is a layer inside the model, so that
`eps` means the same for every model.
"""

from keras_snn.attacks.adversarial_accuracy import adversarial_accuracy
from keras_snn.attacks.adversarial_model import AdversarialModel
from keras_snn.attacks.fgsm import FGSM
from keras_snn.attacks.pgd import PGD

__all__ = ["FGSM", "PGD", "AdversarialModel", "adversarial_accuracy"]
