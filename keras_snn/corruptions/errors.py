"""A network's errors by corruption and severity, and mCE against another.

"Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", https://arxiv.org/abs/1903.12261, section 4: the errors of a
corruption, summed over severities, in units of those of a baseline network, so
that corruptions which are harder for all do not count more. The paper's
baseline is AlexNet, and its values are percent; here it is a network of yours,
such as the dense one, on the same images, and values are shares.
"""

import dataclasses

import numpy as np

from keras_snn.corruptions.apply import CORRUPTIONS
from keras_snn.corruptions.apply import EXTRA_CORRUPTIONS
from keras_snn.corruptions.apply import corrupt
from keras_snn.corruptions.checks import check_choice
from keras_snn.corruptions.readers import load_published
from keras_snn.corruptions.severities import SEVERITIES

PUBLISHED = (1, 2, 3, 4, 5)


@dataclasses.dataclass(frozen=True, eq=False)
class CorruptionErrors:
    """The share of images that a network classifies wrongly.

    Printed, it is a table in percent.

    Attributes:
        corruptions: Names of corruptions.
        severities: Ints.
        errors: Floats in [0, 1] of shape (corruptions, severities).
        clean: The error on images that are not corrupted.
    """

    corruptions: tuple
    severities: tuple
    errors: np.ndarray
    clean: float

    @property
    def mean(self):
        """The mean error over corruptions and severities."""
        return float(self.errors.mean())

    def ce(self, baseline):
        """The error by corruption, in units of a baseline's.

        Args:
            baseline: The `CorruptionErrors` of another network.

        Returns:
            A dict of corruption to float, 1 where both err as often.

        Raises:
            ValueError: If the baseline is of other corruptions or severities,
                or never errs on one of them.
        """
        return self._ratios(baseline, 0.0, 0.0)

    def mce(self, baseline):
        """The mean corruption error: the mean of `ce`."""
        return float(np.mean(list(self.ce(baseline).values())))

    def relative_ce(self, baseline):
        """By how much corruption raises the error, in units of a baseline's.

        Args:
            baseline: The `CorruptionErrors` of another network.

        Returns:
            A dict of corruption to float, 1 where both rise as much.

        Raises:
            ValueError: As of `ce`, or if a corruption does not raise the error
                of the baseline.
        """
        return self._ratios(baseline, self.clean, baseline.clean)

    def relative_mce(self, baseline):
        """The relative mean corruption error: the mean of `relative_ce`."""
        return float(np.mean(list(self.relative_ce(baseline).values())))

    def _ratios(self, baseline, own, other):
        for name in ("corruptions", "severities"):
            if getattr(self, name) != getattr(baseline, name):
                raise ValueError(
                    f"Argument `baseline` must be of the same {name}, or "
                    "errors are of other images. Received: "
                    f"{getattr(baseline, name)}, not {getattr(self, name)}"
                )
        rises = (self.errors - own).sum(axis=1)
        units = (baseline.errors - other).sum(axis=1)
        if not (units > 0).all():
            names = [
                n
                for n, u in zip(self.corruptions, units, strict=True)
                if u <= 0
            ]
            raise ValueError(
                "Argument `baseline` must do worse for every corruption, or "
                f"there is no unit to measure in. Received: not for {names}"
            )
        return dict(
            zip(self.corruptions, (rises / units).tolist(), strict=True)
        )

    def __str__(self):
        width = max(map(len, (*self.corruptions, "corruption")))
        head = [f"{s:>5}" for s in (*self.severities, "mean")]
        lines = [f"{'corruption':{width}} {' '.join(head)}"]
        for name, row in zip(self.corruptions, self.errors, strict=True):
            cells = [f"{100 * e:5.1f}" for e in (*row, row.mean())]
            lines.append(f"{name:{width}} {' '.join(cells)}")
        cells = [f"{100 * e:5.1f}" for e in (*self.errors.mean(0), self.mean)]
        lines.append(f"{'mean':{width}} {' '.join(cells)}")
        return "\n".join([*lines, f"clean {100 * self.clean:.1f}, in percent"])


def corruption_errors(
    model,
    x,
    y,
    *,
    folder=None,
    corruptions=CORRUPTIONS,
    severities=PUBLISHED,
    batch_size=128,
    **options,
):
    """Counts a model's errors under each corruption, at each severity.

    Args:
        model: A Keras model of images in [0, 1], with one output of shape
            (n, classes), logits or probabilities.
        x: The clean test images, (n, height, width, 3): uint8, or floats in
            [0, 1], as `keras_snn.datasets.load` gives them.
        y: Their classes, integers of shape (n,).
        folder: Of published files: CIFAR-10-C or CIFAR-100-C, as for
            `load_cifar_c`, or Tiny ImageNet-C, as for `load_tiny_imagenet_c`.
            Defaults to none: `x` is corrupted, by the severities for its size,
            as for `corrupt`.
        corruptions: Names. Defaults to the fifteen that mCE is of.
        severities: Ints. Defaults to the five that mCE is of.
        batch_size: Images a batch.
        **options: As for `corrupt`: `seed`, `table`, `cache_dir`.

    Returns:
        A `CorruptionErrors`.

    Raises:
        ValueError: If an argument is not as said above, or the model gives
            NaN.
        FileNotFoundError: If the folder lacks a file.

    Example:

    ```python
    dense = corruption_errors(dense_model, x_test, y_test)
    sparse = corruption_errors(sparse_model, x_test, y_test)
    print(sparse)
    print(sparse.mce(dense), sparse.relative_mce(dense))
    ```

    Reference: [Benchmarking Neural Network Robustness to Common Corruptions
    and Perturbations](https://arxiv.org/abs/1903.12261).
    """
    x, y = _images(x), np.asarray(y)
    if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        raise ValueError(
            "Argument `y` must be an int for each image. Received: "
            f"shape {y.shape}, {y.dtype}, for {len(x)} images"
        )
    corruptions, severities = tuple(corruptions), tuple(severities)
    for name in corruptions:
        check_choice("corruptions", name, CORRUPTIONS + EXTRA_CORRUPTIONS)
    for severity in severities:
        check_choice(
            "severities", severity, SEVERITIES if folder is None else PUBLISHED
        )
    if not corruptions or not severities:
        raise ValueError(
            "Arguments `corruptions` and `severities` must not be empty, or "
            f"nothing is counted. Received: {corruptions} and {severities}"
        )

    def corrupted(name, severity):
        if folder is not None:
            return load_published(folder, name, severity)
        return corrupt(x, name, severity, **options), y

    errors = [
        [_error(model, *corrupted(n, s), batch_size) for s in severities]
        for n in corruptions
    ]
    clean = _error(model, x, y, batch_size)
    return CorruptionErrors(corruptions, severities, np.array(errors), clean)


def _images(x):
    """Images as uint8, as files of them hold them."""
    x = np.asarray(x)
    shares = x.dtype.kind == "f" and x.size and 0 <= x.min() <= x.max() <= 1
    if x.ndim != 4 or not len(x) or not (shares or x.dtype == np.uint8):
        raise ValueError(
            "Argument `x` must be images (n, height, width, 3), uint8 or "
            f"floats in [0, 1]. Received: shape {x.shape}, {x.dtype}"
        )
    return np.rint(255 * x).astype("uint8") if shares else x


def _error(model, x, y, batch_size):
    x = np.divide(x, 255, dtype="float32")
    outputs = model.predict(x, batch_size=batch_size, verbose=0)
    if not np.isfinite(outputs).all():
        raise ValueError(
            "Outputs must be finite, or the model classifies nothing. "
            f"Received: {np.count_nonzero(~np.isfinite(outputs))} that are not"
        )
    return float(np.mean(outputs.argmax(axis=1) != y))
