import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_snn.hardness import ForgettingRecorder
from keras_snn.hardness import forgetting


def test_events_by_hand():
    correct = [
        [1, 0, 0, 1, 0],
        [1, 0, 1, 0, 0],
        [1, 0, 0, 1, 0],
        [1, 0, 1, 0, 1],
    ]
    events = forgetting(np.array(correct, bool))
    assert events.dtype == np.float32
    assert events.tolist() == [0, np.inf, 1, 2, 0]


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 5))))
def test_events_are_drops_from_right_to_wrong(correct):
    for column, events in zip(correct.T, forgetting(correct), strict=True):
        text = "".join("+" if c else "-" for c in column)
        assert events == (text.count("+-") if "+" in text else np.inf)


@pytest.mark.parametrize(
    "correct", [np.ones(3, bool), np.ones((2, 3)), np.ones((0, 3), bool)]
)
def test_bad_records(correct):
    with pytest.raises(ValueError, match="bools of shape"):
        forgetting(correct)


class SetWeights(keras.callbacks.Callback):
    """At the end of an epoch, the outputs that are given for it."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights([self.outputs[epoch]])


def outputs_of(predicted):
    """Logits in favour of each epoch's predicted classes."""
    return [np.eye(3, dtype="float32")[classes] for classes in predicted]


def test_counts_what_the_model_forgets(fixed_outputs):
    labels = np.array([0, 1, 2, 0])
    predicted = [[0, 1, 0, 1], [0, 0, 2, 1], [0, 1, 2, 2], [0, 0, 1, 1]]
    model, x = fixed_outputs(np.zeros((4, 3)))
    recorder = ForgettingRecorder(x, labels)
    weights = SetWeights(outputs_of(predicted))
    model.fit(x, labels, epochs=4, verbose=0, callbacks=[weights, recorder])
    assert recorder.scores.tolist() == [0, 2, 1, np.inf]
    some = ForgettingRecorder(x, labels, epochs=(1, 3), batch_size=3)
    model.fit(x, labels, epochs=4, verbose=0, callbacks=[weights, some])
    assert some.scores.tolist() == [0, 0, 0, np.inf]


def test_goes_on_where_it_was(fixed_outputs, tmp_path):
    labels = np.array([0, 1, 2, 0])
    predicted = [[0, 1, 0, 1], [0, 0, 2, 1], [0, 1, 2, 2], [0, 0, 1, 1]]
    model, x = fixed_outputs(np.zeros((4, 3)))
    weights = SetWeights(outputs_of(predicted))
    for first, epochs in ((0, 1), (1, 3), (2, 4)):
        recorder = ForgettingRecorder(x, labels, path=tmp_path / "f.npz")
        model.fit(
            x,
            labels,
            initial_epoch=first,
            epochs=epochs,
            verbose=0,
            callbacks=[weights, recorder],
        )
    assert recorder.scores.tolist() == [0, 2, 1, np.inf]


def test_one_hot_labels(fixed_outputs):
    model, x = fixed_outputs(np.eye(3), keras.losses.CategoricalCrossentropy())
    labels = np.eye(3)[[0, 1, 1]]
    recorder = ForgettingRecorder(x, labels)
    weights = SetWeights([np.eye(3, dtype="float32")])
    model.fit(x, labels, epochs=1, verbose=0, callbacks=[weights, recorder])
    assert recorder.scores.tolist() == [0, 0, np.inf]


def test_nan_outputs(fixed_outputs):
    model, x = fixed_outputs(np.zeros((4, 3)))
    recorder = ForgettingRecorder(x, np.zeros(4, int))
    weights = SetWeights([np.full((4, 3), np.nan, "float32")])
    with pytest.raises(ValueError, match="for 4 of 4 samples"):
        model.fit(x, np.zeros(4, int), verbose=0, callbacks=[weights, recorder])


def test_no_records_yet(data):
    with pytest.raises(ValueError, match="must be passed to `fit`"):
        _ = ForgettingRecorder(*data).scores


def test_config_round_trip(data):
    recorder = ForgettingRecorder(*data, (1, 2), batch_size=7, path="f.npz")
    again = ForgettingRecorder.from_config(recorder.get_config())
    assert again.get_config() == recorder.get_config()
