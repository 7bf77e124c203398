"""Fitting a constant: found where it was hidden, with an interval that follows the errors, and written where it can be traced."""

import numpy as np
import pytest

from benchmarks.cadaveric import calibrate
from materials import library
from scenarios import study_loader


def test_a_hidden_constant_is_found_again():
    values = [0.0, 0.15, 0.3, 0.45, 0.6]
    predictions = [lambda c: 400 * (1 - c), lambda c: 900 * (1 - c) ** 1.2]
    targets = [(p(0.22), 0.05, [p(v) for v in values]) for p in predictions]
    best, (low, high), chi2 = calibrate.fit(values, targets)
    assert best == pytest.approx(0.22, abs=0.002) and chi2 < 0.01
    # d ln p / dc = -1/(1-c) and -1.2/(1-c): the errors propagate to 0.05 (1 - c) / sqrt(1 + 1.2^2)
    assert (high - low) / 2 == pytest.approx(0.05 * 0.78 / np.sqrt(1 + 1.2**2), rel=0.05)


def test_a_value_outside_the_range_ends_at_its_bound():
    values = [0.0, 0.3, 0.6]
    best, (low, high), chi2 = calibrate.fit(values, [(600.0, 0.1, [400.0, 300.0, 200.0])])
    assert best == pytest.approx(0.0, abs=1e-4) and low <= best <= high and chi2 > 10


def test_the_file_says_what_it_was_fitted_on(tmp_path, monkeypatch):
    shipped = library.load("calibrated")
    studies = [study_loader.load(study_loader.SHIPPED / f"{name}.yaml")[0] for name in ("varghese2018", "dkou2025_known")]
    text = calibrate.written(calibrate.FILE.read_text(), "insertion_damage", 0.2222, (0.18, 0.26), studies, "2030-01-01")
    assert text.startswith("# Every constant")
    (tmp_path / "calibrated.yaml").write_text(text)
    (tmp_path / "library").mkdir()
    monkeypatch.setattr(library, "HERE", tmp_path)
    found = library.load.__wrapped__("calibrated")
    on = {"varghese2018": [studies[0].doi, studies[0].citation], "dkou2025_known": [studies[1].citation]}
    assert studies[0].doi and found.insertion_damage.fitted == {"on": on, "date": "2030-01-01", "interval": [0.18, 0.26]}
    assert found.insertion_damage == 0.222 and "fitted on varghese2018, dkou2025_known" in found.insertion_damage.source
    assert found.fatigue_life_at_yield == shipped.fatigue_life_at_yield and found.fatigue_life_at_yield.fitted is None


def test_at_most_three_constants_are_fitted():
    assert len(vars(library.load("calibrated"))) <= 3
