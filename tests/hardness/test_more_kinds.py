"""Margin, loss, AUM, VoG and prediction depth: by hand, and what they find."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn.hardness import AUMRecorder
from keras_snn.hardness import loss
from keras_snn.hardness import margin
from keras_snn.hardness import prediction_depth
from keras_snn.hardness import vog

LOGITS = [[2.0, 1.0, -1.0], [0.0, 3.0, 1.0], [0.5, 0.0, 0.0]]
LABELS = np.array([0, 2, 1])


def test_margin_and_loss_by_hand(fixed_outputs):
    model, x = fixed_outputs(LOGITS)
    np.testing.assert_allclose(margin(model, x, LABELS), [-1, 2, 0.5])
    powers = np.exp(LOGITS)
    shares = (powers / powers.sum(axis=1, keepdims=True))[range(3), LABELS]
    np.testing.assert_allclose(
        loss(model, x, LABELS), -np.log(shares), rtol=1e-6
    )
    # Of probabilities the same, and finite where they are 0.
    same, _ = fixed_outputs(powers / powers.sum(axis=1, keepdims=True), None)
    for score in (margin, loss):
        np.testing.assert_allclose(
            score(same, x, LABELS, from_logits=False),
            score(model, x, LABELS),
            rtol=1e-5,
        )
    sure, _ = fixed_outputs([[1.0, 0.0, 0.0]] * 3, None)
    assert np.isfinite(loss(sure, x, LABELS, from_logits=False)).all()


def test_aum_is_the_mean_margin_over_epochs(fixed_outputs):
    model, x = fixed_outputs(np.zeros((3, 3)))
    given = np.array([LOGITS, np.negative(LOGITS)], "float32")

    def put(epoch, logs):
        model.set_weights([given[epoch]])

    recorder = AUMRecorder(x, LABELS)
    put = keras.callbacks.LambdaCallback(on_epoch_end=put)
    model.fit(x, LABELS, epochs=2, verbose=0, callbacks=[put, recorder])
    # 0 less -1 and 1 less -2; of the negative, 1 + 2 and -1 + 0.
    expected = np.mean([[-1, 2, 0.5], [3, 1, 0]], axis=0)
    np.testing.assert_allclose(recorder.scores, expected)
    again = AUMRecorder.from_config(recorder.get_config())
    assert again.get_config() == recorder.get_config()


def test_aum_finds_wrong_labels(model, data):
    x, y = np.tile(data[0], (4, 1)), np.tile(data[1], 4)
    wrong = np.arange(len(y)) < 12
    labels = np.where(wrong, (y + 1) % 4, y)
    recorder = AUMRecorder(x, labels)
    model.fit(
        x, labels, epochs=6, batch_size=16, verbose=0, callbacks=[recorder]
    )
    right = np.quantile(recorder.scores[~wrong], 0.95)
    assert np.median(recorder.scores[wrong]) > right


def linear(kernel):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    model.set_weights([np.asarray(kernel, "float32"), np.zeros(3, "float32")])
    return model


def test_vog_by_hand(tmp_path):
    # The gradient of a logit is a column of the kernel, at each checkpoint.
    kernels = np.random.default_rng(0).normal(size=(3, 2, 3))
    models = [linear(kernel) for kernel in kernels]
    models[2].save(tmp_path / "third.keras")
    models[2] = tmp_path / "third.keras"
    x, y = np.ones((5, 2), "float32"), np.array([0, 1, 2, 1, 0])
    of_class = kernels.var(axis=0).mean(axis=0)
    options = {"from_logits": True, "batch_size": 2}
    np.testing.assert_allclose(
        vog(models, x, y, by_class=False, **options), of_class[y], rtol=1e-5
    )
    # Within a class all are equal here.
    assert not vog(models, x, np.eye(3)[y], **options).any()


def test_vog_is_standardised_within_classes(data):
    x, y = data
    models = []
    for _ in range(2):
        network = keras.Sequential(
            [keras.Input((2,)), layers.Dense(6, "tanh"), layers.Dense(4)]
        )
        models.append(keras_snn.sparsify(network, 0.2))
    plain = vog(models, x, y, from_logits=True, by_class=False)
    scores = vog(models, x, y, from_logits=True)
    for label in range(4):
        mine = scores[y == label]
        assert abs(mine.mean()) < 1e-5 and abs(mine.std() - 1) < 1e-4
        order = np.argsort(plain[y == label])
        np.testing.assert_array_equal(np.argsort(mine), order)


def test_vog_looks_at_active_weights_alone(data):
    (x, y), models = data, []
    for seed in range(2):
        network = keras.Sequential([keras.Input((2,)), layers.Dense(4)])
        models.append(keras_snn.sparsify(network, 0.5, seed=seed))
        network.layers[-1].kernel.assign(np.ones((2, 4)))
    scores = vog(models, x, y, from_logits=True, by_class=False)
    plain = [keras_snn.strip(model) for model in models]
    expected = vog(plain, x, y, from_logits=True, by_class=False)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert (scores > 0).any()


def test_vog_refuses(data, model):
    x, y = data
    with pytest.raises(ValueError, match="at least two checkpoints"):
        vog([model], x, y)
    with pytest.raises(ValueError, match="must be logits"):
        vog([model, model], x, y, from_logits=False)


def test_prediction_depth_by_hand():
    """Two layers: the first swaps what its neighbours say of a sample."""
    inputs = keras.Input((1,))
    folded = layers.Activation(keras.ops.abs, name="fold")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(folded))
    # Class 1 where |x| > 2.
    model.get_layer("logits").set_weights(
        [np.array([[-1.0, 1.0]], "float32"), np.array([2.0, -2.0], "float32")]
    )
    x = np.array([-3.3, -1.1, 1.0, 1.2, 2.9, 3.0, 3.2], "float32")[:, None]
    y = (np.abs(x[:, 0]) > 2).astype(int)
    depth = prediction_depth(
        model, x, y, neighbours=1, from_logits=True, batch_size=3
    )
    # -3.3 has -1.1 beside it, and -1.1 has 1.0: folded, all are with their own.
    assert depth.tolist() == [1, 0, 0, 0, 0, 0, 0]
    # Where labels are not what the network says, not even softmax agrees.
    sparse = keras_snn.sparsify(model, 0.0)
    never = prediction_depth(sparse, x, 1 - y, neighbours=1, from_logits=True)
    assert never.tolist() == [3] * 7
    few = prediction_depth(
        model, x, y, layers=["fold"], neighbours=1, support=6, from_logits=True
    )
    assert few.shape == (7,)


def test_prediction_depth_refuses(data, model):
    x, y = data
    with pytest.raises(ValueError, match="must be less.*neighbours=60"):
        prediction_depth(model, x, y, neighbours=60)
    with pytest.raises(ValueError, match="must name layers"):
        prediction_depth(model, x, y)


def test_depth_counts_layers_in_the_order_that_they_run(data):
    x, y = data
    relu = layers.ReLU
    inner = keras.Sequential(
        [keras.Input((2,)), relu(name="b"), relu(name="c")]
    )
    network = keras.Sequential(
        [
            keras.Input((2,)),
            relu(name="a"),
            inner,
            relu(name="d"),
            layers.Dense(4),
        ]
    )
    sparse = keras_snn.sparsify(network, 0.0)
    options = {"neighbours": 5, "from_logits": True}
    np.testing.assert_array_equal(
        prediction_depth(sparse, x, y, **options),
        prediction_depth(network, x, y, layers=["a", "b", "c", "d"], **options),
    )
    found = keras_snn.activations(sparse, ["c", "d", "a", "b"], x[:1])
    assert list(found) == ["a", "b", "c", "d"]
