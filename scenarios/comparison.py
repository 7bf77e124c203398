"""Several scenarios carried out side by side.

    compare(paths, out, ranks, resolution)  -> Comparison
"""

import csv
from pathlib import Path
import sys
import tempfile

from scenarios import runner
from scenarios import solve as solver
from scenarios.result import COLUMNS, Comparison
from scenarios.shared import Shared
from scenarios.trouble import BadInput, Environment

_NUMBERS = (
    "peak_force_N", "stiffness_N_per_mm", "displacement_at_peak_mm", "energy_to_peak_N_mm", "micromotion_um",
    "load_at_loosening_N", "cycles_to_loosening", "failure_type",
)  # fmt: skip


def compare(paths, out=None, ranks=None, resolution=None):
    """Carry out several scenarios into `out`/<stem of the file>, write comparison.csv and report.html there.

    All files are checked before the first one runs; a run that fails does not keep the others from running. A first test that
    several scenarios have in common, such as the cycling before each revision, is solved once. A completed result is replaced by a
    completed one only, as by `run`; the table says where each of its results is.
    """
    paths = [Path(path) for path in paths]
    stems = [path.stem for path in paths]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise BadInput(f"several scenario files are called {', '.join(twice)}; each would overwrite the other")
    checked, problems = [], []
    for path in paths:
        try:
            checked.append(runner.checked(path, resolution))
        except BadInput as error:
            problems.append(str(error))
    if problems:
        raise BadInput("\n".join(problems))
    solver.check_ranks(ranks)
    directory = Path(out) if out is not None else Path("results") / "comparison"
    table = directory / "comparison.csv"
    if directory.exists() and any(directory.iterdir()) and not table.exists():
        raise BadInput(f"{directory} exists and is not a comparison; name another place with --out")
    directory.mkdir(parents=True, exist_ok=True)
    rows = []
    for old in (directory / "report.html", *directory.glob("figures/*.png")):
        old.unlink(missing_ok=True)  # what an earlier comparison has found would pass for what this one finds
    _write_comparison(table, rows)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".shared") as shared:
        how = runner.How(ranks, resolution, Shared(Path(shared), steps=True))
        for path, (scenario, text) in zip(paths, checked, strict=True):
            rows.append({"scenario": path.stem, "name": scenario.name} | _outcome(path, scenario, text, directory / path.stem, how))
            _write_comparison(table, rows)
            if rows[-1]["interrupted"]:
                break
    try:
        runner.write_report(directory)
    except KeyboardInterrupt:
        print(f"halofix: the runs are through; to write their report: ./halofix report {directory}", file=sys.stderr)
        raise
    return Comparison(directory)


def _outcome(path, scenario, text, final, how):
    """What the row of one scenario says of it; a completed result of an earlier comparison stays, and is not in the row."""
    earlier = (final / "result.json").exists()
    try:
        result = runner.carried_out(path, scenario, text, final, how, spare=True)
    except (BadInput, Environment, OSError) as error:
        kept = f"; {final.name} is the result of an earlier run" if earlier else ""
        return {"status": "failed", "reason": f"{error}{kept}", "interrupted": False}
    row = {key: result.summary.get(key) for key in ("status", "reason", "interrupted", *_NUMBERS)}
    if result.directory != final:
        row["reason"] += f"; {final.name} is the completed result of an earlier run, this one is in {result.directory.name}"
    return row | {"directory": result.directory.name}


def _write_comparison(file, rows):
    """comparison.csv: one row a scenario; ratios are to the first scenario."""
    shown = [column for column, _, _ in COLUMNS]
    columns = ["scenario", "name", "status", *shown, *(key for key in _NUMBERS if key not in shown), "reason", "directory"]
    for key, ratio in (("peak_force_N", "peak_force_ratio"), ("load_at_loosening_N", "load_at_loosening_ratio")):
        reference = rows[0].get(key) if rows else None
        for row in rows:
            force = row.get(key)
            row[ratio] = force / reference if force is not None and reference else None
    temporary = file.with_suffix(".tmp")
    with open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)
    temporary.rename(file)
