"""Scenarios with some values replaced."""

from pathlib import Path
import re

import pytest

from scenarios.loader import read
from scenarios.trouble import BadInput
from scenarios.variation import value_at, varied

SHIPPED = Path(__file__).parent.parent / "scenarios"
RESCUE = (SHIPPED / "rescue.yaml").read_text()


def test_values_are_replaced_added_and_taken_out_and_the_rest_stays():
    text = varied(RESCUE, {"specimen.bmd": "60 mg/cm^3", "specimen.side": None, "screw.length": "40 mm",
                           "protocol.cycle[2].lever_arm": "12 mm", "resolution": "coarse"})
    assert value_at(text, "specimen.bmd") == "60 mg/cm^3" and value_at(text, "specimen.side") is None
    assert value_at(text, "protocol.cycle.lever_arm") == "10 mm" and value_at(text, "protocol.cycle[2].lever_arm") == "12 mm"
    assert "# for this one screw" in text
    untouched = [line for line in RESCUE.splitlines() if not any(word in line for word in ("bmd", "side", " length", "resolution"))]
    assert sum(line in text.splitlines() for line in untouched) >= len(untouched) - 2  # the step that grew is written anew


def test_what_comes_out_is_a_scenario(tmp_path):
    file = tmp_path / "case.yaml"
    file.write_text(varied(RESCUE, {"specimen.bmd": "60 mg/cm^3", "protocol.augment.volume": "3 ml"}))
    reading = read(file)
    assert not reading.problems and reading.scenario.specimen.bmd == 60.0


def test_an_empty_step_takes_values():
    text = varied("protocol:\n  - insert:\n  - pullout: {}\n", {"protocol.insert.note": 1})
    assert value_at(text, "protocol.insert.note") == 1


@pytest.mark.parametrize("path, words", [
    ("protocol.halo.thickness", "no step `halo`; its steps are insert, cycle, augment, cycle, pullout"),
    ("protocol.cycle[3].axis", "no step `cycle[3]`"), ("protocol.cycle[0].axis", "no step"),
    ("specimen.bone.bmd", "no block `bone`"), ("protocol.cycle", "whole step"), ("specimen..bmd", "not the path"),
])
def test_a_path_that_leads_nowhere_is_refused(path, words):
    with pytest.raises(BadInput, match=re.escape(words)):
        varied(RESCUE, {path: 1})
