"""How sparse, at which step: the protocol of tensorflow-model-optimization.

A schedule is called with a step and answers `(should_prune, sparsity)`. Ours
run inside tfmot and tfmot's run here; argument names and configs are tfmot's.
`DuringTraining` counts in shares of training instead.

What a schedule does in a training, and when, is one line:

>>> DuringTraining(0.9).preview(epochs=5, steps_per_epoch=100)
epoch 1: 0.24, epoch 2: 0.71, epoch 3: 0.88, epoch 4: 0.90
"""

from keras_snn.schedules.during_training import DuringTraining
from keras_snn.schedules.in_steps import ConstantSparsity
from keras_snn.schedules.in_steps import PolynomialDecay
from keras_snn.schedules.in_steps import PruningSchedule
from keras_snn.schedules.rounds import exponential
from keras_snn.schedules.updates import Preview
from keras_snn.schedules.updates import preview

__all__ = [
    "ConstantSparsity",
    "DuringTraining",
    "PolynomialDecay",
    "Preview",
    "PruningSchedule",
    "exponential",
    "preview",
]
