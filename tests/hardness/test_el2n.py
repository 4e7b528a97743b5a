import keras
import numpy as np
import pytest
from keras import layers

import keras_snn
from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.hardness import EL2NRecorder
from keras_snn.hardness import el2n

LOGITS_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
PROBABILITIES = [[0.2, 0.3, 0.5], [1, 0, 0], [1, 0, 0], [0.5, 0.5, 0]]
LABELS = np.array([2, 0, 1, 1])
# sqrt(.04 + .09 + .25), 0, sqrt(2), sqrt(.5)
BY_HAND = [0.6164414, 0, 1.4142135, 0.7071068]


def test_values_by_hand(fixed_outputs):
    model, x = fixed_outputs(PROBABILITIES, "sparse_categorical_crossentropy")
    scores = el2n(model, x, LABELS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, BY_HAND, atol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 500.0])
def test_logits_by_hand(fixed_outputs, shift):
    logits = np.log(np.maximum(PROBABILITIES, 1e-30)) + shift
    model, x = fixed_outputs(logits)
    np.testing.assert_allclose(el2n(model, x, LABELS), BY_HAND, atol=1e-4)


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.SparseCategoricalCrossentropy,
        keras.losses.CategoricalCrossentropy,
        keras.losses.CategoricalFocalCrossentropy,
    ],
)
def test_the_compiled_loss_tells_logits(fixed_outputs, loss, logits):
    model, x = fixed_outputs(PROBABILITIES, loss(from_logits=logits))
    told, _ = fixed_outputs(PROBABILITIES, None)
    np.testing.assert_array_equal(
        el2n(model, x, LABELS), el2n(told, x, LABELS, from_logits=logits)
    )


@pytest.mark.parametrize(
    "loss", [None, "mse", ["mse"], lambda y, outputs: 0.0 * outputs]
)
def test_unknown_whether_logits(fixed_outputs, loss):
    model, x = fixed_outputs(PROBABILITIES, loss)
    with pytest.raises(ValueError, match="or pass `from_logits`"):
        el2n(model, x, LABELS)
    scores = el2n(model, x, LABELS, from_logits=False)
    np.testing.assert_allclose(scores, BY_HAND, atol=1e-6)


def test_logits_taken_for_probabilities(fixed_outputs):
    model, x = fixed_outputs([[2.0, 1.0, -1.0]] * 4, None)
    with pytest.raises(ValueError, match=r"must be prob.*sums from 2 to 2"):
        el2n(model, x, LABELS, from_logits=False)


def test_range_and_labels_of_any_form(model, data):
    x, y = data
    scores = el2n(model, x, y)
    assert scores.shape == (len(x),)
    assert scores.min() >= 0 and scores.max() <= np.sqrt(2) + 1e-6
    for labels in (y[:, None], np.eye(4)[y], y.astype("float32"), list(y)):
        np.testing.assert_array_equal(el2n(model, x, labels), scores)
    np.testing.assert_allclose(
        el2n(model, x, y, batch_size=7), scores, atol=1e-6
    )


def test_averages_models_and_checkpoints(data, tmp_path):
    x, y = data
    models = []
    for _ in range(3):
        model = keras.Sequential([keras.Input((2,)), layers.Dense(4)])
        model.compile("sgd", LOGITS_LOSS)
        models.append(model)
    models[2].save(tmp_path / "third.keras")
    scores = el2n([*models[:2], tmp_path / "third.keras"], x, y)
    each = [el2n(m, x, y) for m in models]
    np.testing.assert_allclose(scores, np.mean(each, axis=0), atol=1e-6)
    assert not np.allclose(each[0], each[1])


def test_learnt_samples_score_low_and_wrong_labels_high(model, data):
    x, y = data
    x, y = np.tile(x, (4, 1)), np.tile(y, 4)
    wrong = np.arange(len(y)) < 12
    labels = np.where(wrong, (y + 1) % 4, y)
    model.fit(x, labels, epochs=10, batch_size=16, verbose=0)
    scores = el2n(model, x, labels)
    assert np.median(scores[~wrong]) < 0.3
    assert scores[wrong].min() > np.quantile(scores[~wrong], 0.95)


def test_changes_nothing(model, data):
    before = model.get_weights()
    el2n(model, *data)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_sparse_model_under_mixed_precision(data):
    x, y = data
    inputs = keras.Input((2,))
    hidden = layers.Dense(8, dtype="mixed_bfloat16")(inputs)
    outputs = layers.Dense(4, dtype="mixed_bfloat16")(hidden)
    model = keras_snn.sparsify(keras.Model(inputs, outputs), 0.5)
    model.compile("sgd", LOGITS_LOSS)
    scores = el2n(model, x, y)
    assert scores.dtype == np.float32
    assert len(np.unique(scores)) > 10


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x, y: (x, y[:-1]), "60 samples and 59 labels"),
        (lambda x, y: (x[:0], y[:0]), "0 samples"),
        (lambda x, y: (x, y + 1), r"whole numbers in \[0, 4\).*4 among"),
        (lambda x, y: (x, y - 1), r"Received: -1 among"),
        (lambda x, y: (x, np.eye(5)[y]), r"y.shape=\(60, 5\)"),
    ],
)
def test_bad_data(model, data, change, message):
    with pytest.raises(ValueError, match=message):
        el2n(model, *change(*data))


def test_bad_models(model, data):
    unbuilt = keras.Sequential([layers.Dense(4)])
    for bad, message in (
        ([], "at least one model"),
        ([model, 3], "must be a Keras model"),
        (unbuilt, "must be built"),
        (keras.Sequential([keras.Input((2,)), layers.Reshape((2, 1))]), "one"),
    ):
        with pytest.raises(ValueError, match=message):
            el2n(bad, *data, from_logits=True)


def test_nan_outputs(fixed_outputs):
    logits = np.zeros((5, 3))
    logits[[2, 4], 1] = np.nan
    model, x = fixed_outputs(logits)
    with pytest.raises(ValueError, match="for 2 of 5 samples.*at index 2"):
        el2n(model, x, np.zeros(5, int))


class TestRecorder:
    def test_records_after_the_epochs_asked_for(self, model, data):
        x, y = data
        after = {}
        each = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: after.update(
                {epoch + 1: el2n(model, x, y)}
            )
        )
        recorder = EL2NRecorder(x, y, (2, 3))
        model.fit(x, y, epochs=4, verbose=0, callbacks=[recorder, each])
        assert list(recorder.scores) == [2, 3]
        for epoch, scores in recorder.scores.items():
            np.testing.assert_array_equal(scores, after[epoch])
        expected = (after[2].astype("float64") + after[3]) / 2
        np.testing.assert_allclose(recorder.mean(), expected, atol=1e-7)

    def test_training_is_as_without_it(self, data):
        x, y = data
        weights, histories = [], []
        for callbacks in ([], [EL2NRecorder(x, y, (1, 2))]):
            keras.utils.set_random_seed(0)
            model = keras_snn.sparsify(
                keras.Sequential(
                    [
                        keras.Input((2,)),
                        layers.Dense(16, activation="relu"),
                        layers.Dropout(0.2),
                        layers.Dense(4),
                    ]
                ),
                0.5,
            )
            model.compile("adam", LOGITS_LOSS, metrics=["accuracy"])
            update = keras_snn.SETUpdate(interval=1, drop_fraction=0.5)
            history = model.fit(
                x,
                y,
                epochs=3,
                batch_size=16,
                validation_data=(x, y),
                verbose=0,
                callbacks=[*callbacks, update],
            )
            histories.append(history.history)
            weights.append(model.get_weights())
        assert histories[0] == histories[1]
        for without, with_it in zip(*weights, strict=True):
            np.testing.assert_array_equal(without, with_it)

    def test_adversarial_model(self, data):
        x, y = data
        x = np.clip(x, 0, 1)
        inner = keras.Sequential([keras.Input((2,)), layers.Dense(4)])
        model = AdversarialModel(inner, PGD(steps=2))
        model.compile("sgd", LOGITS_LOSS)
        recorder = EL2NRecorder(x, y, (2,))
        model.fit(x, y, epochs=2, verbose=0, callbacks=[recorder])
        expected = el2n(inner, x, y, from_logits=True)
        np.testing.assert_allclose(recorder.scores[2], expected, atol=1e-6)

    def test_many_steps_an_execution(self, model, data):
        x, y = data
        if keras.backend.backend() == "torch":
            pytest.skip("a compiled step is of TensorFlow and JAX")
        model.compile("sgd", LOGITS_LOSS, steps_per_execution=3)
        recorder = EL2NRecorder(x, y, (1, 2), batch_size=9)
        model.fit(x, y, epochs=2, batch_size=9, verbose=0, callbacks=[recorder])
        expected = el2n(model, x, y, batch_size=60)
        np.testing.assert_allclose(recorder.scores[2], expected, atol=1e-6)

    def test_goes_on_where_it_was(self, model, data, tmp_path):
        x, y = data
        path = tmp_path / "el2n.npz"
        first = EL2NRecorder(x, y, (1, 2, 3), path=path)
        model.fit(x, y, epochs=3, verbose=0, callbacks=[first])
        # Killed after epoch 3 was recorded, but before it was checkpointed.
        second = EL2NRecorder(x, y, (1, 2, 3), path=path)
        model.fit(
            x, y, epochs=3, initial_epoch=2, verbose=0, callbacks=[second]
        )
        assert list(second.scores) == [1, 2, 3]
        for epoch, same in ((1, True), (2, True), (3, False)):
            equal = np.array_equal(first.scores[epoch], second.scores[epoch])
            assert equal is same
        # From the beginning, nothing of an earlier course is left.
        model.fit(x, y, epochs=1, verbose=0, callbacks=[second])
        assert list(second.scores) == [1]
        assert [p.name for p in tmp_path.iterdir()] == ["el2n.npz"]

    def test_other_data_in_the_file(self, model, data, tmp_path):
        x, y = data
        path = tmp_path / "el2n.npz"
        model.fit(
            x, y, verbose=0, callbacks=[EL2NRecorder(x, y, (1,), path=path)]
        )
        before = path.read_bytes()
        other = EL2NRecorder(x, (y + 1) % 4, (1,), path=path)
        with pytest.raises(ValueError, match="not mixed with others"):
            model.fit(x, y, verbose=0, callbacks=[other])
        assert path.read_bytes() == before

    def test_bad_arguments(self, model, data):
        x, y = data
        with pytest.raises(ValueError, match="60 samples and 59 labels"):
            EL2NRecorder(x, y[:-1], (1,))
        for epochs in ((), (0, 1), (1.5,)):
            with pytest.raises(ValueError, match="counted from 1"):
                EL2NRecorder(x, y, epochs)
        recorder = EL2NRecorder(x, y, (20,))
        with pytest.raises(ValueError, match=r"\(20,\) in a training of 10"):
            model.fit(x, y, epochs=10, verbose=0, callbacks=[recorder])
        with pytest.raises(ValueError, match="must be passed to `fit`"):
            recorder.mean()
        with pytest.raises(ValueError, match="batch_size=0"):
            el2n(model, x, y, batch_size=0)

    def test_config_round_trip(self, data, tmp_path):
        x, y = data
        recorder = EL2NRecorder(
            x,
            y,
            (1, 20),
            batch_size=7,
            path=tmp_path / "el2n.npz",
            from_logits=True,
        )
        again = EL2NRecorder.from_config(recorder.get_config())
        assert again.get_config() == recorder.get_config()
