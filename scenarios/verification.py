"""Are the equations solved right? The command `verify`: known solutions, closed forms, convergence in mesh and step.

    verify(out, full) -> dict: what verification.json holds

The tests and scripts that know the solutions (tests/, benchmarks/verification/) are run as they are; this module collects what
they say, draws it, and states for each check what was asked of it and whether it was met.
"""

from datetime import UTC, datetime
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from xml.etree import ElementTree

from scenarios import files, runner, tables
from scenarios import solve as solver
from scenarios.grid_convergence import grid_convergence
from scenarios.provenance import git_state, version
from scenarios.solve import ROOT
from scenarios.trouble import BadInput, Environment

# of scenarios.laboratory.FINENESS; the crest of the thread, 0.2 mm wide, is held in one edge above 0.18 mm: only the three finest resolve it
MESHES = ("coarse", "standard", "fine", "0.25 mm", "0.15 mm", "0.12 mm", "0.09 mm")
STEPS = (0.08, 0.04, 0.02)  # mm, largest
SMALLER = (0.01,)
SHORTER = 0.004  # mm: all longer steps of a screw in cement are cut to much the same ones by what tears
USUAL = "standard"  # the mesh that studies are simulated with
MOST_GCI = 0.05  # of the finest mesh
MOST_STEP = 0.02  # change of the peak over all step sizes
ORDER = {"L2": (3.0, 0.15), "H1": (2.0, 0.10)}
# files of tests/ whose tests are closed forms, and of what; those that simulate for minutes are left to `./halofix test`
CLOSED_FORMS = {
    "test_patch.py": "patch tests of elements and split interfaces: contact, friction, bond, fracture energy",
    "test_plasticity.py": "constitutive update of bone: strengths along closed-form paths, hardening, tangent",
    "test_cortex.py": "cortical membrane: yield in closed form, tangent",
    "test_materials.py": "material laws: symmetry, convexity, strengths, conversions of density",
    "test_fatigue.py::test_damage_at_one_point_follows_its_differential_equation": "fatigue damage against its differential equation",
    "test_fatigue.py::test_life_under_a_constant_load_is_that_of_the_curve": "fatigue life against its S-N curve",
}
MANUFACTURED = """
import json
from benchmarks.verification.manufactured import orders
print(json.dumps(orders()))
"""
DISCRETISATION = """
import json
from benchmarks.verification.convergence import study
rows, *runs = study()
print(json.dumps([rows, *([run.peak for run in found.values()] for found in runs)]))
"""


def verify(out=None, full=False):
    """Run the checks and write verification.json, tables, figures and report.html into `out` (default results/verify).

    full: also the smallest step, and the studies of benchmarks/verification/convergence.py on penalty,
    nonlocal length and local damage. Returns the content of verification.json.
    """
    out = Path(out) if out is not None else Path("results") / "verify"
    if out.exists() and any(out.iterdir()) and not (out / "verification.json").exists():
        raise BadInput(f"{out} exists and is not a verification; name another place with --out")
    out.mkdir(parents=True, exist_ok=True)
    begun, checks = time.monotonic(), []
    for check in (manufactured, closed_forms, mesh, step, step_in_cement, *((discretisation,) if full else ())):
        print(f"{check.__name__.replace('_', ' ')} ...", flush=True)
        started = time.monotonic()
        checks.append(check(full) | {"seconds": round(time.monotonic() - started, 1)})
        print(f"  {'as expected' if checks[-1]['passed'] else 'NOT as expected'}: {checks[-1]['found']}", flush=True)
    content = {
        "schema": 1,
        "halofix": {"version": version(), **git_state()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "full": full,
        "seconds": round(time.monotonic() - begun, 1),
        "checks": checks,
    }
    files.replace(out / "verification.json", json.dumps(content, indent=1) + "\n")
    for check in checks:
        tables.write_csv(out / check["name"], check["rows"])
    runner.write_report(out)
    return content


def _check(name, title, asked, found, passed, rows, **more):
    return {"name": name, "title": title, "asked": asked, "found": found, "passed": bool(passed), "rows": rows, **more}


def _computed(code, what):
    """What `code`, which asks a script of benchmarks/, prints as JSON in its last line."""
    done = subprocess.run([sys.executable, "-c", code], env=solver.environment(), cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Environment(f"{what} could not be computed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def manufactured(full):
    """A solution is prescribed, the load that belongs to it applied; its error must fall with the order of the elements."""
    rows = [
        {
            "model": model,
            "h": h,
            "L2 error": l2,
            "H1 error": h1,
            "L2 order": None if p != p else p,
            "H1 order": None if q != q else q,
        }
        for model, h, l2, h1, p, q in _computed(MANUFACTURED, "the manufactured solution")
    ]
    last = [row for row, after in zip(rows, [*rows[1:], None]) if after is None or after["model"] != row["model"]]
    passed = all(
        abs(row[f"{norm} order"] - order) <= tolerance for row in last for norm, (order, tolerance) in ORDER.items()
    )
    found = "; ".join(f"{row['model']}: {row['L2 order']:.2f} and {row['H1 order']:.2f}" for row in last)
    return _check(
        "manufactured",
        "Manufactured solution",
        "orders 3 (L2) within 0.15 and 2 (H1) within 0.10, quadratic elements, elastic and beyond yield",
        found,
        passed,
        rows,
        figure="loglog",
    )


def closed_forms(full):
    """Patch tests and closed forms, each a test of the suite."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *(f"tests/{name}" for name in CLOSED_FORMS),
        ]
        done = subprocess.run(command, cwd=ROOT, env=solver.environment(), capture_output=True, text=True)
        if not report.exists():
            raise Environment(f"the tests could not be run: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
        told = read_tests(report)
    failed = [row["test"] for row in told if row["result"] != "passed"]
    found = f"{len(told) - len(failed)} of {len(told)} passed" + (f"; not: {', '.join(failed)}" if failed else "")
    rows = []
    for about in dict.fromkeys(row["about"] for row in told):
        tests = [row for row in told if row["about"] == about]
        rows.append(
            {
                "what": about,
                "tests": len(tests),
                "passed": sum(row["result"] == "passed" for row in tests),
                "seconds": round(sum(row["seconds"] for row in tests), 2),
            }
        )
    return _check("closed_forms", "Patch tests and closed forms", "all pass", found, told and not failed, rows, tests=told)


def read_tests(report):
    """[{'about', 'test', 'result', 'seconds'}] of a JUnit report."""
    rows = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        file = case.get("classname").rpartition(".")[2] + ".py"
        name = case.get("name")
        about = CLOSED_FORMS.get(file) or CLOSED_FORMS.get(f"{file}::{name.partition('[')[0]}", "")
        result = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        rows.append(
            {
                "about": about,
                "test": name.removeprefix("test_").replace("_", " "),
                "result": result,
                "seconds": float(case.get("time")),
            }
        )
    return rows


def _pullouts(posed):
    """[(label, size, Run)] of pullouts from the bone cylinder of scenarios.laboratory; posed: [(label, size, arguments)]."""
    from scenarios.laboratory import pullout

    try:
        return [(label, size, pullout(**arguments)) for label, size, arguments in posed]
    except RuntimeError as error:
        raise Environment(f"the solver failed: {str(error).strip().splitlines()[-1]}") from None


def _numbers(label, size, run):
    return {
        "label": label,
        "size mm": size,
        "peak N": run.peak,
        "stiffness N/mm": run.step["stiffness_N_per_mm"],
        "displacement at peak mm": run.step["displacement_at_peak_mm"],
        "energy error %": 100 * run.step["energy_balance_error"],
        "dofs": run.outcome["dofs"],
        "seconds": run.outcome["seconds_total"],
    }


def convergence(rows, keys):
    """[{'quantity', 'finest', 'order', 'limit', 'GCI %', 'how'}] of the columns `keys` over the column 'size mm'."""
    found = []
    for key in keys:
        sizes, values = [row["size mm"] for row in rows], [row[key] for row in rows]
        told = grid_convergence(sizes, values)
        finest = values[sizes.index(min(sizes))]
        found.append(
            {
                "quantity": key,
                "finest": finest,
                "order": told.order,
                "limit": told.limit,
                "GCI %": 100 * told.gci,
                "how": told.how,
            }
        )
    return found


def mesh(full):
    """Native pullout from a bone cylinder, axisymmetric, past the peak: the mesh at the thread is refined."""
    from scenarios.laboratory import FINENESS

    runs = _pullouts([(name, FINENESS[name].thread, {"resolution": FINENESS[name]}) for name in MESHES])
    rows = [_numbers(*run) for run in runs]
    for row in rows:
        row["peak over finest %"] = 100 * (row["peak N"] / rows[-1]["peak N"] - 1)
    summary = convergence(rows, ("peak N", "stiffness N/mm"))
    worst = max(row["GCI %"] for row in summary)
    found = "; ".join(f"{row['quantity']} {row['GCI %']:.1f} % ({row['how']})" for row in summary)
    usual = next(row for row in rows if row["label"] == USUAL)
    found += f"; the {USUAL} mesh lies {usual['peak over finest %']:.1f} % above the finest"
    return _check(
        "mesh",
        "Convergence in the mesh",
        f"uncertainty of the finest mesh (GCI, or a wider band where there is no order) at most {100 * MOST_GCI:g} %; the thread alone is refined",
        found,
        worst <= 100 * MOST_GCI,
        rows,
        summary=summary,
        figure="mesh",
    )


def step(full):
    """The same pullout with smaller load steps."""
    return _steps("step", "Convergence in the load step", STEPS + (SMALLER if full else ()))


def step_in_cement(full):
    """The same of a screw in cement, round which bone breaks within 0.15 mm."""
    from meshes.specimen import Cement, Halo
    from scenarios.laboratory import INDEX

    filled = {"halo": Halo(1.0, INDEX.diameter, 18.0), "cement": Cement(800.0)}
    return _steps("step_in_cement", "Convergence in the load step, screw in cement", (*STEPS, SHORTER), **filled)


def _steps(name, title, sizes, **posed):
    from scenarios.laboratory import FINENESS, STEPS as USUAL_STEPS

    runs = _pullouts(
        [(f"{size:g} mm", size, posed | {"resolution": FINENESS["standard"], "steps": USUAL_STEPS | {"largest": size}}) for size in sizes]
    )
    rows = [_numbers(*run) for run in runs]
    summary = convergence(rows, ("peak N",))
    peaks = [row["peak N"] for row in rows]
    change = max(peaks) / min(peaks) - 1
    return _check(
        name,
        title,
        f"the peak moves by at most {100 * MOST_STEP:g} % from the largest to the smallest step",
        f"{100 * change:.2f} %; GCI {summary[0]['GCI %']:.2f} % ({summary[0]['how']})",
        change <= MOST_STEP,
        rows,
        summary=summary,
        figure="step",
    )


def discretisation(full):
    """Penalty, nonlocal length, local damage: the studies of benchmarks/verification/convergence.py."""
    rows, regular, local = _computed(DISCRETISATION, "convergence")
    ranges = [max(peaks) / min(peaks) - 1 for peaks in (regular, local)]
    found = f"peak over {len(regular)} meshes: nonlocal {100 * ranges[0]:.1f} %, local {100 * ranges[1]:.1f} %"
    return _check(
        "discretisation",
        "Penalty, nonlocal length, local damage",
        "nonlocal damage depends less on the mesh than local damage",
        found,
        ranges[0] < ranges[1],
        rows,
    )
