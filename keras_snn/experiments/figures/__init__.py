"""The paper's figures, in matplotlib.

Each takes rows of results, as `run_grid` returns them, and gives a matplotlib
figure. How a method looks is in its row of `METHODS`.
"""

from keras_snn.experiments.figures.bubbles import flops_bubbles
from keras_snn.experiments.figures.densities import density_lines
from keras_snn.experiments.figures.images import example_images
from keras_snn.experiments.figures.lines import accuracy_lines
from keras_snn.experiments.figures.points import accuracy_points
from keras_snn.plot.axes import pyplot
from keras_snn.plot.axes import save

# By name, for a grid in a file.
FIGURES = {
    "accuracy_lines": accuracy_lines,
    "accuracy_points": accuracy_points,
    "density_lines": density_lines,
    "flops_bubbles": flops_bubbles,
}

__all__ = [
    "FIGURES",
    "accuracy_lines",
    "accuracy_points",
    "density_lines",
    "example_images",
    "flops_bubbles",
    "pyplot",
    "save",
]
