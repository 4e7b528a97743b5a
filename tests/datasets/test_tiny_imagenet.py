import functools
import io
import re
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_snn.datasets import load
from keras_snn.datasets import tiny_imagenet

pytestmark = pytest.mark.once
WNIDS = ["n01443537", "n02124075", "n09999999"]
ROOT = "tiny-imagenet-200/"
ANNOTATIONS = f"{ROOT}val/val_annotations.txt"
read = functools.partial(tiny_imagenet.read, len(WNIDS), seed=0)


def jpeg(level, mode="RGB", size=(64, 64)):
    file = io.BytesIO()
    Image.new(mode, size, level).save(file, "JPEG", quality=95)
    return file.getvalue()


def colour(label, number):
    """Tells images apart, even after compression."""
    return (80 * label, 4 * number, 128)


def files(wnids=WNIDS, train=12, val=2):
    """A small TinyImageNet, as a dict of name to bytes."""
    found = {
        # Not in the order of labels, which is that of the ids.
        f"{ROOT}wnids.txt": "\n".join(reversed(wnids)).encode(),
        f"{ROOT}words.txt": b"n01443537\tgoldfish\n",
        f"{ROOT}test/images/test_0.JPEG": b"never read",
    }
    lines = []
    for label, wnid in enumerate(wnids):
        folder = f"{ROOT}train/{wnid}"
        found[f"{folder}/{wnid}_boxes.txt"] = b""
        for number in range(train):
            name = f"{folder}/images/{wnid}_{number}.JPEG"
            found[name] = jpeg(colour(label % 3, number))
        for number in range(val):
            file = f"val_{len(wnids) * number + label}.JPEG"
            found[f"{ROOT}val/images/{file}"] = jpeg(colour(label % 3, 50))
            lines.append(f"{file}\t{wnid}\t0\t0\t63\t63\n")
    found[ANNOTATIONS] = "".join(lines).encode()
    return found


def zipped(folder, contents):
    path = folder / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def unzipped(folder, contents):
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / "tiny-imagenet-200"


def assert_equal(parts, others):
    for a, b in zip(parts, others, strict=True):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.y, b.y)


def official_split(classes, images):
    """(label, number) of each image, as torchvision's ImageFolder counts them.

    Names within a class are in alphabetical order; np.random.seed(10), then
    np.random.permutation, and the last tenth is held out.
    """
    order = [
        (label, number)
        for label in range(classes)
        for number in sorted(range(images), key=str)
    ]
    drawn = np.random.RandomState(10).permutation(len(order))
    held_out = max(1, len(order) // 10)
    return (
        [order[i] for i in drawn[:-held_out]],
        [order[i] for i in drawn[-held_out:]],
    )


def test_parts(tmp_path):
    train, validation, test = read(zipped(tmp_path, files()))
    official = official_split(3, 12)
    # Classes take turns.
    ordered = [sorted(part, key=lambda p: (p[1], p[0])) for part in official]
    ordered.append([(label, 50) for _ in range(2) for label in range(3)])
    for part, pairs in zip((train, validation, test), ordered, strict=True):
        assert part.y.tolist() == [label for label, _ in pairs]
        assert part.x.dtype == np.uint8
        assert part.y.dtype == np.int32
        assert part.x.shape == (len(part.y), 64, 64, 3)
        means = part.x.mean(axis=(1, 2))
        expected = [colour(*pair) for pair in pairs]
        np.testing.assert_allclose(means, expected, atol=3)
    assert [len(train.y), len(validation.y)] == [33, 3]


@pytest.mark.parametrize("inner", [True, False])
def test_a_folder_reads_as_the_archive_does(tmp_path, inner):
    expected = read(zipped(tmp_path, files()))
    folder = tmp_path / "folder"
    unpacked = unzipped(folder, files())
    before = sorted(folder.rglob("*"))
    assert_equal(read(folder if inner else unpacked), expected)
    assert_equal(read(tmp_path), expected)
    assert sorted(folder.rglob("*")) == before


def test_an_archive_without_its_outer_folder(tmp_path):
    contents = {n.removeprefix(ROOT): d for n, d in files().items()}
    expected = read(zipped(tmp_path, files()))
    assert_equal(read(zipped(tmp_path, contents)), expected)


def test_grey_images_become_colour(tmp_path):
    contents = files()
    name = f"{ROOT}train/{WNIDS[1]}/images/{WNIDS[1]}_0.JPEG"
    contents[name] = jpeg(77, "L")
    parts = read(zipped(tmp_path, contents))
    whole = np.concatenate([part.x for part in parts])
    assert [(image == 77).all() for image in whole].count(True) == 1


@pytest.mark.parametrize("train, held", [(2, 1), (9, 2), (20, 6)])
def test_any_number_of_images_a_class(tmp_path, train, held):
    parts = read(zipped(tmp_path, files(train=train, val=1)))
    assert [len(part.y) for part in parts] == [3 * train - held, held, 3]
    whole = np.concatenate([part.y for part in parts[:2]])
    assert np.bincount(whole).tolist() == [train] * 3


def test_load(tmp_path):
    wnids = [f"n{number:08}" for number in range(200)]
    path = zipped(tmp_path, files(wnids, train=3, val=1))
    train, validation, test = load("tiny_imagenet", data_dir=path)
    for part, count in ((train, 540), (validation, 60), (test, 200)):
        assert part.x.shape == (count, 64, 64, 3)
        assert part.x.dtype == np.float32
    assert (np.bincount(test.y) == 1).all()
    whole, nothing, _ = load("tiny_imagenet", data_dir=path, hold_out=False)
    assert len(nothing.y) == 0
    assert (np.bincount(whole.y) == 3).all()
    with pytest.raises(ValueError, match="must list 200 classes.*3"):
        load("tiny_imagenet", data_dir=zipped(tmp_path, files()))


def without(name):
    return lambda contents: contents.pop(name)


def replaced(name, data):
    return lambda contents: contents.update({name: data})


def appended(name, data):
    return lambda contents: contents.update({name: contents[name] + data})


def without_class(contents):
    for name in [n for n in contents if f"train/{WNIDS[1]}" in n]:
        del contents[name]


def without_val_class(contents):
    for number in (1, 4):
        del contents[f"{ROOT}val/images/val_{number}.JPEG"]
    lines = contents[ANNOTATIONS].decode().splitlines(keepends=True)
    lines = [line for line in lines if WNIDS[1] not in line]
    contents[ANNOTATIONS] = "".join(lines).encode()


IMAGE = f"{ROOT}train/{WNIDS[0]}/images/{WNIDS[0]}_3.JPEG"
UNKNOWN = f"{ROOT}train/n00000001/images/n00000001_0.JPEG"
PROBLEMS = {
    "two lists": (replaced(f"{ROOT}train/wnids.txt", b""), "2 of them"),
    "not an id": (replaced(f"{ROOT}wnids.txt", b"goldfish"), "'goldfish'"),
    "fewer ids": (
        replaced(f"{ROOT}wnids.txt", b"n01443537"),
        "must list 3 classes. Received: 1",
    ),
    "no images of a class": (without_class, f"{WNIDS[1]}/images.*Received: 0"),
    "no test images of a class": (without_val_class, f"none of {WNIDS[1]}"),
    "unknown class": (
        replaced(UNKNOWN, b""),
        f"{UNKNOWN} in .*wnids.txt lists. Received: 'n00000001'",
    ),
    "unknown id in annotations": (
        replaced(ANNOTATIONS, b"val_0.JPEG\tn00000001\t0\t0\t63\t63"),
        f"{ANNOTATIONS} in .*Received: 'n00000001'",
    ),
    "damaged line": (replaced(ANNOTATIONS, b"val_0.JPEG"), "Received: ''"),
    "no annotations": (without(ANNOTATIONS), "val_annotations.txt, which has"),
    "unlabelled image": (
        replaced(f"{ROOT}val/images/val_99.JPEG", b""),
        "val_99.JPEG', which it does not name",
    ),
    "missing image": (
        without(f"{ROOT}val/images/val_0.JPEG"),
        "'val_0.JPEG', which is not there",
    ),
    "image named twice": (
        appended(ANNOTATIONS, b"val_0.JPEG\tn01443537\n"),
        "'val_0.JPEG', which is not there or was named before",
    ),
    "path that leads out": (
        appended(ANNOTATIONS, b"../../wnids.txt\tn01443537\n"),
        "'../../wnids.txt', which is not there",
    ),
    "no JPEG": (replaced(IMAGE, b"goldfish"), f"{IMAGE} in .*64x64"),
    "truncated JPEG": (
        replaced(IMAGE, jpeg((1, 2, 3))[:400]),
        f"{IMAGE} in .*undamaged JPEG",
    ),
    "other size": (
        replaced(IMAGE, jpeg(0, size=(64, 32))),
        rf"{IMAGE} in .*\(64, 32\) pixels",
    ),
    "empty file": (replaced(IMAGE, b""), f"{IMAGE} in .*undamaged JPEG"),
}


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_problems(tmp_path, problem, as_folder):
    change, message = PROBLEMS[problem]
    contents = files(train=4)
    change(contents)
    path = (unzipped if as_folder else zipped)(tmp_path, contents)
    if as_folder:
        message = message.replace(ROOT, "")
    with pytest.raises(ValueError, match=message):
        read(path)


@pytest.mark.parametrize(
    "name", ["../evil.txt", f"{ROOT}../../evil.txt", "/evil.txt", "a\\..\\b"]
)
def test_paths_that_lead_out_of_the_archive(tmp_path, name):
    path = zipped(tmp_path, {**files(train=2), name: b""})
    message = "must lie inside it.*" + re.escape(repr(name))
    with pytest.raises(ValueError, match=message):
        read(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 100, -40, -400])
def test_truncated_archive(tmp_path, size):
    path = zipped(tmp_path, files(train=2))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match="undamaged zip archive"):
        read(path)


def test_damaged_member(tmp_path):
    path = zipped(tmp_path, files(train=4))
    data = bytearray(path.read_bytes())
    where = data.index(IMAGE.encode()) + len(IMAGE) + 300
    data[where] ^= 255
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"{IMAGE} in .*CRC"):
        read(path)


def test_member_that_would_fill_the_memory(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("wnids.txt", b"\0" * (2**24 + 1))
    with pytest.raises(ValueError, match="at most 16777216 bytes.*wnids.txt"):
        read(path)


def test_image_that_would_fill_the_memory(tmp_path):
    content, large = files(train=2), bytearray(jpeg(0))
    where = large.index(b"\xff\xc0") + 5  # Height and width.
    large[where : where + 4] = b"\xff" * 4
    with pytest.raises(ValueError, match=f"{IMAGE} in .*decompression bomb"):
        read(zipped(tmp_path, {**content, IMAGE: bytes(large)}))


def test_no_data(tmp_path):
    for path in (tmp_path, tmp_path / "none.zip"):
        with pytest.raises(FileNotFoundError, match="Received: data_dir="):
            read(path)
    path = zipped(tmp_path, {"words.txt": b""})
    with pytest.raises(ValueError, match="one file wnids.txt.*0 of them"):
        read(path)


def test_download(tmp_path, monkeypatch):
    path = zipped(tmp_path, files())
    asked = []

    def get_file(*args, **kwargs):
        asked.append((args, kwargs))
        return str(path)

    monkeypatch.setattr(tiny_imagenet.keras.utils, "get_file", get_file)
    assert_equal(read(None), read(path))
    ((name, url), options) = asked[0]
    assert url.endswith(name) and name == "tiny-imagenet-200.zip"
    assert options["file_hash"] == "90528d7ca1a48142e341f4ef8d21d0de"


def test_no_network(monkeypatch):
    def get_file(*args, **kwargs):
        raise Exception("URL fetch failure")  # As Keras raises it.

    monkeypatch.setattr(tiny_imagenet.keras.utils, "get_file", get_file)
    with pytest.raises(OSError, match="URL fetch failure.*pass `data_dir`"):
        load("tiny_imagenet")


def test_missing_package(tmp_path, monkeypatch):
    path = zipped(tmp_path, files(train=2))
    for module in ("PIL", "PIL.Image"):  # Others may have imported both.
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match="pip install Pillow$"):
        read(path)
