"""From a sweep file to its cases: complete scenarios, each checked, named by the hash of what they resolve to, of the laws and of the code.

    made(file)                  -> Plan         raises BadInput with everything that is wrong
    Plan.write(directory)                       plan.json, base.yaml, sweep.yaml of the sweep's directory
    load(directory)             -> dict         what plan.json says

A sweep's directory: cases/<case>/scenario.yaml and result/, outcomes/<case>.json once a case is through, meshes/<mesh>/,
table.csv, table.parquet, figures/, report.html.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
import hashlib
import json
from math import ceil
from pathlib import Path
import re

from materials.ablation import INPUTS, within_limits
from scenarios import files
from scenarios import solve as solver
from scenarios.assemble import mesh_key, parts, stages
from scenarios.document import Problem, read_document
from scenarios.loader import did_you_mean, judged
from scenarios.provenance import laws, source
from scenarios.result import NUMBERS
from scenarios.sweeps import designs, spec
from scenarios.sweeps.parameters import BadValue, parameter
from scenarios.trouble import BadInput
from scenarios.variation import change, step_index

SCHEMA = 2
# what the outcome of a case follows from
PHYSICS = ("fem/*.py", "materials/*.py", "meshes/*.py", *(f"scenarios/{name}.py" for name in ("assemble", "protocol", "runner", "failure")))
JOBS = 500  # so many jobs a batch system is asked for at most; more cases go into jobs of several
SHOWN = 10  # broken cases that are named


@dataclass(frozen=True)
class Plan:
    """A sweep, expanded. points: [{case, replicate, values, share}, ...], a row of the table each; cases: {case: {changes,
    edits, mesh}}, each run once (edits: those of the changes that no scenario names); batches: {name: [case, ...]}; columns: {path: heading}."""

    name: str
    design: str
    parameters: tuple
    outputs: tuple
    points: tuple
    cases: dict
    batches: dict
    ranks: int
    resolution: str | None
    keep: str
    base: str
    sweep: str

    @property
    def meshes(self):
        """{mesh: [case, ...]}: the meshes that the cases begin with."""
        found = {}
        for case, what in self.cases.items():
            found.setdefault(what["mesh"], []).append(case)
        return found

    def write(self, directory):
        """Make `directory` that of this plan; what it holds of finished cases stays."""
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("cases", "outcomes", "meshes", "batches"):
            (directory / name).mkdir(exist_ok=True)
        files.replace(directory / "base.yaml", self.base)
        files.replace(directory / "sweep.yaml", self.sweep)
        known = {name: getattr(self, name) for name in Plan.__dataclass_fields__ if name not in ("base", "sweep")}
        known["parameters"] = [{"path": p.path, "unit": p.unit, "column": p.column, "numeric": p.numeric, "levels": p.levels, "bounded": p.bounded} for p in self.parameters]
        shared = [mesh for mesh, cases in self.meshes.items() if len(cases) > 1]
        files.replace(directory / "plan.json", json.dumps({"schema": SCHEMA, "source": source(*PHYSICS)} | known | {"shared_meshes": shared}, indent=0))


def load(directory):
    """plan.json of a sweep's directory. Raises BadInput if it is none."""
    try:
        plan = json.loads((Path(directory) / "plan.json").read_text())
    except (OSError, ValueError):
        raise BadInput(f"{directory}: this is not the directory of a sweep; it has no plan.json") from None
    if plan["schema"] != SCHEMA:
        raise BadInput(f"{directory}: planned by another version of halofix; `./halofix sweep FILE --out {directory}` plans it anew")
    return plan


def made(file, ranks=None):
    """The Plan of a sweep file; every case is a scenario without problems. ranks: in place of the file's.

    Raises BadInput: problems of the sweep file with their lines, or of its base scenario, or of single cases.
    """
    file = Path(file)
    sweep, document = spec.read(file)
    if sweep is None:
        raise _bad(file, document)
    path = file.parent / sweep.scenario
    base_document = read_document(path)
    base = judged(base_document, path)
    if base.problems:
        for problem in base.problems:
            if not problem.line:  # no such file, or none that can be read
                document.add(("scenario",), problem.text(path))
        raise _bad(file, document, "\n".join(problem.text(path) for problem in base.problems if problem.line))
    parameters, points, of_table = [], [], ""
    if sweep.design.kind == "csv":
        try:
            parameters, points = designs.table(file.parent / sweep.design.file, base.scenario)
        except BadInput as error:
            of_table = str(error)
    else:
        for name, values in sweep.parameters.items():
            try:
                parameters.append(parameter(base.scenario, name, values))
                if name not in INPUTS:
                    change(deepcopy(base_document.data), {name: None})
            except BadValue as error:
                if ("parameters", name, error.where) not in document.flagged:
                    document.add(("parameters", name, error.where), str(error))
            except BadInput as error:
                document.add(("parameters", name), str(error).removeprefix(f"`{name}`: "))
    varied = [p.path for p in parameters if p.path.split(".")[0] == "resolution"]
    if sweep.resolution and varied:
        document.add(("resolution",), f"`{varied[0]}` is varied, and this would stand in place of its values; leave it out")
    outputs = _outputs(sweep, base.scenario, document)
    if document.problems or of_table:
        raise _bad(file, document, of_table)
    points = points or designs.points(sweep, parameters)
    rows, cases = _cases(sweep, parameters, points, base_document, path, document)
    if document.problems:
        raise _bad(file, document)
    size = sweep.batch or ceil(len(cases) / JOBS)
    # more cases at once gain more than more ranks a case, but a finer solid one fills the memory of several cores
    usual = 1 if (sweep.resolution or base.scenario.resolution) == "coarse" else solver.usual_ranks(base.scenario.model)
    return Plan(
        sweep.name or file.stem, sweep.design.kind, tuple(parameters), outputs, tuple(rows), cases,
        _batches(cases, size), ranks or sweep.ranks or usual, sweep.resolution, sweep.keep,
        base.text, document.text,
    )


def _bad(file, document, more=""):
    said = [p.text(file) for p in sorted(document.problems, key=lambda p: p.line)]
    return BadInput("\n".join([*said, more] if more else said))


def _outputs(sweep, scenario, document):
    """Keys of result.json, of the run or, as `cycle[2].peak_load_N`, of a step."""
    kinds = [kind for _, kind, _ in scenario.steps()]
    known = {kind: [key for key, *_ in numbers] for kind, numbers in NUMBERS.items()}
    if sweep.outputs is None:
        return tuple(dict.fromkeys(key for kind in ("pullout", "cycle") if kind in kinds for key in known[kind])) + ("failure_type",)
    for i, output in enumerate(sweep.outputs):
        step, _, key = output.rpartition(".")
        if output in sweep.outputs[:i]:
            document.add(("outputs", i), f"`{output}` is given twice; keep one")
        elif key not in spec.OUTPUTS:
            document.add(("outputs", i), f"`{output}` is not among the results; allowed: {', '.join(spec.OUTPUTS)}"
                         f"{did_you_mean(key, spec.OUTPUTS)}")
        elif step and step_index(kinds, step) is None:
            document.add(("outputs", i), f"the protocol has no step `{step}`; its steps are {', '.join(kinds)}")
        elif able := [kind for kind, keys in known.items() if key in keys]:
            if not set(able) & ({kinds[step_index(kinds, step)]} if step else set(kinds)):
                document.add(("outputs", i), f"`{output}`: {key} comes from {' or '.join(able)}, and there is none here")
    return tuple(sweep.outputs)


def _cases(sweep, parameters, points, base, path, document):
    """(rows of the table, {case: {changes, edits, mesh}}); problems of cases go into `document` at their parameter's line."""
    by_path = {p.path: p for p in parameters}
    rows, cases, wrong = [], {}, {}
    for n, point in enumerate(points, start=1):
        edits = {name: value for name, value in point.values.items() if name in INPUTS}
        changes = {name: by_path[name].written(value) for name, value in point.values.items()}
        data = deepcopy(base.data)
        change(data, {name: value for name, value in changes.items() if name not in edits})
        if sweep.resolution:
            data["resolution"] = sweep.resolution
        reading = judged(replace(base, data=data, problems=[], flagged=set()), path)
        problems = [*reading.problems, *_out_of_limits(edits)]
        if problems:
            for problem in problems:
                kind = problem.path, re.sub(r"[-+]?\d[\d.e+-]*", "", problem.message)
                wrong.setdefault(kind, []).append((n, changes, problem.message))
            continue
        resolved = laws() + source(*PHYSICS) + reading.scenario.model_dump_json(exclude={"name"}) + json.dumps(edits, sort_keys=True)
        case = hashlib.sha256(resolved.encode()).hexdigest()[:16]
        rows.append({"case": case, "replicate": point.replicate, "values": point.values, "share": point.share})
        if case not in cases:
            cases[case] = {"changes": changes, "edits": edits, "mesh": mesh_key(parts(reading.scenario, stages(reading.scenario)[0]))}
    for (where, _), broken in list(wrong.items())[:SHOWN]:
        n, changes, message = broken[0]
        dotted = ".".join(str(part) for part in where)
        name = next((p for p in changes if p == dotted), None)
        values = ", ".join(f"{p} = {value}" for p, value in changes.items()) or "as in the base scenario"
        many = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        document.add(("parameters", name) if name else ("parameters",),
                     f"case {n} of {len(points)}{many} cannot be run ({values}): {dotted + ': ' if dotted else ''}{message}")
    return rows, cases


def _out_of_limits(edits):
    """Problems with inputs of the laws."""
    for name, value in edits.items():
        try:
            within_limits(name, value)
        except ValueError as error:
            yield Problem(tuple(name.split(".")), 0, str(error))


def _batches(cases, size):
    """{name: [case, ...]}: the jobs of the sweep, named by what is in them; cases with the same mesh stay together."""
    ordered = sorted(cases, key=lambda case: cases[case]["mesh"]) if size > 1 else list(cases)
    chunks = [ordered[i : i + size] for i in range(0, len(ordered), size)]
    return {hashlib.sha256(" ".join(chunk).encode()).hexdigest()[:16]: chunk for chunk in chunks}
