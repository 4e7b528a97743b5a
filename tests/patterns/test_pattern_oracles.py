"""The same masks from the same weights as independent implementations."""

import keras
import numpy as np
import pytest

from keras_snn.patterns import NM
from keras_snn.patterns import Blocks

RNG = np.random.default_rng(0)
SHAPES = [(16, 6), (3, 3, 8, 5)]


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tfmot is TensorFlow's"
)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tfmot_gives_the_same_n_m(shape, n):
    theirs = pytest.importorskip(
        "tensorflow_model_optimization.python.core.sparsity.keras.pruning_utils"
    )
    import tensorflow as tf

    weight = RNG.normal(size=shape).astype("float32").round(1)  # Ties, too.
    ours = NM(n, 4).top_k(np.abs(weight), weight.size // 4 * n)
    mask = theirs.m_by_n_sparsity_mask_prepare(
        theirs.generate_m_by_n_mask(
            theirs.weights_rearrange(tf.constant(weight)), (4 - n, 4)
        ),
        tf.constant(weight).shape,
    )
    np.testing.assert_array_equal(ours, mask.numpy() == 1)
    assert theirs.is_pruned_m_by_n(tf.constant(weight * ours), (4 - n, 4))


def of_torch(weight, sparsity, shape, zeros):
    """The mask of torch.ao.pruning for a Dense kernel, (in, out)."""
    import torch
    from torch.ao.pruning import WeightNormSparsifier

    model = torch.nn.Sequential(torch.nn.Linear(*weight.shape, bias=False))
    model[0].weight.data = torch.tensor(np.ascontiguousarray(weight.T))
    sparsifier = WeightNormSparsifier(sparsity, shape, zeros, norm=1)
    sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}])
    sparsifier.step()
    return model[0].parametrizations.weight[0].mask.numpy().T == 1


on_torch = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="torch.ao.pruning is torch's"
)


@on_torch
@pytest.mark.parametrize("n", [1, 2, 3])
def test_torch_gives_the_same_n_m(n):
    weight = RNG.normal(size=(16, 6)).astype("float32")
    ours = NM(n, 4).top_k(np.abs(weight), 24 * n)
    theirs = of_torch(weight, 1.0, (1, 4), 4 - n)
    np.testing.assert_array_equal(ours, theirs)


@on_torch
@pytest.mark.parametrize("shape", [(4, 1), (8, 1), (1, 3), (4, 2)])
def test_torch_gives_the_same_blocks(shape):
    weight = RNG.normal(size=(16, 6)).astype("float32")
    ours = Blocks(shape).top_k(np.abs(weight), 48)
    theirs = of_torch(weight, 0.5, shape[::-1], None)
    np.testing.assert_array_equal(ours, theirs)
