"""A trained model is told from a new one."""

import importlib.util

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import models
from keras_snn import sparsify
from keras_snn.masking.trained import looks_trained

X = np.random.default_rng(0).normal(size=(8, 6, 6, 3)).astype("float32")
Y = np.zeros((8, 2), "float32")


def small(**options):
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, **options),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(2, **options),
        ],
        name="small",
    )


def fitted(model, optimizer="sgd"):
    eager = keras.backend.backend() != "jax"
    model.compile(optimizer, "mse", run_eagerly=eager)
    model.fit(X, Y, verbose=0)
    return model


def of_the_paper(network):
    if importlib.util.find_spec("keras_cv") is None:
        pytest.skip("keras-cv is not installed")
    return network((32, 32, 3), 10, width=0.125)


@pytest.mark.parametrize(
    "make",
    [
        lambda: small(),
        lambda: of_the_paper(models.vgg16),
        lambda: of_the_paper(models.resnet18),
        lambda: keras.applications.MobileNetV3Small(
            (32, 32, 3), weights=None, classes=2
        ),
        lambda: keras.Sequential(
            [
                keras.Input((5,)),
                layers.Embedding(7, 4),
                layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
                layers.GRU(3, return_sequences=True),
                layers.LayerNormalization(),
                layers.Conv1D(2, 3, bias_initializer="random_normal"),
                layers.Dense(2, bias_initializer=keras.initializers.Ones()),
            ]
        ),
    ],
)
def test_a_new_model_looks_new_compiled_or_not(make, drawn_by_numpy):
    model = make()
    assert not looks_trained(model)
    model.compile("adam", "mse")
    assert not looks_trained(model)


def test_a_trained_model_looks_trained_compiled_anew_or_not(tmp_path):
    model = fitted(small())
    assert looks_trained(model)
    model.compile("sgd", "mse")
    assert looks_trained(model)
    model.save(tmp_path / "trained.keras", include_optimizer=False)
    assert looks_trained(keras.saving.load_model(tmp_path / "trained.keras"))


def test_steps_of_the_optimizer_tell_where_no_weight_does():
    inputs = keras.Input((6, 6, 3))
    outputs = layers.Dense(2, use_bias=False)(layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    assert not looks_trained(model)
    assert looks_trained(fitted(model))


def test_random_masks_on_trained_weights_say_so():
    with pytest.warns(UserWarning, match='pass `masks="magnitude"`.*small'):
        sparsify(fitted(small()), 0.5)
    # Silent: masks that keep every weight, or what was asked for by name.
    sparsify(fitted(small()), 0.0)
    sparsify(fitted(small()), 0.5, masks="random")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"distribution": "erk"},
        {"pattern": keras_snn.patterns.Blocks((1, 2))},
    ],
)
def test_masks_by_magnitude_are_those_of_prune_magnitude(options):
    model = fitted(small())
    trained = model.get_weights()
    sparse = sparsify(model, 0.0)
    expected = keras_snn.prune_magnitude(sparse, 0.5, **options)
    model = keras_snn.strip(sparse)
    model.set_weights(trained)
    sparse = sparsify(model, 0.5, masks="magnitude", **options)
    for path, masked in keras_snn.masked_weights(sparse).items():
        mask = masked.mask_array()
        np.testing.assert_array_equal(mask, expected[path])
        assert not masked.weight_array()[~mask].any()


def test_errors():
    with pytest.raises(ValueError, match="masks='largest'"):
        sparsify(small(), 0.5, masks="largest")
    for wrong in (keras_snn.SETUpdate, keras_snn.SETUpdate(), "MaskedLayer"):
        with pytest.raises(TypeError, match="`wrapper` must be the class"):
            sparsify(small(), 0.5, wrapper=wrong)
