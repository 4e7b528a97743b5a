"""What goes into the page of a grid, section by section."""

import numpy as np

from keras_snn.evaluation import accuracy_by_class
from keras_snn.evaluation import accuracy_by_hardness
from keras_snn.evaluation import churn
from keras_snn.evaluation import exemplars
from keras_snn.experiments import figures
from keras_snn.experiments import tables
from keras_snn.experiments.grouping import accuracies
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.grouping import series
from keras_snn.experiments.page.markup import Markup
from keras_snn.experiments.page.markup import anchor
from keras_snn.experiments.page.markup import drawing
from keras_snn.experiments.page.markup import element
from keras_snn.experiments.page.markup import joined
from keras_snn.experiments.page.markup import page
from keras_snn.experiments.page.markup import paragraph
from keras_snn.experiments.page.markup import picture
from keras_snn.experiments.page.markup import section
from keras_snn.experiments.page.markup import table
from keras_snn.experiments.statistics import claims
from keras_snn.extras import require

GROUPS = 10
# A curve has no more points than can be seen.
POINTS = 200


def document(found, *, margin=0.0, level=0.05, images=24):
    """The page of a grid.

    Args:
        found: A `Found`.
        margin: As for `claims`.
        level: As for `claims`.
        images: How many images, at most, of each setting.

    Returns:
        A str, of HTML.
    """
    sections = {
        "Asked": asked(found),
        "Verdicts": verdicts(found, margin, level),
        "Figures": drawings(found),
        "Means over seeds": results(found),
        "Trials": trials(found),
        "Accuracy by class": by_class(found),
        "Accuracy by hardness": by_hardness(found),
        "Disagreement": disagreement(found, images),
    }
    links = [element("a", n, href=f"#{anchor(n)}") for n in sections]
    body = [
        *heading(found),
        element("nav", joined(links)),
        *(section(name, parts) for name, parts in sections.items()),
    ]
    return page(found.name, joined(body), drawn(found))


def heading(found):
    """The title, and how far the grid is."""
    failed = [row for row in found.rows if "error" in row]
    counts = [f"{len(found.done)} networks done"]
    counts += [f"{len(failed)} failed"] if failed else []
    counts += [f"{len(found.left)} left"] if found.left else []
    about = found.about.get("title")
    return [
        element("h1", found.name),
        *([paragraph(about)] if about else []),
        paragraph(", ".join(counts)),
    ]


def asked(found):
    """Settings, the command, and the code and machines that ran it."""
    about = found.about
    if not about:
        yield paragraph(
            "There is no grid.json in the folder: what was asked is not known."
        )
    if "command" in about:
        yield element("pre", about["command"])
    fields = [
        {
            "Field": name,
            "Value": ", ".join(map(str, v)) if isinstance(v, list) else v,
        }
        for name, v in about.get("fields", {}).items()
    ]
    yield table(_as_text(fields), plain=True, caption="Settings")
    yield table(_as_text(_ran_on(found.done)), caption="Ran on")
    failed = [
        {"Trial": row["trial"], "Error": row["error"]}
        for row in found.rows
        if "error" in row
    ]
    if failed:
        yield table(_as_text(failed), caption="Failed")


def _ran_on(rows):
    """How many trials ran with each code, backend and device."""
    counted = {}
    for row in rows:
        versions = row.get("versions", {})
        backend = row.get("backend", "")
        place = {
            "Backend": f"{backend} {versions.get(backend) or ''}".strip(),
            "Device": row.get("device", ""),
            "keras_snn": versions.get("keras-snn", ""),
            "Commit": row.get("commit", ""),
            **{
                name: versions.get(name.lower(), "")
                for name in ("Keras", "NumPy", "Python")
            },
        }
        key = tuple(place.values())
        counted.setdefault(key, {"Trials": 0, **place})["Trials"] += 1
    return list(counted.values())


def _as_text(rows):
    return [{name: str(v) for name, v in row.items()} for row in rows]


def verdicts(found, margin, level):
    """Whether methods beat the dense network, or what is missing to tell."""
    claimed, compared, missing = [], [], []
    for metric, label in accuracies(found.rows).items():
        for setting, rows in panels(found.rows).items():
            dense = [row for row in rows if row["method"] == "dense"]
            for method in dict.fromkeys(row["method"] for row in rows):
                if method == "dense":
                    continue
                mine = [row for row in rows if row["method"] == method]
                place = {"Setting": setting, "Accuracy": label}
                try:
                    tested = claims(
                        [*dense, *mine], metric, margin=margin, level=level
                    )
                except (ValueError, ImportError) as error:
                    missing.append({**place, "Method": method, "Why": error})
                    continue
                for claim in tested:
                    claimed.append({**place, **_verdict(claim)})
                    compared += [
                        {**place, **_comparison(c)} for c in claim.comparisons
                    ]
    if claimed:
        yield paragraph(
            "A network is compared to the dense one of its seed; p-values are "
            "corrected after Holm for the sparsities of each method, at level "
            f"{level:g} for each line of the first table."
        )
        if found.left:
            yield paragraph(
                "The grid is not done. Verdicts may change, and one that is "
                "stopped at as soon as it holds proves less than it says."
            )
        yield table(claimed, caption="Claims")
        yield table(compared, caption="Less the dense network")
    if missing:
        yield table(missing, caption="What is missing for others")
    if not claimed and not missing:
        yield paragraph(
            "Nothing to tell: it takes a method beside the dense network."
        )


def _verdict(claim):
    needed = claim.seeds_needed or ""
    if claim.verdict == "undecided" and not needed:
        needed = "over 1,000, or not known"
    kind = claim.verdict.replace(" ", "-")
    return {
        "Claim": claim.text,
        "Verdict": element("span", claim.verdict, class_=f"verdict {kind}"),
        "Seeds needed": needed,
    }


def _comparison(c):
    return {
        "Method": c.method,
        "Sparsity": c.sparsity,
        "Difference": c.difference,
        "Low": c.low,
        "High": c.high,
        "p": c.p,
        "Corrected p": c.adjusted,
        "Seeds": c.seeds,
    }


def drawings(found):
    """The paper's figures of these rows."""
    rows = found.done
    wanted = {"Accuracy by sparsity": figures.accuracy_lines}
    if len(accuracies(rows)) > 1:
        wanted["Accuracies"] = figures.accuracy_points
    if all("layer_densities" in row for row in rows):
        wanted["Density of layers"] = figures.density_lines
    if all("training_flops" in row for row in rows):
        wanted["Accuracy by training FLOPs"] = figures.flops_bubbles
    if not rows:
        yield paragraph("No network is done yet.")
        return
    for title, draw in wanted.items():
        yield drawing(draw(rows, title), title)


def results(found):
    """The table of `table.txt`."""
    if not found.done:
        yield paragraph("No network is done yet.")
        return
    columns = tables.columns_of(found.rows)
    yield table(
        [
            {name: cell(line, group) for name, cell in columns.items()}
            for rows in panels(found.rows).values()
            for line in series(rows)
            for group in line.by_sparsity().values()
        ]
    )


def trials(found):
    """A line for each trial; the page's script adds its curves."""
    names = {
        **{n: f"{kind} accuracy" for n, kind in accuracies(found.rows).items()},
        "nll": "NLL",
        "ece": "ECE",
        "active_parameters": "Active",
        "training_flops": "Training FLOPs",
        "seconds": "Seconds",
    }
    yield table(
        [
            {
                "Trial": element(
                    "a", row["trial"], href="#one", data_trial=row["trial"]
                ),
                "Setting": setting,
                "Method": line.label,
                "Sparsity": row["requested_sparsity"],
                "Seed": row["seed"],
                **{label: row.get(n, "") for n, label in names.items()},
            }
            for setting, line, row in _lines(found)
        ]
    )
    if not found.curves:
        yield paragraph(
            "The store has none of these trials: there are no curves, layer "
            "densities and predictions. Option --store says where it is."
        )
        return
    yield element("div", "", id="curves")
    yield element("div", "", id="one")
    yield Markup("<noscript>Curves need JavaScript.</noscript>")


def _lines(found):
    """Of each trial that is done: its setting, its `Series`, and its row."""
    for setting, rows in panels(found.rows).items():
        for line in series(rows):
            for group in line.by_sparsity().values():
                yield from ((setting, line, row) for row in group)


def drawn(found):
    """What the page's script draws: curves and layer densities."""
    to_hex = require("matplotlib.colors", "A page").to_hex
    return [
        {
            "trial": row["trial"],
            "label": f"{line.label} {row['requested_sparsity']:g}, seed "
            f"{row['seed']}, {setting}",
            "method": line.label,
            "colour": to_hex(line.style["color"]),
            "curves": {
                name: _thinned(values)
                for name, values in found.curves[row["trial"]].items()
            },
            "densities": row.get("layer_densities", {}),
        }
        for setting, line, row in _lines(found)
        if row["trial"] in found.curves
    ]


def _thinned(values):
    count = len(values)
    kept = np.linspace(0, count - 1, min(count, POINTS)).round().astype(int)
    return [values[place] for place in kept]


def by_class(found):
    """Where each method is right: a table of classes for each setting."""
    for setting, groups in _answered(found).items():
        columns = {
            _name(line, sparsity): np.mean(
                [accuracy_by_class(_certain(a), a.y) for a in answers.values()],
                axis=0,
            )
            for line, sparsity, answers in groups
        }
        count = max(map(len, columns.values()))
        yield table(
            [
                {"Class": str(number)}
                | {n: float(values[number]) for n, values in columns.items()}
                for number in range(count)
            ],
            caption=f"{setting}: mean over seeds",
            heat=True,
        )
    yield from _unanswered(found)


def by_hardness(found):
    """Accuracy from the easiest to the hardest test images.

    How hard an image is for a network is told by the dense networks of other
    seeds of its setting: the mean of EL2N, by the predictions they kept.
    """
    tables_of, few = [], []
    for setting, groups in _answered(found).items():
        errors = {
            seed: a.error
            for line, _, answers in groups
            if line.method == "dense"
            for seed, a in answers.items()
        }
        rows = [
            {"Method": _name(line, sparsity)} | _quantiles(answers, errors)
            for line, sparsity, answers in groups
        ]
        if all(len(row) > 1 for row in rows):
            tables_of.append(table(rows, caption=setting, heat=True))
        else:
            few.append(setting)
    if tables_of:
        yield paragraph(
            "Test images from the easiest (1) to the hardest, in groups of "
            "equal size. How hard an image is for a network, the dense ones "
            "of other seeds tell: by the mean error (EL2N) of the trained "
            "networks. Means over seeds."
        )
    yield from tables_of
    if few:
        yield paragraph(
            "Dense networks of other seeds must have kept predictions, or "
            f"networks are measured by themselves. Not so: {'; '.join(few)}."
        )
    yield from _unanswered(found)


def _quantiles(answers, errors):
    """Mean accuracy by group, with errors of the dense networks by seed."""
    found = []
    for seed, a in answers.items():
        others = [error for s, error in errors.items() if s != seed]
        if others:
            groups = min(GROUPS, len(a.y))
            scores = np.mean(others, axis=0)
            found.append(accuracy_by_hardness(_certain(a), a.y, scores, groups))
    if not found:
        return {}
    return {
        str(number + 1): float(value)
        for number, value in enumerate(np.mean(found, axis=0))
    }


def disagreement(found, most):
    """How often networks differ, and on which images methods do."""
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
    for setting, groups in _answered(found).items():
        predicted = {
            (line.label, sparsity): np.stack(
                [a.predicted for a in answers.values()]
            )
            for line, sparsity, answers in groups
        }
        dense = [
            predicted[line.label, sparsity]
            for line, sparsity, _ in groups
            if line.method == "dense"
        ]
        yield table(
            [
                {"Method": _name(line, sparsity)}
                | _churn(
                    predicted[line.label, sparsity],
                    dense[0] if dense and line.method != "dense" else None,
                )
                for line, sparsity, _ in groups
            ],
            caption=setting,
        )
        yield from _disputed(found, setting, groups, most)
    yield from _unanswered(found)


def _churn(mine, dense):
    return {
        "Among its seeds": churn(mine) if len(mine) > 1 else "",
        "To dense": "" if dense is None else churn(mine, dense),
        "Exemplars": "" if dense is None else int(exemplars(dense, mine).sum()),
    }


def _disputed(found, setting, groups, most):
    """The images that some methods have right the most more often."""
    methods, keys = {}, []
    for line, _, answers in groups:
        for a in answers.values():
            methods.setdefault(line.label, []).append(a.predicted)
            y = a.y
        keys += [row["trial"] for row in line.rows]
    methods = {label: np.stack(each) for label, each in methods.items()}
    places = disputed(list(methods.values()), y)[:most]
    if not len(places):
        yield paragraph("No image is told apart by methods.")
        return
    row = next(
        row
        for row in found.done
        if row["trial"] in keys and row["trial"] in found.answers
    )
    try:
        shown = found.images(row, places)
    except (ValueError, OSError, ImportError) as error:
        shown = {}
        yield paragraph(f"There are no images: {error}.")
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


def _answered(found):
    """By setting: each line and sparsity, with `Answers` by seed."""
    settings = {}
    for setting, line, row in _lines(found):
        if row["trial"] in found.answers:
            groups = settings.setdefault(setting, {})
            place = (line.label, row["requested_sparsity"])
            group = groups.setdefault(place, (line, place[1], {}))
            group[2][row["seed"]] = found.answers[row["trial"]]
    return {s: list(groups.values()) for s, groups in settings.items()}


def _unanswered(found):
    """Says where predictions are missing."""
    missing = [r for r in found.done if r["trial"] not in found.answers]
    if missing:
        yield paragraph(
            f"{len(missing)} of {len(found.done)} networks have no kept "
            "predictions in the store, and are not in this section."
        )


def _name(line, sparsity):
    return (
        line.label if line.method == "dense" else f"{line.label} {sparsity:g}"
    )


def _certain(answers):
    """Predicted classes as the probabilities that evaluation takes."""
    return np.eye(answers.classes)[answers.predicted]
