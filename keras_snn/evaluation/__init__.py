"""What a network's predictions tell beside its accuracy.

Functions of logits, labels and scores, in NumPy alone: of a trial of
`keras_snn.experiments` they are kept, of any other model they are what
`predict` gives.
"""

from keras_snn.evaluation.accuracy import accuracy_by_class
from keras_snn.evaluation.accuracy import accuracy_by_hardness
from keras_snn.evaluation.calibration import Reliability
from keras_snn.evaluation.calibration import ece
from keras_snn.evaluation.calibration import nll
from keras_snn.evaluation.calibration import reliability
from keras_snn.evaluation.churn import churn
from keras_snn.evaluation.exemplars import exemplars
from keras_snn.evaluation.mcnemar import McNemar
from keras_snn.evaluation.mcnemar import mcnemar
from keras_snn.evaluation.out_of_distribution import out_of_distribution_auroc

__all__ = [
    "McNemar",
    "Reliability",
    "accuracy_by_class",
    "accuracy_by_hardness",
    "churn",
    "ece",
    "exemplars",
    "mcnemar",
    "nll",
    "out_of_distribution_auroc",
    "reliability",
]
