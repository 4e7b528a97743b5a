"""What trials will cost: FLOPs, and time by what was measured so far.

FLOPs here are those of dense kernels, whatever the mask: what a trial computes,
unless layers compute sparse, which have a speed of their own. `training_flops`
of a result counts only active weights.
"""

import dataclasses
import functools
import math
import os
import statistics

from keras_snn.datasets import SOURCES
from keras_snn.experiments import networks
from keras_snn.experiments.kinds import KINDS
from keras_snn.experiments.trial import Trial
from keras_snn.flops import inference_flops

# Sustained, of one GPU: an assumption, for where nothing was measured.
ASSUMED_SPEED = 11e12
DAY = 24 * 3600


@functools.lru_cache(maxsize=64)
def _forward(network):
    _check_fits(network)
    return inference_flops(networks.build(network))


def _check_fits(trial):
    """Refuses a wide network that this machine cannot hold, before it is built.

    By narrower ones: what a network weighs grows by a power of its width.
    """
    if trial.width <= 1:
        return
    half, one = (
        networks.build(dataclasses.replace(trial, width=width)).count_params()
        for width in (0.5, 1.0)
    )
    needed = 8 * one * trial.width ** math.log2(one / half)
    if needed > memory():
        raise ValueError(
            "Field `width` must leave a network whose weights and gradients "
            "fit into memory, or it cannot be trained. Received: "
            f"width={trial.width:g}, {trial.model} of about "
            f"{needed / 1e9:.3g} GB, where there are {memory() / 1e9:.3g} GB"
        )


def memory():
    """The bytes of this machine's memory; infinite where nothing tells."""
    if not hasattr(os, "sysconf"):  # On Windows.
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def forward_flops(trial):
    """FLOPs of one image's way through the trial's dense network.

    Raises:
        ValueError: If that network does not fit into memory.
    """
    same = Trial(
        method="dense",
        sparsity=0.0,
        dataset=trial.dataset,
        model=trial.model,
        width=trial.width,
        options=trial.options,
    )
    return _forward(same)


def computed_flops(trial, images=None):
    """FLOPs that a trial's training computes; what it builds on is not in it.

    Args:
        trial: The `Trial`.
        images: How many it trains on. Defaults to what is known of its data
            set.

    Returns:
        A float, or None if it is not known how many images there are.
    """
    if images is None:
        images = training_images(trial)
    if images is None:
        return None
    steps = KINDS[trial.hard].attack_steps(trial)
    forward = forward_flops(trial)
    epochs = trial.scheduled(images).epochs
    return float(images * epochs * forward * (3 + 2 * steps))


def training_images(trial):
    """How many images a trial trains on, by what is known of its data set."""
    images = SOURCES[trial.dataset].images
    if images is None:
        return None
    if trial.hold_out:
        images -= images // 10
    return round(trial.data_ratio * images)


def network(trial):
    """What a trial's speed depends on, in words."""
    words = f"{trial.model}, width {trial.width:g}, {trial.precision}"
    if trial.compute == "masked":
        return words
    return f"{words}, sparse at {trial.sparsity:g}"


class Speed:
    """Computed FLOPs a second, by the trials that were measured.

    Args:
        results: Of earlier trials, dicts.
        here: What `provenance` says of this process: only trials of this
            backend and device count.
    """

    def __init__(self, results, here):
        self.here = here
        self.rates = {}
        for result in results:
            self.add(result)

    def add(self, result):
        """Counts one more result."""
        same = all(result.get(n) == self.here[n] for n in ("backend", "device"))
        if same and result.get("computed_flops") and result.get("seconds"):
            rate = result["computed_flops"] / result["seconds"]
            self.rates.setdefault(result.get("network"), []).append(rate)

    def of(self, trial):
        """That of the trial's network: the median. None if none was run."""
        rates = self.rates.get(network(trial))
        return statistics.median(rates) if rates else None

    def seconds(self, flops):
        """How long trials will take.

        Args:
            flops: Dict of `Trial` to its computed FLOPs.

        Returns:
            Seconds, or None where it is not known.
        """
        rates = [self.of(trial) for trial in flops]
        if None in rates or None in flops.values():
            return None
        pairs = zip(flops.values(), rates, strict=True)
        return sum(count / rate for count, rate in pairs)


def duration(seconds):
    """A time in words."""
    if seconds is None:
        return "not measured yet"
    for unit, size in (("days", DAY), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
