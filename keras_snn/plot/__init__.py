"""Pictures of sparse models and their errors, in matplotlib.

Each function returns a matplotlib figure, which a notebook shows where it is
the last value of a cell, and `save` writes as PNG and SVG. They need
`pip install matplotlib`.
"""

from keras_snn.plot.axes import save
from keras_snn.plot.masks import masks
from keras_snn.plot.masks import overlap
from keras_snn.plot.over_training import densities
from keras_snn.plot.over_training import moved
from keras_snn.plot.robustness import corruption_errors
from keras_snn.plot.values import saliency
from keras_snn.plot.values import weights

__all__ = [
    "corruption_errors",
    "densities",
    "masks",
    "moved",
    "overlap",
    "saliency",
    "save",
    "weights",
]
