"""Study files: the shipped ones, what is refused and where, and the scenarios that are made of them."""

from pathlib import Path
import textwrap

import numpy as np
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from materials import library
from scenarios import case_runs, cli, comparing, open_inputs, runner, specimen_table, study_loader, validation
from scenarios.loader import load as load_scenario
from scenarios.shared import Shared
from scenarios.study import Case, amount, arm_text, outcome_of, unit
from scenarios.trouble import BadInput
from scenarios.variation import value_at

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted((ROOT / "benchmarks" / "cadaveric" / "studies").glob("*.yaml"))
BASE = ROOT / "scenarios" / "foam_f543.yaml"
GOOD = """\
citation: "Nobody 2020"
role: validation
kind: synthetic
specimen: {density: 0.2 g/cm^3}
screw: {diameter: 6 mm}
base: BASE
arms:
  index: {}
  thick: {screw.diameter: 7 mm, screw.core_diameter: 5 mm}
measured:
  - {arm: index, outcome: peak_force_N, mean: 0.4 kN, sd: 20 N, n: 6}
  - {arm: thick, outcome: peak_force_N, mean: 500 N}
  - {ratio: [thick, index], outcome: peak_force_N, value: 1.25}
  - {direction: thick > index, outcome: peak_force_N}
assumed:
  screw.pitch: {value: 3 mm, why: "usual"}
  machine: {why: "stiff"}
open:
  model.friction: {uniform: [0.1, 0.2], why: "library"}
  specimen.density: {normal: [0.2 g/cm^3, 0.01 g/cm^3], why: "blocks"}
"""
BONE = (
    GOOD.replace("kind: synthetic", "kind: cadaveric")
    .replace("{density: 0.2 g/cm^3}", "{levels: [L3, L4], n: 6, bmd: 70 mg/cm^3, bmd_sd: 5 mg/cm^3, bmd_kind: qct_ha}")
    .replace("BASE", str(ROOT / "scenarios" / "native.yaml"))
    .replace("specimen.density: {normal: [0.2 g/cm^3, 0.01 g/cm^3]", "specimen.bmd: {uniform: [60 mg/cm^3, 80 mg/cm^3]")
)
LAST = "{direction: thick > index, outcome: peak_force_N}"  # of what the good study has measured


def write(folder, *changes, text=GOOD, name="study.yaml"):
    """A study file: the good one with (old, new) replaced."""
    text = text.replace("BASE", str(BASE))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file = folder / name
    file.write_text(text)
    return file


def problems(folder, *changes, text=GOOD):
    file = write(folder, *changes, text=text)
    return [problem.text("study.yaml") for problem in study_loader.read(file).problems]


# -- the files we ship -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_studies_are_valid(file):
    reading = study_loader.read(file)
    assert not reading.problems
    study = reading.study
    assert study.assumed, "every abstract leaves something out"
    numbers = [item.given for item in study.measured if item.kind != "direction"]
    assert set(map(type, numbers)) <= ({type(None)} if study.role == "blind" else {float})


def test_shipped_studies_are_those_of_the_collected_data():
    expected = ("weiser2017 weiser2021 kueny2014 leichtle2016 varghese2018 varghese2019 kang lai2018 chapman1996 chatzistergos2010 "
                "weidling2022 pedilen christodoulou2015 dkou2025 dkou2025_known liebsch2018 kurland2023")
    assert {file.stem for file in SHIPPED} == set(expected.split())
    assert {file.stem for file in SHIPPED if "role: blind" in file.read_text()} == {"dkou2025", "liebsch2018", "kurland2023"}


# -- what is refused, and where ----------------------------------------------------------------------------------------

REFUSED = {
    "unknown_key": (("kind: synthetic", "kind: synthetic\nspecimens_n: 3"), 4, "unknown key", "`specimens`"),
    "unknown_outcome": (("outcome: peak_force_N, mean: 0.4 kN", "outcome: peak_forces_N, mean: 0.4 kN"), 11, "is not an outcome", "`peak_force_N`"),
    "unit_missing": (("mean: 0.4 kN", "mean: 0.4"), 11, "0.4 has no unit", "a force"),
    "unit_of_sd": (("sd: 20 N", "sd: 20 mm"), 11, "'20 mm' is not a force", ""),
    "doi_with_address": (("kind: synthetic", "kind: synthetic\ndoi: https://doi.org/10.1/2"), 4, "is no DOI", "10.1177/"),
    "mean_below_zero": (("mean: 0.4 kN", "mean: -0.4 kN"), 11, "-400 is no measured value", "above 0"),
    "mean_of_0": (("mean: 0.4 kN", "mean: 0 kN"), 11, "0 is no measured value", "above 0"),
    "no_number_at_all": (("value: 1.25", "value: .nan"), 13, "`nan` is not a plain number", "such as `1.45`"),
    "yes_for_a_number": (("sd: 20 N", "sd: true"), 11, "`True` is not possible here", "such as `207 N`"),
    "three_outcomes": (("outcome: peak_force_N, value", "outcome: [a, b, c], value"), 13, "is not a pair of words", ""),
    "base_is_a_number": (("base: BASE".replace("BASE", str(BASE)), "base: 3"), 6, "`3` is not possible here", "a scenario file"),
    "ratio_with_unit": (("value: 1.25", "value: 1.25 N"), 13, "is not a plain number", ""),
    "unknown_arm": (("{arm: thick,", "{arm: thik,"), 12, "there is no arm `thik`", "`thick`"),
    "two_kinds": (("{arm: thick,", "{arm: thick, direction: thick > index,"), 12, "exactly one of them", ""),
    "ratio_against_means": (("value: 1.25", "value: 1.5"), 13, "have a ratio of 1.25, not 1.5", ""),
    "direction_against_means": (("thick > index", "thick < index"), 14, "say the opposite", ""),
    "assumed_and_given": (("screw.pitch: {value: 3 mm", "screw.diameter: {value: 6.5 mm"), 16, "the source gives it (6 mm)", ""),
    "assumed_nowhere": (("screw.pitch: {value: 3 mm", "protocol.halo.thickness: {value: 1 mm"), 16, "no arm has such a value", ""),
    "one_name_for_two": (("value: 1.25", "value: 1.25, name: 'thick > index: peak_force_N'"), 14, "called `thick > index: peak_force_N` like that in line 13", "another `name:`"),
    "correlation_with_no_input": ((LAST, "{correlation: [index, thick, thick], between: [specimn.density, peak_force_N], value: 0.9}"),
                                  14, "arm `index` has no number at `specimn.density`", ""),
    "no_reason": ((', why: "usual"', ""), 16, "missing; give why this", ""),
    "blind_with_results": (("role: validation", "role: blind"), 11, "results are not known", "role: validation"),
    "no_mean": ((", mean: 500 N", ""), 12, "missing; give the mean", ""),
    "base_missing": (("base: ", "base: nowhere/"), 6, "there is no scenario file", ""),
    "arm_is_no_scenario": (("screw.core_diameter: 5 mm", "screw.core_diameter: 8 mm"), 9, "leaves no thread", "in arm `thick`"),
    "arm_without_unit": (("screw.diameter: 7 mm", "screw.diameter: 7"), 9, "7 has no unit", ""),
    "decimal_comma": (("screw.diameter: 7 mm", "screw.diameter: 7,5 mm"), 9, "arms.thick.screw.diameter: '7,5 mm' has a decimal comma", ""),
    "arm_path": (("screw.diameter: 7 mm", "screws.diameter: 7 mm"), 9, "no block `screws`", ""),
    "not_in_protocol": (("{direction: thick > index, outcome: peak_force_N", "{direction: thick > index, outcome: cycles_to_loosening"), 14,
                        "is an outcome of cycle; the steps of arm `thick` are insert, pullout", ""),
    "same_sides": (("ratio: [thick, index]", "ratio: [index, index]"), 13, "both sides are the same", ""),
    "density_of_no_kind": (("{density: 0.2 g/cm^3}", "{bmd: 70 mg/cm^3}"), 4, "a density is of a kind", ""),
    "bounds_swapped": (("uniform: [0.1, 0.2]", "uniform: [0.2, 0.1]"), 19, "the bounds are [low, high]", ""),
    "friction_beyond_its_limits": (("uniform: [0.1, 0.2]", "uniform: [0.1, 2.0]"), 19, "`2` is not possible; allowed: 0 to 1", ""),
    "unknown_law_input": (("model.friction", "model.frction"), 19, "no such input of the laws", "`model.friction`"),
    "open_beyond_the_language": (("normal: [0.2 g/cm^3, 0.01 g/cm^3]", "normal: [0.2 g/cm^3, 0.5 g/cm^3]"), 20, "at -0.8 g/cm^3", "out of range"),
    "nothing_measured": ((GOOD[GOOD.index("measured:"):GOOD.index("assumed:")].replace("BASE", str(BASE)), ""), 1, "nothing to compare with", ""),
    "no_citation": (('"Nobody 2020"', '""'), 1, "citation: there is no text in it", ""),
    "two_means": (("{arm: thick,", "{arm: index,"), 12, "given twice (first in line 11)", "keep one"),
    "ratio_both_ways": ((LAST, "{ratio: [index, thick], outcome: peak_force_N, value: 0.8}"), 14, "given twice (first in line 13)", ""),
    "direction_twice": ((LAST, f"{LAST}\n  - {{direction: index < thick, outcome: peak_force_N}}"), 15, "given twice (first in line 14)", ""),
    "directions_that_differ": ((LAST, f"{LAST}\n  - {{direction: thick ~ index, outcome: peak_force_N}}"), 15, "given twice (first in line 14)", ""),
    "direction_against_ratio": ((LAST, "{ratio: [index, thick], outcome: stiffness_N_per_mm, value: 1.1}\n"
                                       "  - {direction: thick > index, outcome: stiffness_N_per_mm}"),
                                15, "here it is thick > index, in line 14 thick < index", ""),
    "ratio_against_difference": ((LAST, "{difference: [thick, index], outcome: stiffness_N_per_mm, value: -10 N/mm}\n"
                                        "  - {ratio: [thick, index], outcome: stiffness_N_per_mm, value: 1.1}"),
                                 15, "here it is thick > index, in line 14 thick < index", ""),
    "no_difference_against_ratio": ((LAST, "{direction: thick ~ index, outcome: stiffness_N_per_mm}\n"
                                           "  - {ratio: [thick, index], outcome: stiffness_N_per_mm, value: 1.1}"),
                                    15, "here it is thick > index, in line 14 thick ~ index", "`p` above 0.05"),
    "difference_against_p": (("value: 1.25", "value: 1.25, p: 0.2"), 14, "here it is thick > index, in line 13 thick ~ index", ""),
    "no_difference_against_means": (("thick > index", "thick ~ index"), 14, "the means of these arms are told apart (500 and 400)", ""),
    "ratio_of_two_units": (("outcome: peak_force_N, value: 1.25", "outcome: [peak_force_N, stiffness_N_per_mm], value: 1.25"),
                           13, "these are in N and N/mm; compare outcomes of one unit", ""),
    "sd_in_another_unit": (("sd: 20 N", "sd: 2 kN"), 11, "more than twice the mean (2000 and 400 N)", "is its unit right?"),
    "foam_of_a_cadaver": (("kind: synthetic", "kind: cadaveric"), 3, "arm `index` is of foam, which is `synthetic`", ""),
    "correlation_of_nothing": ((LAST, "{correlation: [index, thick, index], outcome: peak_force_N, value: 0.9}"),
                               14, "missing; a correlation is `between:", ""),
    "difference_of_none": ((LAST, "{difference: [thick, index], outcome: stiffness_N_per_mm, value: 0 N/mm}"), 14, "no share of 0 can be missed", "`arm ~ other`"),
    "ratio_of_single_specimens": (("value: 1.25", "value: 1.35"), 13, "the means of these arms have a ratio of 1.25, not 1.35", "`paired: true`"),
    "open_protocol": (("model.friction: {uniform: [0.1, 0.2]", "protocol: {uniform: [0.1, 0.2]"), 19, "at 0.1, in arm `index`", ""),
    "arm_correlated_twice": ((LAST, "{correlation: [index, thick, index], between: [screw.diameter, peak_force_N], value: 0.9}"),
                             14, "an arm is there twice", ""),
}
REFUSED_OF_BONE = {
    "bone_of_foam": (("kind: cadaveric", "kind: synthetic"), 3, "arm `index` is of bone, which is `cadaveric` or `animal`", ""),
    "level_of_an_arm": (("index: {}", "index: {specimen.level: L2}"), 8, "in arm `index`: L2 is none of the levels that were tested (L3, L4)", ""),
    "level_of_the_base": (("levels: [L3, L4]", "levels: [L1, L2]"), 4, "L3 is none of the levels that were tested (L1, L2)", ""),
    "level_assumed": (("screw.pitch: {value: 3 mm", "specimen.level: {value: L2"), 16, "L2 is none of the levels that were tested", ""),
    "densities_above_their_mean": (("index: {}\n  thick: {", "index: {specimen.bmd: 80 mg/cm^3}\n  thick: {specimen.bmd: 90 mg/cm^3, "),
                                   4, "the arms have 80 and 90 mg/cm^3, which cannot have this mean", ""),
    "more_than_all": (("sd: 20 N, n: 6", "sd: 20 N, n: 7"), 11, "the study has 6 specimens", ""),
    "no_spread": (("bmd_sd: 5 mg/cm^3", "bmd_sd: 0 mg/cm^3"), 4, "'0 mg/cm^3' is out of range", ""),
    "nominal_outside_its_bounds": (("uniform: [60 mg/cm^3, 80 mg/cm^3]", "uniform: [0.071 g/cm^3, 0.08 g/cm^3]"),
                                   20, "arm `index` has 70 mg/cm^3 there, outside of these bounds", ""),
    "samples_on_no_coarser_mesh": (("open:", "samples_on: standard\nopen:"), 18, "the mesh of arm `index` is `coarse`; `standard` is for arms on a finer one", ""),
    "samples_on_a_mesh_that_is_none": (("open:", "samples_on: rough\nopen:"), 18, "", "coarse"),
    "nominal_far_from_the_mean": (("uniform: [60 mg/cm^3, 80 mg/cm^3]", "normal: [110 mg/cm^3, 10 mg/cm^3]"), 20, "arm `index` has 70 mg/cm^3 there", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_screws_of_shipped_studies_fit_their_bones(file, tmp_path):
    """What only the mesher can find out, of the first loading of each arm."""
    study, folder = study_loader.load(file)
    for arm in study.arms:
        plan = case_runs.planned(Case(study.name, arm, arm_text(study, folder, arm)), tmp_path, None)
        scenario = tmp_path / "scenario.yaml"
        scenario.write_text(plan.case.text)
        runner.prepare_mesh(scenario, plan.scenario.resolution, Shared(tmp_path))


@pytest.mark.parametrize("case", REFUSED | REFUSED_OF_BONE)
def test_refused_with_its_line(case, tmp_path):
    change, line, sentence, more = (REFUSED | REFUSED_OF_BONE)[case]
    found = problems(tmp_path, change, text=BONE if case in REFUSED_OF_BONE else GOOD)
    assert any(text.startswith(f"study.yaml:{line}: ") and sentence in text and more in text for text in found), found


@pytest.mark.parametrize("changes", [
    [("value: 1.25", "value: 1.25, p: 0.04")],
    [("value: 1.25", "value: 1.25, p: 0.2"), ("thick > index", "thick ~ index"), ("sd: 20 N, n: 6", "sd: 200 N, n: 6"), ("mean: 500 N", "mean: 500 N, sd: 200 N, n: 6")],
    [("thick > index, outcome: peak_force_N", "thick < index, outcome: stiffness_N_per_mm")],
], ids=["significant", "no difference", "another outcome"])
def test_what_agrees_is_allowed(changes, tmp_path):
    assert problems(tmp_path, *changes) == []


@pytest.mark.parametrize("changes", [
    [],
    [("uniform: [60 mg/cm^3, 80 mg/cm^3]", "uniform: [70 mg/cm^3, 80 mg/cm^3]")],
    [("index: {}\n  thick: {", "index: {specimen.bmd: 60 mg/cm^3}\n  thick: {specimen.bmd: 90 mg/cm^3, ")],
], ids=["as it is", "at the edge of its bounds", "classes of density"])
def test_bone_that_agrees_is_allowed(changes, tmp_path):
    assert problems(tmp_path, *changes, text=BONE) == []


def test_what_is_wrong_with_the_base_is_told_once(tmp_path):
    missing, = problems(tmp_path, ("base: ", "base: nowhere/"))
    assert missing.startswith("study.yaml:6: base: there is no scenario file")
    (tmp_path / "rough.yaml").write_text(BASE.read_text().replace("resolution: ", "resolution: rough # "))
    rough, = problems(tmp_path, (f"base: {BASE}", "base: rough.yaml"))
    assert rough.startswith("study.yaml:6: base.resolution: ") and "rough" in rough


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    found = problems(tmp_path, ("kind: synthetic", "kind: synthetc"), ("mean: 0.4 kN", "mean: 0.4"), ("{ratio: [thick, index]", "{ratio: [thik, index]"))
    assert len(found) == 3 and "synthetic" in found[0] and ":11:" in found[1] and ":13:" in found[2]
    found = problems(tmp_path, ("kind: synthetic", "kind: synthetc"), ("screw.core_diameter: 5 mm", "screw.core_diameter: 8 mm"),
                     ("uniform: [0.1, 0.2]", "uniform: [0.2, 0.1]"), ('why: "usual"', "why: 3"))
    assert [text.split(":")[1] for text in found] == ["3", "9", "16", "19"], "the rest of a file is judged beside what cannot be read"


def test_a_study_that_a_constant_was_fitted_to_is_no_validation(tmp_path, monkeypatch):
    def refused(on):
        fitted = library.Value(0.3, "1", (0, 0.6), "fitted", fitted={"on": on, "date": "2030-01-01", "interval": [0.2, 0.4]})
        monkeypatch.setattr(library.load("calibrated"), "insertion_damage", fitted)
        return any("was fitted to this study" in text for text in problems(tmp_path, ("role: validation", "role: validation\ndoi: 10.1/aBc")))

    assert refused({"study": ["Nobody 2019"]}) and not refused({"other": ["10.1/other", "Nobody 2019"]})
    assert refused({"other": ["10.1/ABC", "Nobody 2019"]}) and refused({"other": ["Nobody 2020"]}), "a copy under another name"
    assert problems(tmp_path, ("role: validation", "role: calibration")) == []


def test_check_tells_studies_from_scenarios(tmp_path):
    good, bad = write(tmp_path), write(tmp_path, ("mean: 0.4 kN", "mean: 0.4"), name="bad.yaml")
    run = CliRunner().invoke(cli.app, ["check", str(good), str(BASE)])
    assert run.exit_code == 0
    assert "validation study, 2 arms, 4 measured" in run.output and "foam block" in run.output
    run = CliRunner().invoke(cli.app, ["check", str(bad)])
    assert run.exit_code == 2 and f"{bad}:11: measured[1].mean: " in run.output


def test_what_is_no_study_is_said_in_one_sentence(tmp_path):
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("scenario: base.yaml\nparameters: {specimen.bmd: [60 mg/cm^3]}\n")
    assert [p.message for p in study_loader.read(BASE).problems] == [
        f"this is a scenario and not a study; `./halofix run {BASE}` runs it, and a study names it as its `base`"]
    assert [p.message for p in study_loader.read(sweep).problems] == [f"this is a sweep and not a study; `./halofix sweep {sweep}` runs it"]
    file = write(tmp_path, ("base:", "scenario: x.yaml\nbase:"))
    assert ["scenario: unknown key" in p.text("") for p in study_loader.read(file).problems] == [True]
    with pytest.raises(BadInput, match="this is a study and not a scenario; `./halofix validate"):
        load_scenario(file)


# -- what a study becomes ----------------------------------------------------------------------------------------------


def test_an_arm_takes_what_is_reported_then_assumed_then_its_own(tmp_path):
    study, folder = study_loader.load(write(tmp_path))
    text = arm_text(study, folder, "thick")
    assert value_at(text, "screw.diameter") == "7 mm" and value_at(text, "screw.pitch") == "3 mm"
    assert value_at(arm_text(study, folder, "index"), "screw.diameter") == "6 mm"
    file = tmp_path / "arm.yaml"
    file.write_text(arm_text(study, folder, "index", {"specimen.density": "0.3 g/cm^3"}))
    scenario = load_scenario(file)
    assert scenario.specimen.density == 300 and scenario.screw.diameter == 6
    assert scenario.specimen.grade is None, "the density of the source replaces the grade of the base"


def test_a_base_may_be_written_out(tmp_path):
    scenario = YAML(typ="safe").load(BASE)
    inline = "base:\n" + textwrap.indent("\n".join(f"{key}: {value!r}" for key, value in scenario.items()), "  ")
    file = write(tmp_path, (f"base: {BASE}", inline.replace("'", '"')))
    study, folder = study_loader.load(file)
    assert value_at(arm_text(study, folder, "index"), "screw.core_diameter") == "4.5 mm"


def test_open_inputs_are_the_same_for_all_arms_and_fill_their_range(tmp_path):
    study, folder = study_loader.load(write(tmp_path))
    found = {arm: open_inputs.cases(study, folder, arm, 10) for arm in study.arms}
    assert len(found["index"]) == 10
    frictions = [case.inputs["model.friction"] for case in found["index"]]
    assert sorted(int((f - 0.1) / 0.01) for f in frictions) == list(range(10)), "one in each tenth of the range"
    for a, b in zip(found["index"], found["thick"]):
        assert a.inputs == b.inputs and value_at(a.text, "specimen.density") == value_at(b.text, "specimen.density")
    densities = [float(value_at(case.text, "specimen.density").split()[0]) for case in found["index"]]
    assert 0.18 <= min(densities) < 0.195 and 0.205 < max(densities) <= 0.22


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_open_inputs_of_an_arm_are_not_confounded(file):
    study, _ = study_loader.load(file)
    for arm in study.arms:
        drawn = open_inputs.samples(study, arm, validation.SAMPLES)
        shares = np.array([[float(str(value).split()[0]) for value in row.values()] for row in drawn])
        if shares.size and shares.shape[1] > 1:
            assert np.abs(np.corrcoef(shares.T) - np.eye(shares.shape[1])).max() < 0.45, arm
    assert open_inputs.samples(study, arm, 4) == open_inputs.samples(study, arm, 4)


def test_a_scatter_follows_the_value_of_the_arm(tmp_path):
    text = GOOD.replace("normal: [0.2 g/cm^3, 0.01 g/cm^3]", "relative: 10 %").replace("thick: {", "thick: {specimen.density: 0.4 g/cm^3, ")
    study, folder = study_loader.load(write(tmp_path, text=text))
    index, thick = (open_inputs.cases(study, folder, arm, 3) for arm in ("index", "thick"))
    for a, b in zip(index, thick):
        one, other = (float(value_at(case.text, "specimen.density").split()[0]) for case in (a, b))
        # 0.2 g/cm^3 is written as 200 mg/cm^3 where the source reports it; other specimens, so they scatter by themselves
        assert 160 <= one <= 240 and 0.32 <= other <= 0.48 and other != pytest.approx(one / 1000 * 2, rel=1e-3)
        assert a.inputs == b.inputs


def test_an_open_input_without_unit_is_set_not_multiplied(tmp_path):
    text = GOOD.replace("base: BASE", f"base: {ROOT / 'scenarios' / 'toggle_native.yaml'}").replace("kind: synthetic", "kind: cadaveric")
    text = text.replace("specimen: {density: 0.2 g/cm^3}\n", "").replace("peak_force_N", "load_at_loosening_N").replace(
        "specimen.density: {normal: [0.2 g/cm^3, 0.01 g/cm^3], why: \"blocks\"}", "protocol.cycle.ratio: {uniform: [0.05, 0.2], why: \"not given\"}")
    study, folder = study_loader.load(write(tmp_path, text=text))
    values = [value_at(case.text, "protocol.cycle.ratio") for case in open_inputs.cases(study, folder, "index", 4)]
    assert all(0.05 <= float(value) <= 0.2 for value in values)


def test_units_of_outcomes():
    assert [unit(key) for key in ("peak_force_N", "stiffness_N_per_mm", "energy_to_peak_N_mm", "micromotion_um", "cycles_to_loosening")] == [
        "N", "N/mm", "N*mm", "um", ""]
    assert amount("0.4 kN", "N") == pytest.approx(400) and amount("2 kN/mm", "N/mm") == pytest.approx(2000)
    assert amount("1 J", "N*mm") == pytest.approx(1000) and amount(12, "") == 12


def test_outcomes_of_a_result():
    steps = [{"kind": "insert"}, {"kind": "cycle", "load_at_loosening_N": 200.0}, {"kind": "cycle", "load_at_loosening_N": None},
             {"kind": "pullout", "peak_force_N": 90.0}]
    done = {"status": "completed", "reason": "done", "steps": steps}
    assert outcome_of(done, "cycle[1].load_at_loosening_N") == (200.0, "")
    assert outcome_of(done, "cycle[2].load_at_loosening_N")[0] is None
    assert outcome_of(done, "cycle[3].load_at_loosening_N")[0] is None
    assert outcome_of(done, "peak_force_N") == (90.0, "")
    value, why = outcome_of(done | {"status": "partial", "reason": "no equilibrium"}, "peak_force_N")
    assert value is None and "no equilibrium" in why, "the largest force so far is no peak"


# -- specimen by specimen ----------------------------------------------------------------------------------------------

TABLE = """\
specimen,arm,specimen.density (g/cm^3),peak_force_N,curve
a,index,0.19,380,a.csv
b,thick,,520,
"""


def with_table(folder, table=TABLE):
    (folder / "table.csv").write_text(table)
    (folder / "a.csv").write_text("displacement_mm,force_N\n0,0\n0.2,380\n")
    return write(folder, ("assumed:", "specimens: table.csv\nassumed:"))


def test_table_of_specimens(tmp_path):
    study, folder = study_loader.load(with_table(tmp_path))
    first, second = specimen_table.read(study, folder)
    assert first.changes == {"specimen.density": "0.19 g/cm^3"} and first.measured == {"peak_force_N": 380.0}
    assert first.curve.name == "a.csv" and second.changes == {} and second.curve is None


@pytest.mark.parametrize("old, new, sentence", [
    ("b,thick", "b,thin", "table.csv:3: there is no arm `thin`"),
    ("380,a", "38O,a", "`38O` is not a number"),
    ("peak_force_N,", "peak_force,", "`peak_force` is neither an input"),
    ("a.csv", "b.csv", "there is no curve file"),
    ("b,thick", "a,index", "specimen `a` is in arm `index` 2 times"),
    ("0.19", "9", "table.csv:2: specimen.density: '9 g/cm^3' is out of range"),
    ("0.19,380", "0,19,380,4", "table.csv:2: 7 cells under 5 headings; a decimal comma?"),
    ("520,", "5,20,", "table.csv:3: 6 cells under 5 headings; a decimal comma?"),  # the last one empty
    ("b,thick,,520,", "b", "table.csv:3: arm: there is no value"),
    ("380,a", "nan,a", "table.csv:2: peak_force_N: `nan` is no measured value; allowed is above 0 (empty: not measured)"),
    ("380,a", "0,a", "table.csv:2: peak_force_N: `0` is no measured value"),
    ("380,a", "inf,a", "`inf` is no measured value"),
    ("380,a", "-380,a", "`-380` is no measured value"),
    ("N,curve", "N,peak_force_N", "table.csv:1: the column `peak_force_N` is there 2 times"),
    ("peak_force_N,", "specimen.density [mg/cm^3],", "table.csv:1: the column `specimen.density` is there 2 times"),
    ("peak_force_N,", "force,", "allowed: specimen, arm, curve, load_at_loosening_N, "),
    ("peak_force_N,", "pullout.peak_force_N (kN),", "`pullout.peak_force_N (kN)` is neither an input"),
    ("peak_force_N,", "cycles_to_loosening,", "table.csv:2: `cycles_to_loosening` is an outcome of cycle; the steps of arm `index` are insert, pullout"),
    ("peak_force_N,", "pullout[2].peak_force_N,", "table.csv:3: arm `thick` has 1 `pullout`, so there is no pullout[2]"),
    (TABLE[TABLE.index("380"):], ",\nb,thick,,,\n", "table.csv: there is nothing measured in it"),
    (TABLE, TABLE.replace(",", ";"), "table.csv:1: the cells are separated by semicolons; separate them by commas"),
    (TABLE, TABLE.replace(",", "\t"), "table.csv:1: the cells are separated by tabs; separate them by commas"),
])
def test_table_refused_with_its_line(tmp_path, old, new, sentence):
    file = with_table(tmp_path, TABLE.replace(old, new))
    with pytest.raises(BadInput, match="study.yaml:15: specimens: ") as caught:
        study_loader.load(file)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("curve, sentence", [
    ("displacement_mm,load_N\n0,0\n0.2,380\n", "a.csv:1: there is no column `force_N`"),
    ("displacement_mm,force_N\n0,0\n0.2,38O\n", "a.csv:3: force_N: `38O` is not a number"),
    ("displacement_mm,force_N\n0,0\n0.2,\n", "a.csv:3: force_N: `` is not a number"),
    ("displacement_mm,force_N\n0.2,380\n", "a.csv: a curve has at least two points"),
    ("displacement_mm,force_N\n", "a.csv: a heading and at least one row are needed"),
    ("displacement_mm;force_N\n0;0\n0,2;380\n", "a.csv:1: the cells are separated by semicolons"),
    ("displacement_mm,force_N,force_N\n0,0,0\n1,1,1\n", "a.csv:1: the column `force_N` is there 2 times"),
])
def test_curve_refused_with_its_line(tmp_path, curve, sentence):
    file = with_table(tmp_path)
    (tmp_path / "a.csv").write_text(curve)
    with pytest.raises(BadInput, match="study.yaml:15: specimens: ") as caught:
        study_loader.load(file)
    assert sentence in str(caught.value)


def test_a_specimen_may_be_in_several_arms(tmp_path):
    study, folder = study_loader.load(with_table(tmp_path, TABLE.replace("b,thick", "a,thick")))
    rows = specimen_table.read(study, folder)
    assert [(row.name, row.arm) for row in rows] == [("a", "index"), ("a", "thick")]
    plans = validation._plans(study, folder, "", tmp_path / "runs", None, 0, {}, True)
    points = comparing.points(study, comparing.Outcomes(plans), rows)
    assert [point.what for point in points[-2:]] == ["a, index: peak_force_N", "a, thick: peak_force_N"]
    runs = validation._described(study, folder, {"": plans})["runs"]
    assert [(run["arm"], bool(run["curve"])) for run in runs if run["specimen"]] == [("index", True), ("thick", False)]


def test_all_that_is_wrong_in_a_table_is_told(tmp_path):
    with_table(tmp_path, "specimen,arm,specimen.density (g/cm^3),screw.pitch,peak_force_N\na,indx,0.2,3 mm,380\nb,thick,9,3,-2\nc,index,0.2,3,1\n")
    found = [problem.text("study.yaml").removeprefix("study.yaml:15: specimens: table.csv:") for problem in study_loader.read(tmp_path / "study.yaml").problems]
    assert [text[:22] for text in found] == ["2: there is no arm `in", "3: peak_force_N: `-2` ", "3: specimen.density: '", "3: screw.pitch: '3' ha"], found
    assert found[3].endswith("(and 1 more)")


def test_a_table_takes_units_in_either_brackets_and_outcomes_of_single_steps(tmp_path):
    file = with_table(tmp_path, TABLE.replace("(g/cm^3),peak", "[g/cm^3],pullout[1].peak"))
    study, folder = study_loader.load(file)
    first, second = specimen_table.read(study, folder)
    assert first.changes == {"specimen.density": "0.19 g/cm^3"} and second.measured == {"pullout[1].peak_force_N": 520.0}
