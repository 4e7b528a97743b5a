"""What PyTorch is spared in an attack: work around what layers compute."""

import threading

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import backend

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="of Keras on PyTorch"
)


def are_quick():
    """Whether layers are called at once: else Keras notes that they were."""
    relu = layers.ReLU()
    relu.build((1,))
    relu(ops.ones((1,)))
    return not relu._called


class Doubling(layers.ReLU):
    """A layer of a user's own, whose call does more than its `call`."""

    def __call__(self, *args, **kwargs):
        return 2 * super().__call__(*args, **kwargs)


def network(**options):
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(6, 3, padding="same", **options)(image)
    x = layers.BatchNormalization(**options)(x)
    x = layers.ReLU(**options)(x)
    x = layers.Add(**options)([x, layers.Conv2D(6, 1, **options)(image)])
    x = layers.Concatenate(**options)(
        [layers.MaxPooling2D(**options)(x), layers.AveragePooling2D(2)(x)]
    )
    x = layers.Dropout(0.5, seed=0, **options)(x)
    x = Doubling(**options)(x)
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))


def run(model, training, quick):
    def call(x):
        return ops.cast(model(x, training=training), "float32")

    x = np.random.default_rng(0).normal(size=(5, 8, 8, 4)).astype("float32")
    call = backend.quick(call) if quick else call
    return call(ops.convert_to_tensor(x)).detach().numpy()


@pytest.mark.parametrize("training", [False, True, None])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "float64"])
def test_layers_give_and_keep_what_they_do_else(policy, training):
    keras.utils.set_random_seed(0)
    model = network(dtype=policy)
    before = [variable.value.clone() for variable in model.variables]
    found = []
    for quick in (False, True):
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
        outputs = run(model, training, quick)
        found.append([outputs, *model.get_weights()])
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-5, atol=1e-5)
    assert not are_quick()


def test_what_hangs_on_a_call_of_a_layer_happens():
    image = keras.Input((8, 8, 4))
    conv = layers.Conv2D(2, 3, activity_regularizer="l2")
    relu = layers.ReLU()
    model = keras.Model(image, relu(conv(image)))
    run(model, False, quick=True)
    assert [loss.item() > 0 for loss in model.losses] == [True]
    seen = []
    hook = relu.register_forward_hook(lambda *_: seen.append(1))
    run(model, False, quick=True)
    assert seen == [1]
    hook.remove()
    run(model, False, quick=True)
    assert seen == [1]
    masked = ops.ones((1, 3, 4))
    masked._keras_mask = ops.ones((1, 3), "bool")
    given = backend.quick(relu)(masked)
    assert given._keras_mask is masked._keras_mask


def test_a_sparse_layer_called_at_once_refuses_other_channels():
    layer = keras_snn.SparseDense(3, 0.75)
    quick = backend.quick(layer)
    layer.build((None, 4))
    assert quick(ops.ones((2, 4))).shape == (2, 3)
    assert not layer._called
    with pytest.raises(ValueError, match="expected axis -1"):
        quick(ops.ones((2, 5)))


def test_threads_within_at_once_leave_keras_as_it_was():
    inside, leave = threading.Event(), threading.Event()

    @backend.quick
    def wait():
        inside.set()
        leave.wait(10)

    thread = threading.Thread(target=wait)
    thread.start()
    inside.wait(10)

    @backend.quick
    def fail():
        assert are_quick()
        leave.set()
        thread.join()
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not are_quick()


@pytest.mark.parametrize("shape", [(5, 4, 3, 2), (7, 4), (1, 4)])
@pytest.mark.parametrize(
    "options",
    [{}, {"scale": False}, {"center": False}, {"axis": 1}, {"renorm": True}],
)
def test_a_batch_norm_trains_as_keras_trains_it(shape, options):
    import torch

    random = np.random.default_rng(0)
    layer = layers.BatchNormalization(**options)
    layer.build(shape)
    layer.set_weights(
        [random.uniform(0.5, 2, weight.shape) for weight in layer.weights]
    )
    x = ops.convert_to_tensor(random.normal(1, 2, shape).astype("float32"))
    before = layer.get_weights()
    weights = [weight.value for weight in layer.trainable_weights]
    found = []
    for quick in (False, True):
        layer.set_weights(before)
        call = backend.quick(layer) if quick else layer
        leaf = x.clone().requires_grad_()
        outputs = call(leaf, training=True)
        first = torch.autograd.grad(
            (outputs**3).sum(), [leaf, *weights], create_graph=True
        )
        (second,) = torch.autograd.grad((first[0] ** 2).sum(), leaf)
        tensors = [t.detach().numpy() for t in (outputs, *first, second)]
        found.append([*tensors, *layer.get_weights()])
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=2e-4, atol=1e-4)
