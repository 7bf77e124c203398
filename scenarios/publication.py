"""What the repository shows of a validation: benchmarks/cadaveric/README.md, its figures, and blind predictions frozen with a date."""

import csv
from pathlib import Path

from benchmarks import tables
from scenarios.solve import ROOT
from scenarios.validation_report import markdown

CADAVERIC = ROOT / "benchmarks" / "cadaveric"
FROZEN = ("study", "what", "predicted", "low", "high", "unit", "date", "version", "commit", "resolution")
INTRODUCTION = """\
# Cadaver and foam studies

`studies/` holds published experiments as files: what was tested, what was measured, what the source does not give and what is assumed
in its place. `./halofix validate` simulates them and compares; `./halofix check FILE` checks one. This page is written by
`./halofix validate --publish`.
"""


def publish(content, folder=CADAVERIC):
    """Write README.md and blind_predictions.csv for the `content` of a validation.json into `folder`; returns their paths.

    A blind prediction that is there already stays as it is: it is frozen.
    """
    folder = Path(folder)
    frozen = freeze(content, folder / "blind_predictions.csv")
    parts = [INTRODUCTION.strip(), "## Blind predictions, frozen", tables.markdown(frozen) if frozen else "None yet.",
             markdown(content).replace("# Comparison", "## Comparison", 1).replace("\n## ", "\n### ").replace("\n### Comparison", "\n## Comparison")]
    readme = folder / "README.md"
    readme.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [readme, folder / "blind_predictions.csv"] if frozen else [readme]


def freeze(content, file):
    """Rows of `file` with the new blind predictions of `content` added to those that are there."""
    rows = []
    if file.exists():
        with open(file, newline="") as stream:
            rows = list(csv.DictReader(stream))
    there = {(row["study"], row["what"]) for row in rows}
    about = content["halofix"]
    for point in content["points"]:
        if point["role"] == "blind" and point["predicted"] is not None and (point["study"], point["what"]) not in there:
            rows.append({key: point.get(key) for key in FROZEN[:6]} | {
                "date": content["date"][:10], "version": about["version"],
                "commit": about["commit"][:10] + (" with changes" if about.get("modified") is True else ""),
                "resolution": content["resolution"]})
    if rows:
        tables.write_csv(file, rows)
    return rows
