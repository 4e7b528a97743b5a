"""Models of every kind made sparse, and plain again."""

import json
import pickle
import zipfile

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import MaskedLayer
from keras_snn import sparsify
from keras_snn import strip
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)


def batch(*shape, size=4):
    return RNG.normal(size=(size, *shape)).astype("float32")


def numpy(outputs):
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def assert_same(first, second, atol=0.0):
    keras.tree.assert_same_structure(first, second)
    first, second = keras.tree.flatten(first), keras.tree.flatten(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, atol=atol, rtol=0)


def small():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="relu", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(4, name="last"),
        ],
        name="small",
    )


def sequential():
    return small(), batch(6)


def late_sequential():
    model = keras.Sequential([layers.Dense(8), layers.Dense(4)])
    x = batch(6)
    model(x)
    return model, x


def functional():
    inputs = keras.Input((6,))
    x = layers.Dense(6)(inputs)
    return keras.Model(inputs, layers.Dense(4)(inputs + x)), batch(6)


def nested():
    inputs = keras.Input((6,))
    x = small()(inputs)
    return keras.Model(inputs, layers.Dense(3)(functional_of(4)(x))), batch(6)


def functional_of(size):
    inputs = keras.Input((size,))
    return keras.Model(inputs, layers.Dense(size)(inputs))


def several_inputs():
    first, second = keras.Input((6,)), keras.Input((4,))
    x = layers.Concatenate()([layers.Dense(3)(first), layers.Dense(3)(second)])
    model = keras.Model([first, second], layers.Dense(2)(x))
    return model, [batch(6), batch(4)]


def inputs_and_outputs_by_name():
    inputs = {
        "b": keras.Input((6,), name="b"),
        "a": keras.Input((4,), name="a"),
    }
    x = layers.Dense(3)(inputs["a"]) * layers.Dense(3)(inputs["b"])
    outputs = {"y": layers.Dense(2)(x), "x": x}
    return keras.Model(inputs, outputs), {"a": batch(4), "b": batch(6)}


def one_input_in_a_list():
    inputs = keras.Input((6,))
    model = keras.Model([inputs], [layers.Dense(2)(inputs)])
    return model, [batch(6)]


@keras.saving.register_keras_serializable(package="sparsify_tests")
class Block(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.parts = [layers.Dense(units), layers.BatchNormalization()]

    def build(self, input_shape):
        for part in self.parts:
            part.build(input_shape)
            input_shape = part.compute_output_shape(input_shape)
        super().build(input_shape)

    def call(self, inputs, training=None):
        for part in self.parts:
            inputs = part(inputs, training=training)
        return ops.relu(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="sparsify_tests")
class Subclassed(keras.Model):
    def __init__(self, units=5, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.blocks = {"a": Block(units), "b": Block(units)}
        self.head = layers.Dense(3)

    def call(self, inputs, training=None):
        x = self.blocks["a"](inputs, training=training)
        return self.head(x + self.blocks["b"](x, training=training))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="sparsify_tests")
class OfADict(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.left, self.right = layers.Dense(3), layers.Dense(3)

    def call(self, inputs):
        return {"sum": self.left(inputs["l"]) + self.right(inputs["r"])}


def subclassed():
    model, x = Subclassed(), batch(6)
    model(x)
    return model, x


def subclassed_with_a_dict():
    model, x = OfADict(), {"l": batch(2), "r": batch(3)}
    model(x)
    return model, x


@keras.saving.register_keras_serializable(package="sparsify_tests")
class Symbolic(keras.Model):
    def __init__(self, **kwargs):
        kwargs.pop("trainable", None)
        kwargs.pop("dtype", None)
        inputs = keras.Input((6,))
        super().__init__(inputs, layers.Dense(4)(inputs), **kwargs)

    def get_config(self):
        return {"name": self.name}


def subclassed_with_symbolic_inputs():
    return Symbolic(), batch(6)


KINDS = {
    kind.__name__: kind
    for kind in (
        sequential,
        late_sequential,
        functional,
        nested,
        several_inputs,
        inputs_and_outputs_by_name,
        one_input_in_a_list,
        subclassed,
        subclassed_with_a_dict,
        subclassed_with_symbolic_inputs,
    )
}


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]()


# Keras 3.6 forgets the list around one input when it loads a model.
@pytest.mark.filterwarnings("ignore:.*The structure of `inputs`")
def test_every_kind_is_wrapped_saved_and_stripped(kind, tmp_path):
    model, x = kind
    dense = numpy(model(x))
    weights = [w.numpy() for w in model.weights]
    sparse = sparsify(model, 0.0)
    assert sparse.name == model.name
    assert_same(numpy(sparse(x)), dense)

    sparse = sparsify(strip(sparse), 0.6, seed=1)
    masks = keras_snn.get_masks(sparse)
    size = sum(mask.size for mask in masks.values())
    active = sum(int(mask.sum()) for mask in masks.values())
    assert active == round(0.4 * size)
    for masked in masked_weights(sparse).values():
        assert not masked.weight_array()[~masked.mask_array()].any()
    for before, weight in zip(weights, model.weights, strict=True):
        changed = weight.numpy() != before
        assert not weight.numpy()[changed].any()  # Pruned, nothing else.
    outputs = numpy(sparse(x))

    sparse.save(tmp_path / "sparse.keras")
    loaded = keras.saving.load_model(tmp_path / "sparse.keras")
    assert_same(numpy(loaded(x)), outputs, atol=1e-6)
    assert_masks_equal(loaded, masks)  # By place: Keras may give new names.
    assert "requested: 0.6" in printed_summary(loaded)

    sparse.save_weights(tmp_path / "sparse.weights.h5")
    keras_snn.prune_random(sparse, 0.3, seed=9)
    sparse.load_weights(tmp_path / "sparse.weights.h5")
    assert_masks_equal(sparse, masks)

    plain = strip(sparse)
    assert plain is model
    assert_same(numpy(plain(x)), outputs)
    plain.save(tmp_path / "plain.keras")
    assert "keras_snn" not in saved_config(tmp_path / "plain.keras")
    assert_same(
        numpy(keras.saving.load_model(tmp_path / "plain.keras")(x)),
        outputs,
        atol=1e-6,
    )


@keras.saving.register_keras_serializable(package="sparsify_tests")
class SeveralArguments(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.left, self.right = layers.Dense(3), layers.Dense(3)

    def build(self, left_shape, right_shape):
        self.left.build(left_shape)
        self.right.build(right_shape)

    def call(self, left, right, gain=None, negate=False, training=None):
        outputs = self.left(left) + self.right(right)
        outputs = outputs if gain is None else outputs * gain
        return -outputs if negate else outputs


def test_arguments_reach_a_model_as_they_did(tmp_path):
    model = SeveralArguments()
    args, gain = (batch(2), batch(3)), batch(3)
    options = {"gain": gain, "negate": True}
    plain, full = numpy(model(*args)), numpy(model(*args, **options))
    sparse = sparsify(model, 0.0)
    assert_same(numpy(sparse(*args)), plain)
    assert_same(numpy(sparse(*args, **options)), full)
    sparse.save(tmp_path / "sparse.keras")
    loaded = keras.saving.load_model(tmp_path / "sparse.keras")
    assert_same(numpy(loaded(*args, **options)), full, atol=1e-6)


def assert_masks_equal(model, masks):
    own = keras_snn.get_masks(model).values()
    for mask, expected in zip(own, masks.values(), strict=True):
        np.testing.assert_array_equal(mask, expected)


def printed_summary(model):
    lines = []
    keras_snn.summary(model, print_fn=lines.append, line_length=200)
    return "\n".join(lines)


def saved_config(path):
    with zipfile.ZipFile(path) as archive:
        return json.dumps(json.loads(archive.read("config.json")))


def test_every_kind_trains():
    """Once with fixed inputs and once without."""
    for make in (inputs_and_outputs_by_name, subclassed):
        model, x = make()
        sparse = sparsify(model, 0.5)
        sparse.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
        y = numpy(keras.tree.map_structure(ops.zeros_like, model(x)))
        history = sparse.fit(x, y, epochs=3, verbose=0).history["loss"]
        assert history[-1] < history[0]
        for masked in masked_weights(sparse).values():
            assert not masked.weight_array()[~masked.mask_array()].any()


def test_first_and_last_layer_are_masked_and_the_rest_is_not():
    sparse = sparsify(small(), 0.5)
    assert list(masked_weights(sparse)) == ["first/kernel", "last/kernel"]


@pytest.mark.parametrize("distribution", ["erk", "erdos_renyi", "uniform"])
def test_counts_are_those_of_the_distribution(distribution):
    from keras_snn.arithmetic import distributions

    sparse = sparsify(small(), 0.7, distribution)
    shapes = {"first/kernel": (6, 8), "last/kernel": (8, 4)}
    wanted = distributions.counts(
        shapes, distributions.layer_sparsities(shapes, 0.7, distribution)
    )
    masks = keras_snn.get_masks(sparse)
    assert {path: int(m.sum()) for path, m in masks.items()} == wanted
    assert sum(wanted.values()) == 24
    assert keras_snn.sparsity(sparse) == pytest.approx(0.7)


@pytest.mark.parametrize("distribution", ["erk", "erdos_renyi"])
def test_attention_gets_what_its_flattened_kernels_would(distribution):
    inputs = keras.Input((5, 24))
    x = layers.MultiHeadAttention(3, 8, name="heads")(inputs, inputs)
    x = layers.EinsumDense("abc,dc->abd", (None, 96), name="wide")(x)
    outputs = layers.Dense(24, name="narrow")(x)
    masks = keras_snn.get_masks(
        sparsify(keras.Model(inputs, outputs), 0.8, distribution)
    )
    square, oblong = 48 / 24**2, 120 / (24 * 96)
    factor = 0.2 * (4 * 24**2 + 2 * 24 * 96) / (4 * 48 + 2 * 120)
    assert len(masks) == 6
    for path, mask in masks.items():
        raw = square if "heads" in path else oblong
        assert mask.mean() == pytest.approx(factor * raw, abs=2e-3), path


def test_a_distribution_may_be_a_mapping_or_a_function():
    sparse = sparsify(small(), 0.5, {"last": 0.75, "first/kernel": 0.25})
    counts = {p: m.sum() for p, m in keras_snn.get_masks(sparse).items()}
    assert counts == {"first/kernel": 36, "last/kernel": 8}
    sparse = sparsify(small(), 0.5, lambda shapes, s: dict.fromkeys(shapes, s))
    assert keras_snn.sparsity(sparse) == 0.5


def test_the_seed_decides_whatever_the_names_that_keras_gives():
    def auto_named():
        return keras.Sequential(
            [keras.Input((6,)), layers.Dense(8), layers.Dense(8)]
        )

    first, again, other = (
        list(keras_snn.get_masks(sparsify(auto_named(), 0.5, seed=s)).values())
        for s in (3, 3, 4)
    )
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, two)
        assert (one != three).any()


def text_model():
    tokens = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4, name="words")(tokens)
    x = layers.Bidirectional(
        layers.GRU(3, return_sequences=True, name="gru"), name="both"
    )(x)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.DepthwiseConv1D(2, name="depthwise")(x)
    return keras.Model(tokens, Block(5, name="block")(x))


BY_DEFAULT = {
    *(
        f"both/{way}_gru/gru_cell/{kernel}"
        for way in ("forward", "backward")
        for kernel in ("kernel", "recurrent_kernel")
    ),
    *(
        f"attention/{part}/kernel"
        for part in ("query", "key", "value", "attention_output")
    ),
}


@pytest.fixture(scope="module")
def text():
    return text_model()


@pytest.mark.parametrize(
    ("include", "more"),
    [
        ("words", {"words/embeddings"}),
        ("words/embeddings", {"words/embeddings"}),
        (layers.Embedding, {"words/embeddings"}),
        ((layers.DepthwiseConv1D,), {"depthwise/kernel"}),
        (lambda layer: layer.name == "depthwise", {"depthwise/kernel"}),
        (
            [layers.Embedding, "depthwise"],
            {"words/embeddings", "depthwise/kernel"},
        ),
        # A layer's biases and its default kernels are no more than that.
        ("attention", set()),
        ("both", set()),
        (layers.GRU, set()),
        ("norm/gamma", {"norm/gamma"}),
        ("attention/query/bias", {"attention/query/bias"}),
    ],
)
def test_include(text, include, more):
    sparse = sparsify(text, 0.0, include=include)
    dense = {path for path in masked_weights(sparse) if "dense" in path}
    assert set(masked_weights(sparse)) - dense == BY_DEFAULT | more
    assert len(dense) == 1
    strip(sparse)


@pytest.mark.parametrize(
    ("exclude", "less"),
    [
        ("attention", "attention/"),
        (layers.MultiHeadAttention, "attention/"),
        (layers.GRU, "both/"),
        (layers.Bidirectional, "both/"),
        ("forward_gru", "both/forward_gru"),
        (Block, "block/"),
        (layers.Dense, "block/"),
        ("recurrent_kernel", "recurrent_kernel"),
        (lambda layer: hasattr(layer, "recurrent_kernel"), "both/"),
        ("attention/query/kernel", "attention/query"),
    ],
)
def test_exclude(text, exclude, less):
    sparse = sparsify(text, 0.0, exclude=exclude)
    everything = sparsify(strip(sparse), 0.0)
    assert set(masked_weights(sparse)) == {
        path for path in masked_weights(everything) if less not in path
    }
    strip(everything)


def test_a_layer_of_your_own_is_masked_by_its_name():
    class Mine(layers.Layer):
        def build(self, input_shape):
            self.table = self.add_weight(name="table", shape=(6, 3))

        def call(self, inputs):
            return inputs @ self.table

    model = keras.Sequential([keras.Input((6,)), Mine(name="mine")])
    assert list(masked_weights(sparsify(model, 0.5, include="mine"))) == [
        "mine/table"
    ]


def test_include_and_exclude_say_what_is_wrong(text):
    with pytest.raises(ValueError, match="`include` must match.*'wrods'"):
        sparsify(text, 0.5, include="wrods")
    with pytest.raises(ValueError, match="`exclude` must match.*'norm'"):
        sparsify(text, 0.5, exclude="norm")
    with pytest.raises(ValueError, match="`exclude` must match.*Conv2D"):
        sparsify(text, 0.5, exclude=["attention", layers.Conv2D])
    with pytest.raises(ValueError, match="either included or excluded.*query"):
        sparsify(text, 0.5, include="query", exclude="attention")
    with pytest.raises(TypeError, match="`include` must name layers.*3"):
        sparsify(text, 0.5, include=3)
    with pytest.raises(TypeError, match="`exclude` must name layers.*Dense"):
        sparsify(text, 0.5, exclude=layers.Dense(3))
    with pytest.raises(ValueError, match="at least one weight to mask"):
        sparsify(small(), 0.5, exclude=layers.Dense)


@pytest.mark.parametrize(
    "sparsity", [-0.1, 1.0, 1.2, float("nan"), "0.5", True]
)
def test_sparsity_must_be_a_fraction(sparsity):
    with pytest.raises(ValueError, match=r"`sparsity` must be in \[0, 1\)"):
        sparsify(small(), sparsity)


def test_nothing_has_changed_after_an_error():
    model = small()
    before = [w.numpy() for w in model.weights]
    for arguments in (
        {"sparsity": 0.99},  # Leaves a layer empty.
        {"sparsity": 0.5, "seed": -1},
        {"sparsity": 0.5, "seed": 1.5},
        {"sparsity": 0.5, "distribution": "unknown"},
        {"sparsity": 0.5, "distribution": {"nowhere": 0.5}},
        {"sparsity": 0.5, "distribution": {"last": 1.0}},
    ):
        with pytest.raises(ValueError, match="Received: "):
            sparsify(model, **arguments)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    assert not [w for w in model.weights if w.dtype == "bool"]


def test_models_that_cannot_be_wrapped():
    with pytest.raises(ValueError, match="must be a Keras model.*MaskedLayer"):
        sparsify(layers.Dense(3), 0.5)
    for unbuilt in (keras.Sequential([layers.Dense(3)]), Subclassed()):
        with pytest.raises(ValueError, match="must be built"):
            sparsify(unbuilt, 0.5)
    with pytest.raises(ValueError, match="cannot be wrapped once more"):
        sparsify(sparsify(small(), 0.5), 0.5)
    empty = keras.Sequential([keras.Input((0,)), layers.Dense(3, name="a")])
    with pytest.raises(ValueError, match=r"have values.*a/kernel.*\(0, 3\)"):
        sparsify(empty, 0.5)
    with pytest.raises(ValueError, match="no kernel is left to mask"):
        sparsify(
            keras.Sequential([keras.Input((3,)), layers.BatchNormalization()])
        )


def by_hand(model_of):
    masked = MaskedLayer(layers.Dense(5, name="inner"), name="outer")
    model = model_of(masked)
    mask = np.zeros((6, 5), bool)
    mask[::2] = True
    keras_snn.set_masks(model, {"inner/kernel": mask})
    return model, masked


def hand_sequential(masked):
    return keras.Sequential([keras.Input((6,)), masked])


def hand_sequential_of_two(masked):
    return keras.Sequential(
        [keras.Input((6,)), masked, layers.BatchNormalization()]
    )


def hand_functional(masked):
    inputs = keras.Input((6,))
    return keras.Model(inputs, 2 * masked(inputs) + 1)


def hand_functional_with_a_model(masked):
    inner = keras.Sequential([keras.Input((6,)), masked.layer])
    inner.name = "body"
    masked.layer = inner
    masked.weights_to_mask = ["inner/kernel"]
    inputs = keras.Input((6,))
    return keras.Model(inputs, masked(inputs) * 3)


@pytest.mark.parametrize(
    "model_of",
    [
        hand_sequential,
        hand_sequential_of_two,
        hand_functional,
        hand_functional_with_a_model,
    ],
)
def test_strip_of_layers_masked_by_hand(model_of, tmp_path):
    model, _ = by_hand(model_of)
    x = batch(6)
    outputs = numpy(model(x))
    plain = strip(model)
    assert isinstance(plain, keras.Model)
    assert_same(numpy(plain(x)), outputs)
    plain.save(tmp_path / "plain.keras")
    assert "keras_snn" not in saved_config(tmp_path / "plain.keras")


def test_strip_leaves_masked_layers_of_subclassed_models_to_their_author():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.masked = MaskedLayer(layers.Dense(3))

        def call(self, inputs):
            return self.masked(inputs) + 1

    model = Own()
    model(batch(6))
    with pytest.raises(ValueError, match="Functional or Sequential.*Own"):
        strip(model)
    inputs = keras.Input((6,))
    outer = keras.Model(
        inputs, hand_sequential(MaskedLayer(layers.Dense(3)))(inputs)
    )
    with pytest.raises(ValueError, match="Functional or Sequential"):
        strip(outer)
    with pytest.raises(ValueError, match="wrap it first"):
        strip(small())


def test_strip_bakes_zeros_in_whatever_was_written_to_the_weights():
    sparse = sparsify(small(), 0.5)
    masks = keras_snn.get_masks(sparse)
    x = batch(6)
    for masked in masked_weights(sparse).values():
        masked.weight.assign(np.ones(masked.weight.shape))
    outputs = numpy(sparse(x))
    plain = strip(sparse)
    assert_same(numpy(plain(x)), outputs)
    for layer in ("first", "last"):
        kernel = plain.get_layer(layer).kernel.numpy()
        np.testing.assert_array_equal(kernel, masks[f"{layer}/kernel"])


def test_the_stripped_model_trains_as_an_ordinary_one():
    plain = strip(sparsify(small(), 0.5))
    plain.compile("sgd", "mse", metrics=["mae"])
    history = plain.fit(batch(6), batch(4), epochs=1, verbose=0).history
    assert set(history) == {"loss", "mae"}
    assert (plain.get_layer("first").kernel.numpy() == 0).sum() < 24


def test_a_model_with_masks_inside_a_larger_one():
    sparse = sparsify(small(), 0.5)
    inputs = keras.Input((6,))
    outer = keras.Model(inputs, layers.Dense(2)(sparse(inputs)))
    assert list(masked_weights(outer)) == ["first/kernel", "last/kernel"]
    assert keras_snn.sparsity(outer) == 0.5


def test_clone_model_gives_independent_masks():
    sparse = sparsify(small(), 0.5)
    clone = keras.models.clone_model(sparse)
    assert keras_snn.sparsity(clone) == 0.0
    clone.set_weights(sparse.get_weights())
    assert_masks_equal(clone, keras_snn.get_masks(sparse))
    keras_snn.prune_random(clone, 0.2)
    assert keras_snn.sparsity(sparse) == 0.5


def test_weights_have_one_mask():
    model = small()
    sparse = sparsify(model, 0.5)
    before = [w.numpy() for w in sparse.weights]
    with pytest.raises(
        ValueError, match="have one mask.*whose weights 'small' masks"
    ):
        sparsify(model, 0.8)
    for weight, value in zip(sparse.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
    again = sparsify(strip(sparse), 0.8)
    assert keras_snn.sparsity(again) == 0.8
    model = strip(again)
    del sparse, again
    assert keras_snn.sparsity(sparsify(model, 0.2)) == pytest.approx(0.2)


def test_a_sparse_model_that_is_gone_holds_nothing():
    model = small()
    sparse = sparsify(model, 0.5)
    sparse(batch(6))
    del sparse
    assert keras_snn.sparsity(sparsify(model, 0.8)) == pytest.approx(0.8)


@pytest.mark.parametrize("kind", ["graph", "subclassed"])
def test_a_sparse_model_pickles(kind):
    if kind == "graph":
        model, x = small(), batch(6)
    else:
        model, x = subclassed()
    sparse = sparsify(model, 0.5, seed=3)
    sparse.compile("sgd", "mse")
    again = pickle.loads(pickle.dumps(sparse))
    assert type(again).__name__ == type(sparse).__name__
    assert_masks_equal(again, keras_snn.get_masks(sparse))
    assert_same(numpy(again(x)), numpy(sparse(x)))


def test_the_plain_model_loads_the_weights_of_the_sparse_one(tmp_path):
    sparse = sparsify(small(), 0.5)
    sparse.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    sparse.fit(batch(6), batch(4), verbose=0)
    path, x = tmp_path / "of.0.5.weights.h5", batch(6)
    sparse.save_weights(path)
    plain = small()
    plain.load_weights(path)
    assert_same(numpy(plain(x)), numpy(sparse(x)), atol=1e-6)
    other = sparsify(small(), 0.5, seed=1)
    other.load_weights(path)
    assert_masks_equal(other, keras_snn.get_masks(sparse))


def test_quantize_is_refused_before_anything_changes():
    sparse = sparsify(small(), 0.5)
    x = batch(6)
    outputs = numpy(sparse(x))
    with pytest.raises(ValueError, match="`strip` the model first.*'small'"):
        sparse.quantize("int8")
    assert_same(numpy(sparse(x)), outputs)
