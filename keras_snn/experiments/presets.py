"""What the presets of the recipes share."""

from keras_snn.experiments.methods import PAPER_METHODS

# Handwritten digits and an eighth of the channels: minutes on two cores.
QUICK = {
    "dataset": "digits",
    "width": 0.125,
    "epochs": 6,
    "batch_size": 32,
    "learning_rate": 0.03,
    "interval": 1,
    # In 6 epochs, 80% of training leaves too little after the last pruning.
    "gmp_begin": 0.0,
    "gmp_end": 0.5,
    "augment": False,
    "el2n_epoch": 2,
    "method": list(PAPER_METHODS),
    "sparsity": [0.5, 0.9],
    "data_ratio": [0.3],
    "seed": [0],
}

# As "Are Sparse Neural Networks Better Hard Sample Learners?" has it,
# https://arxiv.org/abs/2409.09196. Left unsaid there: the epoch of the scores
# and how many networks give them, for which these are Paul et al.'s,
# https://arxiv.org/abs/2107.07075.
PAPER = {
    "dataset": "cifar100",
    "width": 1.0,
    "epochs": 200,
    "batch_size": 128,
    "learning_rate": 0.1,
    "interval": 4,
    "el2n_epoch": 20,
    "el2n_models": 10,
    "method": list(PAPER_METHODS),
    "sparsity": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    "data_ratio": [1.0, 0.3],
    "seed": [0, 1, 2],
}
