"""What the repository shows of a validation: benchmarks/cadaveric/README.md with figures, its summary in README.md, every revision of
the blind predictions frozen with a date, and resolved scenario and result of every run behind them."""

import csv
import json
from pathlib import Path
import shutil

from scenarios import case_runs, tables
from scenarios.solve import ROOT
from scenarios.trouble import BadInput
from scenarios.validation_report import captions, markdown, summary

CADAVERIC = ROOT / "benchmarks" / "cadaveric"
FROZEN = ("study", "what", "predicted", "low", "high", "unit", "date", "version", "commit", "resolution", "runs")
SUMMARY = "<!-- written by ./halofix validate --publish -->", "<!-- until here -->"  # marks round the summary in README.md
INTRODUCTION = """\
# Cadaver and foam studies

`studies/` holds published experiments as files. `./halofix validate` simulates them and compares; `./halofix check FILE` checks
one. This page is written by `./halofix validate --publish`; what misses, and why, is in [notes.md](notes.md). A prediction is a link to
the result that made it, in `runs/`, beside its resolved scenario; `./halofix validate --no-run` makes report and figures from these.

A study of one's own is a file like these:

```yaml
citation: "Our laboratory 2030"
role: validation                 # or calibration (a constant is fitted to it), blind (its results are not known yet)
kind: cadaveric                  # or synthetic, animal
specimen: {levels: [L3], n: 8, bmd: 74 mg/cm^3, bmd_sd: 12 mg/cm^3, bmd_kind: qct_ha}    # what is known; set in every arm
screw: {diameter: 6.5 mm, length: 45 mm}
base: native.yaml                # scenario that the arms vary; a path from this file, or written out here
arms:
  native: {}
  thick: {screw.diameter: 7.5 mm, screw.core_diameter: 5.5 mm}     # dotted path: value
measured:
  - {arm: native, outcome: peak_force_N, mean: 0.41 kN, sd: 120 N, n: 8}
  - {ratio: [thick, native], outcome: peak_force_N, value: 1.2}    # also difference, direction: thick > native, correlation
specimens: specimens.csv         # optional, one row a specimen and arm: specimen, arm, specimen.bmd (mg/cm^3), peak_force_N, curve
assumed:
  screw.pitch: {value: 2.75 mm, why: "not measured"}
open:                            # sampled for the interval of each prediction
  model.insertion_damage: {uniform: [0.1, 0.5], why: "not measured"}
samples_on: coarse               # optional: a coarser mesh than the arms' for these samples and for deliberately wrong models
```

An outcome is a key of result.json; of one of several cycles it is written `"cycle[2].load_at_loosening_N"`.
"""

REVISIONS = """\
Every revision is kept: a later one comes from laws or scenarios that were corrected ([what and why](../../CHANGELOG.md)), and a row that
stands may be from before such a correction, until its runs are made again. The experiments are published, and we have not read their results: what counts of each
prediction is its first row and the last one that was frozen before they were read."""


def publish(content, directory, folder=CADAVERIC, front=ROOT / "README.md"):
    """Write README.md, figures and blind_predictions.csv for the `content` of the validation in `directory` into `folder`, its
    summary into the file `front`, and what is kept of its runs; returns the paths of the pages.

    Frozen predictions stay as they are, a revision follows them. Raises BadInput if `front` has no place for the summary.
    """
    folder, front, runs = Path(folder), Path(front), Path(directory) / "runs"
    _committed(content, runs)
    text = front.read_text(encoding="utf-8")
    begin, end = (text.find(mark) for mark in SUMMARY)
    if not 0 <= begin < end:
        raise BadInput(f"{front}: there is no place for the summary between {SUMMARY[0]} and {SUMMARY[1]}")
    front.write_text(f"{text[: begin + len(SUMMARY[0])]}\n{summary(content)}\n{text[end:]}", encoding="utf-8")
    frozen = freeze(content, runs, folder)
    _keep_runs(content, runs, folder / "runs")
    parts = [INTRODUCTION.strip(), "## Blind predictions, frozen"]
    parts += [REVISIONS, tables.markdown([_linked(row) for row in standing(frozen)])] if frozen else ["None yet."]
    if shown := _keep_figures(content, Path(directory) / "figures", folder / "figures"):
        parts += ["## Figures", *shown]
    parts.append(markdown(content).replace("\n## ", "\n### ").replace("# Comparison", "## Comparison", 1))
    readme = folder / "README.md"
    readme.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return [front, readme, *([folder / "blind_predictions.csv"] if frozen else [])]


def _committed(content, runs):
    """Raises BadInput for a blind prediction that was made by code with changes that are not committed: nobody could make it again."""
    blind = [run["run"] for study in content["studies"] if study["role"] == "blind" for run in study["runs"] if run["status"] != "not run"]
    for name in dict.fromkeys(blind):
        if case_runs.about(runs / name)["halofix"].get("modified") is True:
            raise BadInput(f"{runs / name}: a blind prediction from code with changes that are not committed is not frozen; commit, and run it again")


def _keep_figures(content, drawn, kept):
    """Make `kept` the PNG of each figure in the folder `drawn`; [Markdown that shows one, with its caption]."""
    shutil.rmtree(kept, ignore_errors=True)
    shown = []
    for name, caption in captions(content).items():
        if (file := drawn / f"{name}.png").exists():
            kept.mkdir(exist_ok=True)
            shutil.copy(file, kept)
            shown.append(f"![{name.replace('_', ' ')}](figures/{name}.png)\n\n{caption}")
    return shown


def _keep_runs(content, runs, kept):
    """Keep the FILES of all runs that the page names, and of those that could not be made this time; what no study asks for goes."""
    status = {run["run"]: run["status"] for study in content["studies"] for run in study["runs"]}
    for name in sorted(status):
        if status[name] != "not run":
            case_runs.copy_files(runs / name, kept / name)
    for directory in sorted(kept.glob("*/")):
        if directory.name not in status:
            shutil.rmtree(directory)


def _kept_as(run, frozen):
    """Name in the folder `frozen` of a run's directory."""
    about, there = (run / "provenance.json").read_text(), frozen / run.name / "provenance.json"
    if not there.exists() or there.read_text() == about:
        return run.name
    return f"{run.name}-{json.loads(about)['halofix']['commit'][:10]}"


def _linked(row):
    """A frozen prediction for the page: its runs are links."""
    return row | {"runs": ", ".join(f"[{name}](frozen/{name}/result.json)" for name in row["runs"].split())}


def standing(rows):
    """Frozen rows, each with what became of it: the last of a prediction stands, others gave way on the date of the next."""
    found, following = [], {}
    for row in reversed(rows):
        date = following.get(_prediction(row))
        found.append(row | {"revision": f"superseded on {date}" if date else "stands"})
        following[_prediction(row)] = row["date"]
    return found[::-1]


def _prediction(row):
    return row["study"], row["what"]


def _bounds(row):
    return [f"{float(row[end]):.5g}" if row.get(end) not in (None, "") else "" for end in ("low", "high")]


def freeze(content, runs, folder):
    """Rows of `folder`/blind_predictions.csv: those that are there, then the blind predictions of `content` that come from other
    runs than the last row of theirs, or have another interval.

    Date, version and commit are those of the run behind a prediction (of two the later); its FILES go to `folder`/frozen, where they
    are never replaced. The name of a run says what was run and not with which code, so a later one is frozen under name-commit."""
    file, rows = folder / "blind_predictions.csv", []
    if file.exists():
        with open(file, newline="") as stream:
            rows = list(csv.DictReader(stream))
    mesh = {run["run"]: run["mesh"] for study in content["studies"] for run in study["runs"]}
    last = {_prediction(row): (row["runs"], _bounds(row)) for row in rows}
    for point in content["points"]:
        if point["role"] != "blind" or point["predicted"] is None:
            continue
        kept = {_kept_as(runs / name, folder / "frozen"): runs / name for name in point["runs"].split()}
        if last.get(_prediction(point)) != (" ".join(kept), _bounds(point)):
            made = max((case_runs.about(run) for run in kept.values()), key=lambda about: about["finished"])
            rows.append(
                {key: point[key] for key in FROZEN[:6]}
                | {
                    "date": made["finished"][:10],
                    "version": made["halofix"]["version"],
                    "commit": made["halofix"]["commit"][:10],
                    "resolution": " and ".join(dict.fromkeys(mesh[name] for name in point["runs"].split())),
                    "runs": " ".join(kept),
                }
            )
            for name, run in kept.items():
                if not (folder / "frozen" / name).exists():
                    case_runs.copy_files(run, folder / "frozen" / name)
    if rows:
        tables.write_csv(file, rows)
    return rows
