"""Files saved before modules moved load: configs carry module paths."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_snn
from keras_snn import LotteryTicket
from keras_snn import MaskedLayer
from keras_snn import MovementLayer
from keras_snn import StraightThroughLayer
from keras_snn.masking.mask_state import masked_layers

SAVED = Path(__file__).parent / "saved"
X = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
WRAPPERS = {
    "masked": MaskedLayer,
    "straight_through": StraightThroughLayer,
    "movement": MovementLayer,
}


def number(version):
    return tuple(map(int, version.split(".")[:2]))


def loaded(path):
    with zipfile.ZipFile(path) as file:
        saved_by = json.loads(file.read("metadata.json"))["keras_version"]
    if number(saved_by) > number(keras.__version__):
        pytest.skip("Keras reads no file of a later Keras")
    return keras.saving.load_model(path)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_model_of_version_0_1(name):
    model = loaded(SAVED / f"{name}.keras")
    expected = np.load(SAVED / f"{name}.npy")
    np.testing.assert_allclose(model.predict_on_batch(X), expected, atol=1e-5)
    assert [type(each) for each in masked_layers(model)] == [WRAPPERS[name]]
    assert keras_snn.sparsity(model) == pytest.approx(0.5, abs=0.01)
    masks = keras_snn.get_masks(model)
    assert list(masks) == ["first/kernel", "last/kernel"]

    for weight in model.weights:
        weight.assign(keras.ops.zeros_like(weight.value))
    model.load_weights(SAVED / f"{name}.weights.h5", skip_mismatch=False)
    np.testing.assert_allclose(model.predict_on_batch(X), expected, atol=1e-5)


def test_a_ticket_of_version_0_1():
    dense = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(3, name="last")]
    )
    model = keras_snn.sparsify(dense, 0.0)
    model.compile("sgd", "mse")
    ticket = LotteryTicket(filepath=str(SAVED / "ticket.npz"))
    ticket.rewind(model, 0.5)
    assert keras_snn.sparsity(model) == 0.5
