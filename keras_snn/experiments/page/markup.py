"""HTML from values: all text escaped, but what is `Markup` already."""

import base64
import html
import io
import json
import numbers
import re
from pathlib import Path

import numpy as np

from keras_snn.extras import require

# Of a cell's text, in characters, that may break.
LONG = 40
TEMPLATE = Path(__file__).with_name("template.html")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value):
    """A value as HTML."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(str(value)))


def element(name, content="", **attributes):
    """An element; `class_` is `class`, `data_x` is `data-x`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{text(content)}</{name}>")


def joined(parts):
    """Values one after the other."""
    return Markup("\n".join(map(text, parts)))


def paragraph(content):
    """A paragraph."""
    return element("p", content)


def anchor(heading):
    """What a link to a section names."""
    return re.sub(r"\W+", "-", heading.lower())


def section(heading, parts):
    """A section under its heading."""
    inside = joined([element("h2", heading), *parts])
    return element("section", inside, id=anchor(heading))


def table(rows, *, caption="", heat=False, plain=False):
    """A table, which the page lets sort and filter.

    Args:
        rows: List of dicts of column to value; what a row lacks is empty.
        caption: Above it.
        heat: Whether numbers, shares in [0, 1], are coloured by size.
        plain: Whether it is short, and needs no sorting.

    Returns:
        `Markup`.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = element("tr", joined(element("th", c, scope="col") for c in columns))
    body = joined(
        element("tr", joined(_cell(row.get(c, ""), heat) for c in columns))
        for row in rows
    )
    made = element(
        "table",
        joined(
            [
                element("caption", caption) if caption else "",
                element("thead", head),
                element("tbody", body),
            ]
        ),
        class_=" ".join(["sorts"] * (not plain) + ["heat"] * heat) or None,
    )
    return element("div", made, class_="wide", tabindex=0)


def _cell(value, heat):
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        if np.isnan(value):
            return element("td", "", data_value="")
        digits = "," if isinstance(value, int) else ".3f" if heat else ".4g"
        style = f"--share:{value:.3f}" if heat else None
        return element(
            "td",
            format(value, digits),
            data_value=float(value),
            style=style,
            class_="number",
        )
    # A long text may break, such as an error; a name may not.
    long = (
        "long"
        if len(str(value)) > LONG and not isinstance(value, Markup)
        else None
    )
    return element("td", value, class_=long)


def drawing(figure, about):
    """A matplotlib figure, as an SVG of its own inside an image."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", bbox_inches="tight")
    # On a phone it shrinks a little, and is scrolled across where it is wide.
    least = f"min-width:{round(60 * figure.get_figwidth())}px"
    image = _image(
        "image/svg+xml", file.getvalue(), about, class_="figure", style=least
    )
    return element("div", image, class_="wide", tabindex=0)


def picture(pixels, about):
    """A uint8 image of shape (rows, cols, 3)."""
    images = require("PIL.Image", "A page with images")
    file = io.BytesIO()
    images.fromarray(pixels).save(file, format="png")
    return _image("image/png", file.getvalue(), about, class_="pixels")


def _image(kind, content, about, **attributes):
    source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    made = element("img", src=source, alt=about, **attributes)
    return Markup(made.removesuffix("</img>"))


def embedded(value):
    """A value as JSON inside a script: no text in it can end the script.

    Numbers keep four digits; what is no finite number is null.
    """
    found = json.dumps(_rounded(value), separators=(",", ":"))
    for character in "<>&":
        found = found.replace(character, f"\\u{ord(character):04x}")
    return Markup(found)


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if np.isfinite(value) else None
    return value


def page(title, body, data):
    """The whole page.

    Args:
        title: Of the page.
        body: `Markup`.
        data: What the page's script draws, for JSON.

    Returns:
        A str.
    """
    parts = {"title": text(title), "body": body, "data": embedded(data)}
    return re.sub(
        r"<!--(\w+)-->",
        lambda found: parts[found[1]],
        TEMPLATE.read_text(encoding="utf-8"),
    )
