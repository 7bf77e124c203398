"""Carrying scenarios out: check, mesh, solve, record. Results appear under their final name only when they are whole.

    run(path, out, ranks, resolution)       -> Result
    resume(directory, ranks)                -> Result
    prepare_mesh(path, resolution, cache)   makes the mesh that runs with the same `shared.Shared` and geometry share
    mesh(path, out, resolution, export)     -> lines to print
    report(directory)                       -> path of the report
"""

from contextlib import contextmanager, suppress
from dataclasses import dataclass
import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

from materials.ablation import edited
from scenarios import files, protocol, resultdir, solve as solver
from scenarios.assemble import Made, broken_bone, halo_made, mesh_key, parts, problem, stages, untouched
from scenarios.document import Problem
from scenarios.failure import judge
from scenarios.loader import BadScenario, read
from scenarios.progress import progress
from scenarios.provenance import provenance
from scenarios.result import SCHEMA, Result
from scenarios.shared import Shared, keep, link_mesh, link_test, take
from scenarios.trouble import BadInput, Environment
from scenarios.unfinished import left, unfinished

RESOLUTIONS = ("coarse", "standard", "fine")
COMMAND_LINE = "given on the command line"
LEAST = 1_000_000  # bytes free; with less a solver that dies without a word had no room for it
# what a run says of its last cycling
LOOSENING = ("load_at_loosening_N", "cycles_to_loosening", "static_capacity_N", "failure_type", "failure_evidence")

# a file that a directory of this kind holds -> (module, function) that writes its report; others are results of one scenario
WRITERS = {"comparison.csv": ("report", "comparison"), "validation.json": ("validation_report", "write"),
           "verification.json": ("verification_report", "write")}


@dataclass(frozen=True)
class How:
    """How a scenario is carried out.

    ranks: processes to solve on (None: as many as suit the model and the machine); resolution: in place of the file's; cache:
    `shared.Shared` of meshes and first tests that runs have in common; reported: with figures and report.html; edits: changes to the posed
    problem, see materials.ablation; brief: of cyclic steps nothing that neither loosening nor what comes after needs: no static curve, and a
    screw that has loosened at the end of the protocol is not pushed on to the stop (a third of the time).
    """

    ranks: int | None = None
    resolution: str | None = None
    cache: Shared | None = None
    reported: bool = True
    edits: dict | None = None
    brief: bool = False


def run(path, out=None, ranks=None, resolution=None, cache=None, reported=True, edits=None):
    """Carry out the scenario in file `path` and return its Result, also of a run that stopped short.

    out: result directory, by default results/<name>; the others as in `How`.
    Raises BadScenario (nothing is written), BadInput for an `out` in use by something else, Environment.
    """
    scenario, text = checked(path, resolution)
    solver.check_ranks(ranks)
    final = named(out) if out is not None else Path("results") / directory_name(scenario.name)
    return carried_out(path, scenario, text, final, How(ranks, resolution, cache, reported, edits), spare=True)


def resume(directory, ranks=None, cache=None, reported=True):
    """Go on with a run that was killed or interrupted, from its last checkpoint, and return its Result.

    directory: of the result, or where it was to be. ranks: as before if not given; on as many the history is the same.
    Raises BadInput if there is nothing to go on with.
    """
    final = named(directory)
    found = unfinished(final)
    earlier = _read_json(found / "provenance.json") or {}
    resolution, edits, brief = (earlier.get("options", {}).get(name) for name in ("resolution", "edits", "brief"))
    ranks = ranks or earlier.get("ranks")
    solver.check_ranks(ranks)
    scenario, _ = checked(found / "scenario.yaml", resolution)
    with solver.terminable(), _directory(final, start=found) as directory:
        _carry_out(final / "scenario.yaml", scenario, directory, How(ranks, resolution, cache, reported, edits, bool(brief)))
    return Result(final)


def carried_out(path, scenario, text, final, how, spare=False):
    """The Result of a checked scenario in directory `final`; spare: see `_directory`."""
    with solver.terminable(), _directory(final, spare=spare) as directory:
        _write_inputs(directory, scenario, text, how.resolution)
        _carry_out(path, scenario, directory, how)
    aside = _aside(final)
    return Result(aside if spare and _completed(final) and aside.is_dir() else final)


def _carry_out(path, scenario, directory, how):
    """All steps of a run that are not done yet, then its summary and report, in `directory`."""
    ranks = how.ranks or solver.usual_ranks(scenario.model)
    options = {name: value for name in ("resolution", "edits", "brief") if (value := getattr(how, name))}
    _write_json(directory / "provenance.json", provenance(directory, ranks, options))
    with progress(directory_name(scenario.name)) as show:
        begun = time.monotonic()
        outcome = {"status": "failed", "reason": "", "steps": []}
        try:
            for stage in stages(scenario):
                step = _solved(path, scenario, stage, directory, ranks, how, show)
                _add(outcome, stage, step, directory)
                if outcome["status"] != "completed":
                    break
        except solver.Interrupted:
            solver.last_words(directory / stage.folder)
            _add(outcome, stage, left(directory / stage.folder, stage, "interrupted") | {"interrupted": True}, directory)
        except KeyboardInterrupt:
            outcome |= {"status": "partial" if outcome["steps"] else "failed", "interrupted": True,
                        "reason": "interrupted before the load was applied"}
        except (BadInput, Environment) as error:
            if not outcome["steps"]:
                raise
            # only the finished cycling could tell that what follows does not fit: its result is kept
            outcome |= {"status": "partial", "reason": str(error)} | ({"exit_code": solver.ENVIRONMENT} if isinstance(error, Environment) else {})
        except Exception as error:  # a full disk, or a defect of halofix: the result directory keeps what is needed to find it
            with suppress(OSError), open(directory / "run.log", "a") as log:
                traceback.print_exc(file=log)
            if isinstance(error, OSError):
                found = left(directory / stage.folder, stage, error.strerror or str(error))
                _add(outcome, stage, found | {"exit_code": solver.ENVIRONMENT}, directory)
            else:
                outcome |= {"status": "partial" if outcome["steps"] else "failed", "broke_off": True}
                outcome["reason"] = f"internal error ({type(error).__name__}: {error}); run.log has the details"
        outcome["seconds_wall"] = round(time.monotonic() - begun, 1)
        try:
            _write_json(directory / "result.json", _summary(scenario, outcome))
        except OSError as error:
            came_to = f"{scenario.name}: {outcome['status']}, {outcome['reason']}"
            raise Environment(f"{came_to}; the result cannot be written ({error.strerror or error})") from error
        if how.reported:
            _write_json(directory / "provenance.json", provenance(directory, ranks, options))
            show.stage("interrupted, reporting" if outcome.get("interrupted") else "reporting")
            write_report(directory)
    if outcome["status"] == "completed":
        for stage in stages(scenario):  # states are large, and a run that is complete has no use for them
            for name in ("end.npz", "checkpoint.npz"):
                (directory / stage.folder / name).unlink(missing_ok=True)
    try:
        _write_json(directory / "provenance.json", provenance(directory, ranks, options))
    except OSError:
        if not how.reported:  # else figures have filled the disk, and what was written before them serves
            raise


def mesh(path, out=None, resolution=None, export=None):
    """Mesh the scenario in `path` into directory `out` (mesh.npz, mesh.msh, mesh.json, figures); yields lines to print.

    export: file to write the mesh to as well, in the format of its extension.
    """
    scenario, text = checked(path, resolution)
    final = named(out) if out is not None else Path("results") / f"{directory_name(scenario.name)}-mesh"
    if export is not None and not Path(export).resolve().parent.is_dir():
        raise BadInput(f"{export}: there is no directory {Path(export).parent} to write the mesh to")
    if export is not None and not os.access(Path(export).resolve().parent, os.W_OK):
        raise Environment(f"{export}: the directory {Path(export).resolve().parent} cannot be written to; name a file in another")
    with _directory(final, mark="mesh.json") as directory:
        _write_inputs(directory, scenario, text, resolution)
        _, lab_mesh = _mesh(path, scenario, stages(scenario)[0], directory)
        _write_json(directory / "mesh.json", lab_mesh.info)
        if export is not None:
            from meshes.labmesh import export as write

            with _mesh_errors(path):
                write(lab_mesh, export)
        serially("from scenarios import figures; figures.mesh(directory)", directory)
    volumes = ", ".join(f"{name} {volume / 1000:.3g} ml" for name, volume in lab_mesh.volumes().items())
    yield f"{scenario.name}: {len(lab_mesh.cells)} cells, {len(lab_mesh.points)} points; {volumes}"
    yield str(final)
    if export is not None:
        yield str(export)


def prepare_mesh(path, resolution, cache):
    """Mesh the scenario in `path`, as its first step finds it, into `cache`, for the runs that share it."""
    scenario, _ = checked(path, resolution)
    with tempfile.TemporaryDirectory(dir=cache.directory) as directory:
        _mesh(path, scenario, stages(scenario)[0], Path(directory), cache=cache)


def report(directory):
    """Write the report of a result directory, a comparison, a validation or a verification anew; returns its path."""
    directory = Path(directory)
    if not any((directory / file).exists() for file in WRITERS):
        Result(directory)  # says what is wrong with it
    if trouble := write_report(directory):
        raise Environment(f"the report could not be made: {trouble}")
    return directory / "report.html"


def directory_name(name):
    """Name of a scenario as a directory: letters, digits, dot, dash and underscore."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "scenario"


def named(path):
    """Path of a directory by its own name, which `.` and `here/..` are not."""
    path = Path(path)
    return path.resolve() if path.name in ("", "..") else path


# -- pieces ------------------------------------------------------------------------------------------------------------


def check_resolution(name):
    """Raises BadInput for a `name` that no resolution has; None is left to the scenario."""
    if name is not None and name not in RESOLUTIONS:
        raise BadInput(f"--resolution {name} is not possible; allowed: {', '.join(RESOLUTIONS)}")


def checked(path, resolution):
    """(Scenario, text) of a file without problems; the name is settled, the resolution replaced if asked."""
    check_resolution(resolution)
    reading = read(path)
    if reading.problems:
        raise BadScenario(path, reading.problems)
    for warning in reading.warnings:
        print(f"{warning.text(path)} (warning)", file=sys.stderr)
    change = {} if resolution is None else {"resolution": resolution}
    return reading.scenario.model_copy(update=change), reading.text


@contextmanager
def _directory(final, mark="result.json", start=None, spare=False):
    """A directory beside `final` that becomes `final` when the block ends. If the block raises, it stays where `resume` can go on with it.

    start: a directory to go on with. An earlier result (recognised by its `mark`) is replaced; with `spare` a completed one only by a
    completed one: else the new one goes to `_aside`. Anything else in the way is left alone: BadInput.
    """
    if start is None and final.exists() and (final.is_mount() or Path.cwd().is_relative_to(final.resolve())):
        raise BadInput(f"{final} is a mount point, or the working directory is in it: no result can take its place; name a folder below it")
    aside = _aside(final)
    if spare and aside.exists() and _completed(aside):
        raise BadInput(f"{aside} holds a completed result; move it, or name another place with --out")
    if final.exists() and not (final / mark).exists() and not (final.is_dir() and not any(final.iterdir())):
        raise BadInput(f"{final} exists and is not a halofix result; name another place with --out")
    if spare and _completed(final):
        finished = (_read_json(final / "provenance.json") or {}).get("finished", "an earlier run")
        print(f"{final}: the result of {finished} is replaced when this run completes", file=sys.stderr)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".{final.name}.{os.getpid()}.tmp"
    if start is None:
        shutil.rmtree(temporary, ignore_errors=True)  # what an earlier run of this process has left
        temporary.mkdir()
    else:
        start.rename(temporary)
    try:
        yield temporary
    except BaseException:
        if start is None and not any(temporary.rglob("problem.json")):  # nothing was given to the solver yet
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            print(f"halofix: what was computed is kept; to go on: ./halofix run --resume {final}", file=sys.stderr)
        raise
    if spare and (aside / "result.json").exists():  # of a run before that was not completed
        shutil.rmtree(aside)
    if spare and _completed(final) and not _completed(temporary):  # what is whole is not given for what is not
        temporary.rename(aside)
        print(f"{final} keeps its earlier result, which is complete; what this run came to is in {aside}", file=sys.stderr)
    elif final.exists():
        old = final.parent / f".{final.name}.{os.getpid()}.old"
        final.rename(old)
        temporary.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    else:
        temporary.rename(final)


def _aside(final):
    """Where a run goes that was not completed while the directory `final` holds one that was."""
    return final.with_name(f"{final.name}.unfinished")


def _completed(directory):
    """Whether a directory holds a completed result."""
    return (_read_json(directory / "result.json") or {}).get("status") == "completed"


def _write_inputs(directory, scenario, text, resolution):
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


def _mesh(path, scenario, stage, directory, made=None, cache=None):
    """(Parts, LabMesh) of a scenario before `stage`; writes mesh.npz and mesh.msh, or takes them from the cache.

    made: what cycling has made, of which no two meshes are the same.
    """
    import meshes
    from meshes.labmesh import LabMesh

    found = parts(scenario, stage, made)
    kept = cache.mesh(mesh_key(found)) if cache and made is None else None
    if kept and take(kept, directory):
        return found, LabMesh.load(directory / "mesh.npz")
    with _mesh_errors(path):
        lab_mesh = meshes.build(found.specimen, found.screw, found.halo, found.cement, found.resolution, found.model)
        lab_mesh.save(directory / "mesh.npz")
        lab_mesh.to_msh(directory / "mesh.msh")
    if kept:
        keep(directory, kept, link_mesh)
    return found, lab_mesh


def _solved(path, scenario, stage, directory, ranks, how, show):
    """Outcome of the solver for one stage, also of one that broke down; what an earlier run has finished is not repeated."""
    folder = directory / stage.folder
    folder.mkdir(exist_ok=True)
    done = _read_json(folder / "outcome.json")
    if done and done["status"] == "completed" and (folder / "end.npz").exists():
        return done
    if _read_json(folder / "problem.json") is None:
        show.stage(f"{stage.kind}: meshing")
        _prepare(path, scenario, stage, directory, how)
    first, *later = stages(scenario)
    kept = how.cache.step(folder, ranks) if how.cache and later and stage == first else None
    if kept and take(kept, folder):
        show.stage(f"{stage.kind}: the same as in an earlier run, taken over")
        return _taken_over(folder)
    show.stage(f"{stage.kind}: solving")
    code = solver.solve(folder, ranks, show.step)
    words = solver.last_words(folder)
    outcome = _read_json(folder / "outcome.json")
    if outcome is not None and code in (solver.COMPLETED, solver.STOPPED_SHORT):
        if kept and outcome["status"] == "completed":
            keep(folder, kept, link_test)
        return outcome
    if code == solver.ENVIRONMENT:
        return {"status": "failed", "reason": words or "the solver could not be started as asked", "exit_code": 4}
    if not words and shutil.disk_usage(folder).free < LEAST:
        words = "no space is left on the disk"
    for half in folder.glob("*.tmp.npz"):  # a state that it was writing: the result needs the room
        half.unlink()
    ended = f"the solver ended unexpectedly (code {code})" + (f": {words}" if words else "")
    return left(folder, stage, ended) | {"broke_off": True}


def _taken_over(folder):
    """Outcome of a test that another run has solved; its time is counted there."""
    outcome = _read_json(folder / "outcome.json")
    outcome["step"]["taken_over"] = True
    _write_json(folder / "outcome.json", outcome)
    return outcome


def _prepare(path, scenario, stage, directory, how):
    """Mesh and problem of a stage; the mesh of the stage before serves on if nothing was done to the specimen."""
    from meshes.labmesh import LabMesh

    folder = directory / stage.folder
    before = next((s for s in reversed(stages(scenario)) if s.index < stage.index), None)
    start, made = None, None
    if before:
        earlier = directory / before.folder
        made = _made(scenario, stage, directory)
        same = untouched(scenario, before, stage) and parts(scenario, stage, made) == parts(scenario, before, made)
        start = {"from": f"../{before.folder}", "same_mesh": same}
    if start and start["same_mesh"]:
        found = parts(scenario, stage, made)
        link_mesh(earlier, folder)
        lab_mesh = LabMesh.load(folder / "mesh.npz")
    else:
        found, lab_mesh = _mesh(path, scenario, stage, folder, made, how.cache)
    posed = edited(problem(scenario, stage, found, lab_mesh), how.edits or {}) | ({"start": start} if start else {})
    after = [kind for _, kind, _ in scenario.steps()[stage.index + 1 : stage.index + 2]]
    posed["followed"] = after in (["cycle"], ["pullout"])  # then the specimen is unloaded first; else nothing keeps its stress
    posed |= {"last": not after} | ({"brief": True} if how.brief else {})
    _write_json(folder / "problem.json", posed)


def _made(scenario, stage, directory):
    """What the last cycling before the cement of `stage` went in had Made of the bone; None if there is no such cement."""
    from meshes.labmesh import LabMesh

    cement = next((i for i, kind, _ in scenario.steps()[: stage.index] if kind == "augment"), None)
    maker = next((s for s in reversed(stages(scenario)) if s.kind == "cycle" and cement is not None and s.index < cement), None)
    document = _read_json(directory / maker.folder / "halo.json") if maker else None
    found = parts(scenario, maker) if document and document["snapshots"] else None
    if not found:
        return None
    folder = directory / maker.folder
    damage = resultdir.fields(folder, "state.vtu")[1]["damage"]
    broken = broken_bone(LabMesh.load(folder / "mesh.npz"), damage > document["threshold"])
    return Made(halo_made(document, found.screw, scenario.specimen), broken)


def _add(outcome, stage, found, directory):
    """Enter what one stage has come to into the outcome of the run."""
    folder = directory / stage.folder
    posed = _read_json(folder / "problem.json") or {}
    if (step := found.get("step")) and step.get("taken_over"):
        found = found | {"seconds": {}, "seconds_total": 0.0}
    if step:
        outcome["steps"].append({"directory": stage.folder} | step | judge(folder, step, posed))
    for key in ("newton_iterations", "cutbacks", "preconditioners", "seconds_total"):
        if key in found:
            outcome[key] = round(outcome.get(key, 0) + found[key], 2)
    if "memory_MiB" in found:
        outcome["memory_MiB"] = max(outcome.get("memory_MiB", 0), found["memory_MiB"])
    seconds = outcome.setdefault("seconds", {})
    for phase, amount in found.get("seconds", {}).items():
        seconds[phase] = round(seconds.get(phase, 0.0) + amount, 2)
    summed = {"step", "newton_iterations", "cutbacks", "preconditioners", "seconds_total", "memory_MiB", "seconds"}
    outcome |= {key: value for key, value in found.items() if key not in summed}
    outcome["warnings"] = list(dict.fromkeys(outcome.get("warnings", []) + posed.get("warnings", [])))
    if outcome["status"] == "failed" and outcome["steps"]:
        outcome["status"] = "partial"


def _summary(scenario, outcome):
    """result.json: the run, and its steps in protocol order."""
    solved = iter(outcome["steps"])
    steps = []
    for _, kind, body in scenario.steps():
        if kind in ("cycle", "pullout"):
            steps.append({"kind": kind} | next(solved, {}))
        else:
            steps.append({"kind": kind} | _step_summary(kind, body, scenario))
    run = {"schema": SCHEMA, "name": scenario.name, "model": scenario.model}
    run |= {"status": outcome["status"], "reason": outcome["reason"], "steps": steps}
    # The numbers of the pull, of the last cycling and of the solution are the numbers of the run; what pull and cycling
    # both have is the pull's.
    pull = [step for step in steps if step["kind"] == "pullout"]
    cycle = [{key: step[key] for key in LOOSENING if key in step} for step in steps if step["kind"] == "cycle"]
    for numbers in (*pull, *[numbers for numbers in cycle if numbers][-1:], outcome):
        run |= {key: value for key, value in numbers.items() if key not in run and key not in ("kind", "directory")}
    return run


def _step_summary(kind, body, scenario):
    """What a step that needs no solver has done, with units in the keys."""
    if kind == "halo":
        return {"thickness_mm": body.thickness, "shape": body.shape, "content": body.content}
    if kind == "augment":
        return {"volume_ml": protocol.volume(body, scenario.specimen) / 1000, "target": body.target}
    if kind == "revise":
        screw = protocol.screws(scenario)[-1][1]
        return {"diameter_mm": screw.diameter, "length_mm": screw.length, "core_diameter_mm": screw.core_diameter}
    return {}


def write_report(directory):
    """Figures and report of what is in a directory; returns what went wrong, or '': a run is worth keeping anyway."""
    module, function = next((writer for file, writer in WRITERS.items() if (directory / file).exists()), ("report", "single"))
    return serially(f"from scenarios import {module}; {module}.{function}(directory)", directory)


def serially(code, directory):
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
    files.replace(file, json.dumps(data, indent=1) + "\n")


def _read_json(file):
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None
