"""The scenario language and what it turns into."""

import json
import os
from pathlib import Path
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ruamel.yaml import YAML

from meshes import specimen as lab
import scenarios
from scenarios import assemble, protocol, spec, words
from scenarios.loader import load, read, schema_text
from scenarios.resolved import resolved_text
from scenarios.units import Quantity, Ramp

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted((ROOT / "scenarios").glob("*.yaml"))
CYLINDER = ROOT / "scenarios" / "cylinder_native.yaml"
SCREW = "{diameter: 6.5 mm, length: 45 mm, pitch: 2.75 mm, core_diameter: 4.5 mm}"


def write(directory, steps, specimen="{level: L3, bmd: 70 mg/cm^3}", screw=SCREW, more="", name="case.yaml"):
    """A scenario file with the given steps."""
    lines = [f"specimen: {specimen}", f"screw: {screw}", "protocol:", *(f"  - {step}" for step in steps), more, ""]
    file = directory / name
    file.write_text("\n".join(lines))
    return file


def parts_of(directory, *steps, **blocks):
    return assemble.parts(load(write(directory, ["insert: {}", *steps, "pullout: {}"], **blocks)))


# -- the files we ship -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_scenarios_are_valid_and_explained(file):
    reading = read(file)
    assert reading.scenario, reading.problems
    assert reading.text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert reading.text.count("#") > 8
    assert reading.scenario.name != file.stem, "a shipped scenario has a name in words"


def test_shipped_scenarios_are_the_lab_series():
    series = "native loosened augmented_halo oversized_revision fenestrated foam_f543 cylinder_native"
    series += " toggle_native toggle_augmented rescue revise_plus1 revise_plus2 revise_early"
    assert set(series.split()) <= {file.stem for file in SHIPPED}


def test_schema_is_current():
    assert (ROOT / "scenarios" / "schema.json").read_text() == schema_text(), "halofix schema > scenarios/schema.json"


def test_schema_knows_units_keys_and_defaults():
    schema = json.loads(schema_text())
    screw = schema["$defs"]["Screw"]
    assert screw["additionalProperties"] is False and screw["properties"]["diameter"]["examples"] == ["6.5 mm"]
    assert screw["properties"]["crest"]["default"] == "0.2 mm" and "default_source" in screw["properties"]["crest"]
    assert {"required": ["pullout"]} == {"required": schema["$defs"]["PulloutStep"]["required"]}


def test_every_default_says_where_it_comes_from():
    for model in vars(spec).values():
        if isinstance(model, type) and issubclass(model, spec.Block):
            for name, field in model.model_fields.items():
                if not field.is_required():
                    assert (field.json_schema_extra or {}).get("default_source"), f"{model.__name__}.{name}"


# -- units -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "text", "value"), [
    ("mm", "0.65 cm", 6.5), ("mm", "6.5mm", 6.5), ("mm", " 6500 µm ", 6.5), ("mm", "0.25 inch", 6.35), 
    ("N", "0.1 kN", 100),
    ("MPa", "0.3 GPa", 300), ("s", "2 min", 120), ("mm/s", "5 mm/min", 5 / 60), ("mm/s", "6 mm / min", 0.1),
    ("mm^3", "2 ml", 2000), ("mm^3", "2 cm³", 2000), ("mm^3", "1.5e3 mm^3", 1500), ("mg/cm^3", "0.07 g/cm^3", 70),
    ("mg/cm^3", "70 kg/m^3", 70), ("mg/cm^3", "15 lb/ft^3", 240.2769), 
    ("deg", "0.5 rad", 28.64789), ("deg", "-3 °", -3),
    ("Hz", "0.5 Hz", 0.5), ("Hz", "2e-3 kHz", 2),
    ("%", "20 %", 20), ("%", "20%", 20), ("mm/N", "1 µm/N", 1e-3), ("mm", "1e1 mm", 10),
])  # fmt: skip
def test_units_are_converted_once(unit, text, value):
    assert Quantity(unit, -1e6, 1e6, "").convert(text) == pytest.approx(value, rel=1e-6)


def test_limits_hold_to_the_last_digit():
    assert Quantity("mm", 2, 12, "").convert("1.2 cm") == 12.0


# -- cyclic loading ----------------------------------------------------------------------------------------------------


def cycle_of(directory, body, *more, **blocks):
    """The first cycle of a scenario with the step `cycle: body`."""
    scenario = load(write(directory, ["insert:", f"cycle: {body}", *more], **blocks))
    return next(step for _, kind, step in scenario.steps() if kind == "cycle")


@pytest.mark.parametrize(("text", "ramp"), [
    ("0.1 N/cycle", (0.1, None)), ("  1e-4 kN / cycle ", (0.1, None)), ("0.1 N per cycle", (0.1, None)),
    ("25 N every 250 cycles", (25, 250)), ("0.025 kN every 1 cycle", (25, 1)), ("constant", (0, None)),
])  # fmt: skip
def test_ramps(text, ramp):
    made = Ramp.read(text)
    assert (made.step_N, made.every) == ramp and Ramp.read(str(made)) == made


@pytest.mark.parametrize(("name", "wanted"), [
    ("weiser", dict(start_N=100, ramp_N_per_cycle=0.1, step_N=None, every_cycles=None, ratio=None, minimum_N=50,
                    frequency_Hz=0.5, stop=dict(head_displacement_mm=5.4, cycles=1_000_000))),
    ("kueny", dict(start_N=75, ramp_N_per_cycle=None, step_N=25, every_cycles=250, ratio=None, minimum_N=25,
                   frequency_Hz=1, stop=dict(head_displacement_mm=5.4, cycles=1_000_000))),
    ("lai", dict(start_N=100, ramp_N_per_cycle=0, step_N=None, every_cycles=None, ratio=None, minimum_N=10,
                 frequency_Hz=1, stop=dict(head_displacement_mm=None, cycles=10_000))),
])  # fmt: skip
def test_published_protocols(tmp_path, name, wanted):
    stop = {"angle_deg": None, "load_N": None, "stiffness_loss": None} | wanted.pop("stop")
    loading = cycle_of(tmp_path, f"{{preset: {name}}}").loading
    assert loading == {"axis": "craniocaudal", "lever_arm_mm": 10, "tolerance": 0.02, "stop": stop} | wanted
    assert json.loads(json.dumps(loading)) == loading


def test_what_is_given_overrides_the_preset(tmp_path):
    given = "{preset: kueny, axis: [0, 3, 4], ratio: 0.2, start: 0.2 kN, ramp: 1 N/cycle, stop: {load: 500 N}}"
    loading = cycle_of(tmp_path, given).loading
    assert loading["axis"] == [0, 0.6, 0.8] and loading["start_N"] == 200 and loading["frequency_Hz"] == 1
    assert (loading["ratio"], loading["minimum_N"]) == (0.2, None), "a given ratio replaces the minimum of the preset"
    assert (loading["ramp_N_per_cycle"], loading["step_N"], loading["every_cycles"]) == (1, None, None)
    assert loading["stop"]["load_N"] == 500 and loading["stop"]["head_displacement_mm"] == 5.4


def test_without_a_preset_little_needs_saying(tmp_path):
    loading = cycle_of(tmp_path, "{start: 150 N, stop: {stiffness_loss: 50 %, angle: 15 deg}, tolerance: 5 %}").loading
    assert (loading["start_N"], loading["ramp_N_per_cycle"], loading["ratio"]) == (150, 0, 0.1)
    assert loading["frequency_Hz"] is None and loading["tolerance"] == 0.05
    assert loading["stop"] == {"head_displacement_mm": None, "angle_deg": 15, "cycles": 1_000_000, "load_N": None,
                               "stiffness_loss": 0.5}  # fmt: skip


@pytest.mark.parametrize("steps", [
    ["halo: {thickness: 1 mm}", "cycle: {preset: lai}"],
    ["augment: {volume: 2 ml, target: tip}", "cycle: {preset: lai}", "pullout:"],
    ["cycle: {preset: lai}", "cycle: {preset: weiser}"],
    ["cycle: {preset: lai}", "revise: {diameter: 7.5 mm}", "augment: {volume: 2 ml, target: halo}", "pullout:"],
])  # fmt: skip
def test_orders_of_steps_with_cycles(tmp_path, steps):
    assert load(write(tmp_path, ["insert:", *steps]))


def test_cement_in_a_halo_yet_unknown_is_not_judged(tmp_path):
    """The size of the halo that cycling makes is known when it is done: what fills it is not refused, nor foretold."""
    screw = "{diameter: 3.5 mm, length: 25 mm, pitch: 2.75 mm, core_diameter: 2.5 mm}"
    for made, fits in (("cycle: {preset: weiser}", True), ("halo: {thickness: 0.1 mm}", False)):
        steps = ["insert:", made, "augment: {volume: 3 ml, target: halo}", "pullout:"]
        file = write(tmp_path, steps, specimen="{level: T4, trajectory: {transverse: 12 deg}, bmd: 70 mg/cm^3}", screw=screw)
        assert fits or "do not fit" in read(file).problems[0].message
        assert not fits or not {("derived", "halo_void"), ("derived", "cement_bulk_volume")} & resolve(file).keys()


def test_resolved_cycle_names_preset_and_choice():
    found = resolve(ROOT / "scenarios" / "rescue.yaml")
    step = ("protocol", 1, "cycle")
    source = "preset: weiser, Weiser 2021, Global Spine J 11:679"
    assert found[*step, "ramp"] == {"value": "0.1 N/cycle", "source": source}
    assert found[*step, "stop", "head_displacement"] == {"value": 5.4, "unit": "mm", "source": source}
    assert found[*step, "minimum"]["value"] == 50 and "same laboratory" in found[*step, "minimum"]["source"]
    assert found[*step, "stop", "cycles"]["value"] == 1_000_000
    assert found[*step, "stop", "cycles"]["source"].startswith("default: halofix's choice")
    assert found[*step, "lever_arm"] == {"value": 10.0, "unit": "mm", "source": "given"}


def test_a_cycle_in_words(tmp_path):
    body = "{preset: kueny, axis: [0, 3, 4], start: 80 N, stop: {cycles: 500}}"
    file = write(tmp_path, ["insert:", "cycle: {preset: weiser}", f"cycle: {body}"])
    _, one, two = words.protocol(YAML(typ="safe").load(resolved_text(load(file))), {})
    assert one == ("Load the head cyclically, craniocaudally 10 mm off the bone, at 0.5 Hz: a peak of 100 N, growing by "
                   "0.1 N each cycle, and back to 50 N, until the head has moved 5.4 mm or 1000000 cycles are done "
                   "(after Weiser 2021, Global Spine J 11:679).")  # fmt: skip
    assert "along [0, 0.6, 0.8]" in two and "80 N, growing by 25 N every 250 cycles, and back to 25 N" in two
    assert "5.4 mm or 500 cycles are done (after Kueny 2014" in two


# -- from scenario to mesh and problem ---------------------------------------------------------------------------------


def test_native(tmp_path):
    made = parts_of(tmp_path)
    assert made.specimen == lab.Vertebra("L3") and made.halo is None and made.cement is None
    assert made.screw == lab.Screw(6.5, 45, 2.75, 4.5, insertion_depth=45)
    assert made.resolution == lab.RESOLUTIONS["standard"] and made.metal == "Ti6Al4V"


def test_trajectory_and_edges(tmp_path):
    specimen = "{level: T12, bmd: 70 mg/cm^3, side: right, trajectory: {transverse: 3 deg, offset: {cranial: 1 mm}}}"
    screw = SCREW.replace("6.5", "5.5").replace("45", "35").replace("4.5", "4")
    edges = "resolution: {thread: 0.5 mm, near: 1 mm, far: 4 mm, sectors: 14}"
    made = parts_of(tmp_path, specimen=specimen, screw=screw, more=edges)
    assert made.specimen == lab.Vertebra("T12", "right", 3.0, None, (0.0, 1.0))
    assert made.resolution == lab.Resolution(0.5, 1.0, 4.0, 14)


def test_halo_is_that_of_the_screw_that_made_it(tmp_path):
    made = parts_of(tmp_path, "halo: {thickness: 1 mm}", "revise: {diameter: 8.5 mm}")
    assert made.halo == lab.Halo(1.0, 6.5, 45.0, "hourglass", "fibrous", None)
    assert made.screw.diameter == 8.5 and made.screw.core_diameter == pytest.approx(8.5 * 4.5 / 6.5)


def test_a_revision_changes_what_it_names(tmp_path):
    new = "{diameter: 7 mm, length: 48 mm, pitch: 3 mm, core_diameter: 5 mm, material: CoCr}"
    made = parts_of(tmp_path, f"revise: {new}")
    assert made.screw == lab.Screw(7, 48, 3, 5, insertion_depth=48) and made.metal == "CoCr"


def test_cement_fills_the_halo_first(tmp_path):
    made = parts_of(tmp_path, "halo: {thickness: 1 mm}", "augment: {volume: 2 ml, target: halo}")
    void = protocol.void_volume(made.screw, made.halo)
    assert made.halo is not None and made.cement.target == "halo"
    assert void < 2000 < made.cement.bulk(void) < void + (2000 - void) / 0.7


def test_void_between_a_smooth_pin_and_a_cylindrical_halo():
    pin, halo = lab.Screw(6, 40, 2, 4, thread="smooth", insertion_depth=40), lab.Halo(1, 6, 40)
    assert protocol.void_volume(pin, halo) == pytest.approx(np.pi * ((16 - 9) * 40 + 16), rel=1e-3)


def test_void_between_threads():
    """Mean of r^2 over a pitch: crest at R, flanks linear in z, root at the core."""
    screw = lab.Screw(6, 40, 2, 4, crest=0.4, proximal_flank=0, distal_flank=45, insertion_depth=40)
    halo = lab.Halo(1, 6, 40)
    mean = (0.4 * 9 + 1.0 * (9 + 6 + 4) / 3 + 0.6 * 4) / 2
    assert protocol.void_volume(screw, halo) == pytest.approx(np.pi * ((16 - mean) * 40 + 16), rel=2e-3)


@pytest.mark.parametrize(("level", "ml"), [("T1", 1), ("T6", 1), ("T7", 1.5), ("T12", 1.5), ("L1", 2), ("L5", 2)])
def test_preset_volume_is_half_of_the_level(level, ml):
    specimen = spec.Vertebra(level=level, bmd="70 mg/cm^3")
    assert protocol.preset_volume(specimen)[0] == 1000 * ml


def test_density_kinds_reach_the_laws(tmp_path):
    one, other = (
        load(write(tmp_path, ["insert:", "pullout:"], specimen=f"{{level: L3, bmd: 70 mg/cm^3{kind}}}")).specimen
        for kind in ("", ", bmd_kind: apparent")
    )
    assert protocol.density(one).kind == "qct_k2hpo4" and protocol.density(other).kind == "apparent"
    assert protocol.bvtv(one) > 1.5 * protocol.bvtv(other)


def test_foam_density_of_a_grade_and_ring_of_f543():
    scenario = load(ROOT / "scenarios" / "foam_f543.yaml")
    assert protocol.foam_density(scenario.specimen) == 240
    assert assemble.parts(scenario).specimen == lab.Block(60, 40, 32.5)


def test_warns_outside_the_range_of_a_law(tmp_path):
    reading = read(write(tmp_path, ["insert:", "pullout:"], specimen="{level: L3, bmd: 300 mg/cm^3}"))
    assert reading.scenario and [w.path for w in reading.warnings] == [("specimen", "bmd")]
    assert "Kopperdahl" in reading.warnings[0].message


def test_warns_of_a_halo_that_is_not_filled(tmp_path):
    steps = ["insert:", "halo: {thickness: 1 mm}", "augment: {volume: 0.5 ml, target: halo}", "pullout:"]
    reading = read(write(tmp_path, steps))
    assert reading.scenario and "from the tip upwards" in reading.warnings[0].message


# -- resolved.yaml -----------------------------------------------------------------------------------------------------


def leaves(tree, path=()):
    if isinstance(tree, dict) and "source" in tree and "value" in tree:
        yield path, tree
    elif isinstance(tree, (dict, list)):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, (*path, key))


def resolve(file):
    return dict(leaves(YAML(typ="safe").load(resolved_text(load(file)))))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_resolved_has_value_unit_and_source_of_everything(file):
    for path, leaf in resolve(file).items():
        assert leaf["source"].startswith(("given", "default: ", "table: ", "derived: ", "preset: ", "nominal ")), path
        if isinstance(leaf["value"], float):
            assert leaf["unit"], path


def test_resolved_tells_given_default_and_table_apart():
    found = resolve(ROOT / "scenarios" / "fenestrated.yaml")
    assert found["screw", "diameter"] == {"value": 6.5, "unit": "mm", "source": "given"}
    assert found["specimen", "bmd_kind"]["source"].startswith("default: bmd on its own means QCT")
    assert found["specimen", "trajectory", "transverse"]["source"].startswith("table: pedicle axis of L3")
    volume = found["protocol", 1, "augment", "volume"]
    assert volume["value"] == 2000 and volume["source"].startswith("preset: 4 ml at L1-L5 for both screws")


def names(directory):
    return {file.name for file in Path(directory).iterdir()}


# -- the command line --------------------------------------------------------------------------------------------------


SLOW = {"dolfinx", "gmsh", "mpi4py", "pandas", "pyvista", "vtk"}  # a second and more each


def shell(*words):
    """(done, those of SLOW that were loaded)"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-X", "importtime", "-m", "scenarios.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done, SLOW & {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_help_speaks_of_screws_and_lists_the_verbs():
    done, slow = shell("--help")
    assert done.returncode == 0 and not slow
    for word in ("run", "compare", "check", "schema", "mesh", "report", "doctor", "test", "screw", "newtons"):
        assert word in done.stdout


def test_check_is_quick_and_loads_no_solver():
    done, slow = shell("check", *SHIPPED)
    assert done.returncode == 0 and done.stdout.count(": ok, ") == len(SHIPPED) and not slow
    assert "scenarios.loader" in done.stderr, "what is loaded is told"


def test_schema_verb():
    done, _ = shell("schema")
    assert done.stdout == (ROOT / "scenarios" / "schema.json").read_text()


# -- the whole way, for real ------------------------------------------------------------------------------------------


@pytest.mark.mpi
def test_two_ranks_pull_as_one(tmp_path, monkeypatch):
    """Check, mesh, solve, report; the peak force does not depend on the number of processes."""
    monkeypatch.chdir(tmp_path)
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    one, two = (scenarios.run(CYLINDER, out=f"{n}", ranks=n, resolution="coarse") for n in (1, 2))
    assert (one.status, two.status, two.summary["ranks"]) == ("completed", "completed", 2)
    assert two.peak_force_N == pytest.approx(one.peak_force_N, rel=1e-3) and one.peak_force_N > 100
    assert one.summary["failure_type"] == 2 and len(one.curve) > 10
    assert {"report.html", "figures", "peak.vtu", "run.log"} <= names(one.directory)
    assert names(".") == {"1", "2"}


def test_another_lever_arm_needs_no_other_mesh(tmp_path):
    """The specimen keeps its state; the load is moved to its line by a couple."""
    text = (ROOT / "scenarios" / "toggle_native.yaml").read_text()
    file = tmp_path / "two.yaml"
    file.write_text(text.replace("resolution:", "  - cycle: {preset: weiser, lever_arm: 20 mm}\nresolution:"))
    scenario = load(file)
    first, second = assemble.stages(scenario)
    assert assemble.parts(scenario, first) == assemble.parts(scenario, second)
    mesh = SimpleNamespace(frame=(np.eye(3), np.zeros(3)))
    assert [assemble._loading(scenario, stage, mesh)["ahead_mm"] for stage in (first, second)] == [0.0, 10.0]


def test_a_screw_that_is_put_in_anew_starts_free_of_load(tmp_path):
    """Be it the same one: geometry alone does not tell that nothing was done."""
    def specimens(between):
        text = (ROOT / "scenarios" / "rescue.yaml").read_text()
        steps = text.index("protocol:")
        end = text.index("resolution:")
        file = tmp_path / "two.yaml"
        file.write_text(text[:steps] + "protocol:\n  - insert: {}\n  - cycle: {preset: weiser}\n" + between + "  - pullout: {}\n" + text[end:])
        scenario = load(file)
        return assemble.untouched(scenario, *assemble.stages(scenario))

    assert specimens("") and not specimens("  - revise: {diameter: 6.5 mm}\n") and not specimens("  - augment: {volume: 1 ml, target: halo}\n")
