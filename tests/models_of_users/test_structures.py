"""Models as people build them: shared, tied, nested, recurrent, adapted."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)
REGISTER = keras.saving.register_keras_serializable(package="structures")


def batch(*shape, size=4):
    return RNG.normal(size=(size, *shape)).astype("float32")


def tokens(length, size=4):
    return RNG.integers(1, 7, (size, length)).astype("int32")


def dict_in_and_several_out():
    inputs = {
        "image": keras.Input((6, 6, 1), name="image"),
        "extra": keras.Input((3,), name="extra"),
    }
    x = layers.Conv2D(4, 3, name="conv")(inputs["image"])
    x = layers.Flatten()(x)
    x = layers.Concatenate()([x, inputs["extra"]])
    outputs = {
        "label": layers.Dense(3, name="label")(x),
        "value": layers.Dense(1, name="value")(x),
    }
    model = keras.Model(inputs, outputs)
    return model, {"image": batch(6, 6, 1), "extra": batch(3)}


def shared():
    tower = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, "relu"), layers.Dense(4)]
    )
    left, right = keras.Input((6,)), keras.Input((6,))
    difference = layers.Subtract()([tower(left), tower(right)])
    model = keras.Model([left, right], layers.Dense(2)(difference))
    return model, [batch(6), batch(6)]


@REGISTER
class Tied(layers.Layer):
    """Reads out with the transpose of another layer's kernel."""

    def __init__(self, of=None, **kwargs):
        super().__init__(**kwargs)
        self.of = of

    def build(self, input_shape):
        self.bias = self.add_weight(name="bias", shape=(self.of.input_dim,))

    def call(self, inputs):
        return inputs @ ops.transpose(self.of.embeddings) + self.bias

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.of.input_dim)

    def get_config(self):
        of = keras.saving.serialize_keras_object(self.of)
        return {**super().get_config(), "of": of}

    @classmethod
    def from_config(cls, config):
        of = keras.saving.deserialize_keras_object(config.pop("of"))
        return cls(of, **config)


@REGISTER
class Language(keras.Model):
    """A subclassed model around a Functional one, with tied embeddings."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(7, 4, name="words")
        inputs = keras.Input((5, 4))
        x = layers.Dense(6, "relu", name="inner")(inputs)
        self.body = keras.Model(
            inputs, layers.Dense(4, name="outer")(x), name="body"
        )
        self.tied = Tied(self.embedding, name="tied")

    def call(self, inputs):
        return self.tied(self.body(self.embedding(inputs)))


def nested_and_tied():
    model, x = Language(), tokens(5)
    model(x)
    return model, x


def subclassed_in_functional():
    inputs = keras.Input((5,), dtype="int32")
    x = Language(name="language")(inputs)
    return keras.Model(inputs, layers.Dense(2)(x)), tokens(5)


def recurrent():
    inputs = keras.Input((5, 3))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(inputs)
    cells = [layers.GRUCell(4), layers.LSTMCell(3)]
    x = layers.RNN(cells, return_sequences=True)(x)
    x = layers.TimeDistributed(layers.Dense(4))(x)
    return keras.Model(inputs, layers.SimpleRNN(2)(x)), batch(5, 3)


def attention():
    inputs = keras.Input((5, 8))
    x = inputs + layers.MultiHeadAttention(2, 4)(inputs, inputs)
    x = layers.LayerNormalization()(x)
    x = x + layers.GroupQueryAttention(4, 4, 2)(x, x, use_causal_mask=True)
    return keras.Model(inputs, layers.Dense(2)(x)), batch(5, 8)


@REGISTER
class Penalty(layers.Layer):
    def call(self, inputs):
        self.add_loss(0.1 * ops.mean(ops.square(inputs)))
        return inputs


def with_add_loss():
    inputs = keras.Input((6,))
    x = Penalty()(layers.Dense(8, activity_regularizer="l2")(inputs))
    return keras.Model(inputs, layers.Dense(3)(x)), batch(6)


def in_mixed_precision():
    half = {"dtype": "mixed_bfloat16"}
    inputs = keras.Input((6,))
    x = layers.Dense(8, **half)(inputs)
    x = layers.BatchNormalization(**half)(x)
    return keras.Model(inputs, layers.Dense(3, dtype="float32")(x)), batch(6)


MODELS = {
    build.__name__: build
    for build in (
        dict_in_and_several_out,
        shared,
        nested_and_tied,
        subclassed_in_functional,
        recurrent,
        attention,
        with_add_loss,
        in_mixed_precision,
    )
}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_any_structure(build, check):
    model, x = build()
    loss = "mse"
    if isinstance(x, dict):
        loss = {"label": "mse", "value": "mse"}
    check(model, x, loss=loss)


def test_a_tied_weight_is_masked_once(check):
    model, x = nested_and_tied()
    loaded = check(model, x, include="words")
    assert list(masked_weights(loaded)) == [
        "words/embeddings",
        "body/inner/kernel",
        "body/outer/kernel",
    ]


@REGISTER
class Bilinear(layers.Layer):
    def build(self, input_shape):
        size = input_shape[-1]
        self.table = self.add_weight(
            name="table", shape=(size, 5, size), initializer="normal"
        )
        self.shift = self.add_weight(name="shift", shape=(5,))

    def call(self, inputs):
        x = ops.einsum("bi,ioj,bj->bo", inputs, self.table, inputs)
        return x + self.shift


def test_a_weight_of_a_layer_of_your_own(check):
    inputs = keras.Input((6,))
    x = Bilinear(name="bilinear")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="head")(x))
    loaded = check(model, batch(6), include="bilinear/table")
    assert list(masked_weights(loaded)) == ["bilinear/table", "head/kernel"]


def adapted():
    model = keras.Sequential(
        [
            keras.Input((4, 6)),
            layers.Dense(8, "relu", name="dense"),
            layers.EinsumDense("abc,cd->abd", (None, 5), name="einsum"),
        ]
    )
    return model, batch(4, 6)


def enable_lora(model):
    for name in ("dense", "einsum"):
        layer = model.get_layer(name)
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(0.1 * np.ones(layer.lora_kernel_b.shape))


@pytest.mark.parametrize("when", ["before", "afterwards"])
def test_lora_keeps_a_sparse_base_and_dense_adapters(when, tmp_path):
    model, x = adapted()
    if when == "before":
        enable_lora(model)
        dense = ops.convert_to_numpy(model(x))
        sparse = keras_snn.sparsify(model, 0.0)
        outputs = ops.convert_to_numpy(sparse(x))
        np.testing.assert_allclose(outputs, dense, atol=1e-6)
        keras_snn.prune_random(sparse, 0.5)
    else:
        sparse = keras_snn.sparsify(model, 0.5)
        enable_lora(sparse)
    masks = keras_snn.get_masks(sparse)
    assert list(masks) == ["dense/kernel", "einsum/kernel"]
    assert "low-rank adapter: 4 weights" in printed(sparse)

    sparse.compile("sgd", "mse")
    before = [w.numpy() for w in sparse.trainable_variables]
    sparse.train_on_batch(x, batch(4, 5))
    for weight, old in zip(sparse.trainable_variables, before, strict=True):
        assert (weight.numpy() != old).any()
    for path, masked in masked_weights(sparse).items():
        assert not masked.weight.trainable
        assert not masked.weight_array()[~masks[path]].any()
    outputs = ops.convert_to_numpy(sparse(x))

    again = type(sparse).from_config(sparse.get_config())
    again.set_weights(sparse.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(again(x)), outputs, atol=1e-6
    )
    # Keras saves the sum, so the sparse base would be lost: stripped only.
    for save, name in ((sparse.save, ".keras"), (sparse.save_weights, ".h5")):
        path = tmp_path / f"saved.weights{name}"
        path.write_text("an earlier one")
        with pytest.raises(ValueError, match="`strip` the.*'dense/kernel'"):
            save(path)
        assert path.read_text() == "an earlier one"
    with pytest.warns(UserWarning, match=r"LoRA in \['dense', 'einsum'\]"):
        keras_snn.strip(sparse).save(tmp_path / "plain.keras")
    plain = keras.saving.load_model(tmp_path / "plain.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(plain(x)), outputs, atol=1e-6
    )


def printed(model):
    lines = []
    keras_snn.summary(model, print_fn=lines.append, line_length=100)
    return "\n".join(lines)


def frozen():
    inputs = keras.Input((6,))
    x = layers.Dense(8, "relu", name="first")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="last")(x), name="net")
    return model, batch(6)


def test_frozen_before_and_after(check):
    model, x = frozen()
    model.get_layer("first").trainable = False
    check(model, x)

    sparse = keras_snn.sparsify(model, 0.5, masks="random")
    first, last = (sparse.get_layer(name) for name in ("first", "last"))
    assert (first, last) == (model.get_layer("first"), model.layers[-1])
    assert sparse.get_layer(index=1) is first
    assert len(sparse.trainable_variables) == 2
    first.trainable, last.trainable = True, False
    sparse.compile("sgd", "mse")
    before = [w.numpy() for w in (first.kernel, last.kernel)]
    sparse.train_on_batch(x, batch(3))
    assert (first.kernel.numpy() != before[0]).any()
    np.testing.assert_array_equal(last.kernel.numpy(), before[1])
    sparse.trainable = False
    assert not sparse.trainable_variables
    sparse.trainable = True
    assert len(sparse.trainable_variables) == 4
    with pytest.raises(ValueError, match="No such layer: nowhere"):
        sparse.get_layer("nowhere")


def test_a_frozen_model_is_saved_frozen(tmp_path):
    model, _ = frozen()
    sparse = keras_snn.sparsify(model, 0.5)
    sparse.trainable = False
    sparse.save(tmp_path / "frozen.keras")
    loaded = keras.saving.load_model(tmp_path / "frozen.keras")
    assert not loaded.trainable and not loaded.trainable_variables


def test_keras_summary_shows_the_users_layers():
    model, _ = frozen()
    sparse = keras_snn.sparsify(model, 0.5)
    lines = []
    sparse.summary(print_fn=lines.append, line_length=100)
    text = "\n".join(str(line) for line in lines)
    assert "net" in text and "first" in text and "last" in text
    assert "Masked params: 72, of which 36 are active" in text


def test_attributes_of_the_users_model():
    model, x = nested_and_tied()
    model.note = "mine"
    sparse = keras_snn.sparsify(model, 0.5)
    assert sparse.note == "mine" and sparse.body is model.body
    assert isinstance(sparse, Language)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        sparse.nothing_of_the_kind  # noqa: B018


def test_a_sparse_model_inside_another(tmp_path):
    """As transfer learning has it: a new head on a sparse body."""
    body = keras_snn.sparsify(frozen()[0], 0.5)
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(body(inputs)))
    x = batch(6)
    outputs = ops.convert_to_numpy(model(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(x)), outputs, atol=1e-6
    )
    assert keras_snn.sparsity(loaded) == 0.5
    assert isinstance(loaded.layers[1].inputs, list)


def test_a_graph_goes_on_from_a_sparse_model():
    body = keras_snn.sparsify(frozen()[0], 0.5)
    model = keras.Model(body.inputs, layers.Dense(2)(body.outputs[0]))
    assert keras_snn.sparsity(model) == 0.5
    assert model([batch(6)]).shape == (4, 2)


@pytest.mark.parametrize("build", [frozen, nested_and_tied])
def test_copies(build):
    model, x = build()
    sparse = keras_snn.sparsify(model, 0.5)
    clone = keras.models.clone_model(sparse)
    assert len(masked_weights(clone)) == len(masked_weights(sparse))
    clone.set_weights(sparse.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(clone(x)),
        ops.convert_to_numpy(sparse(x)),
        atol=1e-6,
    )


def test_weights_that_a_model_lacks():
    model, _ = recurrent()
    with pytest.raises(ValueError, match="`include` must match.*'lstm_7/x'"):
        keras_snn.sparsify(model, 0.5, include="lstm_7/x")
    with pytest.raises(ValueError, match="either included or excluded"):
        keras_snn.sparsify(
            model, 0.5, include=layers.RNN, exclude="recurrent_kernel"
        )
    with pytest.raises(ValueError, match="must be built.*call it on a batch"):
        keras_snn.sparsify(Language(), 0.5)


def test_losses_and_metrics_are_known_by_the_names_of_the_outputs():
    inputs = keras.Input((6,))
    x = layers.Dense(8, "relu", name="body")(inputs)
    outputs = [layers.Dense(2, name=name)(x) for name in ("a", "b")]
    sparse = keras_snn.sparsify(keras.Model(inputs, outputs), 0.5)
    sparse.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"b": "mse"})
    x, y = batch(6), [batch(2), batch(2)]
    seen = sparse.fit(x, y, verbose=0).history
    assert set(seen) == {"loss", "a_loss", "b_loss", "b_mse"}
    # Each gradient leaves the metrics of both losses alone.
    update = keras_snn.RigLUpdate((x, y), 1, batch_size=2, end=1.0)
    sparse.fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=[update])
    keras_snn.force(sparse, x, y, 0.7, rounds=2)
    keras_snn.snip(sparse, x, y, 0.8)
    sparse.fit(x, y, verbose=0)
