"""The page of a grid: what is in it, and that a browser shows it."""

import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from keras_snn.experiments import Trial
from keras_snn.experiments import __main__ as command
from keras_snn.experiments import data
from keras_snn.experiments import predictions
from keras_snn.experiments.page import content
from keras_snn.experiments.page import disagreement
from keras_snn.experiments.page import markup
from keras_snn.experiments.page.found import Found
from keras_snn.experiments.page.found import answered
from keras_snn.experiments.store import Store
from keras_snn.files import write_csv
from keras_snn.files import write_json

pytestmark = pytest.mark.once

BROWSER = next(
    filter(
        None,
        map(shutil.which, ("chromium", "chromium-browser", "google-chrome")),
    ),
    None,
)
HOSTILE = "</script><script>broken('&')</script>"
Y = np.arange(40) % 4


def row(method, seed, sparsity, accuracy, **others):
    return {
        "trial": f"{method}-{sparsity:g}-seed{seed}",
        "method": method,
        "dataset": "digits",
        "data_ratio": 1.0,
        "seed": seed,
        "interval": 4,
        "requested_sparsity": sparsity,
        "sparsity": sparsity,
        "clean_accuracy": accuracy,
        "active_parameters": 1234,
        "training_flops": 1e9 * (seed + 1),
        "layer_densities": {"conv/kernel": 0.5, HOSTILE: 1.0},
        "seconds": 1.0,
        "backend": "jax",
        "versions": {"jax": "0.0.1"},
        **others,
    }


def grid(seeds=3):
    """SET is better by .1 at sparsity .5, to within a thousandth."""
    return [
        row(method, seed, sparsity, 0.5 + seed / 100 + gain + seed**2 / 1000)
        for seed in range(seeds)
        for method, sparsity, gain in (
            ("dense", 0.0, 0.0),
            ("set", 0.5, 0.1 + seed / 1000),
            ("set", 0.9, -0.1 - seed / 1000),
        )
    ]


def answers(wrong, classes=4):
    """Those of a network that is wrong on some of 40 images, by one class."""
    shift = np.isin(np.arange(len(Y)), wrong).astype(int)
    return answered(5 * np.eye(classes)[(Y + shift) % classes], Y)


def found(rows=None, **fields):
    rows = grid() if rows is None else rows
    wrong = {"dense": [0, 1, 2], "set": [2, 3]}
    values = {
        "name": "a grid",
        "rows": rows,
        "about": {
            "title": HOSTILE,
            "command": HOSTILE,
            "fields": {"noise_file": HOSTILE, "seed": [0, 1]},
            "trials": [r["trial"] for r in rows],
        },
        "curves": {
            r["trial"]: {"epoch": [1.0, 2.0], "loss": [2.0, float("nan")]}
            for r in rows
        },
        "answers": {r["trial"]: answers(wrong[r["method"]]) for r in rows},
        "images": lambda row, places: {
            "as it is": np.zeros((len(places), 8, 8, 3), "uint8")
        },
    }
    return Found(**{**values, **fields})


class Reader(html.parser.HTMLParser):
    """Scripts, references, and the rows of tables by caption."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.references, self.tables = 0, [], {}
        self._rows, self._in = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        self.references += [v for k, v in attributes if k in ("src", "href")]
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag in ("td", "th", "caption"):
            self._in = tag
        if tag == "caption":
            self._caption = ""

    def handle_endtag(self, tag):
        if tag == self._in:
            self._in = None
        if tag == "caption":
            self.tables.setdefault(self._caption, []).append(self._rows)

    def handle_data(self, text):
        if self._in == "caption":
            self._caption += text
        elif self._in:
            self._rows[-1][-1] += text


def cells(page, caption, which=0):
    """Rows of a table, one of those of a caption, as dicts."""
    head, *rows = Reader(page).tables[caption][which]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_a_page_has_what_was_asked_escaped_and_asks_for_nothing():
    failed = row("set", 3, 0.5, None, error=HOSTILE)
    rows = [*grid(), failed]
    about = {**found().about, "trials": [*(r["trial"] for r in rows), "x"]}
    page = content.document(found(rows, about=about))
    read = Reader(page)
    assert read.scripts == 2  # Data and the page's own.
    assert "broken(" in page and "<script>broken" not in page
    assert all(re.match(r"#|data:image/", ref) for ref in read.references)
    assert not re.search(r"url\(|@import|<!--", page)
    assert "9 networks done, 1 failed, 1 left" in page
    assert "The grid is not done" in page
    assert cells(page, "Settings")[0] == {
        "Field": "noise_file",
        "Value": HOSTILE,
    }
    assert cells(page, "Ran on")[0]["Backend"] == "jax 0.0.1"
    assert cells(page, "Failed") == [
        {"Trial": failed["trial"], "Error": HOSTILE}
    ]


def test_verdicts_are_those_of_the_claims_or_say_what_is_missing():
    page = content.document(found())
    claim = cells(page, "Claims")
    assert [(c["Claim"], c["Verdict"]) for c in claim] == [
        ("SET beats dense at some sparsity", "holds")
    ]
    low, high = cells(page, "Less the dense network")
    assert (low["Sparsity"], low["Difference"]) == ("0.5", "0.101")
    assert (high["Difference"], high["Seeds"]) == ("-0.101", "3")
    assert "not done" not in page
    for rows, why in (
        (grid(seeds=1), "Two seeds at least"),
        ([r for r in grid() if r["method"] != "dense"], "its dense network"),
    ):
        page = content.document(found(rows))
        (missing,) = cells(page, "What is missing for others")
        assert why in missing["Why"] and missing["Method"] == "set"
    dense = [r for r in grid() if r["method"] == "dense"]
    assert "it takes a method beside" in content.document(found(dense))


def test_accuracy_by_class_and_by_the_errors_of_other_seeds():
    rows = grid()
    by_key = found().answers | {"dense-0-seed0": answers([4])}
    page = content.document(found(rows, answers=by_key))
    by_class = cells(page, "data ratio 1: mean over seeds")
    # Of ten images a class: 0 and 4 are of class 0, 2 of class 2.
    assert [c["Dense"] for c in by_class] == [
        "0.900",
        "0.933",
        "0.933",
        "1.000",
    ]
    assert [c["SET 0.5"] for c in by_class] == [
        "1.000",
        "1.000",
        "0.900",
        "0.900",
    ]
    hardness = cells(page, "data ratio 1")
    dense, half, _ = hardness
    # The network of seed 0 is wrong where it alone is: among the easiest.
    assert float(dense["1"]) == pytest.approx(11 / 12, abs=6e-4)
    # The others' hardest are 0, 1, 2 and, to seeds 1 and 2, image 4.
    assert float(dense["10"]) == pytest.approx(
        (1 + 1 / 4 + 1 / 4) / 3, abs=6e-4
    )
    assert (half["1"], half["10"]) == ("0.750", "0.750")


def test_methods_disagree_where_one_is_right_more_often():
    y = np.array([0, 1, 2, 0])
    dense = np.array([[0, 1, 0, 1], [0, 1, 0, 0]])
    sparse = np.array([[0, 0, 0, 1], [0, 0, 1, 1]])
    assert disagreement.disputed([dense, sparse], y).tolist() == [1, 3]
    page = content.document(found())
    # Image 0 is wrong of dense networks alone, class 1 for 0; 2 of all.
    assert "Test image 0, as it is" in page
    assert "Test image 2, as it is" not in page
    assert "under attack" not in page
    shown = re.search(r"Image 0, class 0.*?</ul>", page, re.DOTALL)[0]
    assert re.findall(r"<(\w+)>([^<>]* × \d)", shown) == [
        ("span", "1 × 3"),
        ("b", "0 × 6"),
    ]
    networks = cells(page, "data ratio 1", 1)
    assert networks[0] == {
        "Method": "Dense",
        "Among its seeds": "0",
        "To dense": "",
        "Exemplars": "",
    }
    # Images 0, 1 and 3.
    assert networks[1]["To dense"] == f"{3 / 40:g}"
    assert networks[1]["Exemplars"] == "3"

    def none(row, places):
        raise ValueError("no <data>")

    page = content.document(found(images=none))
    assert "There are no images: no &lt;data&gt;." in page
    assert "Image 0, class 0" in page


def attacks(rows=None):
    """A grid whose SET at .5 withstands on image 2 what it does not on 0."""
    rows = [{**r, "adversarial_accuracy": 0.5} for r in rows or grid()]
    wrong = {"dense": [1, 2, 3], "set": [0, 1, 3]}
    kept = np.array([0, 2, 39])
    return found(
        rows,
        attacked={r["trial"]: answers(wrong[r["method"]]) for r in rows},
        attacked_images=lambda row: (
            kept,
            np.full((3, 8, 8, 3), 9 * kept[:, None, None, None], "uint8"),
        ),
    )


def test_methods_disagree_under_attack_too():
    section = markup.joined(disagreement.attacked(attacks(), 24))
    assert cells(section, "data ratio 1")[1]["To dense"] == f"{2 / 40:g}"
    shown = ["as it is", "attacked for Dense", "attacked for SET 0.5"]
    assert f"Each image: {', '.join(shown)}." in section
    assert re.findall(r'alt="Test image ([^"]*)"', section) == [
        f"{place}, {what}" for place in (0, 2) for what in shown
    ]
    # Of image 2 the SET networks are right alone, dense ones say class 3.
    votes = re.search(r"Image 2, class 2.*?</ul>", section, re.DOTALL)[0]
    assert re.findall(r"<(\w+)>([^<>]* × \d)", votes) == [
        ("span", "3 × 3"),
        ("b", "2 × 6"),
    ]
    assert "no kept predictions" not in section
    old = attacks()
    del old.attacked["set-0.5-seed1"]
    section = markup.joined(disagreement.attacked(old, 24))
    assert "1 of 9 networks have no kept predictions" in section


def test_without_a_store_a_page_says_so():
    rows = [
        {k: v for k, v in r.items() if k != "layer_densities"} for r in grid()
    ]
    page = content.document(found(rows, about={}, curves={}, answers={}))
    assert "The store has none of these trials" in page
    assert "There is no grid.json" in page
    assert "9 of 9 networks have no kept predictions" in page
    assert cells(page, "Claims")[0]["Verdict"] == "holds"
    failed = [row("set", 0, 0.5, None, error="NaN")]
    page = content.document(found(failed, curves={}, answers={}))
    assert "No network is done yet." in page


def test_data_cannot_end_its_script():
    value = [{HOSTILE: [float("nan"), 1 / 3, None, 2]}]
    text = markup.embedded(value)
    assert not re.search("[<>&]", text)
    assert json.loads(text) == [{HOSTILE: [None, 0.3333, None, 2]}]


def test_the_template_is_in_the_package(request):
    toml = pytest.importorskip("tomllib")  # In Python since 3.11.
    about = toml.loads((request.config.rootpath / "pyproject.toml").read_text())
    files = about["tool"]["setuptools"]["package-data"]["keras_snn"]
    template = markup.TEMPLATE.relative_to(markup.TEMPLATE.parents[2])
    assert template.as_posix() in files


@pytest.fixture
def results(tmp_path):
    """A folder and a store of a grid, as recipes leave them."""
    store, rows = Store(tmp_path / "store"), []
    fields = {"dataset": "digits", "model": "vgg16"}
    for seed in range(2):
        for method in ("dense", "set"):
            trial = Trial(method=method, sparsity=0.5, seed=seed, **fields)
            y = data.parts(trial)[2].y
            logits = np.eye(10)[(y + (np.arange(len(y)) % 9 == seed)) % 10]
            folder = store.begin(trial)
            predictions.save(folder, trial, logits, y)
            x = np.full((len(y), 16, 16, 3), 0.1 + 0.1 * seed, "float32")
            logits = np.roll(logits, method == "set", axis=1)
            predictions.save_attacked(folder, trial, logits, y, x)
            write_csv(folder / "history.csv", [{"epoch": 1, "loss": 2.0}])
            result = {
                "sparsity": trial.sparsity,
                "clean_accuracy": 0.5 + 0.1 * seed,
                "adversarial_accuracy": 0.2,
                "active_parameters": 10,
                "layer_densities": {"conv/kernel": 0.25},
                "training_flops": 1.0,
                "seconds": 1.0,
                "data": store.fingerprint(trial),
            }
            rows.append(store.keep(trial, result))
    flat = [
        {n: v for n, v in r.items() if not isinstance(v, dict | tuple)}
        for r in rows
    ]
    folder = tmp_path / "out"
    folder.mkdir()
    write_csv(folder / "results.csv", flat)
    keys = [r["trial"] for r in rows]
    write_json(folder / "grid.json", {"fields": {}, "trials": keys})
    return folder


def test_the_command_writes_a_page_of_a_folder(results, capsys):
    store = str(results.parent / "store")
    arguments = ["report", str(results), "--store", store]
    assert command.main(arguments) == 0
    page = (results / "report.html").read_text()
    assert str(results / "report.html") in capsys.readouterr().out
    assert "4 networks done" in page and "conv/kernel" in page
    assert len(cells(page, "data ratio 1: mean over seeds")) == 10
    assert "There are no images" not in page
    assert re.search(r"Test image \d+, attacked for SET 0.5", page)

    # An error leaves the page that was there.
    text = (results / "results.csv").read_text()
    (results / "results.csv").write_text(text.replace(",set,", ",mine,"))
    assert command.main(arguments) == 2
    assert "named by --module" in capsys.readouterr().err
    assert (results / "report.html").read_text() == page
    assert command.main(["report", str(results.parent)]) == 2
    assert "results.csv" in capsys.readouterr().err
    names = sorted(path.name for path in results.iterdir())
    assert names == ["grid.json", "report.html", "results.csv"]


WATCH = """<script>
const problems = [];
addEventListener("error", (e) => problems.push(e.message));
addEventListener("securitypolicyviolation", (e) => problems.push(e.blockedURI));
</script>"""

PROBE = """<script>
const table = document.querySelector("[data-trial]").closest("table");
const column = (name) =>
  [...table.tHead.rows[0].cells].find((cell) => cell.textContent === name);
const shown = (name) => [...table.tBodies[0].rows].filter((row) => !row.hidden)
  .map((row) => row.cells[column(name).cellIndex].textContent);
const click = (name) => column(name).querySelector("button").click();
const found = { width: innerWidth };
found.across = document.documentElement.scrollWidth;
found.dark = matchMedia("(prefers-color-scheme: dark)").matches;
click("Clean accuracy");
found.up = shown("Clean accuracy").map(Number);
click("Clean accuracy");
found.down = shown("Clean accuracy").map(Number);
click("Method");
found.methods = shown("Method");
found.lines = document.querySelectorAll("#curves path").length;
const input = table.parentElement.previousElementSibling.querySelector("input");
input.value = "SET seed1";
input.dispatchEvent(new Event("input"));
found.filtered = shown("Trial");
found.linesLeft = document.querySelectorAll("#curves path").length;
document.querySelector("[data-trial='set-0.9-seed1']").click();
found.one = document.querySelector("#one h3").textContent;
found.layers = document.querySelectorAll("#one progress").length;
found.problems = problems;
parent.document.querySelector("output").textContent = JSON.stringify(found);
</script></body>"""
# A window has a least width, wider than a phone; a frame has none.
FRAME = """<!doctype html><meta name="color-scheme" content="light dark">
<output></output><iframe width="{width}" height="800" frameborder="0"
srcdoc="{page}"></iframe>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
@pytest.mark.parametrize(("width", "scheme"), [(390, 0), (1280, 1)])
def test_a_browser_shows_it_and_tables_sort(tmp_path, width, scheme):
    page = content.document(attacks()).replace("<head>", "<head>" + WATCH)
    page = html.escape(page.replace("</body>", PROBE))
    path = tmp_path / "frame.html"
    path.write_text(FRAME.format(width=width, page=page), encoding="utf-8")
    ran = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={scheme}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    probe = re.search("<output>(.*?)</output>", ran.stdout)[1]
    seen = json.loads(html.unescape(probe))
    assert seen["problems"] == []
    assert (seen["width"], seen["dark"]) == (width, scheme == 0)
    assert seen["across"] <= width
    accuracies = sorted(round(r["clean_accuracy"], 4) for r in grid())
    assert seen["up"] == pytest.approx(accuracies, abs=1e-4)
    assert seen["down"] == pytest.approx(accuracies[::-1], abs=1e-4)
    assert seen["methods"] == ["Dense"] * 3 + ["SET"] * 6
    assert (seen["lines"], seen["linesLeft"]) == (9, 2)
    assert sorted(seen["filtered"]) == ["set-0.5-seed1", "set-0.9-seed1"]
    assert seen["one"].startswith("SET 0.9, seed 1")
    assert seen["layers"] == 2
