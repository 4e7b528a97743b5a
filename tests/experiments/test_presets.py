"""The paper's networks, as users of the recipes get them, without training."""

import functools
import importlib.util
import math
import pathlib
import re

import pytest

from keras_snn.datasets import SOURCES
from keras_snn.experiments import cost
from keras_snn.experiments import networks
from keras_snn.experiments import recipe
from keras_snn.experiments.grid import trials
from keras_snn.experiments.run import plan
from keras_snn.experiments.scored import scorers

pytestmark = pytest.mark.once
RECIPES = pathlib.Path(__file__).parents[2] / "recipes"

# Trainable parameters, GFLOP of one image forward, input shape and training
# images of the networks of "Are Sparse Neural Networks Better Hard Sample
# Learners?", https://arxiv.org/abs/2409.09196.
NETWORKS = {
    ("resnet18", "cifar100"): (11_220_032, 1.112, (32, 32, 3), 50_000),
    ("resnet34", "tiny_imagenet"): (21_387_072, 2.335, (64, 64, 3), 100_000),
    ("vgg16", "cifar10"): (15_255_626, 0.63, (32, 32, 3), 50_000),
    ("vgg19", "cifar100"): (20_081_188, 0.80, (32, 32, 3), 50_000),
}

# Recipe and preset: network, data, kind of hard samples, data ratios,
# sparsities, networks asked for, and with what they build on.
SWEEP = tuple(n / 10 for n in range(1, 10))
R18, R34 = ("resnet18", "cifar100"), ("resnet34", "tiny_imagenet")
V16, V19 = ("vgg16", "cifar10"), ("vgg19", "cifar100")
PRESETS = {
    ("el2n_examples", "paper"): (R18, "el2n", (1.0,), (), 1, 11),
    ("el2n_resnet18", "paper"): (R18, "el2n", (0.3, 0.5), SWEEP, 276, 286),
    ("el2n_resnet18", "paper-grid"): (R18, "el2n", SWEEP, SWEEP, 270, 280),
    ("el2n_resnet34", "paper"): (R34, "el2n", (0.3, 0.5), SWEEP, 276, 286),
    ("corruption_resnet18", "paper"): (
        R18,
        "corruption",
        (0.3, 1.0),
        SWEEP,
        276,
        276,
    ),
    ("corruption_resnet18", "paper-severity"): (
        R18,
        "corruption",
        (0.3,),
        SWEEP,
        414,
        414,
    ),
    ("corruption_resnet34", "paper"): (
        R34,
        "corruption",
        (0.3, 1.0),
        SWEEP,
        276,
        276,
    ),
    ("corruption_vgg19", "paper"): (
        V19,
        "corruption",
        (0.3, 1.0),
        SWEEP,
        276,
        276,
    ),
    ("adversarial_vgg16", "paper"): (
        V16,
        "adversarial",
        (0.5, 1.0),
        (0.8, 0.9),
        66,
        66,
    ),
    ("adversarial_resnet18", "paper"): (
        R18,
        "adversarial",
        (0.5, 1.0),
        (0.8, 0.9),
        66,
        66,
    ),
    ("layer_density", "paper"): (R18, "el2n", (0.3, 0.5), (0.8,), 36, 46),
    ("layer_density", "paper-vgg19"): (
        V19,
        "corruption",
        (0.3, 1.0),
        (0.8,),
        36,
        36,
    ),
    ("layer_density", "paper-resnet34"): (R34, "el2n", (0.3,), (0.8,), 18, 28),
    ("layer_density", "paper-resnet34-corruption"): (
        R34,
        "corruption",
        (0.3,),
        (0.8,),
        18,
        18,
    ),
    ("density_variants", "paper"): (R18, "el2n", (0.3,), (0.8,), 15, 25),
    ("density_variants", "paper-corruption"): (
        R18,
        "corruption",
        (0.3,),
        (0.8,),
        15,
        15,
    ),
    ("density_variants", "paper-resnet34"): (
        R34,
        "el2n",
        (0.3, 1.0),
        (0.7, 0.8),
        54,
        64,
    ),
    ("density_variants", "paper-resnet34-corruption"): (
        R34,
        "corruption",
        (0.3, 1.0),
        (0.7, 0.8),
        54,
        54,
    ),
    ("training_flops", "paper"): (R18, "el2n", (0.3,), SWEEP, 138, 148),
    ("training_flops", "paper-corruption"): (
        R18,
        "corruption",
        (0.3,),
        SWEEP,
        138,
        138,
    ),
}


@functools.cache
def presets(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PRESETS


@functools.cache
def grid(name, preset):
    arguments = ["--preset", preset]
    settings = recipe.options("", presets(name), arguments)
    return trials(settings.fields)


def test_every_preset_of_the_paper_is_in_the_table():
    others = {"method_ordering", "own_method", "million_neurons"}
    names = {path.stem for path in RECIPES.glob("*.py")} - others
    found = {(n, p) for n in names for p in presets(n) if p != "quick"}
    assert found == set(PRESETS)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_trials_of_a_preset(name, preset):
    network, hard, ratios, sparsities, count, with_bases = PRESETS[name, preset]
    found = grid(name, preset)
    steps = plan(found)
    assert (len(found), len(steps)) == (count, with_bases)
    assert {(t.model, t.dataset) for t in steps} == {network}
    assert {t.hard for t in found} == {hard}
    assert tuple(sorted({t.data_ratio for t in found})) == ratios
    assert tuple(sorted({t.sparsity for t in found} - {0.0})) == sparsities
    severities = (2, 4, 6) if preset == "paper-severity" else (5,)
    assert tuple(sorted({t.severity for t in found})) == severities
    turned = network == R18 and hard == "adversarial"
    for trial in steps:
        if trial in found:
            assert trial.epochs == 200
            assert trial.milestones == (0.5, 0.75)
        else:  # It scores.
            assert (trial.method, trial.hard) == ("dense", "none")
            assert (trial.epochs, trial.data_ratio) == (20, 1.0)
            assert trial.milestones == ()
        assert (trial.learning_rate, trial.weight_decay) == (0.1, 5e-4)
        assert (trial.batch_size, trial.interval) == (128, 4)
        assert trial.width == 1
        assert trial.augment and not trial.nesterov and not trial.hold_out
        assert trial.rotation == (15 if turned else 0)
        assert trial.options == ()
        if hard == "adversarial":
            assert (trial.attack_steps, trial.test_attack_steps) == (10, 20)
            assert trial.attack_eps == pytest.approx(8 / 255)
    expected = round(ratios[0] * NETWORKS[network][3])
    assert min(map(cost.training_images, found)) == expected


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_are_the_papers(network):
    parameters, gflops, shape, images = NETWORKS[network]
    users = [key for key, row in PRESETS.items() if row[0] == network]
    trial = grid(*users[0])[0]
    model = networks.build(trial)
    count = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert count == parameters
    assert model.input_shape == (None, *shape)
    classes = SOURCES[trial.dataset].classes
    assert model.output_shape == (None, classes)
    assert "normalization" in [layer.name for layer in model.layers]
    assert cost.forward_flops(trial) / 1e9 == pytest.approx(gflops, abs=0.005)
    assert SOURCES[trial.dataset].images == images
    names = [layer.name for layer in model.layers]
    if network == R34:
        stem = model.get_layer("conv1")
        assert (stem.kernel_size, stem.strides) == ((7, 7), (2, 2))
        assert not any(name.endswith("pool1_pool") for name in names)
        assert model.get_layer("layer1_0_conv1").output.shape[1:3] == (32, 32)
    if network == V19:
        assert "block4_pool" in names and "block5_pool" not in names


def test_the_readmes_table_is_of_these_presets():
    """Networks, FLOPs and GPU-days, as this code counts them."""
    text = (RECIPES / "README.md").read_text()
    cells = re.findall(
        r"^\| ([^|]+) \| `(\w+)\.py(?: --preset ([\w-]+))?` \| ([\d,]+) \| "
        r"([\d.e]+) \| ([\d.]+) \|$",
        text,
        re.MULTILINE,
    )
    rows = {(name, preset): numbers for _, name, preset, *numbers in cells}
    assert set(rows) == set(PRESETS)
    every = {}
    for key, (count, flops, days) in rows.items():
        found = grid(*key)
        if key[0] == "el2n_examples":
            found = scorers(found[0])
        steps = plan(found)
        computed = {t.key: cost.computed_flops(t) for t in steps}
        every |= computed
        total = sum(computed.values())
        assert int(count) == len(steps)
        assert float(flops) == pytest.approx(total, rel=0.01)
        expected = total / cost.ASSUMED_SPEED / cost.DAY
        assert float(days) == pytest.approx(expected, abs=0.006)
    total = sum(every.values()) / cost.ASSUMED_SPEED / cost.DAY
    assert f"{len(every):,} distinct networks, {total:.0f} GPU-days" in text


@pytest.mark.parametrize("key", PRESETS, ids="-".join)
def test_a_docstring_says_what_a_preset_costs(key):
    text = (RECIPES / f"{key[0]}.py").read_text()
    assert "GPU-days" in text
    assert "# days" not in text
