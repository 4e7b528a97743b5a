"""Experiments: trials, grids of them, and the figures they make.

Methods, networks and kinds of hard samples are rows of plain dicts, and so are
the data sets of `keras_snn.datasets.SOURCES`. One of your own is one line:

```python
METHODS["mine"] = Method("Mine", "#AA0000", "p", callbacks=callbacks)
```
"""

from keras_snn.experiments.kinds import KINDS
from keras_snn.experiments.kinds import Kind
from keras_snn.experiments.methods import METHODS
from keras_snn.experiments.methods import Method
from keras_snn.experiments.networks import MODELS
from keras_snn.experiments.networks import Network
from keras_snn.experiments.run import run_grid
from keras_snn.experiments.run import run_trial
from keras_snn.experiments.runners.on_ray import OnRay
from keras_snn.experiments.trial import Trial

__all__ = [
    "KINDS",
    "METHODS",
    "MODELS",
    "Kind",
    "Method",
    "Network",
    "OnRay",
    "Trial",
    "run_grid",
    "run_trial",
]
