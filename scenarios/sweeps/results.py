"""The table of a sweep: a row a point of its design, also of those that failed or have not run yet.

    collect(directory)  -> paths of what was written: table.csv, table.parquet, failures.txt, sensitivity.csv, figures/, report.html
    table(directory)    -> pandas DataFrame

Columns: case, replicate (where there are several), parameters and outputs with their units, status, reason, seconds, ranks.
"""

from pathlib import Path

from scenarios import files
from scenarios.sweeps import engine
from scenarios.sweeps import plan as plans
from scenarios.variation import step_index

UNFINISHED = "unfinished"
LAST = ("status", "reason", "seconds_wall", "ranks")


def table(directory, plan=None, outcomes=None):
    """The table of the sweep in `directory` as it stands."""
    import pandas

    directory = Path(directory)
    plan = plan or plans.load(directory)
    outcomes = engine.outcomes(directory, plan) if outcomes is None else outcomes
    columns = {p["path"]: p["column"] for p in plan["parameters"]}
    rows = []
    for point in plan["points"]:
        outcome = outcomes.get(point["case"], {"status": UNFINISHED, "reason": "", "seconds": None, "ranks": None, "result": {}})
        row = {"case": point["case"], "replicate": point["replicate"]}
        row |= {column: _cell(point["values"].get(path)) for path, column in columns.items()}
        row |= {output: value_of(outcome["result"], output) for output in plan["outputs"]}
        row |= {"status": outcome["status"], "reason": outcome["reason"], "seconds_wall": outcome["seconds"], "ranks": outcome["ranks"]}
        rows.append(row)
    found = pandas.DataFrame(rows, columns=["case", "replicate", *columns.values(), *plan["outputs"], *LAST])
    for output in plan["outputs"]:
        if not found[output].map(lambda value: isinstance(value, str)).any():
            found[output] = pandas.to_numeric(found[output])
    return found.drop(columns=[] if (found["replicate"] > 1).any() else ["replicate"])


def value_of(summary, output):
    """What result.json says of an output; None where it says nothing."""
    step, _, key = output.rpartition(".")
    steps = summary.get("steps", [])
    if not step:  # what the run does not have is that of its last step that has it
        return summary[key] if key in summary else next((s[key] for s in reversed(steps) if key in s), None)
    place = step_index([s.get("kind") for s in steps], step)
    return None if place is None else steps[place].get(key)


def collect(directory):
    """Write what is known of the sweep in `directory`, finished or not; the paths of what was written."""
    directory = Path(directory)
    plan = plans.load(directory)
    outcomes = engine.outcomes(directory, plan)
    found = table(directory, plan, outcomes)
    written = []
    for name, write in (("table.csv", lambda file: found.to_csv(file, index=False)), ("table.parquet", lambda file: _parquet(found, file))):
        temporary = directory / f".{name}.tmp"
        write(temporary)
        temporary.rename(directory / name)
        written.append(directory / name)
    failures = {case: outcome for case, outcome in outcomes.items() if outcome["status"] != "completed"}
    for name in ("failures.txt", "sensitivity.csv"):
        (directory / name).unlink(missing_ok=True)
    if failures:
        files.replace(directory / "failures.txt", _failures(plan, failures))
        written.append(directory / "failures.txt")
    from scenarios.runner import serially

    if not serially("from scenarios.sweeps import page; page.write(directory)", directory):
        written += [file for name in ("sensitivity.csv", "report.html") if (file := directory / name).exists()]
    return written


def _cell(value):
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _parquet(found, file):
    mixed = [name for name in found if found[name].dtype == object and found[name].map(lambda v: not isinstance(v, str)).any()]
    found.astype({name: "string" for name in mixed}).to_parquet(file, index=False)


def _failures(plan, failures):
    parts = []
    for case, outcome in failures.items():
        changes = ", ".join(f"{path} = {value}" for path, value in plan["cases"][case]["changes"].items())
        parts.append(f"{case}: {outcome['status']}: {outcome['reason']}\n  {changes or 'the base scenario'}\n"
                     + "".join(f"    {line}\n" for line in outcome.get("log", "").splitlines()))
    return "\n".join(parts)
