"""An attack applies masks once, and none of that outlives it."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn.attacks import AWP
from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.attacks import TRADESModel
from keras_snn.attacks import image_gradient
from keras_snn.masking import keras_private
from keras_snn.masking import mask_state
from keras_snn.masking.masked_layer import MaskedLayer
from keras_snn.masking.straight_through_layer import StraightThroughLayer

LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ATTACK = PGD(0.2, 0.1, 2)


def dense(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )


def masked(seed=0, wrapper=MaskedLayer):
    """A compiled model that stores values outside its masks."""
    model = keras_snn.sparsify(dense(seed), 0.6, seed=seed, wrapper=wrapper)
    fill(model)
    model.compile("sgd", LOGITS_LOSS)
    return model


def fill(model):
    for each in keras_snn.masked_weights(model).values():
        each.weight.assign(np.where(each.mask_array(), each.weight, 0.7))


def other_masks(model):
    masks = keras_snn.get_masks(model)
    keras_snn.set_masks(
        model, {path: np.roll(mask, 1, 0) for path, mask in masks.items()}
    )
    fill(model)


def plain(model):
    """A model without masks that gives the same."""
    (wrapper,) = mask_state.masked_layers(model)
    masks = {id(m.weight): m.mask_array() for m in wrapper.masked_weights}
    twin = dense()
    twin.set_weights(
        [
            ops.convert_to_numpy(v) * masks.get(id(v), 1.0)
            for v in wrapper.layer.weights
        ]
    )
    twin.compile("sgd", LOGITS_LOSS)
    return twin


def perturbed(model, images):
    x, y = images
    attack = PGD(0.2, 0.1, 2, random_start=False)
    return ops.convert_to_numpy(
        attack.perturb(
            model, ops.convert_to_tensor(x), ops.convert_to_tensor(y)
        )
    )


@pytest.mark.parametrize("wrapper", [MaskedLayer, StraightThroughLayer])
def test_an_attack_sees_the_masks_of_its_time(images, wrapper):
    model = masked(wrapper=wrapper)
    for change in (lambda model: None, other_masks):
        change(model)
        before = [ops.convert_to_numpy(v) for v in model.variables]
        twin = plain(model)
        np.testing.assert_allclose(
            ATTACK(model, *images), ATTACK(twin, *images), atol=1e-5
        )
        np.testing.assert_allclose(
            perturbed(model, images), perturbed(twin, images), atol=1e-5
        )
        for variable, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def test_masks_are_applied_once_an_attack(images, monkeypatch):
    model, calls = masked(), []
    own = MaskedLayer.active_value

    def counted(self, weight, value):
        calls.append(weight.path)
        return own(self, weight, value)

    monkeypatch.setattr(MaskedLayer, "active_value", counted)
    perturbed(model, images)
    assert sorted(calls) == sorted(keras_snn.get_masks(model))


def test_other_weights_and_models_are_masked_within(images):
    """Those of a functional call, and of a teacher in the loss, say."""
    x = ops.convert_to_tensor(images[0])
    model, teacher = masked(), masked(seed=1)
    trainable = [ops.ones_like(v.value) for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]

    def outputs():
        found = (
            model(x),
            teacher(x),
            model.stateless_call(trainable, others, x)[0],
        )
        return [ops.convert_to_numpy(each) for each in found]

    expected = outputs()
    with image_gradient.scopes(model, image_gradient.variable_values(model))():
        found = outputs()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_error_within_leaves_nothing_behind(images):
    model = masked()
    expected = ops.convert_to_numpy(model(images[0]))

    def fails(y, outputs):
        raise KeyError("of a user's loss")

    with pytest.raises(KeyError, match="user's loss"):
        PGD(0.2, 0.1, 2, loss=fails)(model, *images)
    assert keras_private.stateless_scope() is None
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model(images[0])), expected
    )


@pytest.mark.parametrize(
    "made",
    [
        lambda model: AdversarialModel(model, ATTACK, weight_attack=AWP()),
        lambda model: TRADESModel(model, ATTACK),
    ],
)
def test_training_is_as_with_masks_in_every_pass(images, made, monkeypatch):
    trained = []
    for beforehand in (True, False):
        model = masked()
        if not beforehand:
            monkeypatch.setattr(
                image_gradient, "_masking_layers", lambda model: []
            )
        robust = made(model)
        robust.compile("sgd", LOGITS_LOSS)
        for _ in range(2):
            robust.train_on_batch(*images)
            other_masks(model)
        trained.append([ops.convert_to_numpy(v) for v in model.weights])
    for ours, theirs in zip(*trained, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
