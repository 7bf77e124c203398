"""Fit one constant of materials/calibrated.yaml to studies of role calibration.

    python -m benchmarks.cadaveric.calibrate insertion_damage STUDY... [--values 5] [-n RANKS] [--write]

The studies are simulated at a few values over the range of the constant (runs are kept in --out and found again), the logarithm of
each prediction is interpolated between them, and the constant is where the sum of squares

    chi2(c) = sum ((ln predicted(c) - ln measured) / s)^2,    s = SD / (mean sqrt(n)), 0.1 where SD or n is not known

is least; its interval is where chi2 lies within 1 of that. Writes calibration_<constant>.csv beside this file, and with --write
the value, its interval, the studies with their sources and the date into materials/calibrated.yaml.
"""

import argparse
import datetime
from math import log, sqrt
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML
from scipy.interpolate import PchipInterpolator
from scipy.optimize import minimize_scalar

from materials import library
from scenarios import case_runs, comparing, study_loader, tables
from scenarios.study import Case, arm_text
from scenarios.trouble import BadInput

HERE = Path(__file__).parent
FILE = Path(library.HERE) / "calibrated.yaml"
UNKNOWN = 0.1  # relative error of a mean whose SD or n is not given


def simulated(study, folder, constant, value, out, ranks):
    """{what: (measured, its relative error, predicted)} of a study with the constant at `value`."""
    plans = []
    for arm in study.arms:
        case = Case(study.name, arm, arm_text(study, folder, arm), inputs={f"model.{constant}": value})
        plan = case_runs.planned(case, out, None)
        if plan.result is None:
            print(f"{study.name}, {arm}, {constant} = {value:g}", flush=True)
            _, why = case_runs.carry_out(plan, ranks, None)
            if why:
                raise BadInput(f"{study.name}, {arm}, at {value:g}: {why}")
        plans.append(plan)
    found = {}
    for point in comparing.points(study, comparing.Outcomes(plans)):
        if point.measured and point.kind in ("arm", "ratio"):
            if point.predicted is None:
                raise BadInput(f"{study.name}, {point.what}, at {value:g}: {point.why}")
            error = point.sd / point.measured / sqrt(point.n) if point.sd and point.n else UNKNOWN
            found[f"{study.name}: {point.what}"] = point.measured, error, point.predicted
    return found


def fit(values, targets):
    """(best value, (low, high), chi2 there): targets are (measured, relative error, [predicted at each of `values`])."""
    curves = [(PchipInterpolator(values, np.log(predicted)), log(measured), error) for measured, error, predicted in targets]

    def chi2(c):
        return sum(((curve(c) - measured) / error) ** 2 for curve, measured, error in curves)

    # several minima are possible between the values: the least of them is looked for in each gap
    found = min(
        (
            minimize_scalar(chi2, bounds=gap, method="bounded", options={"xatol": 1e-6 * (values[-1] - values[0])})
            for gap in zip(values, values[1:])
        ),
        key=lambda result: result.fun,
    )
    fine = np.linspace(values[0], values[-1], 2001)
    inside = fine[np.array([chi2(c) for c in fine]) <= found.fun + 1]
    low, high = (float(inside.min()), float(inside.max())) if len(inside) else (float(found.x), float(found.x))
    return float(found.x), (min(low, float(found.x)), max(high, float(found.x))), float(found.fun)


def written(text, constant, value, interval, studies, date):
    """Text of calibrated.yaml with the fitted value of one constant; comments stay."""
    from io import StringIO

    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 4096, True
    data = yaml.load(text)
    data[constant]["value"] = float(f"{value:.3g}")
    data[constant]["source"] = (
        f"fitted on {', '.join(study.name for study in studies)}; the fit is in benchmarks/cadaveric/calibration_{constant}.csv"
    )
    sources = {study.name: [source for source in (study.doi, study.citation) if source] for study in studies}
    data[constant]["fitted"] = {"on": sources, "date": date, "interval": [float(f"{x:.3g}") for x in interval]}
    out = StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("constant", choices=sorted(vars(library.load("calibrated"))))
    parser.add_argument("studies", nargs="+", type=Path)
    parser.add_argument("--values", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results") / "calibration")
    parser.add_argument("-n", "--ranks", type=int)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    loaded = [study_loader.load(file) for file in options.studies]
    if other := [study.name for study, _ in loaded if study.role != "calibration"]:
        parser.error(f"a constant is fitted to studies of role calibration only, which {', '.join(other)} is not")
    low, high = getattr(library.load("calibrated"), options.constant).range
    values = [float(f"{v:.6g}") for v in np.linspace(low, high, options.values)]
    found = [
        {
            what: numbers
            for study, folder in loaded
            for what, numbers in simulated(
                study, folder, options.constant, value, options.out / "runs", options.ranks
            ).items()
        }
        for value in values
    ]
    targets = {what: (*found[0][what][:2], [column[what][2] for column in found]) for what in found[0]}
    best, interval, chi2 = fit(values, list(targets.values()))
    rows = [
        {"what": what, "measured": measured, "relative error": error} | {f"at {v:g}": p for v, p in zip(values, predicted)}
        for what, (measured, error, predicted) in targets.items()
    ]
    tables.write_csv(HERE / f"calibration_{options.constant}", rows)
    print(
        f"{options.constant} = {best:.3g}, {interval[0]:.3g} to {interval[1]:.3g}; chi2 {chi2:.3g} of {len(targets)} numbers"
    )
    if options.write:
        date = f"{datetime.date.today():%Y-%m-%d}"
        FILE.write_text(
            written(FILE.read_text(), options.constant, best, interval, [study for study, _ in loaded], date)
        )


if __name__ == "__main__":
    main()
