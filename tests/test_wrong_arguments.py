"""What is wrong is told in our words, not in those of NumPy or Keras."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import attacks
from keras_snn import datasets
from keras_snn import hardness
from keras_snn import schedules

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
LABELS = np.arange(6) % 3
DURING = schedules.DuringTraining(0.9)


def dense():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, name="first"),
            layers.Dense(3, name="last"),
        ]
    )


@pytest.fixture(scope="module")
def model():
    model = keras_snn.sparsify(dense(), 0.5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    return model


NO_MODEL = {
    name: lambda model, name=name: getattr(keras_snn, name)(None)
    for name in (
        "get_masks",
        "masked_weights",
        "reinitialize",
        "sparsity",
        "strip",
        "summary",
        "to_dense",
        "to_sparse",
    )
}


@pytest.mark.parametrize(
    "call",
    [
        *NO_MODEL.values(),
        lambda m: keras_snn.set_masks(None, {}),
        lambda m: keras_snn.set_masks(m, None),
        lambda m: keras_snn.MaskedLayer(None),
        lambda m: keras_snn.activations(None, ["first"], X),
        lambda m: keras_snn.flops.inference_flops(None),
        lambda m: keras_snn.sparsify(dense(), 0.5, lambda shapes, s: None),
        lambda m: keras_snn.sparsify(dense(), 0.5, [0.5, 0.5]),
        lambda m: keras_snn.sparsify(dense(), 0.5, wrapper=None),
        lambda m: keras_snn.prune_by_score(m, None, 0.6),
        lambda m: keras_snn.prune_by_score(m, [1], 0.6),
        lambda m: keras_snn.prune_by_score(
            m, {p: k.astype(str) for p, k in keras_snn.get_masks(m).items()}
        ),
        lambda m: keras_snn.snip(m, X, np.array(list("abcabc")), 0.6),
        lambda m: keras_snn.snip(m, X, LABELS + 0.5, 0.6),
        lambda m: keras_snn.reinitialize(m, scale="two"),
        lambda m: keras_snn.SETUpdate(drop_fraction=None),
        lambda m: keras_snn.SETUpdate(end="late"),
        lambda m: keras_snn.SETUpdate(decay=["cosine"]),
        lambda m: keras_snn.SETUpdate().update(m, None, 0.5),
        lambda m: keras_snn.SETUpdate().update(m, 1, "half"),
        lambda m: keras_snn.SETUpdate().update(m, 1, 1.5),
        lambda m: keras_snn.RigLUpdate("data"),
        lambda m: keras_snn.RigLUpdate(X),
        lambda m: keras_snn.RigLUpdate(batch_size=0),
        lambda m: keras_snn.RigLUpdate().update(m, 1, 0.1, gradients=[X]),
        lambda m: keras_snn.ACDCUpdate(0.5, begin="soon"),
        lambda m: keras_snn.MESTUpdate(gradient_weight="a"),
        lambda m: keras_snn.GMPUpdate(DURING).update(m, "half"),
        lambda m: schedules.DuringTraining(0.9, begin=None),
        lambda m: schedules.DuringTraining(0.9, power="cubic"),
        lambda m: schedules.DuringTraining(0.9, power=-1),
        lambda m: schedules.ConstantSparsity(0.9, None),
        lambda m: schedules.PolynomialDecay(0, 0.9, 0, None),
        lambda m: schedules.PolynomialDecay(0, 0.9, 0, 9, frequency="all"),
        lambda m: schedules.preview(None, 3, 3),
        lambda m: schedules.preview(lambda step: 0.5, 3, 3),
        lambda m: schedules.preview(DURING, 0, 3),
        lambda m: attacks.PGD(None),
        lambda m: attacks.PGD()(m, "images", LABELS),
        lambda m: attacks.PGD()(m, abs(X[:, :3]) % 1, LABELS),
        lambda m: hardness.el2n(m, None, LABELS),
        lambda m: hardness.el2n(m, X, np.array(list("abcabc"))),
        lambda m: hardness.hardest("abc", 0.5),
        lambda m: hardness.random_subset("all", 0.5),
        lambda m: datasets.load(["digits"]),
        lambda m: datasets.load("cifar10", data_dir=3),
    ],
)
def test_a_rule_and_what_was_received(model, call):
    before = keras_snn.get_masks(model)
    with pytest.raises(
        (ValueError, TypeError), match="(?s)must|answer|wrong"
    ) as e:
        call(model)
    assert "Received: " in str(e.value)
    for path, mask in keras_snn.get_masks(model).items():
        np.testing.assert_array_equal(mask, before[path])
