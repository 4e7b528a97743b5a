"""Whether sparse networks beat the dense one, by seeds: claims with verdicts.

    python -m keras_snn.experiments.statistics results/el2n_resnet18/results.csv

A network is compared to the dense one of its seed, which saw the same batches.
What is asked is about the mean over seeds, on this data: other images are not
drawn.

Three seeds are few. A bootstrap of them draws from 10 different samples and
never leaves the range of the data, and three differences have one sign in a
quarter of all cases where there is no effect at all: of 300 samples of three
normal values, 95% intervals by percentiles held the mean in 73%, Student's in
95%; of ten, bootstrapped ones in 91%. So intervals of few seeds are Student's.
From `FEW` seeds on they are bootstrapped (BCa: Efron, 1987, "Better Bootstrap
Confidence Intervals", Journal of the American Statistical Association 82).

The best of nine sparsities is not nine times as likely to beat the dense
network by chance, but nearly: p-values are corrected after Holm (1979, "A
Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
Statistics 6), which holds however they depend on each other, as they do by the
dense network that they share. Or the sparsity is chosen on some seeds and
tested on the others. To choose it by held-out images of the same networks does
not do: those that were lucky to train well do well on all images.
"""

from keras_snn.experiments.grid_files import read_rows
from keras_snn.experiments.statistics.of_means import confidence_interval
from keras_snn.experiments.statistics.of_means import holm
from keras_snn.experiments.statistics.of_means import seeds_needed
from keras_snn.experiments.statistics.paired_seeds import Claim
from keras_snn.experiments.statistics.paired_seeds import Comparison
from keras_snn.experiments.statistics.paired_seeds import claims
from keras_snn.experiments.statistics.paired_seeds import text

__all__ = [
    "Claim",
    "Comparison",
    "claims",
    "confidence_interval",
    "holm",
    "read_rows",
    "seeds_needed",
    "text",
]
