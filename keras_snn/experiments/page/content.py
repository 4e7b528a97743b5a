"""What goes into the page of a grid: its sections, in their order."""

from keras_snn.experiments.page.accuracy import by_class
from keras_snn.experiments.page.accuracy import by_hardness
from keras_snn.experiments.page.asked import asked
from keras_snn.experiments.page.disagreement import attacked
from keras_snn.experiments.page.disagreement import disagreement
from keras_snn.experiments.page.markup import anchor
from keras_snn.experiments.page.markup import element
from keras_snn.experiments.page.markup import joined
from keras_snn.experiments.page.markup import page
from keras_snn.experiments.page.markup import paragraph
from keras_snn.experiments.page.markup import section
from keras_snn.experiments.page.results import drawings
from keras_snn.experiments.page.results import drawn
from keras_snn.experiments.page.results import results
from keras_snn.experiments.page.results import trials
from keras_snn.experiments.page.verdicts import verdicts


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
    if any("adversarial_accuracy" in row for row in found.done):
        sections["Disagreement under attack"] = attacked(found, images)
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
