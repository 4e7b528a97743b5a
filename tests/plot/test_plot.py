"""Pictures of masks: what is in them, by hand."""

import types

import keras
import numpy as np
import pytest

import keras_snn
from keras_snn import plot


def sparse():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="dense"),
        ]
    )
    return keras_snn.sparsify(model, 0.5)


def log_of(weights, epochs):
    """What a MaskLog would hold: half active, epoch / 10 of it new."""
    rows = [
        {
            "epoch": epoch,
            "weight": f"layer{n}/kernel",
            "size": 20,
            "active": 10,
            "grown": epoch,
            "dropped": epoch,
        }
        for epoch in range(epochs + 1)
        for n in range(weights)
    ]
    return types.SimpleNamespace(rows=rows)


def test_a_mask_is_drawn_flat():
    mask = np.zeros((2, 2, 3, 5), bool)
    mask[1, 0, 2] = True
    figure = plot.masks({"conv/kernel": mask})
    (image,) = figure.axes[0].images
    assert figure.axes[0].get_title() == "conv/kernel"
    np.testing.assert_array_equal(image.get_array(), mask.reshape(12, 5))


def test_a_large_mask_is_drawn_as_densities():
    mask = np.random.default_rng(0).random((300, 50)) < 0.3
    (image,) = plot.masks({"kernel": mask}).axes[0].images
    drawn = np.asarray(image.get_array())
    assert drawn.shape == (100, 50)
    np.testing.assert_allclose(drawn[7, 9], mask[21:24, 9].mean())
    np.testing.assert_allclose(drawn.mean(), mask.mean(), rtol=1e-5)


def test_masks_of_a_model():
    figure = plot.masks(sparse(), ["dense/kernel"])
    titles = [axis.get_title() for axis in figure.axes]
    assert "dense/kernel" in titles and "conv/kernel" not in titles
    with pytest.raises(ValueError, match="must name masked weights"):
        plot.masks(sparse(), ["dense"])


def test_overlap():
    a = {"x": np.array([1, 1, 0, 0], bool), "y": np.array([1, 0], bool)}
    b = {"x": np.array([1, 0, 1, 0], bool), "y": np.array([1, 0], bool)}
    axis = plot.overlap({"a": a, "b": b}).axes[0]
    # Both: 2 weights, either: 4. By chance: 2 * 2 / 4 + 1 / 2 of 6.
    chance = 1.5 / (6 - 1.5)
    assert [text.get_text() for text in axis.texts] == [
        "1.00",
        f"0.50\n({chance:.2f})",
        f"0.50\n({chance:.2f})",
        "1.00",
    ]
    for few in ({}, {"a": a}):
        with pytest.raises(ValueError, match="two or more"):
            plot.overlap(few)
    with pytest.raises(ValueError, match="of the same shapes"):
        plot.overlap({"a": a, "b": {"x": b["x"]}})


def test_densities_and_moved():
    log = log_of(weights=2, epochs=3)
    lines = plot.densities(log).axes[0].lines
    assert [line.get_label() for line in lines] == [
        "layer0/kernel",
        "layer1/kernel",
    ]
    np.testing.assert_array_equal(lines[0].get_xydata()[:, 1], [0.5] * 4)
    (image,) = plot.moved(log).axes[0].images
    np.testing.assert_allclose(image.get_array(), [[0.1, 0.2, 0.3]] * 2)


def test_many_lines_get_a_scale_in_place_of_names():
    figure = plot.densities(log_of(weights=30, epochs=2))
    assert len(figure.axes[0].lines) == 30
    assert not figure.legends and len(figure.axes) == 2


def test_a_log_without_epochs():
    with pytest.raises(ValueError, match="nothing to draw"):
        plot.densities(keras_snn.MaskLog())
    with pytest.raises(ValueError, match="nothing to draw"):
        plot.moved(log_of(weights=1, epochs=0))


def test_weights_are_the_active_ones():
    model = sparse()
    figure = plot.weights(model, bins=7)
    for axis, mask in zip(
        figure.axes, keras_snn.get_masks(model).values(), strict=True
    ):
        counts = [bar.get_height() for bar in axis.patches]
        assert len(counts) == 7 and sum(counts) == mask.sum()


def test_saliency_of_kept_and_pruned():
    x = np.random.default_rng(0).random((8, 8, 8, 2), "float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    figure = plot.saliency(sparse(), x, np.arange(8) % 3, loss)
    for axis in figure.axes:
        labels = axis.get_legend_handles_labels()[1]
        assert labels == ["active", "inactive"]
        for filled in axis.patches:  # Shares come to one, closed at both ends.
            heights = filled.get_xy()[:, 1]
            assert heights.max() <= 1 and heights.max() > 0


def test_files(tmp_path):
    png, svg = plot.save(plot.weights(sparse()), tmp_path / "weights")
    assert png.read_bytes()[:4] == b"\x89PNG" and "<svg" in svg.read_text()
