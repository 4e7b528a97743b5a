"""Experiments: trials, grids of them, and the figures they make."""

from keras_snn.experiments.run import run_grid
from keras_snn.experiments.run import run_trial
from keras_snn.experiments.trial import Trial

__all__ = ["Trial", "run_grid", "run_trial"]
