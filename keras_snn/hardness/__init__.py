"""Which samples are hard: scores, and subsets of the data by score.

A score is an array with one number for each sample, larger where it is harder.
`Scores` keeps it in a file with the fingerprint of its data.
"""

from keras_snn.hardness.aum import AUMRecorder
from keras_snn.hardness.comparison import Agreement
from keras_snn.hardness.comparison import agreement
from keras_snn.hardness.confident_learning import mislabelled
from keras_snn.hardness.el2n import EL2NRecorder
from keras_snn.hardness.el2n import el2n
from keras_snn.hardness.forgetting import ForgettingRecorder
from keras_snn.hardness.forgetting import forgetting
from keras_snn.hardness.grand import grand
from keras_snn.hardness.label_noise import CLASS_MAPS
from keras_snn.hardness.label_noise import asymmetric_noise
from keras_snn.hardness.label_noise import read_labels
from keras_snn.hardness.label_noise import symmetric_noise
from keras_snn.hardness.loss import loss
from keras_snn.hardness.margin import margin
from keras_snn.hardness.prediction_depth import prediction_depth
from keras_snn.hardness.scores import Scores
from keras_snn.hardness.scores import fingerprint
from keras_snn.hardness.subsets import easiest
from keras_snn.hardness.subsets import epochs_for_equal_steps
from keras_snn.hardness.subsets import hardest
from keras_snn.hardness.subsets import random_subset
from keras_snn.hardness.vog import vog

__all__ = [
    "AUMRecorder",
    "Agreement",
    "CLASS_MAPS",
    "EL2NRecorder",
    "ForgettingRecorder",
    "Scores",
    "agreement",
    "asymmetric_noise",
    "easiest",
    "el2n",
    "epochs_for_equal_steps",
    "fingerprint",
    "forgetting",
    "grand",
    "hardest",
    "loss",
    "margin",
    "mislabelled",
    "prediction_depth",
    "random_subset",
    "read_labels",
    "symmetric_noise",
    "vog",
]
