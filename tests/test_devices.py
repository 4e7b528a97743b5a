"""One training on many devices: what the battery does not ask for.

That every method comes by the masks of one device is in `test_battery.py`.
"""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn import LotteryTicket
from keras_snn import MaskedLayer
from keras_snn import MovementLayer
from keras_snn import RigLUpdate
from keras_snn import SETUpdate
from keras_snn.backend import GradientTap
from keras_snn.hardness import el2n

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.integers(0, 4, 16)
KERNELS = [RNG.normal(size=s).astype("float32") for s in ((6, 16), (16, 4))]
on_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Keras splits weights on JAX alone"
)
on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of TensorFlow's strategies"
)


def model_of(wrapper=MaskedLayer):
    dense = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, activation="relu", name="first"),
            layers.Dense(4, name="last"),
        ]
    )
    for layer, kernel in zip(dense.layers, KERNELS, strict=True):
        layer.kernel.assign(kernel)
    model = keras_snn.sparsify(dense, 0.5, wrapper=wrapper)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    jit = keras.backend.backend() == "jax"
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, loss, jit_compile=jit)
    return model


def trained(*callbacks, scope=None):
    with scope or contextlib.nullcontext():
        model = model_of()
        model.fit(
            X,
            Y,
            batch_size=8,
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    return model


def assert_same(model, other):
    masks = keras_snn.get_masks(other)
    for path, mask in keras_snn.get_masks(model).items():
        np.testing.assert_array_equal(mask, masks[path])
    pairs = zip(model.weights, other.weights, strict=True)
    for one, two in ((a.numpy(), b.numpy()) for a, b in pairs):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def model_parallel():
    mesh = keras.distribution.DeviceMesh((2, 2), ("batch", "model"))
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*first/kernel"] = (None, "model")
    layout[".*last/kernel"] = ("model", None)
    return keras.distribution.ModelParallel(
        layout_map=layout, batch_dim_name="batch"
    )


@on_jax
@pytest.mark.parametrize("wrapper", [MaskedLayer, MovementLayer])
def test_what_goes_with_a_split_weight_is_split_alike(
    wrapper, on_devices, tmp_path
):
    with model_parallel().scope():
        model = model_of(wrapper)
        keras_snn.prune_magnitude(model, 0.6)
        model.train_on_batch(X[:8], Y[:8])
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        for masked in keras_snn.masked_weights(each).values():
            weight = masked.weight.value
            shard = weight.addressable_shards[0].data.shape
            assert np.prod(shard) == masked.size / 2
            beside = [masked.mask]
            if wrapper is MovementLayer:
                beside.append(masked.companion)
            for variable in beside:
                assert variable.value.sharding.is_equivalent_to(
                    weight.sharding, ndim=2
                )


@on_jax
@pytest.mark.parametrize(
    "make",
    [lambda: SETUpdate(1), lambda: RigLUpdate(interval=2, end=1.0)],
    ids=["SETUpdate", "RigLUpdate of training"],
)
def test_split_weights_get_the_masks_of_one_device(make, on_devices):
    assert_same(
        trained(make()), trained(make(), scope=model_parallel().scope())
    )


@on_jax
def test_several_processes_need_data_for_gradients(monkeypatch):
    monkeypatch.setattr("jax.process_count", lambda: 2)
    with pytest.raises(ValueError, match="pass `data`.*Received: 2 processes"):
        GradientTap((2,))


@on_tensorflow
def test_gradients_and_scores_within_the_scope_of_a_strategy(on_devices):
    alone, together = (
        trained(
            RigLUpdate((X, Y), interval=2, end=1.0), scope=on_devices(count)
        )
        for count in (1, 2)
    )
    assert_same(alone, together)
    with on_devices(2):
        scores = el2n(together, X, Y, from_logits=True)
    np.testing.assert_allclose(
        scores, el2n(alone, X, Y, from_logits=True), atol=1e-5
    )


@on_tensorflow
def test_fit_within_the_scope_of_a_strategy(on_devices):
    def callbacks():
        return LotteryTicket(), RigLUpdate(interval=2, end=1.0)

    together = trained(*callbacks(), scope=on_devices(2))
    assert_same(trained(*callbacks()), together)
    with on_devices(2):
        masks = {p: ~m for p, m in keras_snn.get_masks(together).items()}
        keras_snn.set_masks(together, masks)
    for masked in keras_snn.masked_weights(together).values():
        for weight, mask in zip(
            masked.weight.value.values, masked.mask.value.values, strict=True
        ):
            assert not weight.numpy().any()  # All that is active is new.
            np.testing.assert_array_equal(mask.numpy(), masks[masked.path])
