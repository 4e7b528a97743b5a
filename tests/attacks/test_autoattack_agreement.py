"""Attacks find what the authors' own code finds, in PyTorch."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_snn.attacks import APGD
from keras_snn.attacks import FAB
from keras_snn.attacks import Square
from keras_snn.attacks import TargetedAPGD
from keras_snn.attacks import apgd
from keras_snn.attacks import fab
from keras_snn.attacks import square
from keras_snn.attacks.norms import NORMS

if keras.backend.backend() != "torch":
    pytest.skip("their code is in PyTorch", allow_module_level=True)

import torch
from pyautoattack import fab_projections
from pyautoattack.autopgd_base import APGDAttack
from pyautoattack.autopgd_base import APGDAttack_targeted
from pyautoattack.fab_pt import FABAttack_PT
from pyautoattack.square import SquareAttack

THEIR_NORM = {"linf": "Linf", "l2": "L2"}
EPS = {"linf": 0.04, "l2": 0.15}


def channels_first(x):
    return torch.tensor(x).permute(0, 3, 1, 2).contiguous()


def wrong(trained, x_adv, y):
    return trained.predict(x_adv, verbose=0).argmax(axis=1) != y


@pytest.fixture
def right(trained, images):
    """The images of which the network is right."""
    x, y = images
    rows = ~wrong(trained, x, y)
    return x[rows], y[rows]


@pytest.fixture
def theirs(trained):
    def run(attack, x, y, norm, method="perturb", **options):
        attack = attack(
            lambda z: trained(z.permute(0, 2, 3, 1), training=False),
            norm=THEIR_NORM[norm],
            eps=EPS[norm],
            device="cpu",
            **options,
        )
        if method != "perturb":
            attack.init_hyperparam(channels_first(x))
        start = {} if method == "perturb" else {"x_init": channels_first(x)}
        result = getattr(attack, method)(
            channels_first(x), torch.tensor(y), **start
        )
        x_adv = result if method == "perturb" else result[3]
        return x_adv.detach().permute(0, 2, 3, 1).numpy()

    return run


@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd(trained, right, theirs, norm, loss, monkeypatch):
    """From the same start, steps and step sizes are the same."""
    x, y = right
    monkeypatch.setattr(
        apgd,
        "in_ball",
        lambda n, s, rows, shape: ops.zeros((len(rows), *shape)),
    )
    expected = theirs(
        APGDAttack, x, y, norm, "attack_single_run", n_iter=40, loss=loss
    )
    x_adv = APGD(EPS[norm], norm=norm, loss=loss, steps=40)(trained, x, y)
    found = wrong(trained, x_adv, y)
    np.testing.assert_array_equal(found, wrong(trained, expected, y))
    assert found.sum() >= 4
    same = np.abs(x_adv - expected).max(axis=(1, 2, 3)) < 1e-4
    assert same[found].mean() > 0.6


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_targeted_apgd(trained, right, theirs, norm):
    x, y = right
    expected = theirs(
        APGDAttack_targeted, x, y, norm, n_iter=20, n_target_classes=3
    )
    x_adv = TargetedAPGD(EPS[norm], norm=norm, steps=20)(trained, x, y)
    found, expected = wrong(trained, x_adv, y), wrong(trained, expected, y)
    assert np.sum(found != expected) <= 1 and found.sum() >= 4


@pytest.mark.parametrize("targets", [None, 3])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fab(trained, right, theirs, norm, targets):
    """Without random starts, the same boundary points are found."""
    x, y = right
    expected = theirs(
        FABAttack_PT,
        x,
        y,
        norm,
        n_iter=15,
        targeted=targets is not None,
        n_target_classes=3,
    )
    x_adv = FAB(EPS[norm], norm=norm, targets=targets, steps=15)(trained, x, y)
    np.testing.assert_allclose(x_adv, expected, atol=2e-4)
    assert wrong(trained, x_adv, y).sum() >= 4


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_projection_onto_a_hyperplane(norm):
    random = np.random.default_rng(0)
    x = np.clip(random.uniform(-0.3, 1.3, (40, 50)), 0, 1).astype("float32")
    gradient = random.normal(size=x.shape).astype("float32")
    gradient[random.random(x.shape) < 0.2] = 0
    value = random.normal(size=(40, 1)).astype("float32") * 5
    value[:4] *= 100  # Out of reach.
    change = fab.to_hyperplane(
        NORMS[norm], *map(torch.tensor, (x, gradient, value))
    )
    project = getattr(fab_projections, f"projection_{norm}")
    bias = (gradient * x).sum(axis=1) - value[:, 0]
    expected = project(*map(torch.tensor, (x, gradient, bias)))
    np.testing.assert_allclose(change, expected, atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_square(trained, right, theirs, norm):
    """As many are found by chance; theirs never reaches the last row."""
    x, y = right
    expected = theirs(
        SquareAttack, x, y, norm, n_queries=150, resc_schedule=False
    )
    x_adv = Square(EPS[norm], norm=norm, queries=150)(trained, x, y)
    assert wrong(trained, x_adv, y).sum() >= wrong(trained, expected, y).sum()


@pytest.mark.parametrize("side", [3, 5, 6])
def test_pattern_of_square(side):
    attack = SquareAttack(None, norm="L2", eps=1, device="cpu")
    expected = attack.eta(side).numpy()
    pattern = square._pattern(side, 8)
    assert not pattern[side:].any() and not pattern[:, side:].any()
    pattern = pattern[:side, :side]
    assert np.allclose(pattern, expected) or np.allclose(pattern.T, expected)
