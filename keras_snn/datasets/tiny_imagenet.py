"""TinyImageNet, from its official archive or folder, read without unpacking.

200 classes of ImageNet at 64x64, 500 training and 50 validation images each:
the data of Stanford's course CS231n, "Tiny ImageNet Visual Recognition
Challenge", Le and Yang, 2015. The labels of its test part were never
published, so papers test on its validation part, and so is it done here.
"""

import functools
import io
import re
from pathlib import Path

import keras
import numpy as np

from keras_snn.datasets.file_tree import file_tree
from keras_snn.datasets.source import Source
from keras_snn.datasets.source import Split
from keras_snn.extras import require

NAME = "tiny-imagenet-200"
URL = f"http://cs231n.stanford.edu/{NAME}.zip"
# What public readers of this archive agree on; anything else is refused.
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
CLASSES = 200
IMAGE_SHAPE = (64, 64, 3)
SPLIT_SEED = 10


def read(classes, data_dir, seed):
    """Train, validation and test; nothing is drawn, so `seed` is not used.

    A tenth of the training images is the validation part: the last of a
    permutation by NumPy's seed 10 of all of them, in the order of their names,
    as in the code of "Are Sparse Neural Networks Better Hard Sample Learners?"
    (arXiv 2409.09196). In all parts classes take turns, so that neither a
    first batch nor a last one is of one class.
    """
    del seed
    path = _download() if data_dir is None else _find(Path(data_dir))
    with file_tree(path) as tree:
        root = _root(tree)
        labels = _labels(tree, root, classes)
        train, validation = _train_files(tree, root, labels)
        test = _val_files(tree, root, labels)
        return tuple(decoded(tree, p) for p in (train, validation, test))


def _find(path):
    """The archive, or the folder with the list of classes."""
    path = path.expanduser()
    if path.is_file() or (path / "wnids.txt").is_file():
        return path
    for inner in (path / f"{NAME}.zip", path / NAME):
        if inner.exists():
            return inner
    raise FileNotFoundError(
        f"Argument `data_dir` must be {NAME}.zip, the folder unpacked from "
        "it, which holds wnids.txt, or a folder that holds either. Received: "
        f"data_dir={str(path)!r}"
    )


def _download():
    try:
        return Path(
            keras.utils.get_file(
                f"{NAME}.zip", URL, file_hash=MD5, hash_algorithm="md5"
            )
        )
    except Exception as error:
        raise OSError(
            f"{NAME}.zip could not be downloaded from {URL} ({error}). Without "
            "a network, pass `data_dir`: that file, or the folder unpacked "
            "from it. Received: data_dir=None"
        ) from error


def _root(tree):
    """The folder, inside the tree, that all paths are relative to."""
    found = [n for n in tree.names if n.rpartition("/")[2] == "wnids.txt"]
    if len(found) != 1:
        raise ValueError(
            f"{tree.path} must hold one file wnids.txt, the list of classes, "
            f"or it is not {NAME}. Received: {len(found)} of them among "
            f"{len(tree.names)} files"
        )
    return found[0].removesuffix("wnids.txt")


def _labels(tree, root, classes):
    """Dict of WordNet id to label, in the order of the ids."""
    name = f"{root}wnids.txt"
    wnids = sorted({line.strip() for line in tree.read_lines(name)})
    for wnid in wnids:
        if not re.fullmatch(r"n\d{8}", wnid):
            raise ValueError(
                f"{name} in {tree.path} must list WordNet ids, such as "
                f"n01443537, one a line. Received: {wnid!r}"
            )
    if len(wnids) != classes:
        raise ValueError(
            f"{name} in {tree.path} must list {classes} classes. Received: "
            f"{len(wnids)}"
        )
    return {wnid: label for label, wnid in enumerate(wnids)}


def _train_files(tree, root, labels):
    """Names and labels of the training and of the validation images."""
    pattern = re.compile(
        re.escape(f"{root}train/") + r"([^/]+)/images/[^/]+\.JPEG"
    )
    of_class = {wnid: [] for wnid in labels}
    for name in tree.names:
        match = pattern.fullmatch(name)
        if match:
            _check_wnid(match[1], labels, name, tree)
            of_class[match[1]].append(name)
    turns, in_order = {}, []
    for wnid, names in of_class.items():
        if len(names) < 2:
            raise ValueError(
                f"{root}train/{wnid}/images in {tree.path} must hold at least "
                "2 images, one to train on and one to validate on. Received: "
                f"{len(names)}"
            )
        for turn, name in enumerate(sorted(names, key=by_number)):
            turns[name] = turn, labels[wnid]
        in_order += sorted(names)
    held_out = max(1, len(in_order) // 10)
    drawn = np.random.RandomState(SPLIT_SEED).permutation(len(in_order))
    return [
        [
            (name, turns[name][1])
            for name in sorted((in_order[i] for i in part), key=turns.get)
        ]
        for part in (drawn[:-held_out], drawn[-held_out:])
    ]


def _val_files(tree, root, labels):
    """Names and labels of the official validation images."""
    annotations = f"{root}val/val_annotations.txt"
    if annotations not in tree:
        raise ValueError(
            f"{tree.path} must hold {annotations}, which has the labels of "
            f"the test images. Received: {len(tree.names)} files without it"
        )
    label_of = {}
    for line in tree.read_lines(annotations):
        file, wnid = [*line.split("\t"), ""][:2]
        name = f"{root}val/images/{file}"
        _check_wnid(wnid, labels, annotations, tree)
        if name not in tree or name in label_of:
            raise ValueError(
                f"{annotations} in {tree.path} must name each image of "
                f"{root}val/images once, or labels are not known. Received: "
                f"{file!r}, which is not there or was named before"
            )
        label_of[name] = labels[wnid]
    for name in tree.names:
        image = name.startswith(f"{root}val/images/") and name.endswith(".JPEG")
        if image and name not in label_of:
            raise ValueError(
                f"{annotations} in {tree.path} must give each image its class. "
                f"Received: {name!r}, which it does not name"
            )
    missing = set(labels.values()) - set(label_of.values())
    if missing:
        raise ValueError(
            f"{annotations} in {tree.path} must name images of every class. "
            f"Received: none of {[*labels][min(missing)]}"
        )
    return sorted(label_of.items(), key=lambda item: by_number(item[0]))


def _check_wnid(wnid, labels, where, tree):
    if wnid not in labels:
        raise ValueError(
            f"{where} in {tree.path} must be of a class that wnids.txt lists. "
            f"Received: {wnid!r}"
        )


def by_number(name):
    """Orders `val_9.JPEG` before `val_10.JPEG`."""
    return len(name), name


def decoded(tree, files):
    """The images of a `FileTree` and their labels.

    Args:
        tree: The `FileTree`.
        files: List of pairs: the name of a file, and its label.

    Returns:
        A `Split`.

    Raises:
        ValueError: If a file is not an undamaged JPEG of 64x64 pixels.
    """
    pillow = require("PIL.Image", "TinyImageNet, of JPEGs,")
    x = np.empty((len(files), *IMAGE_SHAPE), "uint8")
    for pixels, (name, _) in zip(x, files, strict=True):
        data = io.BytesIO(tree.read(name))
        try:
            with pillow.open(data, formats=["JPEG"]) as image:
                if image.size != IMAGE_SHAPE[:2]:
                    raise ValueError(f"it has {image.size} pixels")
                pixels[:] = np.asarray(image.convert("RGB"))
        except Exception as error:  # Damage may raise anything.
            raise ValueError(
                f"{name} in {tree.path} must be an undamaged JPEG of 64x64 "
                f"pixels. Reading it: {error}"
            ) from error
    return Split(x, np.array([label for _, label in files], "int32"))


TINY_IMAGENET = Source(
    classes=CLASSES,
    image_shape=IMAGE_SHAPE,
    flip=True,
    images=100_000,
    stem="tiny",
    read=functools.partial(read, CLASSES),
)
