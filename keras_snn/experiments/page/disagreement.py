"""How often networks differ, and on which test images methods do."""

import numpy as np

from keras_snn.evaluation import churn
from keras_snn.evaluation import exemplars
from keras_snn.experiments.page.groups import by_setting
from keras_snn.experiments.page.groups import unanswered
from keras_snn.experiments.page.markup import Markup
from keras_snn.experiments.page.markup import element
from keras_snn.experiments.page.markup import joined
from keras_snn.experiments.page.markup import paragraph
from keras_snn.experiments.page.markup import picture
from keras_snn.experiments.page.markup import table


def disagreement(found, most):
    """Of the test images as they are, or corrupted."""
    if found.answers:
        yield paragraph(
            "The share of test images of which two networks predict different "
            "classes (churn), of the same method and sparsity, and to the "
            "dense ones. Exemplars are images of which most networks predict "
            "another class than most dense ones. Below are the images that "
            "some methods have right the most more often than others, over "
            "all sparsities and seeds, with the classes predicted and by how "
            "many networks: of few networks, much of that is chance. "
            "Predictions are of test images that were not attacked."
        )
    for setting, groups in by_setting(found, found.answers).items():
        yield _churns(setting, groups)
        methods, y = _by_method(groups)
        places = disputed(list(methods.values()), y)[:most]
        shown, why = _pictures(found, groups, places)
        yield from _images(places, shown, why, methods, y)
    yield from unanswered(found.done, found.answers)


def attacked(found, most):
    """Of the test images, each attacked for each network."""
    if found.attacked:
        yield paragraph(
            "As above, but of the test images as each network saw them in its "
            "own attack. The store keeps some of the attacked images, and "
            "those below are among them; for each method that of its first "
            "network is shown, in 256 levels."
        )
    for setting, groups in by_setting(found, found.attacked).items():
        yield _churns(setting, groups)
        methods, y = _by_method(groups)
        kept = _kept(found, groups)
        places = [
            place
            for place in disputed(list(methods.values()), y)
            if all(place in images for images in kept.values())
        ][:most]
        shown, why = _pictures(found, groups, places)
        shown |= {
            what: [images[place] for place in places]
            for what, images in kept.items()
        }
        yield from _images(places, shown, why, methods, y)
    tried = [row for row in found.done if "adversarial_accuracy" in row]
    yield from unanswered(tried, found.attacked)


def _kept(found, groups):
    """For each method what is shown: a dict of place to attacked image."""
    first = {}
    for group in groups:
        first.setdefault(group.line.label, group)
    return {
        f"attacked for {group.name}": dict(
            zip(*found.attacked_images(group.rows[0]), strict=True)
        )
        for group in first.values()
    }


def disputed(predicted, y):
    """The images on which methods disagree, those they do the most on first.

    Args:
        predicted: List of what the networks of each method predict, integers
            of shape (networks, n).
        y: True classes, of shape (n,).

    Returns:
        Indices of those whose share of right networks is not the same for all
        methods, the widest range of shares first; of equal ones the first.
    """
    right = np.array([(each == y).mean(axis=0) for each in predicted])
    spread = right.max(axis=0) - right.min(axis=0)
    order = np.argsort(-spread, kind="stable")
    return order[spread[order] > 0]


def _churns(setting, groups):
    """The table of how often networks of each method and sparsity differ."""
    predicted = [
        np.stack([a.predicted for a in group.answers.values()])
        for group in groups
    ]
    dense = [
        each
        for group, each in zip(groups, predicted, strict=True)
        if group.dense
    ]
    rows = []
    for group, mine in zip(groups, predicted, strict=True):
        row = {
            "Method": group.name,
            "Among its seeds": churn(mine) if len(mine) > 1 else "",
            "To dense": "",
            "Exemplars": "",
        }
        if dense and not group.dense:
            row["To dense"] = churn(mine, dense[0])
            row["Exemplars"] = int(exemplars(dense[0], mine).sum())
        rows.append(row)
    return table(rows, caption=setting)


def _by_method(groups):
    """What all networks of each method predict, by its label; and the truth."""
    found = {}
    for group in groups:
        for a in group.answers.values():
            found.setdefault(group.line.label, []).append(a.predicted)
            y = a.y
    return {label: np.stack(each) for label, each in found.items()}, y


def _pictures(found, groups, places):
    """Test images by what is shown of them, and why there are none."""
    if not len(places):
        return {}, ""
    try:
        return found.images(groups[0].rows[0], places), ""
    except (ValueError, OSError, ImportError) as error:
        return {}, str(error)


def _images(places, shown, why, methods, y):
    """Images, each with what methods predict of it."""
    if not len(places):
        yield paragraph("Methods have the same images right, as often.")
        return
    if why:
        yield paragraph(f"There are no images: {why}.")
    if len(shown) > 1:
        yield paragraph(f"Each image: {', '.join(shown)}.")
    yield element(
        "div",
        joined(
            _image(place, number, shown, methods, y)
            for number, place in enumerate(places)
        ),
        class_="images",
    )


def _image(place, number, shown, methods, y):
    pictures = [
        picture(pixels[number], f"Test image {place}, {what}")
        for what, pixels in shown.items()
    ]
    lines = [
        element("li", joined([f"{label}:", _votes(each[:, place], y[place])]))
        for label, each in methods.items()
    ]
    words = element("figcaption", f"Image {place}, class {y[place]}")
    parts = [*pictures, words, element("ul", joined(lines))]
    return element("figure", joined(parts))


def _votes(predicted, true):
    """Classes by how many networks predict them, the true one marked."""
    classes, counts = np.unique(predicted, return_counts=True)
    return Markup(
        ", ".join(
            element(
                "b" if classes[place] == true else "span",
                f"{classes[place]} × {counts[place]}",
            )
            for place in np.argsort(-counts, kind="stable")
        )
    )
