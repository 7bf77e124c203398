"""report.html and validation.md of a validation.

Reads validation.json, and the curves of single specimens from their runs.
"""

import json
from pathlib import Path
import re

from scenarios import comparing, resultdir, specimen_table, tables, validation_figures
from scenarios.agreement import LEAST
from scenarios.page import rendered
from scenarios.study import SAME
from scenarios.tables import number
from scenarios.trouble import BadInput
from scenarios.validation import SAMPLES, TABLES

CAPTIONS = {
    "identity": "Predicted over measured means. Band: ±20 %. Horizontal bars: standard deviation of the specimens; vertical "
    "bars: range of predictions over the open inputs. A point without a vertical bar has no interval. Open markers: calibration.",
    "bland_altman": "Predicted minus measured over the mean of both; of ratios, turned over where less than 1 was measured, predicted over "
    "measured. Lines: bias and limits of agreement of the validation points.",
    "ratios": "Ratios between arms: the mark is measured with ±20 %, the point predicted, its bar the range over the open inputs.",
    "ranking": "Order of the arms of studies with means of at least two of them; lines that cross are arms in the wrong order.",
    "curves": "Curves of single specimens.",
}
ROLES = {"validation": "Validation", "calibration": "Calibration (counted nowhere)", "blind": "Blind predictions"}
VERDICTS = (
    f"Goal: ratios, differences and means of bone within {100 * comparing.GOAL:.0f} %, means of foam within {100 * comparing.FOAM:.0f} %, directions right. "
    f"Accepted: ratios within {100 * comparing.ACCEPTED:.0f} %, means of bone and differences within one standard deviation, or within "
    f"{100 * comparing.ABSOLUTE:.0f} % where none is given, as single specimens of bone. A direction a ~ b (no difference was found) is right "
    f"if the larger prediction is at most {100 * SAME:.0f} % above the smaller. "
    "(trend): the model reaches the number beyond small strain, where it gives trends. "
    "Ratios are often of the same arms as the means beside them: points are not independent of each other. Bias and limits of agreement "
    "(95 %) are differences, of ratios factors; all but the mean error (MAPE) are of ratios turned over where less than 1 was measured, so that it does not "
    f"matter which arm is on top. Of fewer than {LEAST} points only errors are told."
)
INTERVALS = (
    "An interval is the range of n samples of the open inputs and the nominal prediction, on the mesh of the samples. The range of n "
    "independent samples holds on average (n − 1)/(n + 1) of the predictions that the open inputs allow, "
    f"{', '.join(f'{100 * (n - 1) / (n + 1):.0f} % for n = {n}' for n in (SAMPLES, 4, 2))}. {SAMPLES} are a Latin hypercube; fewer are the first of it, spread by chance. Normal "
    "distributions are cut off at two standard deviations. Where the density of the specimens is reported with its SD, the interval spans "
    "specimens, of which a mean is known better. \"5 of 8 samples\": three did not come to the test that was carried out."
)
AGREEMENT = (
    ("n", "compared", ".0f"),
    ("intervals", "with interval", ".0f"),
    ("inside", "measured inside", ".0f"),
    ("R2", "R²", ".2f"),
    ("concordance", "concordance", ".2f"),
    ("MAPE_percent", "MAPE (%)", ".0f"),
    ("RMSE", "RMSE", ".3g"),
    ("bias", "bias", ".3g"),
    ("lower_limit", "lower limit", ".3g"),
    ("upper_limit", "upper limit", ".3g"),
    ("Spearman_rho", "Spearman", ".2f"),
)


def write(directory):
    """Write figures, report.html and validation.md of `directory`; returns the path of the report. BadInput if it is none."""
    directory = Path(directory)
    content = read(directory)
    drawn = validation_figures.all_figures(content, directory / "figures")
    drawn |= _curves(content, directory)
    path = rendered(
        directory,
        "validation.html",
        content=content,
        captions=captions(content),
        verdicts=VERDICTS,
        intervals=INTERVALS,
        ablation=ABLATION,
        meshes=MESHES,
        tables=[table for table in TABLES if content[table]],
        roles=_roles(content, directory),
        agreement=AGREEMENT,
        number=number,
        off_by=off_by,
        verdict=verdict,
        duration=duration,
        figures={name: _svg(directory / "figures" / f"{stem}.svg") for name, stem in drawn.items()},
    )
    (directory / "validation.md").write_text(markdown(content) + "\n", encoding="utf-8")
    return path


def captions(content):
    """{figure: caption}; that of the order says how many studies it does not show."""
    shown = {study for study, _ in validation_figures.ranked(content)}
    others = sum(r["pairs"] > r["untold"] and r["study"] not in shown for r in content["ranking"])
    more = f" Not drawn are studies of ratios and directions, whose pairs are judged below: {others}." if others else ""
    return CAPTIONS | {"ranking": CAPTIONS["ranking"] + more}


def read(directory):
    """Content of validation.json in `directory`."""
    try:
        return json.loads((Path(directory) / "validation.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{directory}: this is no validation ({error})") from None


def duration(seconds):
    """'40 s', '12 min' or '3.5 h'"""
    return (
        f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
    )


def _svg(file):
    """The drawing alone, to stand in a page: its points are links there."""
    return re.sub(r"^.*?(?=<svg)", "", file.read_text(), count=1, flags=re.DOTALL).replace(' target="_blank"', "")


def _roles(content, directory):
    """[(title, [study with its points])] in the order of ROLES."""
    found = []
    for role, title in ROLES.items():
        studies = []
        for study in content["studies"]:
            if study["role"] == role:
                points = [
                    _shown(index, point, directory)
                    for index, point in enumerate(content["points"])
                    if point["study"] == study["name"]
                ]
                rank = next((r for r in content["ranking"] if r["study"] == study["name"]), None)
                studies.append(study | {"points": points, "ranking": rank})
        if studies:
            found.append((title, studies))
    return found


def _shown(index, point, directory):
    runs = [{"name": run, "report": (directory / "runs" / run / "report.html").exists()} for run in point["runs"].split()]
    return point | {"anchor": validation_figures.anchor(index), "links": runs, "interval": interval(point)}


def interval(point):
    """'180 – 240 (8 samples)', or that there is none."""
    if point["predicted"] is None:
        return ""
    if point["low"] is None:
        return "no interval"
    mesh = f", {point['samples_on']} mesh" if point["samples_on"] else ""
    samples = f"{point['samples']} of {point['samples'] + point['lost']}" if point["lost"] else point["samples"]
    return f"{number(point['low'])} – {number(point['high'])} ({samples} samples{mesh})"


def _curves(content, directory):
    """{'curves': stem} of specimens that came with a measured curve."""
    pairs = []
    for study in content["studies"]:
        for run in study["runs"]:
            if run.get("curve") and not run["change"] and Path(run["curve"]).exists():
                pairs.append(
                    (
                        f"{study['name']}, {run['specimen']}, {run['arm']}",
                        specimen_table.curve(Path(run["curve"])),
                        resultdir.table(directory / "runs" / run["run"] / "curve.csv"),
                    )
                )
    return {"curves": validation_figures.curves(pairs, directory / "figures" / "curves")} if pairs else {}


# -- Markdown ----------------------------------------------------------------------------------------------------------


def markdown(content):
    """The tables as a page of Markdown that says how it was made."""
    lines = ["# Comparison with measured data", made_by(content)]
    if content["agreement"]:
        lines += ["## Agreement (studies of role validation)", tables.markdown(_agreement(content))]
    if content["ranking"]:
        lines += [
            "## Order of the arms",
            tables.markdown(
                [
                    {
                        "study": r["study"],
                        "role": r["role"],
                        "pairs": r["pairs"],
                        "right": r["right"],
                        "not predicted": r["untold"],
                        "wrong": r["wrong"],
                    }
                    for r in content["ranking"]
                ]
            ),
        ]
    if content["ablation"]:
        lines += ["## Deliberately wrong models", ABLATION, tables.markdown([_ablation(row) for row in content["ablation"]])]
    if content["meshes"]:
        lines += ["## Two meshes", MESHES, tables.markdown([_mesh(row) for row in content["meshes"]])]
    for role, title in ROLES.items():
        chosen = [point for point in content["points"] if point["role"] == role]
        if chosen:
            lines += [f"## {title}", tables.markdown([_row(point) for point in chosen])]
    lines.append("## What the sources do not give")
    lines += [
        f"**{study['name']}**. {study['citation']}\n\n"
        + "\n".join(
            f"- {a['what']}" + (f": {a['value']}" if a["value"] is not None else "") + f"; {a['why']}"
            for a in study["assumed"]
        )
        for study in content["studies"]
        if study["assumed"]
    ]
    return "\n\n".join(lines)


def made_by(content):
    """Where the numbers of a validation come from, how many there are and what they cost."""
    about = content["halofix"]
    dirty = " with changes" if about.get("modified") is True else ""
    told = sum(point["predicted"] is not None for point in content["points"])
    sampled = "as by default" if content["samples"] is None else content["samples"]
    lines = [
        f"Made by `./halofix validate` on {content['date'][:10]}, halofix {about['version']} ({about['commit'][:10]}{dirty}); "
        f"resolution {content['resolution']}, samples of open inputs {sampled}; {told} of {len(content['points'])} points predicted; "
        f"the runs took {duration(content['seconds_simulated'])} in all, this call {duration(content['seconds_here'])}. "
        "A point without an interval is marked as such; what was not run says so."
    ]
    if content["commits"]:
        lines.append(f"Code of the runs: {', '.join(c[:10] + c[40:] for c in content['commits'])}.")
    lines += [VERDICTS, INTERVALS]
    return "\n\n".join(lines)


def _agreement(content):
    """Rows of the table of agreement."""
    return [
        {"group": row["group"], "points": row["points"]} | {title: number(row[key], form) for key, title, form in AGREEMENT}
        for row in content["agreement"]
    ]


def summary(content):
    """A row a study, how far off it is, and the agreement over like points, in Markdown."""
    rows = []
    for study in content["studies"]:
        points = [point for point in content["points"] if point["study"] == study["name"]]
        verdicts = [point["verdict"] for point in points]
        rank = next((r for r in content["ranking"] if r["study"] == study["name"]), None)
        told = rank and rank["pairs"] - rank["untold"]
        rows.append(
            {
                "study": study["name"],
                "specimens": study["kind"],
                "role": study["role"],
                "points": len(points),
                "predicted": sum(point["predicted"] is not None for point in points),
                "within the goal": verdicts.count("goal"),
                "accepted": verdicts.count("accepted"),
                "missed": verdicts.count("missed"),
                "not judged": sum(p["predicted"] is not None and not p["verdict"] for p in points),
                "pairs of arms in the right order": f"{rank['right']} of {told}" if told else "",
            }
        )
    return "\n\n".join([made_by(content), tables.markdown(rows), tables.markdown(_agreement(content))])


ABLATION = (
    "Mean absolute error with one thing made wrong on purpose, beside the model's own, over the points that both predict. An idea "
    "whose removal makes nothing worse does not earn its place. The last number is the error of the energy balance of the wrong model's runs."
)


def _ablation(row):
    if "right" in row:
        return {
            "model": row["model"],
            "group": row["group"],
            "points": row["points"],
            "own": row["right_own"],
            "with the change": row["right"],
            "energy balance within": "",
            "says": row["says"],
        }
    return {
        "model": row["model"],
        "group": row["group"],
        "points": row["points"],
        "own": f"{row['MAPE_own_percent']:.0f} %",
        "with the change": f"{row['MAPE_percent']:.0f} %",
        "energy balance within": f"{row['energy_error_percent']:.1f} %",
        "says": row["says"],
    }


MESHES = (
    "The same predictions on two meshes: how much of each is its mesh. Studies that are not here were run on one mesh only."
)


def _mesh(row):
    of = f" {row['unit']}" if row["unit"] else ""
    return {
        "study": row["study"],
        "what": row["what"],
        "mesh": row["resolution"],
        "predicted": _linked(f"{number(row['predicted'])}{of}", row["runs_coarse"]),
        "finer mesh": row["finer"],
        "there": row["why"]
        if row["predicted_finer"] is None
        else _linked(f"{number(row['predicted_finer'])}{of}", row["runs"]) + (f" ({row['why']})" if row["why"] else ""),
        "change": "" if row["change_percent"] is None else f"{row['change_percent']:+.1f} %",
    }


def _row(point):
    of = f" {point['unit']}" if point["unit"] else ""
    return {
        "study": point["study"],
        "what": point["what"],
        "measured": "–"
        if point["measured"] is None
        else f"{number(point['measured'])}"
        + (f" ± {number(point['sd'])}" if point["sd"] else "")
        + of
        + (f" ({point['uncounted']})" if point["uncounted"] else ""),
        "predicted": _predicted(point, of),
        "interval": interval(point),
        "off by": off_by(point),
        "in SD": number(point["standardised"], "+.1f") if point["standardised"] is not None else "",
        "verdict": verdict(point),
    }


def verdict(point):
    """'goal', 'accepted', 'missed' or nothing, and whether the prediction is a trend."""
    return f"{point['verdict']} {'(trend)' * (point['trend_from_mm'] is not None)}".strip()


def off_by(point):
    """'+7 %', or nothing where there is no error to tell."""
    if point["deviation_percent"] is None or point["kind"] == "correlation":
        return ""
    percent = round(point["deviation_percent"])
    return f"{percent:+d} %" if percent else "0 %"


def _predicted(point, of):
    """The prediction as links to the results behind it, or why there is none, or none of the test that was carried out."""
    if point["predicted"] is None:
        return point["why"]
    return _linked(f"{number(point['predicted'])}{of}", point["runs"]) + (f" ({point['why']})" if point["why"] else "")


def _linked(text, runs):
    """A number as links to the results behind it; runs: their names, separated by spaces."""
    first, *others = [f"runs/{name}/result.json" for name in runs.split()]
    return f"[{text}]({first})" + "".join(f" [({k})]({file})" for k, file in enumerate(others, start=2))
