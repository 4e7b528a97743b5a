"""Whether methods beat the dense network, by their seeds."""

from keras_snn.experiments.grouping import accuracies
from keras_snn.experiments.grouping import panels
from keras_snn.experiments.page.markup import element
from keras_snn.experiments.page.markup import paragraph
from keras_snn.experiments.page.markup import table
from keras_snn.experiments.statistics import claims


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
