"""The wrapper: any layer, any model, and nothing else changes."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import MaskedLayer
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)
TOKENS = np.arange(8, dtype="int32").reshape(2, 4) % 7


def batch(*shape, size=4):
    return RNG.normal(size=(size, *shape)).astype("float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@keras.saving.register_keras_serializable(package="tests")
class Scale(layers.Layer):
    """A layer of the user's own, with weights of his own names."""

    def build(self, input_shape):
        self.matrix = self.add_weight(
            name="matrix", shape=(input_shape[-1], 5), initializer="normal"
        )
        self.gain = self.add_weight(name="gain", shape=(5,))

    def call(self, inputs):
        return (inputs @ self.matrix) * self.gain

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 5)


def kernels(*names):
    return {f"wrapped/{name}" for name in names}


RECURRENT = ("kernel", "recurrent_kernel")
# layer, input shape, what to mask, which weights that is
LAYERS = {
    "dense": (layers.Dense(5), (6,), None, kernels("kernel")),
    "einsum": (
        layers.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d"),
        (3, 4),
        None,
        kernels("kernel"),
    ),
    "conv1d": (layers.Conv1D(3, 3), (8, 2), None, kernels("kernel")),
    "conv2d": (
        layers.Conv2D(4, 3, groups=2),
        (6, 6, 2),
        None,
        kernels("kernel"),
    ),
    "conv3d": (layers.Conv3D(2, 2), (4, 4, 4, 2), None, kernels("kernel")),
    "conv1d_t": (layers.Conv1DTranspose(3, 3), (5, 2), None, kernels("kernel")),
    "conv2d_t": (
        layers.Conv2DTranspose(3, 3),
        (4, 4, 2),
        None,
        kernels("kernel"),
    ),
    "conv3d_t": (
        layers.Conv3DTranspose(2, 2),
        (3, 3, 3, 2),
        None,
        kernels("kernel"),
    ),
    "separable1d": (
        layers.SeparableConv1D(4, 3),
        (8, 3),
        None,
        kernels("pointwise_kernel"),
    ),
    "separable2d": (
        layers.SeparableConv2D(4, 3),
        (6, 6, 3),
        None,
        kernels("pointwise_kernel"),
    ),
    "depthwise1d": (
        layers.DepthwiseConv1D(3),
        (8, 3),
        ["kernel"],
        kernels("kernel"),
    ),
    "depthwise2d": (
        layers.DepthwiseConv2D(3),
        (6, 6, 3),
        ["wrapped"],
        kernels("kernel"),
    ),
    "gru": (
        layers.GRU(3, return_sequences=True),
        (5, 2),
        None,
        kernels(*(f"gru_cell/{k}" for k in RECURRENT)),
    ),
    "bidirectional": (
        layers.Bidirectional(layers.SimpleRNN(3, name="rnn")),
        (5, 2),
        None,
        kernels(
            *(
                f"{way}_rnn/simple_rnn_cell/{k}"
                for way in ("forward", "backward")
                for k in RECURRENT
            )
        ),
    ),
    "conv_lstm": (
        layers.ConvLSTM1D(2, 3),
        (3, 4, 2),
        None,
        kernels(*(f"conv_lstm_cell/{k}" for k in RECURRENT)),
    ),
    "time_distributed": (
        layers.TimeDistributed(layers.Dense(3, name="inner")),
        (4, 2),
        None,
        kernels("inner/kernel"),
    ),
    "embedding": (
        layers.Embedding(7, 3),
        None,
        ["embeddings"],
        kernels("embeddings"),
    ),
    "own": (Scale(), (6,), ["matrix"], kernels("matrix")),
    "own_vector": (Scale(), (6,), ["gain"], kernels("gain")),
}


@pytest.fixture(params=LAYERS)
def case(request):
    layer, shape, chosen, paths = LAYERS[request.param]
    config = layer.get_config()
    config["name"] = "wrapped"
    make = lambda: type(layer).from_config(dict(config))  # noqa: E731
    x = TOKENS if shape is None else batch(*shape)
    return make, x, chosen, paths


def test_any_layer_is_as_it_was_with_all_weights_active(case):
    make, x, chosen, paths = case
    layer = make()
    expected = numpy(layer(x))
    masked = MaskedLayer(layer, chosen)
    np.testing.assert_array_equal(numpy(masked(x)), expected)
    assert {m.path for m in masked.masked_weights} == paths
    for each in masked.masked_weights:
        assert each.mask_array().all()
        assert each.mask_array().shape == each.weight_array().shape


def test_any_layer_runs_with_its_masked_weights_in_place(case, tmp_path):
    make, x, chosen, _ = case
    symbol = keras.Input(x.shape[1:], dtype=str(x.dtype))
    model = keras.Model(symbol, MaskedLayer(make(), chosen)(symbol))
    masks = {
        path: RNG.random(m.weight.shape) < 0.5
        for path, m in masked_weights(model).items()
    }
    for mask in masks.values():
        mask.flat[0] = True
    keras_snn.set_masks(model, masks)
    for masked in masked_weights(model).values():  # Not 0 outside the mask.
        masked.weight.assign(RNG.normal(size=masked.weight.shape))
    outputs = numpy(model(x))

    plain = keras_snn.strip(model)
    np.testing.assert_array_equal(numpy(plain(x)), outputs)
    assert not any(isinstance(each, MaskedLayer) for each in plain.layers)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), outputs, atol=1e-6)
    for path, mask in keras_snn.get_masks(loaded).items():
        np.testing.assert_array_equal(mask, masks[path])


def test_attention_takes_its_arguments_as_without_the_wrapper():
    query, value = batch(3, 4), batch(5, 4)
    attention = layers.MultiHeadAttention(2, 3, name="attention")
    visible = np.tril(np.ones((1, 3, 5), bool))
    expected, scores = attention(
        query, value, attention_mask=visible, return_attention_scores=True
    )
    masked = MaskedLayer(attention)
    outputs, masked_scores = masked(
        query, value, attention_mask=visible, return_attention_scores=True
    )
    np.testing.assert_array_equal(numpy(outputs), numpy(expected))
    np.testing.assert_array_equal(numpy(masked_scores), numpy(scores))
    assert [m.path for m in masked.masked_weights] == [
        f"attention/{part}/kernel"
        for part in ("query", "key", "value", "attention_output")
    ]


def test_attention_in_a_functional_model_is_saved_and_loaded(tmp_path):
    query, value = keras.Input((3, 4)), keras.Input((5, 4))
    masked = MaskedLayer(layers.MultiHeadAttention(2, 3))
    model = keras.Model([query, value], masked(query, value))
    x = [batch(3, 4), batch(5, 4)]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(loaded(x)), numpy(model(x)), atol=1e-6)


def test_time_masks_reach_the_layer_and_pass_through_it():
    tokens = np.array([[1, 2, 0, 0], [3, 0, 0, 0]], "int32")

    def build(wrap):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((4,), dtype="int32")
        x = layers.Embedding(5, 3, mask_zero=True)(inputs)
        x = wrap(layers.LSTM(3, return_sequences=True))(x)
        return keras.Model(inputs, wrap(layers.SimpleRNN(2))(x))

    expected = numpy(build(lambda layer: layer)(tokens))
    by_hand = build(MaskedLayer)
    np.testing.assert_array_equal(numpy(by_hand(tokens)), expected)
    whole = keras_snn.sparsify(build(lambda layer: layer), 0.0)
    np.testing.assert_array_equal(numpy(whole(tokens)), expected)
    # Padding matters: the test would see it if time masks were lost.
    longer = np.where(tokens == 0, 4, tokens)
    assert np.abs(numpy(whole(longer)) - expected).max() > 1e-4


def test_a_time_mask_is_computed_as_the_layer_does():
    embedding = MaskedLayer(layers.Embedding(7, 3, mask_zero=True), ["wrapped"])
    visible = embedding.compute_mask(TOKENS, None)
    np.testing.assert_array_equal(numpy(visible), TOKENS != 0)
    assert MaskedLayer(layers.Dense(3)).compute_mask(TOKENS, visible) is visible
    assert MaskedLayer(Scale()).compute_mask(TOKENS, visible) is None


def test_a_time_mask_given_by_hand_is_used():
    x, visible = batch(4, 2), np.array([[True, True, False, False]] * 4)
    layer = layers.GRU(3)
    expected = numpy(layer(x, mask=visible))
    masked = MaskedLayer(layer)
    np.testing.assert_array_equal(numpy(masked(x, mask=visible)), expected)
    assert np.abs(numpy(masked(x)) - expected).max() > 1e-4


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_as_the_dense_model_does(policy):
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", dtype=policy)(inputs)
    x = layers.BatchNormalization(dtype=policy)(x)
    half = layers.Dense(8, dtype=policy)(x)
    single = layers.Dense(8, dtype="float32")(x)
    model = keras.Model(inputs, [half, single])
    x = batch(6)
    expected = [numpy(ops.cast(y, "float32")) for y in model(x)]
    sparse = keras_snn.sparsify(model, 0.0)
    outputs = sparse(x)
    for output, value, dense in zip(
        outputs, expected, model.outputs, strict=True
    ):
        assert keras.backend.standardize_dtype(output.dtype) == dense.dtype
        np.testing.assert_array_equal(numpy(ops.cast(output, "float32")), value)
    for weight in sparse.weights:
        assert weight.dtype in ("float32", "bool")


def test_a_global_mixed_policy_computes_as_the_dense_model_does():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(8),
                layers.Dense(3, dtype="float32"),
            ]
        )
        x = batch(6)
        expected = numpy(model(x))
        sparse = keras_snn.sparsify(model, 0.0)
        np.testing.assert_array_equal(numpy(sparse(x)), expected)
    finally:
        keras.config.set_dtype_policy(policy)


def test_masks_apply_below_half_precision_too():
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(4, dtype="mixed_float16")]
    )
    sparse = keras_snn.sparsify(model, 0.5)
    (masked,) = masked_weights(sparse).values()
    masked.weight.assign(np.ones(masked.weight.shape))
    np.testing.assert_array_equal(
        numpy(sparse(np.ones((1, 6), "float32")))[0],
        masked.mask_array().sum(0),
    )


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_training_computes_with_the_masks_whatever_is_stored(dtype):
    """A layer that is called twice, with weights that are not 0 outside."""
    entered = keras.Input((6,))
    masked_layer = MaskedLayer(layers.Dense(6, dtype=dtype), name="masked")
    model = keras.Model(entered, masked_layer(masked_layer(entered)))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    (masked,) = masked_weights(model).values()
    mask = RNG.random((6, 6)) < 0.5
    keras_snn.set_masks(model, {masked.path: mask})
    kernel, x = batch(6, size=6), batch(6)
    masked.weight.assign(kernel)
    expected = numpy(ops.cast(model(x), "float32"))

    state = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    outputs, _ = model.stateless_call(state, others, x, training=True)
    np.testing.assert_array_equal(numpy(ops.cast(outputs, "float32")), expected)
    np.testing.assert_array_equal(masked.weight_array(), kernel)

    outputs = model(x, training=True)
    np.testing.assert_array_equal(numpy(ops.cast(outputs, "float32")), expected)
    model.train_on_batch(x, np.zeros((4, 6)))
    np.testing.assert_array_equal(masked.weight_array() * mask, kernel * mask)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(x, np.zeros((4, 6)))
    trained = masked.weight_array()
    assert (trained != kernel)[mask].all()
    in_place = dtype == "float32" and keras.backend.backend() != "jax"
    np.testing.assert_array_equal(
        trained[~mask], 0 if in_place else kernel[~mask]
    )


def regularized():
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(
                8,
                activation="relu",
                kernel_regularizer="l2",
                bias_regularizer="l1",
            ),
            layers.BatchNormalization(),
            layers.Dropout(0.4, seed=3),
            layers.Dense(3, activity_regularizer="l2"),
        ]
    )


def training(model, **options):
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    x, y = batch_of_training
    history = model.fit(
        x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, **options
    )
    loss = model.evaluate(x, y, batch_size=4, verbose=0)
    return history.history["loss"], loss


batch_of_training = batch(6, size=12), batch(3, size=12)


@pytest.fixture(scope="module")
def dense_training():
    model = regularized()
    losses, evaluated = training(model)
    return losses, evaluated, [v.numpy() for v in model.variables]


@pytest.mark.parametrize("how", ["around", "inside", "compiled before"])
def test_training_is_that_of_the_dense_model_at_sparsity_0(how, dense_training):
    """Losses counted once, statistics and seeds moved, on every backend."""
    dense_losses, dense_evaluated, dense_variables = dense_training
    model = plain = regularized()
    if how == "inside":
        model = keras.Sequential([keras.Input((6,))])
        for layer in plain.layers:
            kernel = hasattr(layer, "kernel")
            model.add(MaskedLayer(layer) if kernel else layer)
    else:
        if how == "compiled before":
            plain.compile("adam", "mse", metrics=["mae"])
        model = keras_snn.sparsify(plain, 0.0)
    losses, evaluated = training(model)
    np.testing.assert_allclose(losses, dense_losses, rtol=1e-5)
    np.testing.assert_allclose(evaluated, dense_evaluated, rtol=1e-5)
    for variable, expected in zip(
        plain.variables, dense_variables, strict=True
    ):
        np.testing.assert_allclose(variable.numpy(), expected, atol=1e-5)
    assert [m.name for m in model.metrics] == ["loss"]


@keras.saving.register_keras_serializable(package="tests")
class Penalty(layers.Layer):
    def call(self, inputs):
        self.add_loss(ops.mean(ops.square(inputs)))
        return inputs


def test_add_loss_is_counted_once_however_deep():
    x = batch(6)
    inner = keras.Sequential([keras.Input((6,)), Penalty(), layers.Dense(6)])
    model = keras.Sequential([keras.Input((6,)), inner, Penalty()])
    sparse = keras_snn.sparsify(model, 0.0)
    sparse.compile("sgd", "mse")
    y = numpy(model(x))
    expected = float(sum(numpy(loss) for loss in model.losses))
    assert expected == pytest.approx(np.mean(x**2) + np.mean(y**2), rel=1e-5)
    for _ in range(2):
        loss = sparse.evaluate(x, y, batch_size=4, verbose=0)
        assert loss == pytest.approx(expected, rel=1e-5)
    assert sparse.train_on_batch(x, y) == pytest.approx(expected, rel=1e-5)


def test_a_call_of_a_loop_of_your_own_sees_each_loss_once():
    masked = MaskedLayer(layers.Dense(3, kernel_regularizer="l2"))
    model = keras.Sequential([keras.Input((6,)), Penalty(), masked])
    for _ in range(2):
        model(batch(6))
        assert len(model.losses) == 2


def test_dropout_draws_anew_in_training_and_not_at_all_otherwise():
    masked = MaskedLayer(
        keras.Sequential(
            [
                keras.Input((50,)),
                layers.Dense(50, kernel_initializer="identity"),
                layers.Dropout(0.5),
            ]
        )
    )
    x = np.ones((1, 50), "float32")
    np.testing.assert_array_equal(numpy(masked(x)), x)
    first, second = (numpy(masked(x, training=True)) for _ in range(2))
    assert 5 < (first == 0).sum() < 45
    assert (first != second).any()


def test_stateless_calls_are_in_the_mode_asked_for():
    model = regularized()
    masked = MaskedLayer(model)
    x = batch(6)
    masked(x)
    state = masked.trainable_variables, masked.non_trainable_variables
    state = [[v.value for v in variables] for variables in state]
    calm, same = masked.stateless_call(*state, x, training=False)
    np.testing.assert_array_equal(numpy(calm), numpy(masked(x)))
    excited, moved = masked.stateless_call(*state, x, training=True)
    assert (numpy(excited) != numpy(calm)).any()
    for before, after in zip(state[1], same, strict=True):
        np.testing.assert_array_equal(numpy(after), numpy(before))
    changes = [
        (numpy(before) != numpy(after)).any()
        for before, after in zip(state[1], moved, strict=True)
    ]
    assert sum(changes) == 3  # Two statistics, one seed; not the masks.


def test_a_shared_layer_is_masked_once():
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, shared(ops.relu(shared(inputs))))
    sparse = keras_snn.sparsify(model, 0.5)
    assert list(masked_weights(sparse)) == ["shared/kernel"]
    x = batch(6)
    kernel, bias = (w.numpy() for w in shared.weights)
    by_hand = np.maximum(x @ kernel + bias, 0) @ kernel + bias
    np.testing.assert_allclose(numpy(sparse(x)), by_hand, atol=1e-5)


def test_a_wrapper_called_twice_keeps_its_masks():
    masked = MaskedLayer(layers.Dense(6))
    inputs = keras.Input((6,))
    model = keras.Model(inputs, masked(masked(inputs)))
    assert len(masked_weights(model)) == 1
    assert len(masked.weights) == 3


def test_a_frozen_layer_is_masked_and_stays_frozen():
    frozen = layers.Dense(5, trainable=False, name="frozen")
    model = keras.Sequential([keras.Input((6,)), frozen, layers.Dense(3)])
    sparse = keras_snn.sparsify(model, 0.5)
    before = frozen.kernel.numpy()
    assert "frozen/kernel" in masked_weights(sparse)
    assert len(sparse.trainable_variables) == 2
    sparse.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    sparse.train_on_batch(batch(6), batch(3))
    np.testing.assert_array_equal(frozen.kernel.numpy(), before)


def test_gradients_of_inactive_weights_are_zero():
    from keras_snn.gradients.of_loss import loss_gradients

    model = keras_snn.sparsify(
        keras.Sequential([keras.Input((6,)), layers.Dense(5)]), 0.5
    )
    (masked,) = masked_weights(model).values()
    (gradient,) = loss_gradients(
        model, [masked.weight], batch(6), batch(5), "mse"
    )
    active = masked.mask_array()
    assert not gradient[~active].any()
    assert (gradient[active] != 0).all()


def test_names_with_dots_and_of_the_same_spelling():
    twins = []
    for _ in range(2):
        inputs = keras.Input((6,))
        outputs = layers.Dense(6, name="dense")(inputs)
        twins.append(keras.Model(inputs, outputs, name="twin.model"))
    masked = MaskedLayer(Chain(twins))
    masked(batch(6))
    assert [m.path for m in masked.masked_weights] == [
        "chain/twin.model/dense/kernel",
        "chain/twin.model/dense/kernel_2",
    ]
    assert [m.index for m in masked.masked_weights] == [0, 2]


class Chain(layers.Layer):
    def __init__(self, parts):
        super().__init__(name="chain")
        self.parts = parts

    def build(self, input_shape):
        self.built = True

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


def test_names_are_paths_or_parts_and_spare_biases():
    model = keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.Dense(4, name="dense"),
            layers.LayerNormalization(name="norm"),
            layers.GRU(3, name="gru"),
        ]
    )

    def chosen(*names):
        masked = MaskedLayer(model, names)
        masked.build()
        return [m.path for m in masked.masked_weights]

    assert chosen("dense") == ["dense/kernel"]
    assert chosen("gru") == [f"gru/gru_cell/{name}" for name in RECURRENT]
    assert chosen("gru/gru_cell/bias") == ["gru/gru_cell/bias"]
    assert chosen("bias") == ["dense/bias", "gru/gru_cell/bias"]
    assert chosen("norm/gamma", "dense/kernel") == [
        "dense/kernel",
        "norm/gamma",
    ]
    with pytest.raises(ValueError, match="no weight of that name.*'ense'"):
        chosen("ense")
    with pytest.raises(ValueError, match="no weight of that name.*'norm'"):
        chosen("norm")


def test_a_layer_without_kernels_needs_names():
    for layer in (layers.BatchNormalization(), layers.Dropout(0.5)):
        with pytest.raises(ValueError, match="no weight to mask by default"):
            MaskedLayer(layer)(batch(6))


def test_what_has_masks_is_not_wrapped_once_more():
    dense = layers.Dense(5)
    sparse = keras_snn.sparsify(keras.Sequential([keras.Input((6,)), dense]))
    for layer in (sparse, MaskedLayer(layers.Dense(3))):
        with pytest.raises(ValueError, match="be wrapped once more.*Received"):
            MaskedLayer(layer)
    with pytest.raises(ValueError, match="have one mask.*Received: 'dense"):
        MaskedLayer(dense)
    keras_snn.strip(sparse)
    assert len(MaskedLayer(dense)(batch(6))) == len(batch(6))


def test_masked_weights_needs_masks_and_a_built_model():
    with pytest.raises(ValueError, match="wrap it first.*sparsify"):
        masked_weights(keras.Sequential([keras.Input((2,)), layers.Dense(2)]))
    unbuilt = keras.Sequential([MaskedLayer(layers.Dense(2))])
    with pytest.raises(ValueError, match="must be built"):
        masked_weights(unbuilt)


def test_config_round_trip():
    masked = MaskedLayer(
        layers.Dense(3, name="inner"),
        ["inner/kernel", "bias"],
        requested_sparsity=0.25,
        name="outer",
        trainable=False,
        dtype="mixed_bfloat16",
    )
    config = keras.saving.serialize_keras_object(masked)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == masked.get_config()
    assert again.weights_to_mask == ["inner/kernel", "bias"]
    assert again.requested_sparsity == 0.25
    assert again.name == "outer" and not again.trainable
    assert again.dtype_policy.name == "mixed_bfloat16"
