"""Sweeps: the file, designs, cases, the engine with its faults."""

from collections import Counter
import json
import signal
import subprocess
import sys

import numpy as np
import pandas
import pytest
from scipy import stats

from scenarios import solve
from scenarios.loader import load
from scenarios.sweeps import cases, designs, engine, plan, results, spec
from scenarios.sweeps.parameters import parameter
from scenarios.trouble import BadInput
from sweeping import LENGTH, NORMAL, ROOT, base_scenario, command, halofix, made, solved, sweep_file, wait_for

SHIPPED = sorted((ROOT / "scenarios" / "sweeps").glob("*.yaml"))
BMD = "specimen.bmd [mg/cm^3]"


@pytest.fixture
def base(tmp_path):
    return base_scenario(tmp_path)


# -- the file ----------------------------------------------------------------------------------------------------------

WRONG = """\
scenario: base.yaml
resolutoin: coarse
parameters:
  screw.diameter: {from: 5.5 mm, to: 6.5 mm, step: 2}
  screw.length: {distribution: norml, mean: 45 mm, sd: 2 mm}
  screw.pitch: 3 mm
design: {kind: sobool, samples: 33}
outputs: peak_force_N
replicates: 1
"""


def problems(file):
    with pytest.raises(BadInput) as refused:
        plan.made(file)
    return str(refused.value).splitlines()


def test_all_that_is_wrong_with_the_form_is_said_with_its_line(base, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text(WRONG)
    found = problems(file)
    for line, fragment in (
        (2, "resolutoin: unknown key; allowed: name, scenario"), (2, "did you mean `resolution`?"),
        (4, "parameters.screw.diameter.step: unknown key; allowed: from, to, steps (did you mean `steps`?)"),
        (4, "parameters.screw.diameter.steps: missing"),
        (5, "`norml` is not a distribution; allowed: normal, truncated_normal, lognormal, uniform, triangular (did you mean `normal`?)"),
        (6, "parameters.screw.pitch: `3 mm` are no values to vary; give a list"),
        (7, "design: `sobool` is not a design"), (8, "outputs: give a list"), (9, "replicates: `1` is out of range"),
    ):
        assert any(said.startswith(f"{file}:{line}: ") and fragment in said for said in found), (line, fragment, found)


@pytest.mark.parametrize("path, values, fragment", [
    ("specimen.bdm", "[60 mg/cm^3]", "the scenario has no value `bdm` there; it has shape, diameter, length, bmd, bmd_kind (did you mean `bmd`?)"),
    ("specimen.bone.bmd", "[60 mg/cm^3]", "no block `bone`"),
    ("protocol.cycle.start", "[100 N]", "the protocol has no step `cycle`; its steps are insert, pullout"),
    ("specimen", "[60 mg/cm^3]", "no value `specimen` there but a block; vary its values specimen.shape or specimen.diameter or"),
    ("screw.fenestration", "[{count: 4, diameter: 1 mm, from_tip: 8 mm}]", "screw.fenestration[1]: a block is no value to vary; write it into the base "
     "scenario and vary its values screw.fenestration.count or screw.fenestration.diameter or screw.fenestration.from_tip"),
    ("resolution", "[coarse, {thread: 1 mm, near: 1 mm, far: 3 mm, sectors: 8}]", "vary its values resolution.thread or"),
    ("specimen.bmd", "[60 mg/cm^3, 70]", "specimen.bmd[2]: 70 has no unit; allowed is a density"),
    ("specimen.bmd", "[60 mg/cm^3, 70 mm]", "'70 mm' is not a density"),
    ("specimen.bmd", "{distribution: normal, mean: 70 mg/cm^3, sd: 5 mm}", "sd: '5 mm' is not a density"),
    ("specimen.bmd", "{distribution: normal, mean: 70 mg/cm^3, sd: 0 mg/cm^3}", "sd: a distribution needs a spread"),
    ("specimen.bmd", "{distribution: uniform, low: 90 mg/cm^3, high: 70 mg/cm^3}", "`high` (70) must be above `low` (90)"),
    ("specimen.bmd", "{distribution: triangular, low: 60 mg/cm^3, mode: 90 mg/cm^3, high: 80 mg/cm^3}", "`mode` (90) must lie between"),
    ("screw.material", "[Ti6Al4V, gold]", "case 2 of"),
    ("screw.core_diameter", "[4 mm, 7 mm]", "case 2 of"),
    ("specimen.bmd", "{distribution: normal, mean: 70,5 mg/cm^3, sd: 5 mg/cm^3}", "mean: '70,5 mg/cm^3' has a decimal comma"),
    ("model.frictoin", "[0.3]", "no such input of the laws; allowed: model.friction, model.insertion_damage, model.fatigue_life_at_yield, model.entry_cortex (did you mean"),
    ("model.friction", "[0.3, 0.4 mm]", "model.friction[2]: `0.4 mm` is not a number; this value has no unit"),
    ("model.insertion_damage", "[0.3, 1.2]", "case 2 of 2 cannot be run (model.insertion_damage = 1.2): model.insertion_damage: `1.2` is not possible; "
     "allowed: 0 to 0.95"),
])
def test_what_is_wrong_with_a_value_is_said_at_its_line(base, tmp_path, path, values, fragment):
    design = "{kind: latin_hypercube, samples: 16}"
    found = problems(sweep_file(tmp_path, {path: values}, design if "case" not in fragment else "grid"))
    assert len(found) == 1 and found[0].startswith(f"{tmp_path}/sweep.yaml:3: parameters.{path}") and fragment in found[0], found


@pytest.mark.parametrize("output, says", [("cycles_to_loosening", "cycles_to_loosening comes from cycle, and there is none here"),
                                          ("pullout.cycles", "cycles comes from cycle")])
def test_an_output_that_no_case_will_have_is_refused(base, tmp_path, output, says):
    found = problems(sweep_file(tmp_path, {"screw.pitch": "[3 mm]"}, "grid", f"outputs: [peak_force_N, {output}]"))
    assert len(found) == 1 and says in found[0]


def test_the_strength_to_be_trusted_is_an_output(base, tmp_path):
    outputs = ("first_maximum_N", "pullout.first_maximum_displacement_mm")
    assert made(tmp_path, {"screw.pitch": "[3 mm]"}, "grid", f"outputs: [{', '.join(outputs)}]").outputs == outputs
    step = {"kind": "pullout", "peak_force_N": 120.0, "first_maximum_N": 80.0, "first_maximum_displacement_mm": 0.2}
    assert [results.value_of({"steps": [{"kind": "insert"}, step]}, output) for output in outputs] == [80.0, 0.2]


def test_an_output_is_asked_for_once(base, tmp_path):
    """A column of the same name twice would break the table, once all cases have been run."""
    found = problems(sweep_file(tmp_path, {"screw.pitch": "[3 mm]"}, "grid", "outputs: [peak_force_N, pullout.peak_force_N, peak_force_N]"))
    assert len(found) == 1 and found[0].startswith(f"{tmp_path}/sweep.yaml:5: outputs[3]: `peak_force_N` is given twice")


def test_a_resolution_that_is_varied_has_nothing_in_its_place(base, tmp_path):
    fine = made(tmp_path, {"resolution": "[coarse, standard]"}, "grid")
    assert len(fine.cases) == 2
    found = problems(sweep_file(tmp_path, {"resolution": "[coarse, standard]"}, "grid", "resolution: coarse"))
    assert len(found) == 1 and found[0].startswith(f"{tmp_path}/sweep.yaml:5: resolution: `resolution` is varied"), found
    (tmp_path / "x.csv").write_text("resolution\ncoarse\n")
    (tmp_path / "sweep.yaml").write_text("scenario: base.yaml\nresolution: fine\ndesign: {kind: csv, file: x.csv}\n")
    assert ":2: resolution: `resolution` is varied" in problems(tmp_path / "sweep.yaml")[0]


def test_sweeps_and_scenarios_are_told_apart(base, tmp_path):
    file = sweep_file(tmp_path, {"screw.pitch": "[3 mm]"}, "grid")
    assert "ok, sweep of 1 cases" in halofix("check", file).stdout
    assert "this is a sweep and not a scenario; `./halofix sweep" in halofix("run", file).stderr
    told, = problems(base)
    assert f"this is a scenario and not a sweep; `./halofix run {base}` runs it" in told
    file.write_text(file.read_text().replace("3 mm", "'3,5 mm'"))
    refused = halofix("check", file)
    assert refused.returncode == 2 and "has a decimal comma" in refused.stderr
    file.write_text(file.read_text().replace("design", "desgin"))
    refused = halofix("check", file).stderr.splitlines()
    assert [line.split(": ")[1] for line in refused] == ["design", "desgin"] and "did you mean `design`?" in refused[1]


def test_a_base_scenario_that_is_not_there_is_told_with_the_line_that_names_it(tmp_path):
    found = problems(sweep_file(tmp_path, {"screw.pitch": "[3 mm]"}, "grid", "replicates: 3"))
    assert found[0].startswith(f"{tmp_path}/sweep.yaml:1: scenario: {tmp_path}/base.yaml: there is no such file") and ":5: replicates: " in found[1]


def test_values_and_outputs_are_judged_together(base, tmp_path):
    found = problems(sweep_file(tmp_path, {"specimen.bdm": "[60 mg/cm^3]", "screw.pitch": "[3]"}, "grid", "outputs: [peak_force]"))
    assert [line.split(":")[1] for line in found] == ["3", "4", "6"] and "did you mean `peak_force_N`?" in found[2]


@pytest.mark.parametrize("design, values, more, fragment", [
    ("grid", "{distribution: uniform, low: 60 mg/cm^3, high: 80 mg/cm^3}", "", "no place for a distribution; give a list or a range, or `replicates`"),
    ("grid", "[60 mg/cm^3, 80 mg/cm^3]", "replicates: 3", "equal cases give equal results"),
    ("{kind: grid, seed: 3}", "[60 mg/cm^3, 80 mg/cm^3]", "", "nothing is drawn"),
    ("{kind: sobol, samples: 33}", "{distribution: uniform, low: 60 mg/cm^3, high: 80 mg/cm^3}", "", "not a power of 2"),
    ("{kind: sobol, samples: 32}", "{from: 60 mg/cm^3, to: 80 mg/cm^3, steps: 3}", "", "the design sobol draws values"),
    ("{kind: csv, file: x.csv}", "[60 mg/cm^3]", "", "leave this out"),
    ("sobol", "[60 mg/cm^3]", "", "design.samples: missing"),
])
def test_keys_that_contradict_each_other_are_refused(base, tmp_path, design, values, more, fragment):
    (tmp_path / "x.csv").write_text(f"{BMD}\n60\n")
    found = problems(sweep_file(tmp_path, {"specimen.bmd": values}, design, more))
    assert len(found) == 1 and fragment in found[0], found


@pytest.mark.parametrize("design, values, more, count", [
    ("grid", "{from: 60 mg/cm^3, to: 80 mg/cm^3, steps: 10000}", "", 100_000_000),
    ("grid", "{distribution: normal, mean: 70 mg/cm^3, sd: 2 mg/cm^3}", "replicates: 1001", 1_001_000),
    ("{kind: sobol, samples: 262144}", "[60 mg/cm^3, 80 mg/cm^3]", "", 1_048_576),
    ("{kind: latin_hypercube, samples: 1000}", "[60 mg/cm^3, 80 mg/cm^3]", "replicates: 1001", 1_001_000),
])
def test_a_sweep_beyond_all_measure_is_refused_before_it_is_laid_out(base, tmp_path, monkeypatch, design, values, more, count):
    monkeypatch.setattr(designs, "points", None)
    step = 1000 if "normal" in values else 10000
    lengths = "[40 mm, 45 mm]" if "samples" in design else f"{{from: 40 mm, to: 45 mm, steps: {step}}}"
    found = problems(sweep_file(tmp_path, {"specimen.bmd": values, "screw.length": lengths}, design, more))
    assert found == [f"{tmp_path}/sweep.yaml:5: design: these are {count} cases; allowed are at most 1000000"]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_sweeps_can_be_run(file):
    sweep = plan.made(file)
    assert sweep.cases and sweep.name != file.stem and file.read_text().startswith("# ")


# -- designs -----------------------------------------------------------------------------------------------------------


def column(sweep, path):
    return [point["values"].get(path) for point in sweep.points]


@pytest.mark.parametrize("law, expected", [
    ({"distribution": "normal", "mean": "90 mg/cm^3", "sd": "0.008 g/cm^3"}, stats.norm(90, 8)),
    ({"distribution": "truncated_normal", "mean": "90 mg/cm^3", "sd": "20 mg/cm^3", "low": "80 mg/cm^3", "high": "120 mg/cm^3"},
     stats.truncnorm(-0.5, 1.5, 90, 20)),
    ({"distribution": "lognormal", "mean": "90 mg/cm^3", "sd": "30 mg/cm^3"}, None),
    ({"distribution": "uniform", "low": "60 mg/cm^3", "high": "100 mg/cm^3"}, stats.uniform(60, 40)),
    ({"distribution": "triangular", "low": "60 mg/cm^3", "mode": "70 mg/cm^3", "high": "100 mg/cm^3"}, stats.triang(0.25, 60, 40)),
])
def test_values_follow_their_distribution(base, law, expected):
    values = spec.LAWS[law["distribution"]].model_validate(law)
    drawn = np.array(parameter(load(base), "specimen.bmd", values).at(designs._latin(1, 4000, 5)[:, 0]))
    if expected is None:  # mean and spread are those of the values, and their logarithm is normal
        assert drawn.mean() == pytest.approx(90, rel=2e-3) and drawn.std() == pytest.approx(30, rel=2e-2)
        assert stats.skew(np.log(drawn)) == pytest.approx(0, abs=0.02)
    else:
        assert stats.kstest(drawn, expected.cdf).statistic < 1e-3


@pytest.mark.parametrize("design", ["{kind: latin_hypercube, samples: 16, seed: SEED}", "{kind: sobol_sequence, samples: 16, seed: SEED}",
                                    "{kind: sobol, samples: 8, seed: SEED}", "{kind: morris, samples: 4, seed: SEED}"])
def test_the_seed_decides_what_is_drawn(base, tmp_path, design):
    parameters = {"specimen.bmd": NORMAL, "screw.length": LENGTH}
    one, same, other = (made(tmp_path, parameters, design.replace("SEED", seed)).points for seed in "778")
    assert one == same and one != other


def test_a_latin_hypercube_visits_every_stratum_once(base, tmp_path):
    sweep = made(tmp_path, {"screw.length": LENGTH, "screw.material": "[Ti6Al4V, CoCr]"}, "{kind: latin_hypercube, samples: 20}")
    strata = np.floor((np.array(column(sweep, "screw.length")) - 38) / 7 * 20)
    assert sorted(strata) == list(range(20))
    assert Counter(column(sweep, "screw.material")) == {"Ti6Al4V": 10, "CoCr": 10}


def test_sizes_of_the_designs_of_sensitivity(base, tmp_path):
    parameters = {"specimen.bmd": NORMAL, "screw.length": LENGTH, "screw.pitch": "[2.5 mm, 2.75 mm, 3 mm]"}
    assert len(made(tmp_path, parameters, "{kind: sobol, samples: 8}").points) == 8 * 5
    with pytest.raises(BadInput, match="3 values; the design morris steps over 4 levels"):
        made(tmp_path, parameters, "{kind: morris, samples: 6}")
    parameters["screw.pitch"] = "[2.5 mm, 2.75 mm, 3 mm, 3.25 mm]"
    trajectories = np.array([p["share"] for p in made(tmp_path, parameters, "{kind: morris, samples: 6}").points]).reshape(6, 4, 3)
    assert ((np.diff(trajectories, axis=1) != 0).sum(axis=2) == 1).all()  # one parameter moves at a time


def test_grid_list_and_one_at_a_time(base, tmp_path):
    parameters = {"specimen.bmd": "{from: 60 mg/cm^3, to: 80 mg/cm^3, steps: 3}", "screw.length": "[40 mm, 4.2 cm, 45 mm]"}
    grid = made(tmp_path, parameters, "grid")
    assert len(grid.points) == 9 and len(set(zip(column(grid, "specimen.bmd"), column(grid, "screw.length"), strict=True))) == 9
    rows = made(tmp_path, parameters, "list")
    assert [tuple(p["values"].values()) for p in rows.points] == [(60, 40), (70, 42), (80, 45)]
    single = made(tmp_path, parameters, "one_at_a_time")
    assert [p["values"] for p in single.points][:2] == [{}, {"specimen.bmd": 60}] and len(single.points) == 7
    assert len(single.cases) == 5  # the base case has 70 mg/cm^3 and 45 mm itself


def test_a_cohort_is_the_same_specimens_under_every_treatment(base, tmp_path):
    cohort = made(tmp_path, {"specimen.bmd": NORMAL, "screw.diameter": "[6 mm, 6.5 mm]"}, "{kind: grid, seed: 4}", "replicates: 5")
    by_screw = {d: [p["values"]["specimen.bmd"] for p in cohort.points if p["values"]["screw.diameter"] == d] for d in (6.0, 6.5)}
    assert by_screw[6.0] == by_screw[6.5] and len(set(by_screw[6.0])) == 5
    assert [p["replicate"] for p in cohort.points] == [1, 2, 3, 4, 5] * 2


def test_a_case_is_named_by_what_it_resolves_to(base, tmp_path, monkeypatch):
    one = made(tmp_path, {"specimen.bmd": "[80 mg/cm^3, 0.08 g/cm^3]"}, "grid")
    assert len(one.points) == 2 and len(one.cases) == 1
    fine = made(tmp_path, {"specimen.bmd": "[80 mg/cm^3]"}, "grid", "resolution: fine")
    assert fine.cases.keys() != one.cases.keys()
    monkeypatch.setattr(plan, "source", lambda *_: "another state of the code")
    assert made(tmp_path, {"specimen.bmd": "[80 mg/cm^3]"}, "grid").cases.keys() != one.cases.keys()
    monkeypatch.undo()
    assert made(tmp_path, {"specimen.bmd": "[80 mg/cm^3]"}, "grid").cases.keys() == one.cases.keys()
    base.write_text(base.read_text().replace("Ti6Al4V", "CoCr"))
    assert made(tmp_path, {"specimen.bmd": "[80 mg/cm^3]"}, "grid").cases.keys() != one.cases.keys()


def test_meshes_are_those_of_the_geometry(base, tmp_path):
    sweep = made(tmp_path, {"specimen.bmd": "[60 mg/cm^3, 80 mg/cm^3]", "screw.diameter": "[6 mm, 6.5 mm]", "screw.material": "[CoCr]"}, "grid")
    assert sorted(map(len, sweep.meshes.values())) == [2, 2]


def test_a_table_is_a_design(base, tmp_path):
    drawn = made(tmp_path, {"specimen.bmd": NORMAL, "screw.length": LENGTH, "screw.material": "[Ti6Al4V, CoCr]"}, "{kind: latin_hypercube, samples: 8}")
    drawn.write(tmp_path / "out")
    results.table(tmp_path / "out").to_csv(tmp_path / "again.csv", index=False)
    file = tmp_path / "again.yaml"
    file.write_text("scenario: base.yaml\ndesign: {kind: csv, file: again.csv}\n")
    assert plan.made(file).cases.keys() == drawn.cases.keys()
    (tmp_path / "again.csv").write_text(f"case,{BMD},resolution,pullout.peak_force_N,status\na,60,coarse,5,completed\nb,60,fine,6,completed\n")
    assert len(plan.made(file).cases) == 2, "what it found is passed over, what it varied is not"
    (tmp_path / "again.csv").write_text(f"{BMD},screw.lenght [mm]\n60,40\nhigh,40\n")
    found = problems(file)
    assert f"{tmp_path}/again.csv:3: {BMD}: 'high' is not a number with a unit" in found[0] and "did you mean `length`?" in found[1]


@pytest.mark.parametrize("text, said", [
    (f"{BMD},screw.length [mm]\n60,5,40,5\n70,40\n", [":2: 4 cells under 2 headings; a decimal comma?"]),
    (f"{BMD},screw.length [mm]\n60\n\n70,40,\n", [":4: 3 cells under 2 headings", ":2: screw.length [mm]: there is no value"]),
    (f"{BMD},screw.length [mm],specimen.bmd [g/cm^3]\n60,40,0.07\n", [":1: the column `specimen.bmd` is there 2 times"]),
    (f"{BMD},screw.lenght [mm]\n60,40\nhigh,40\n7,0,40\n", [":4: 3 cells under 2 headings", f":3: {BMD}: 'high' is not", ":1: screw.lenght [mm]: "]),
])
def test_all_that_is_wrong_in_a_table_is_told(base, tmp_path, text, said):
    (tmp_path / "x.csv").write_text(text)
    (tmp_path / "sweep.yaml").write_text("scenario: base.yaml\ndesign: {kind: csv, file: x.csv}\n")
    found = problems(tmp_path / "sweep.yaml")
    assert len(found) == len(said)
    assert all(line.startswith(f"{tmp_path}/x.csv{part}") for line, part in zip(found, said)), found


def test_a_table_may_have_its_units_in_round_brackets(base, tmp_path):
    (tmp_path / "x.csv").write_text("specimen.bmd (mg/cm^3),protocol.pullout.stop.displacement(mm)\n60,0.02\n")
    (tmp_path / "sweep.yaml").write_text("scenario: base.yaml\ndesign: {kind: csv, file: x.csv}\n")
    assert plan.made(tmp_path / "sweep.yaml").cases.keys() == made(tmp_path, {"specimen.bmd": "[60 mg/cm^3]"}, "grid").cases.keys()


def test_large_sweeps_come_in_jobs_of_several(base, tmp_path):
    sweep = made(tmp_path, {"specimen.bmd": "{from: 60 mg/cm^3, to: 120 mg/cm^3, steps: 1200}"}, "grid")
    assert len(sweep.batches) == 400 and sorted(case for batch in sweep.batches.values() for case in batch) == sorted(sweep.cases)


# -- the engine --------------------------------------------------------------------------------------------------------


def test_a_sweep_from_file_to_table(base, tmp_path):
    parameters = {"specimen.bmd": "[60 mg/cm^3, 80 mg/cm^3]", "screw.diameter": "[6 mm, 6.5 mm]"}
    file, out = sweep_file(tmp_path, parameters, "grid", "outputs: [stiffness_N_per_mm, force_at_end_N]"), tmp_path / "out"
    dry = halofix("sweep", file, "--out", out, "--dry-run")
    assert dry.returncode == 0 and "4 cases (4 rows), 2 distinct meshes, 4 jobs, 1 rank a case" in dry.stdout and "not known" in dry.stdout
    assert not list((out / "outcomes").iterdir())
    cases = list(plan.load(out)["cases"])
    broken = out / "cases" / cases[1] / "scenario.yaml"  # a case that cannot be run is no reason to stop
    broken.parent.mkdir()
    broken.write_text("specimen: {level: L9}\n")
    ran = halofix("sweep", file, "--out", out, "-j", 2)
    assert ran.returncode == 3, ran.stderr
    assert "3 of 4 cases completed, 1 failed, 0 to run" in ran.stdout and "retry --failed" in ran.stdout

    table = pandas.read_csv(out / "table.csv")
    assert list(table.columns) == ["case", BMD, "screw.diameter [mm]", "stiffness_N_per_mm", "force_at_end_N", "status", "reason",
                                   "seconds_wall", "ranks"]
    assert list(table["case"]) == cases and list(table["status"]) == ["completed", "failed", "completed", "completed"]
    assert table["stiffness_N_per_mm"].isna().sum() == 1 and table["stiffness_N_per_mm"][2] > table["stiffness_N_per_mm"][0]
    pandas.testing.assert_frame_equal(pandas.read_parquet(out / "table.parquet"), table, check_dtype=False)
    assert "L9" in (out / "failures.txt").read_text() and "L9" in (out / "report.html").read_text()
    assert len([d for d in (out / "meshes").iterdir() if d.is_dir()]) == 2
    meshes = {(out / "cases" / case / "result" / "mesh.npz").stat().st_ino for case in cases if case != cases[1]}
    assert len(meshes) == 2, "cases with the same geometry share one mesh"

    times = {case: (out / "outcomes" / f"{case}.json").stat().st_mtime_ns for case in cases}
    assert halofix("sweep", "resume", out).returncode == 3
    assert times == {case: (out / "outcomes" / f"{case}.json").stat().st_mtime_ns for case in cases}, "resume leaves failures alone"
    broken.unlink()
    again = halofix("sweep", "retry", "--failed", out, "-j", 1)
    assert again.returncode == 0 and "4 of 4 cases completed" in again.stdout, again.stdout + again.stderr
    assert set(solved(out).values()) == {1}
    assert "core-hours for 0 cases" in halofix("sweep", file, "--out", out, "--dry-run").stdout


CRASHING = """
import json, os, sys
from pathlib import Path
from scenarios.sweeps import cases
out, bad, batch = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
of_bad = [case for case, what in json.loads((out / "plan.json").read_text())["cases"].items() if what["mesh"] == bad]
prepared = cases.runner.prepare_mesh
cases.runner.prepare_mesh = lambda file, *more: os.abort() if file.parent.name in of_bad else prepared(file, *more)
cases.runner.run = lambda *_, **__: os.abort()
print([cases.mesh(key, out) for key in (bad, sys.argv[4])], cases.batch(batch, out))
def full(*_):
    raise OSError(28, "No space left on device")
cases.runner.prepare_mesh = full
(out / "meshes" / f"{bad}.done").unlink()
print(cases.mesh(bad, out))
"""


def test_a_mesh_that_crashes_is_for_its_cases_to_say(base, tmp_path):
    """A mesher that dies takes its own job and its own cases with it, nothing else; a full disk is nobody's failure."""
    out = tmp_path / "out"
    sweep = made(tmp_path, {"specimen.bmd": "[60 mg/cm^3, 80 mg/cm^3]", "screw.diameter": "[6 mm, 6.5 mm]"}, "grid", "batch: 4")
    sweep.write(out)
    bad, good = sorted(sweep.meshes)
    words = [sys.executable, "-c", CRASHING, out, bad, next(iter(sweep.batches)), good]
    ran = subprocess.run(list(map(str, words)), env=solve.environment(), capture_output=True, text=True)
    assert ran.stdout.splitlines() == ["[0, 0] 0", str(cases.ENVIRONMENT)], ran.stderr
    assert (out / "meshes" / good).is_dir() and (out / "meshes" / f"{good}.done").exists()
    assert not (out / "meshes" / bad).exists() and not (out / "meshes" / f"{bad}.done").exists()
    assert {o["reason"] for o in engine.outcomes(out, plan.load(out)).values()} == {"ended by SIGABRT"}


def test_inputs_of_the_laws_can_be_varied(base, tmp_path):
    """What no scenario names goes into the posed problem; cases that differ in nothing else share their mesh."""
    file, out = sweep_file(tmp_path, {"model.insertion_damage": "[0.1, 0.5]", "model.friction": "[0.2]"}, "grid"), tmp_path / "out"
    assert halofix("sweep", file, "--out", out).returncode == 0
    table = results.table(out)
    assert list(table["model.insertion_damage"]) == [0.1, 0.5] and table["stiffness_N_per_mm"][0] > 1.02 * table["stiffness_N_per_mm"][1]
    assert len(plan.load(out)["shared_meshes"]) == 1
    for case, damage in zip(table["case"], (0.1, 0.5), strict=True):
        posed = json.loads(next((out / "cases" / case / "result").rglob("problem.json")).read_text())
        assert posed["insertion"]["damage"] == damage and posed["interfaces"]["screw_trabecular"]["friction"] == 0.2


def test_a_killed_sweep_goes_on_and_runs_nothing_twice(base, tmp_path):
    out = tmp_path / "out"
    file = sweep_file(tmp_path, {"specimen.bmd": "{from: 60 mg/cm^3, to: 90 mg/cm^3, steps: 4}"}, "grid")
    first = subprocess.Popen(command("sweep", file, "--out", out, "-j", 1), env=solve.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(engine.finished(out)) >= 1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    half = pandas.DataFrame() if not results.collect(out) else results.table(out)
    assert {"completed", "unfinished"} == set(half["status"]) and len(half) == 4
    assert "unfinished" in (out / "report.html").read_text()
    cut = next((out / "outcomes").glob("[0-9a-f]*.json"))
    cut.write_text(cut.read_text()[:40])  # as a power failure may leave it
    assert len(engine.outcomes(out, plan.load(out))) == len(engine.finished(out)) - 1
    ran = halofix("sweep", "resume", out)
    assert ran.returncode == 0 and "4 of 4 cases completed" in ran.stdout, ran.stdout + ran.stderr
    assert set(solved(out).values()) == {1}


def test_an_interrupted_sweep_keeps_its_cases_and_goes_on(base, tmp_path):
    out = tmp_path / "out"
    file = sweep_file(tmp_path, {"specimen.bmd": "[60 mg/cm^3, 70 mg/cm^3, 80 mg/cm^3]"}, "grid", "batch: 3")
    first = subprocess.Popen(command("sweep", file, "--out", out, "-j", 1), env=solve.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(engine.finished(out)) >= 1)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=300)
    assert first.returncode == 3 and "to go on: ./halofix sweep resume" in errors
    assert not engine.status(out).running and engine.status(out).left
    assert halofix("sweep", "resume", out).returncode == 0
    assert engine.status(out).exit_code == 0


@pytest.mark.parametrize("more, expected", [("", 1), ("resolution: standard", 3), ("ranks: 2", 2)])
def test_cases_at_coarse_are_solved_on_one_rank_each(more, expected, tmp_path, monkeypatch):
    """native.yaml is coarse; solid cases at standard run on as many as usual, and all on what the file says."""
    monkeypatch.setattr(solve, "usual_ranks", lambda model: 3)
    file = tmp_path / "sweep.yaml"
    file.write_text(f"scenario: {ROOT / 'scenarios' / 'native.yaml'}\nparameters: {{specimen.bmd: [60 mg/cm^3]}}\ndesign: grid\n{more}\n")
    assert plan.made(file).ranks == expected


def test_a_retry_that_cannot_start_takes_nothing_away(base, tmp_path):
    out = tmp_path / "out"
    sweep = made(tmp_path, {"specimen.bmd": "[60 mg/cm^3]"}, "grid", "ranks: 2")
    sweep.write(out)
    failed = out / "outcomes" / f"{next(iter(sweep.cases))}.json"
    failed.write_text(json.dumps({"status": "failed", "reason": "", "seconds": None, "ranks": 2, "result": {}}))
    with pytest.raises(BadInput, match="-j 1 is less than the 2 ranks"):
        engine.retry(out, cores=1)
    assert failed.exists()


def test_what_is_no_sweep_is_said(tmp_path):
    said = halofix("sweep", "status", tmp_path)
    assert said.returncode == 2 and "not the directory of a sweep" in said.stderr
    assert "say which cases" in halofix("sweep", "retry", tmp_path).stderr
    for words in (("retry", "--failed"), ("resume",), ("resume", "--profile", "slurm")):
        for place in (tmp_path, tmp_path / "missing"):
            said = halofix("sweep", *words, place)
            assert said.returncode == 2 and "not the directory of a sweep" in said.stderr, said.stderr
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine.txt").touch()
    said = halofix("sweep", SHIPPED[0], "--out", tmp_path)
    assert said.returncode == 2 and "exists and is not a sweep" in said.stderr
