"""What a run that was killed or broke off has left: the directory it worked in, and what its tables still say."""

import csv
from math import inf
import os

import psutil

from scenarios.result import Result
from scenarios.trouble import BadInput


def unfinished(final):
    """The directory that an unfinished run has left: `final` itself, or the one that a killed run worked in."""
    if (final / "result.json").exists() and Result(final).status == "completed":
        raise BadInput(f"{final}: this run is complete; there is nothing to go on with")
    if process := running(final):
        raise BadInput(f"{final}: the run is still going on (process {process})")
    for directory in (*reversed(working(final)), final):
        if (directory / "scenario.yaml").exists() and (directory / "provenance.json").exists():
            return directory
    raise BadInput(f"{final}: there is no unfinished run here or beside it (.{final.name}.*.tmp)")


def running(final):
    """Number of the process that works on the result `final` at this moment, or None."""
    processes = ((int(directory.name.split(".")[-2]), directory.stat().st_mtime) for directory in reversed(working(final)))
    return next((process for process, used in processes if process != os.getpid() and _began(process) <= used + 1.0), None)


def working(final):
    """The directories that runs of `final` work in or have left, the oldest first."""
    return sorted(final.parent.glob(f".{final.name}.*.tmp"), key=lambda d: d.stat().st_mtime)


def _began(process):
    """When a process began, s since 1970: one that began after a directory was last used has only the number of its owner. Never, where
    there is no such process."""
    try:
        return psutil.Process(process).create_time()
    except psutil.NoSuchProcess:
        return inf
    except psutil.AccessDenied:
        return 0.0


def left(folder, stage, reason):
    """What the tables of an unfinished step still say, as an outcome."""
    step = (_from_curve if stage.kind == "pullout" else _from_cycles)(folder)
    if not step:
        return {"status": "failed", "reason": f"{reason} before the first step of the {stage.kind}"}
    where = f"{step.get('displacement_at_end_mm', step.get('head_displacement_mm')):.3f} mm and "
    where += f"{step.get('force_at_end_N', step.get('peak_load_N')):.0f} N"
    if stage.kind == "cycle":
        where += f" after {step['cycles']:.0f} cycles"
    return {"status": "partial", "reason": f"{reason} at {where}", "step": step}


def _from_curve(folder):
    """What the curve of an unfinished pull still says, or None."""
    points = [(row["displacement_mm"], row["force_N"]) for row in _rows(folder / "curve.csv", "displacement_mm", "force_N")]
    if not points:
        return None
    at, most = max(points, key=lambda point: point[1])
    return {"kind": "pullout", "status": "partial", "largest_force_N": most, "displacement_at_largest_force_mm": at,
            "displacement_at_end_mm": points[-1][0], "force_at_end_N": points[-1][1]}


def _from_cycles(folder):
    """What the table of an unfinished cyclic step still says, or None."""
    keys = ("cycles", "peak_load_N", "head_displacement_mm", "angle_deg", "axial_displacement_mm", "halo_volume_mm3")
    rows = _rows(folder / "cycles.csv", *keys)
    return {"kind": "cycle", "status": "partial", "loosened": False} | rows[-1] if rows else None


def _rows(file, *keys):
    """Rows of a table of numbers, as far as it can be read."""
    try:
        with open(file, newline="") as stream:
            return [{key: float(row[key]) for key in keys} for row in csv.DictReader(stream)]
    except (OSError, KeyError, TypeError, ValueError):
        return []
