"""Trials as tasks of a Ray that really runs: two nodes on this machine."""

from pathlib import Path

import numpy as np
import pytest

from keras_snn.experiments import MODELS
from keras_snn.experiments import OnRay
from keras_snn.experiments import Trial
from keras_snn.experiments import registry
from keras_snn.experiments import run_grid
from keras_snn.experiments.store import Store

MINE = """
import keras
from keras_snn.experiments import MODELS, Network

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # As conftest.py has it in the process of the tests: else it rounds apart.
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": True}
    )


def build(trial, source):
    image = keras.Input(source.image_shape)
    x = keras.layers.AveragePooling2D(4)(image)
    x = keras.layers.Flatten()(x)
    uniform = keras.initializers.RandomUniform(-0.3, 0.3, seed=trial.seed)
    x = keras.layers.Dense(
        source.classes, name="logits", kernel_initializer=uniform
    )(x)
    return keras.Model(image, x)


MODELS["mine"] = Network("Mine", build)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    registry.load_module(path)
    yield str(path)
    del MODELS["mine"]
    registry.LOADED.pop()


def trial(method, **changes):
    fields = {
        "sparsity": 0.8,
        "dataset": "digits",
        "model": "mine",
        "data_ratio": 0.1,
        "epochs": 12,
        "interval": 1,
        "batch_size": 64,
    }
    return Trial(method=method, **{**fields, **changes})


@pytest.fixture
def cluster(monkeypatch):
    """A cluster whose head has no CPU: nodes are to be added."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    head = {"num_cpus": 0, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    made.shutdown()


@pytest.mark.once
# Ray forks to execute its own programs at once: no thread of JAX is missed.
@pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")
def test_a_grid_whose_node_is_lost_is_as_in_turn(tmp_path, mine, cluster):
    grid = [trial("omp"), trial("set"), trial("set", learning_rate=1e30)]
    expected = run_grid(grid, tmp_path / "in_turn", say=lambda line: None)
    nodes = [cluster.add_node(num_cpus=1)]
    lines = []

    class Told:
        def begins(self, name, counts):
            pass

        def epoch(self, name, text):
            lines.append((name, text.partition(":")[0]))
            if name.startswith("Dense") and "epoch 2/12" in text:
                # There is one, so it is this trial that is lost with it.
                cluster.remove_node(nodes[0], allow_graceful=False)
                nodes.append(cluster.add_node(num_cpus=1))

        def ends(self, name, text, counts):
            pass

    counts = []
    rows = run_grid(
        grid,
        tmp_path / "on_ray",
        view=Told(),
        runner=OnRay(address=cluster.address, modules=(mine,)),
        on_result=lambda rows: counts.append(len(rows)),
    )
    assert len(nodes) == 2
    assert counts == [1, 2, 3]
    assert "must stay finite" in rows[2]["error"]
    for row, other in zip(rows, expected, strict=True):
        for each in (row, other):  # A history has seconds, too.
            each.pop("seconds", None), each.pop("history_sha256", None)
        assert row == other
    a, b = (Store(tmp_path / name) for name in ("in_turn", "on_ray"))
    for each in grid[:2]:
        for value, other in zip(
            a.network(each).get_weights(),
            b.network(each).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(value, other)
    # What was lost went on from its last epoch.
    assert any(text.startswith("lost with") for _, text in lines)
    told = [line for line in lines if line[1].startswith("epoch")]
    assert len(told) == len(set(told)) == 3 * 12
