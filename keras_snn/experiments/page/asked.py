"""What was asked for, by which code it ran, and what failed."""

from keras_snn.experiments.page.markup import element
from keras_snn.experiments.page.markup import paragraph
from keras_snn.experiments.page.markup import table


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
