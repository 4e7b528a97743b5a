import contextlib
import csv
import dataclasses
import importlib
import json

import keras
import numpy as np
import pytest

from keras_snn.compute.conversion import to_sparse
from keras_snn.evaluation import nll
from keras_snn.experiments import MODELS
from keras_snn.experiments import Network
from keras_snn.experiments import attempt
from keras_snn.experiments import data
from keras_snn.experiments import run
from keras_snn.experiments import run_grid
from keras_snn.experiments import run_trial
from keras_snn.experiments.methods import METHODS
from keras_snn.experiments.runners import in_turn
from keras_snn.experiments.store import Store
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.snapshot import load_snapshot

# Trainings of one epoch.
pytestmark = pytest.mark.filterwarnings("ignore:No mask will change")


def weights_of(trial, out):
    return Store(out).network(trial).get_weights()


def history_of(trial, out):
    with (Store(out).place(trial) / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{n: v for n, v in r.items() if n != "seconds"} for r in rows]


def quiet(line):
    del line


@pytest.mark.once
def test_every_method_runs_and_shares_the_dense_network(tmp_path, trial_of):
    lines = []
    methods = tuple(METHODS)
    trials = [trial_of(method) for method in methods]
    results = run_grid(trials, tmp_path, say=lines.append)
    assert [row["method"] for row in results] == list(methods)
    assert not any("error" in row for row in results)
    epochs = [line for line in lines if "epoch 3/3" in line]
    assert len(epochs) == len(methods)  # The dense network trained once.
    total = results[0]["active_parameters"]
    size = 3 * 3 * 3 * 4 + 36 * 10
    for row in results[1:]:
        assert abs(row["sparsity"] - 0.8) <= 1 / size
        assert total - row["active_parameters"] == round(0.8 * size)
    for row in results:
        assert 0 <= row["adversarial_accuracy"] <= 1
        assert 0 <= row["clean_accuracy"] <= 1
        assert (
            row["computed_flops"] == 144 * 3 * 5 * results[0]["inference_flops"]
        )
    for each in trials:
        kernels = [w for w in weights_of(each, tmp_path) if w.ndim > 1]
        zeros = sum(np.count_nonzero(k == 0) for k in kernels)
        assert zeros >= round(each.sparsity * size)
    answers = Store(tmp_path).attacked(trials[1])
    right = (answers.logits.argmax(axis=1) == answers.y).mean()
    assert right == pytest.approx(results[1]["adversarial_accuracy"])
    clean = data.parts(trials[1])[2].x[answers.places]
    change = np.abs(answers.x.astype(int) - clean).max()
    assert 0 < change <= 255 * trials[1].attack_eps + 0.5
    assert "1 done, " in lines[3] or "[1 done" in "".join(lines)


@pytest.mark.once
def test_what_is_done_is_not_done_again(tmp_path, trial_of):
    this = trial_of("random", hard="none", epochs=1)
    first = run_trial(this, tmp_path, say=quiet)
    lines = []
    again = run_trial(this, tmp_path, say=lines.append)
    assert again == first
    assert lines == []
    # Nor elsewhere: the folder may move.
    (tmp_path / "trials").rename(tmp_path / "moved")
    (tmp_path / "new").mkdir()
    (tmp_path / "moved").rename(tmp_path / "new" / "trials")
    moved = run_trial(this, tmp_path / "new", say=lines.append)
    assert moved == first
    assert lines == []


class KilledError(BaseException):
    """As KeyboardInterrupt: not the trial's own failure."""


@pytest.mark.parametrize(
    "method", ["set", pytest.param("lth", marks=pytest.mark.once)]
)
def test_a_killed_trial_goes_on_to_the_same_weights(
    tmp_path, method, trial_of, monkeypatch
):
    pruned, row = [], METHODS[method]
    monkeypatch.setitem(
        METHODS,
        method,
        dataclasses.replace(
            row, prune=lambda *given: pruned.append(row.prune(*given))
        ),
    )
    hard = "none" if METHODS[method].from_dense else "adversarial"
    this = trial_of(method, hard=hard)
    run_trial(this, tmp_path / "whole", say=quiet)
    seen = []

    def kill(line):
        if "epoch 2/3" in line:
            seen.append(line)
            # LTH trains the dense network first: kill both trainings.
            raise KilledError

    runs = 2 if METHODS[method].from_dense else 1
    for _ in range(runs):
        with pytest.raises(KilledError):
            run_trial(this, tmp_path / "killed", say=kill)
    (kept,) = tmp_path.glob("killed/trials/*.unfinished/epoch-*.npz")
    of = json.loads(load_snapshot(kept).about)["of"]
    assert of == Store(tmp_path / "killed").place(this).name
    lines = []
    resumed = run_trial(this, tmp_path / "killed", say=lines.append)
    assert len(seen) == runs
    assert len(pruned) == 2  # Of the whole one and the killed one, not again.
    assert [x for x in lines if "epoch" in x][0].strip().startswith("epoch 3/3")
    for a, b in zip(
        weights_of(this, tmp_path / "whole"),
        weights_of(this, tmp_path / "killed"),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    whole = run_trial(this, tmp_path / "whole", say=quiet)
    for name in ("clean_accuracy", "training_flops", "layer_densities"):
        assert resumed[name] == whole[name]
    # With what a method keeps from epoch to epoch, the exploration of SET.
    history, undisturbed = (
        history_of(this, tmp_path / folder) for folder in ("killed", "whole")
    )
    assert ("exploration" in history[0]) == (method == "set")
    assert history == undisturbed
    assert resumed.get("adversarial_accuracy") == whole.get(
        "adversarial_accuracy"
    )


def broad(trial, source):
    """A network with a layer that is large enough to compute sparse."""
    image = keras.Input(source.image_shape)
    x = keras.layers.Flatten()(image)
    for units in (16, source.classes):
        initial = keras.initializers.GlorotUniform(trial.seed + units)
        x = keras.layers.Dense(units, kernel_initializer=initial)(x)
    return keras.Model(image, x)


@pytest.mark.parametrize(
    "method", ["set", pytest.param("snip", marks=pytest.mark.once)]
)
def test_a_killed_trial_that_computes_sparse_ends_as_a_masked_one(
    tmp_path, method, trial_of, monkeypatch
):
    monkeypatch.setitem(MODELS, "broad", Network("Broad", broad))
    masked = trial_of(method, model="broad", sparsity=0.9, learning_rate=0.01)
    sparse = dataclasses.replace(masked, compute="sparse")
    rows = [run_trial(masked, tmp_path, say=quiet)]

    def kill(line):
        if "epoch 2/3" in line:
            raise KilledError

    built = []
    monkeypatch.setattr(
        "keras_snn.experiments.training.to_sparse",
        lambda model: built.append(to_sparse(model)) or built[-1],
    )
    with pytest.raises(KilledError):
        run_trial(sparse, tmp_path, say=kill)
    rows.append(run_trial(sparse, tmp_path, say=quiet))
    assert len(built) == 2
    for model in built:
        kinds = [masked.computes for masked in masked_weights(model).values()]
        assert kinds == ["sparse", "masked"]
    assert rows[0]["layer_densities"] == rows[1]["layer_densities"]
    assert rows[0]["active_parameters"] == rows[1]["active_parameters"]
    for a, b in zip(
        weights_of(masked, tmp_path), weights_of(sparse, tmp_path), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)
        np.testing.assert_array_equal(a == 0, b == 0)


@pytest.mark.once
def test_a_folder_appears_when_it_is_whole(tmp_path, monkeypatch, trial_of):
    def fail(*_):
        raise KilledError

    monkeypatch.setattr(attempt, "flops_of", fail)
    with pytest.raises(KilledError):
        run_trial(trial_of(hard="none", epochs=1), tmp_path, say=quiet)
    names = [path.suffix for path in (tmp_path / "trials").iterdir()]
    assert names == [".unfinished"]


@pytest.mark.once
def test_a_trial_on_clean_images(tmp_path, trial_of):
    this = trial_of("random", hard="none", epochs=1)
    result = run_trial(this, tmp_path, say=quiet)
    assert "adversarial_accuracy" not in result
    folder = Store(tmp_path).place(this)
    assert json.loads((folder / "trial.json").read_text())["epochs"] == 1
    assert list(Store(tmp_path).history(this))[:2] == ["epoch", "seconds"]
    assert "history_sha256" in result
    assert result["images"] == round(0.1 * 1437)  # Nothing is held out.
    assert result["versions"]["keras"] == keras.__version__
    assert {"commit", "backend", "device", "data"} <= set(result)
    logits, y = Store(tmp_path).predictions(this)
    right = (logits.argmax(axis=1) == y).mean()
    assert right == pytest.approx(result["clean_accuracy"])
    assert nll(logits, y) == pytest.approx(result["nll"], rel=1e-3)
    assert 0 <= result["ece"] <= 1
    held_out = trial_of("random", hold_out=True)
    assert data.training_images(held_out) == round(0.1 * 1293)
    # The network is the one that was trained, or it is refused.
    network = Store(tmp_path).network(this)
    network.set_weights([w + 1 for w in network.get_weights()])
    network.save(folder / "model.keras")
    for says in ("weights are those of another", r"model\.keras must be the"):
        with pytest.raises(ValueError, match=says):
            Store(tmp_path).network(this)
        (folder / "model.keras").write_bytes(b"damaged")


@pytest.mark.once
def test_the_hardest_samples_are_chosen_once_for_all(tmp_path, trial_of):
    lines = []
    fields = {"hard": "el2n", "el2n_epoch": 1, "el2n_models": 2, "epochs": 1}
    grid = [trial_of("random", data_ratio=r, **fields) for r in (0.1, 0.2)]
    rows = run_grid(grid, tmp_path, say=lines.append, keep_networks=False)
    assert not any("error" in row for row in rows)
    assert sum("epoch 1/1" in line for line in lines) == 2 + 2
    (scores,) = (tmp_path / "scores").glob("*.npz")
    assert len(np.load(scores)["values"]) == 1437
    # Only what others build on was kept.
    assert len(list(tmp_path.glob("trials/*/model.keras"))) == 2
    # The same scores choose for a network that comes later.
    before = scores.stat().st_mtime_ns
    run_trial(trial_of("set", **fields), tmp_path, say=quiet)
    assert scores.stat().st_mtime_ns == before


@pytest.mark.once
def test_what_is_recorded_in_training_chooses(tmp_path, trial_of):
    fields = {"hard": "forgetting", "el2n_epoch": 2, "epochs": 1}
    this = trial_of(
        "random", equal_steps=True, options={"subset": "easiest"}, **fields
    )
    lines = []
    (row,) = run_grid([this], tmp_path, say=lines.append)
    assert row.get("error") is None and row["equal_steps"]
    # Two epochs score; one on 1,437 images is 23 steps, on 144 three.
    assert sum("epoch 2/2" in line for line in lines) == 1
    assert sum("epoch 8/8" in line for line in lines) == 1
    (record,) = tmp_path.glob("trials/dense-*/forgetting.npz")
    assert np.load(record)["records"].shape == (2, 1437)
    (scores,) = (tmp_path / "scores").glob("forgetting-*.npz")
    assert len(np.load(scores)["values"]) == 1437


@pytest.mark.once
def test_networks_that_were_dropped_are_trained_for_what_needs_them(
    tmp_path, trial_of
):
    fields = {"epochs": 1, "hard": "none"}
    run_grid([trial_of("dense", **fields)], tmp_path, keep_networks=False)
    assert not list(tmp_path.glob("trials/*/model.keras"))
    row = run_trial(trial_of("omp", **fields), tmp_path, say=quiet)
    assert "error" not in row
    assert len(list(tmp_path.glob("trials/*/model.keras"))) == 2


@pytest.mark.once
def test_each_network_that_is_asked_for_is_exported(tmp_path, trial_of):
    store, omp = Store(tmp_path), trial_of("omp", hard="none")
    for each in (omp.dense, omp):
        (store.begin(each) / "model.keras").touch()
        store.keep(each, {})
    config = attempt.RunConfig(export=True)
    for grid in ([omp], [omp, omp.dense]):
        todo = run.left(run.plan(grid), {*grid}, store, config)
        assert set(todo) == {*grid}


@pytest.mark.once
def test_same_seed_same_network_another_seed_another(tmp_path, trial_of):
    this = trial_of("set", hard="none", epochs=2)
    for folder in ("a", "b"):
        run_trial(this, tmp_path / folder, say=quiet)
    a, b = (weights_of(this, tmp_path / folder) for folder in "ab")
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    other = trial_of("set", hard="none", epochs=2, seed=1)
    run_trial(other, tmp_path / "a", say=quiet)
    c = weights_of(other, tmp_path / "a")
    assert any(not np.array_equal(x, y) for x, y in zip(a, c, strict=True))


@pytest.mark.once
def test_a_trial_that_fails_is_kept_and_the_others_go_on(tmp_path, trial_of):
    fields = {"hard": "none", "epochs": 1}
    wild = {"learning_rate": 1e30, **fields}
    grid = [trial_of("omp", **wild), trial_of("random", **fields)]
    seen = []
    rows = run_grid(grid, tmp_path, say=quiet, on_result=seen.append)
    assert "which failed: FloatingPointError" in rows[0]["error"]
    assert "error" not in rows[1]
    assert [len(found) for found in seen] == [1, 2]
    dense = Store(tmp_path).failure(grid[0].dense)
    assert "Training must stay finite" in dense["error"]
    kept = [json.loads(p.read_text()) for p in tmp_path.glob("trials/*.json")]
    assert len(kept) == 2
    assert all("Traceback" in found["traceback"][0] for found in kept)
    assert not list(tmp_path.glob("trials/*.unfinished"))

    # Not again, unless told to.
    lines = []
    again = run_grid(grid, tmp_path, say=lines.append)
    assert again == rows
    assert lines == []
    again = run_grid(grid, tmp_path, say=lines.append, retry=True)
    assert again == rows
    assert len([x for x in lines if "failed: " in x]) == 2
    with pytest.raises(FloatingPointError):
        run_trial(grid[0].dense, tmp_path, say=quiet)


@pytest.mark.once
def test_a_trial_that_another_process_is_at_is_left_to_it(
    tmp_path, trial_of, monkeypatch
):
    monkeypatch.setattr(in_turn, "WAIT", 0.01)
    fields = {"hard": "none", "epochs": 1}
    theirs, ours = (trial_of(m, **fields) for m in ("random", "uniform"))
    store = Store(tmp_path)
    with contextlib.ExitStack() as held:
        assert held.enter_context(store.claimed(theirs))

        def finish(rows):
            if [row["trial"] for row in rows] == [ours.key]:
                (store.begin(theirs) / "model.keras").touch()
                store.keep(theirs, {"clean_accuracy": 0.123})
                held.close()

        lines = []
        rows = run_grid(
            [theirs, ours], tmp_path, say=lines.append, on_result=finish
        )
    assert [row["trial"] for row in rows] == [theirs.key, ours.key]
    assert rows[0]["clean_accuracy"] == 0.123
    assert sum("epoch 1/1" in line for line in lines) == 1


@pytest.mark.once
def test_callbacks_precision_and_tensorboard_of_a_users_own(tmp_path, trial_of):
    seen = []

    class Own(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, self.model.dtype_policy.name))

    this = trial_of("random", epochs=1, hard="none", precision="mixed_bfloat16")
    tensorboard = pytest.importorskip("tensorboard")
    events = importlib.import_module(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    board = tmp_path / "board"
    result = run_trial(
        this,
        tmp_path,
        say=quiet,
        callbacks=lambda trial: [Own()],
        tensorboard=board,
    )
    written = events.EventAccumulator(str(board / this.key / "train"))
    written.Reload()
    assert "epoch_accuracy" in written.Tags()["tensors"]
    (loss,) = written.Tensors("epoch_loss")
    assert loss.step == 0
    history = history_of(this, tmp_path)
    value = tensorboard.util.tensor_util.make_ndarray(loss.tensor_proto)
    assert value == pytest.approx(float(history[0]["loss"]))
    assert seen == [(0, "mixed_bfloat16")]
    assert result["precision"] == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"
