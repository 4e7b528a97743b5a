"""Whether sparse networks beat the dense one, by seeds: claims with verdicts.

    python -m keras_snn.experiments.statistics results/el2n_resnet18/results.csv

A network is compared to the dense one of its seed, which saw the same batches.
What is asked is about the mean over seeds, on this data: other images are not
drawn.

Three seeds are few. A bootstrap of them draws from 10 different samples, and
three differences have one sign in a quarter of all cases where there is no
effect at all. So often did 95% intervals hold the mean, of 2,000 samples of
normal values / of exponential ones, which are skewed:

    seeds   Student's   percentile         BCa   studentized
        3   .95 / .87    .75 / .69   .72 / .68     .95 / .87
        5   .96 / .88    .84 / .78   .84 / .80     .95 / .93
       10   .94 / .91    .89 / .86   .89 / .88     .95 / .94
       20   .96 / .92    .93 / .91   .93 / .91     .95 / .95

So intervals of few seeds are Student's, and from `FEW` seeds on those of the
studentized bootstrap: Student's, with the quantiles of t from the samples drawn
(Hall, 1988, "Theoretical Comparison of Bootstrap Confidence Intervals", Annals
of Statistics 16). Where so many of these are of one value that t has no such
quantiles, as of three seeds, it is Student's again. Of normal values they are
wider, by the median 1.33 times at five seeds, 1.06 at ten and 1.01 at twenty.

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
