import ast
import pathlib
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from keras_snn.corruptions import CORRUPTIONS
from keras_snn.corruptions import EXTRA_CORRUPTIONS
from keras_snn.corruptions import apply
from keras_snn.corruptions import corrupt
from keras_snn.corruptions import mixed_corruptions
from keras_snn.corruptions.severities import TABLES

pytestmark = pytest.mark.once

ALL = CORRUPTIONS + EXTRA_CORRUPTIONS


def noise_images(n=6, height=32, width=32, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, height, width, channels), np.uint8)


IMAGES = noise_images()


def test_names_are_the_papers():
    assert len(CORRUPTIONS) == 15
    assert len(set(ALL)) == 19


@pytest.mark.parametrize("name", ("mixed", *ALL))
def test_shape_type_and_input_are_kept(name):
    images = IMAGES.copy()
    corrupted = corrupt(images, name)
    assert corrupted.shape == images.shape
    assert corrupted.dtype == np.uint8
    assert not np.shares_memory(corrupted, images)
    np.testing.assert_array_equal(images, IMAGES)
    assert (corrupted != images).any()


@pytest.mark.parametrize("name", ("mixed", *ALL))
def test_an_image_does_not_depend_on_its_batch(name, monkeypatch):
    whole = corrupt(IMAGES, name, seed=4)
    np.testing.assert_array_equal(whole, corrupt(IMAGES, name, seed=4))
    picked = np.array([4, 0, 3])
    subset = corrupt(IMAGES[picked], name, seed=4, ids=picked)
    np.testing.assert_array_equal(subset, whole[picked])
    monkeypatch.setattr(apply, "_VALUES_AT_A_TIME", 2 * IMAGES[0].size)
    np.testing.assert_array_equal(whole, corrupt(IMAGES, name, seed=4))


@pytest.mark.parametrize("name", ("gaussian_noise", "frost", "mixed"))
def test_seeds_ids_and_images_differ(name):
    same = np.repeat(IMAGES[:1], 4, axis=0)
    corrupted = corrupt(same, name, seed=0)
    assert len(np.unique(corrupted, axis=0)) == 4
    assert (corrupt(same, name, seed=1) != corrupted).any()
    assert (corrupt(same, name, ids=range(4, 8)) != corrupted).any()


def test_mixed_gives_each_image_the_type_it_says():
    images = noise_images(40, 8, 8)
    names = mixed_corruptions(range(40), seed=3)
    mixed = corrupt(images, "mixed", 4, seed=3, table="cifar32")
    for i, name in enumerate(names):
        alone = corrupt(
            images[i : i + 1], str(name), 4, seed=3, table="cifar32", ids=[i]
        )
        np.testing.assert_array_equal(mixed[i], alone[0])


def test_mixed_draws_every_type_alike():
    names, counts = np.unique(
        mixed_corruptions(range(6000)), return_counts=True
    )
    assert sorted(names) == sorted(CORRUPTIONS)
    # 400 expected; 4 standard deviations are 77.
    assert abs(counts - 400).max() < 77


def test_table_follows_the_size():
    for size, table in ((32, "cifar32"), (64, "tiny64"), (224, "imagenet224")):
        images = noise_images(1, size, size)
        for name in ("gaussian_noise", "contrast"):
            np.testing.assert_array_equal(
                corrupt(images, name), corrupt(images, name, table=table)
            )


@settings(max_examples=150, deadline=None)
@given(
    st.data(),
    st.sampled_from(ALL),
    st.integers(1, 6),
    st.sampled_from(sorted(TABLES)),
)
def test_any_size_and_content(data, name, severity, table):
    height, width = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    channels = data.draw(st.sampled_from((1, 3)))
    images = noise_images(2, height, width, channels)
    images[1] = data.draw(st.sampled_from((0, 1, 128, 255)))
    corrupted = corrupt(images, name, severity, table=table)
    assert corrupted.shape == images.shape
    assert corrupted.dtype == np.uint8


@pytest.mark.parametrize("name", ALL)
def test_no_images_are_no_error(name):
    assert corrupt(IMAGES[:0], name).shape == (0, 32, 32, 3)


def test_no_images_mixed():
    assert corrupt(IMAGES[:0]).shape == (0, 32, 32, 3)


def test_views_and_read_only_arrays():
    images = noise_images(4, 32, 32)[::2, ::-1]
    images.flags.writeable = False
    np.testing.assert_array_equal(corrupt(images), corrupt(images.copy()))


def test_a_progress_bar_counts_the_images(capsys):
    corrupt(IMAGES, "contrast", verbose=True)
    assert "6/6" in capsys.readouterr().out
    corrupt(IMAGES, "contrast")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "images",
    (
        IMAGES / np.float32(255),
        IMAGES.astype("int64"),
        IMAGES[0],
        IMAGES[..., :2],
        IMAGES[:, :0],
        "images",
    ),
)
def test_what_is_no_uint8_batch_is_refused(images):
    with pytest.raises(ValueError, match="must be a uint8 array"):
        corrupt(images)


@pytest.mark.parametrize(
    "argument, value",
    (
        ("corruption", "noise"),
        ("corruption", None),
        ("corruption", 3),
        ("severity", 0),
        ("severity", 7),
        ("severity", 2.0),
        ("severity", True),
        ("severity", "5"),
        ("seed", -1),
        ("seed", 0.5),
        ("seed", None),
        ("table", "cifar"),
        ("ids", [0, 1]),
        ("ids", [0, 1, 2, 3, 4, -5]),
        ("ids", np.zeros(6)),
        ("ids", 6),
    ),
)
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must .*Received"):
        corrupt(IMAGES, **{argument: value})


@pytest.mark.parametrize("shape", ((28, 28), (32, 64), (1, 1)))
def test_a_size_without_table_asks_for_one(shape):
    with pytest.raises(ValueError, match="`table` must be named"):
        corrupt(noise_images(1, *shape))


def test_bad_ids_of_mixed_corruptions():
    with pytest.raises(ValueError, match="`ids`"):
        mixed_corruptions(7)
    with pytest.raises(ValueError, match="`seed`"):
        mixed_corruptions([7], seed="a")


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        ImportError, match="pip install opencv-python-headless$"
    ):
        corrupt(IMAGES, "defocus_blur")


def test_image_libraries_are_imported_only_where_used():
    for file in pathlib.Path(apply.__file__).parent.glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            else:
                continue
            roots = {name.split(".")[0] for name in names}
            assert roots <= sys.stdlib_module_names | {"numpy", "keras_snn"}
