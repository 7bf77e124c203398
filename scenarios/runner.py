"""Carrying scenarios out: check, mesh, solve, record. Results appear under their final name only when they are whole.

    run(path, out, ranks, resolution)       -> Result
    compare(paths, out, ranks, resolution)  -> Comparison
    mesh(path, out, resolution, export)     -> lines to print
    report(directory)                       -> path of the report
"""

from contextlib import contextmanager
import csv
import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import time
import traceback

from scenarios import solve as solver
from scenarios.document import Problem
from scenarios.failure import judge
from scenarios.loader import BadScenario, read
from scenarios.progress import progress
from scenarios.result import COLUMNS, SCHEMA, Comparison, Result
from scenarios.trouble import BadInput, Environment

RESOLUTIONS = ("coarse", "standard", "fine")
COMMAND_LINE = "given on the command line"


def run(path, out=None, ranks=None, resolution=None):
    """Carry out the scenario in file `path` and return its Result, also of a run that stopped short.

    out: result directory, by default results/<name>; ranks: processes to solve on (None: as many as suit the model and the
    machine); resolution: in place of the file's.
    Raises BadScenario (nothing is written), BadInput for an `out` in use by something else, Environment.
    """
    scenario, text = _checked(path, resolution)
    solver.check_ranks(ranks)
    final = Path(out) if out is not None else Path("results") / directory_name(scenario.name)
    return _run(path, scenario, text, final, ranks, resolution)


def _run(path, scenario, text, final, ranks, resolution):
    ranks = ranks or solver.usual_ranks(scenario.model)
    with _directory(final) as directory, progress(Path(path).stem) as show:
        begun = time.monotonic()
        _write_inputs(directory, path, scenario, text, resolution)
        outcome = {"status": "failed", "reason": "", "steps": []}
        show.stage("meshing")
        try:
            made, lab_mesh = _mesh(path, scenario, directory)
            posed = _pose(scenario, made, lab_mesh, directory)
            show.stage("solving")
            outcome |= _solve(directory, ranks, show) | {"warnings": posed["warnings"]}
            outcome["steps"] = [step | judge(directory, step, posed) for step in outcome["steps"]]
        except solver.Interrupted:
            outcome |= _interrupted(directory)
        except KeyboardInterrupt:
            outcome["reason"] = "interrupted before the pull began"
        except (BadInput, Environment):
            raise
        except Exception as error:  # a defect of halofix: the result directory keeps what is needed to find it
            with open(directory / "run.log", "a") as log:
                traceback.print_exc(file=log)
            outcome["reason"] = f"internal error ({type(error).__name__}: {error}); run.log has the details"
        outcome["seconds_wall"] = round(time.monotonic() - begun, 1)
        _write_json(directory / "result.json", _summary(scenario, outcome))
        show.stage("reporting")
        _write_report(directory)
        options = {"resolution": resolution} if resolution else {}
        _write_json(directory / "provenance.json", _provenance(directory, ranks, options))
    return Result(final)


def compare(paths, out=None, ranks=None, resolution=None):
    """Carry out several scenarios into `out`/<stem of the file>, write comparison.csv and report.html there.

    All files are checked before the first one runs; a run that fails does not keep the others from running.
    """
    paths = [Path(path) for path in paths]
    stems = [path.stem for path in paths]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise BadInput(f"several scenario files are called {', '.join(twice)}; each would overwrite the other")
    checked, problems = [], []
    for path in paths:
        try:
            checked.append(_checked(path, resolution))
        except BadInput as error:
            problems.append(str(error))
    if problems:
        raise BadInput("\n".join(problems))
    solver.check_ranks(ranks)
    directory = Path(out) if out is not None else Path("results") / "comparison"
    directory.mkdir(parents=True, exist_ok=True)
    rows = []
    for path, (scenario, text) in zip(paths, checked, strict=True):
        row = {"scenario": path.stem, "name": scenario.name}
        try:
            result = _run(path, scenario, text, directory / path.stem, ranks, resolution)
        except (BadInput, Environment, OSError) as error:
            rows.append(row | {"status": "failed", "reason": str(error)})
            _forget(directory / path.stem)
            continue
        rows.append(row | {key: result.summary.get(key) for key in ("status", "reason", *_NUMBERS)})
        if result.summary.get("interrupted"):
            break
    _write_comparison(directory / "comparison.csv", rows)
    _write_report(directory)
    return Comparison(directory)


def _forget(directory):
    """Remove the result of an earlier comparison: beside today's failure it would pass for today's."""
    if (directory / "result.json").exists():
        shutil.rmtree(directory)


_NUMBERS = (
    "peak_force_N", "stiffness_N_per_mm", "displacement_at_peak_mm", "energy_to_peak_N_mm", "micromotion_um",
    "failure_type",
)  # fmt: skip


def _write_comparison(file, rows):
    """comparison.csv: one row a scenario; peak_force_ratio is to the first scenario."""
    reference = rows[0].get("peak_force_N") if rows else None
    columns = ["scenario", "name", "status", *[c for c, _, _ in COLUMNS], *_NUMBERS[3:], "reason"]
    for row in rows:
        force = row.get("peak_force_N")
        row["peak_force_ratio"] = force / reference if force is not None and reference else None
    temporary = file.with_suffix(".tmp")
    with open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)
    temporary.rename(file)


def mesh(path, out=None, resolution=None, export=None):
    """Mesh the scenario in `path` into directory `out` (mesh.npz, mesh.msh, mesh.json, figures); yields lines to print.

    export: file to write the mesh to as well, in the format of its extension.
    """
    scenario, text = _checked(path, resolution)
    final = Path(out) if out is not None else Path("results") / f"{directory_name(scenario.name)}-mesh"
    if export is not None and not Path(export).resolve().parent.is_dir():
        raise BadInput(f"{export}: there is no directory {Path(export).parent} to write the mesh to")
    with _directory(final, mark="mesh.json") as directory:
        _write_inputs(directory, path, scenario, text, resolution)
        _, lab_mesh = _mesh(path, scenario, directory)
        _write_json(directory / "mesh.json", lab_mesh.info)
        if export is not None:
            from meshes.labmesh import export as write

            with _mesh_errors(path):
                write(lab_mesh, export)
        _serially("from scenarios import figures; figures.mesh(directory)", directory)
    volumes = ", ".join(f"{name} {volume / 1000:.3g} ml" for name, volume in lab_mesh.volumes().items())
    yield f"{scenario.name}: {len(lab_mesh.cells)} cells, {len(lab_mesh.points)} points; {volumes}"
    yield str(final)
    if export is not None:
        yield str(export)


def report(directory):
    """Write the report of a result directory or a comparison anew; returns its path."""
    directory = Path(directory)
    if not (directory / "comparison.csv").exists():
        Result(directory)  # says what is wrong with it
    if trouble := _write_report(directory):
        raise Environment(f"the report could not be made: {trouble}")
    return directory / "report.html"


def directory_name(name):
    """Name of a scenario as a directory: letters, digits, dot, dash and underscore."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "scenario"


# -- pieces ------------------------------------------------------------------------------------------------------------


def _checked(path, resolution):
    """(Scenario, text) of a file without problems; the name is settled, the resolution replaced if asked."""
    if resolution is not None and resolution not in RESOLUTIONS:
        raise BadInput(f"--resolution {resolution} is not possible; allowed: {', '.join(RESOLUTIONS)}")
    reading = read(path)
    if reading.problems:
        raise BadScenario(path, reading.problems)
    for warning in reading.warnings:
        print(f"{warning.text(path)} (warning)", file=sys.stderr)
    change = {} if resolution is None else {"resolution": resolution}
    return reading.scenario.model_copy(update=change), reading.text


@contextmanager
def _directory(final, mark="result.json"):
    """A directory beside `final` that becomes `final` when the block ends, and vanishes if it raises.

    An earlier result (recognised by its `mark`) is replaced; anything else in the way is left alone: BadInput.
    """
    if final.exists() and not (final / mark).exists() and not (final.is_dir() and not any(final.iterdir())):
        raise BadInput(f"{final} exists and is not a halofix result; name another place with --out")
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".{final.name}.{os.getpid()}.tmp"
    temporary.mkdir()
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if final.exists():
        old = final.parent / f".{final.name}.{os.getpid()}.old"
        final.rename(old)
        temporary.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    else:
        temporary.rename(final)


def _write_inputs(directory, path, scenario, text, resolution):
    from scenarios.resolved import resolved_text

    (directory / "scenario.yaml").write_text(text)
    overrides = {("resolution",): (resolution, COMMAND_LINE)} if resolution else {}
    (directory / "resolved.yaml").write_text(resolved_text(scenario, overrides))


@contextmanager
def _mesh_errors(path):
    """What the mesher finds impossible is bad input: it was wrong in a way that only the geometry could tell."""
    from meshes.specimen import MeshError

    try:
        yield
    except MeshError as error:
        raise BadScenario(path, [Problem((), 0, str(error))]) from error


def _mesh(path, scenario, directory):
    """(Parts, LabMesh) of a scenario; writes mesh.npz and mesh.msh."""
    import meshes
    from scenarios.assemble import parts

    made = parts(scenario)
    with _mesh_errors(path):
        lab_mesh = meshes.build(made.specimen, made.screw, made.halo, made.cement, made.resolution, made.model)
        lab_mesh.save(directory / "mesh.npz")
        lab_mesh.to_msh(directory / "mesh.msh")
    return made, lab_mesh


def _pose(scenario, made, lab_mesh, directory):
    from scenarios.assemble import problem

    posed = problem(scenario, made, lab_mesh)
    _write_json(directory / "problem.json", posed)
    return posed


def _solve(directory, ranks, show):
    """Outcome of the solver, also of one that broke down."""
    code = solver.solve(directory, ranks, show.step)
    words = solver.last_words(directory)
    outcome = _read_json(directory / "outcome.json")
    if outcome is not None and code in (solver.COMPLETED, solver.STOPPED_SHORT):
        return outcome
    if code == solver.ENVIRONMENT:
        return {"reason": words or "the solver could not be started as asked", "exit_code": 4}
    steps = _from_curve(directory)
    reason = f"the solver ended unexpectedly (code {code})" + (f": {words}" if words else "") + _where_it_stopped(steps)
    return {"status": "partial" if steps else "failed", "reason": reason, "steps": steps}


def _interrupted(directory):
    solver.last_words(directory)
    steps = _from_curve(directory)
    reason = f"interrupted{_where_it_stopped(steps)}"
    return {"status": "partial" if steps else "failed", "reason": reason, "steps": steps, "interrupted": True}


def _from_curve(directory):
    """What the curve of an unfinished pull still says: [] or one pullout step."""
    try:
        with open(directory / "curve.csv", newline="") as stream:
            points = [(float(r["displacement_mm"]), float(r["force_N"])) for r in csv.DictReader(stream)]
    except (OSError, KeyError, TypeError, ValueError):
        return []
    if not points:
        return []
    at, most = max(points, key=lambda point: point[1])
    return [
        {
            "kind": "pullout",
            "status": "partial",
            "largest_force_N": most,
            "displacement_at_largest_force_mm": at,
            "displacement_at_end_mm": points[-1][0],
            "force_at_end_N": points[-1][1],
        }
    ]


def _where_it_stopped(steps):
    if not steps:
        return " before the first step of the pull"
    return f" at {steps[-1]['displacement_at_end_mm']:.3f} mm and {steps[-1]['force_at_end_N']:.0f} N"


def _summary(scenario, outcome):
    """result.json: the run, and its steps in protocol order."""
    solved = iter(outcome["steps"])
    steps = []
    for _, kind, body in scenario.steps():
        if kind == "pullout":
            steps.append({"kind": kind} | next(solved, {}))
        else:
            steps.append({"kind": kind} | _step_summary(kind, body, scenario))
    pull = next(step for step in steps if step["kind"] == "pullout")
    run = {"schema": SCHEMA, "name": scenario.name, "model": scenario.model}
    run |= {"status": outcome["status"], "reason": outcome["reason"], "steps": steps}
    # The numbers of the pull and of the solution are the numbers of the run.
    for numbers in (pull, outcome):
        run |= {key: value for key, value in numbers.items() if key not in run and key != "kind"}
    return run


def _step_summary(kind, body, scenario):
    """What a step that needs no solver has done, with units in the keys."""
    from scenarios import protocol

    if kind == "halo":
        return {"thickness_mm": body.thickness, "shape": body.shape, "content": body.content}
    if kind == "augment":
        return {"volume_ml": protocol.volume(body, scenario.specimen) / 1000, "target": body.target}
    if kind == "revise":
        screw = protocol.screws(scenario)[-1][1]
        return {"diameter_mm": screw.diameter, "length_mm": screw.length, "core_diameter_mm": screw.core_diameter}
    return {}


def _provenance(directory, ranks, options):
    from scenarios.provenance import provenance

    return provenance(directory, ranks, options)


def _write_report(directory):
    """Figures and report of a result or a comparison; returns what went wrong, or '': a run is worth keeping anyway."""
    kind = "comparison" if (directory / "comparison.csv").exists() else "single"
    return _serially(f"from scenarios import report; report.{kind}(directory)", directory)


def _serially(code, directory):
    """Run `code` in a process of its own (drawing and MPI do not mix); returns what went wrong, or ''."""
    setting = "import sys; from pathlib import Path; directory = Path(sys.argv[1]); "
    command = [sys.executable, "-c", setting + code, str(directory.resolve())]
    done = subprocess.run(command, env=solver.environment(), capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return ""
    words = ([line for line in done.stderr.splitlines() if line.strip()] or [f"code {done.returncode}"])[-1]
    print(f"halofix: no figures or report ({words})", file=sys.stderr)
    return words


def _write_json(file, data):
    file.write_text(json.dumps(data, indent=1) + "\n")


def _read_json(file):
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None
