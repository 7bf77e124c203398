"""What the points of all studies say together: agreement over like points, what deliberately wrong models and finer meshes change.

    groups(points)               agreement of means by material and unit, of ratios together
    ablations(found, balances)   error of each wrong model beside the model's own
    meshes(found, resolution)    predictions on two meshes

found: {(study, variant): ([comparing.Point], ranking)}; a variant is '' (the study as it is), a name of materials.ablation.ABLATIONS, FINER or
SAMPLES_MESH.
"""

from materials.ablation import ABLATIONS
from scenarios.agreement import agreement
from scenarios.result import WORDS

RATIOS = "ratios"
FINER, SAMPLES_MESH = "finer mesh", "mesh of the samples"
WORSE = 1.0  # percentage points by which a wrong model must miss more to be called worse
TELLING = 3  # points of which a difference between two models says something


def groups(points):
    """[row] of agreement over like points: means by material and unit, ratios together. Only studies of role validation count."""
    found = {}
    for point in points:
        if point.role != "validation" or point.measured is None or point.uncounted or point.kind in ("direction", "correlation"):
            continue
        found.setdefault(_group(point), []).append(point)
    rows = []
    for name, members in found.items():
        told = [point for point in members if point.predicted is not None and not point.why]  # of the test that was carried out
        sampled = [point for point in told if point.low is not None]
        rows.append(
            {"group": name, "points": len(members)}
            | agreement([point.measured for point in told], [point.predicted for point in told], factors=name == RATIOS)
            | {"intervals": len(sampled), "inside": sum(point.low <= point.measured <= point.high for point in sampled)}
        )
    return rows


def _group(point):
    if point.kind in ("ratio", "difference"):
        return RATIOS if point.kind == "ratio" else f"differences ({point.unit})"
    who = {"cadaveric": "cadaver", "synthetic": "foam", "animal": "animal"}[point.material]
    each = "specimens" if point.kind == "specimen" else "means"
    return f"{who} {each}, {WORDS.get(point.outcomes, point.outcomes)} ({point.unit or 'cycles'})"


def ablations(found, balances):
    """[row]: error of each deliberately wrong model beside the model's own on the same mesh, over the validation points that both
    predict. balances: {run: its worst error of the energy balance}, of which the wrong model's are told."""

    def own(study):
        return found.get((study, SAMPLES_MESH)) or found[study, ""]

    rows = []
    for name in (name for name in ABLATIONS if any(variant == name for _, variant in found)):
        pairs, runs, right = {}, {}, []
        for (study, variant), (points, _) in found.items():
            if variant == name:
                for right_model, wrong_model in zip(own(study)[0], points, strict=True):
                    if (
                        wrong_model.role == "validation"
                        and None not in (right_model.deviation, wrong_model.deviation)
                        and wrong_model.kind != "correlation"
                        and not wrong_model.uncounted
                    ):
                        pairs.setdefault(_group(wrong_model), []).append((abs(right_model.deviation), abs(wrong_model.deviation)))
                        runs.setdefault(_group(wrong_model), []).extend(wrong_model.runs)
        for group, errors in pairs.items():
            with_it, without = (100 * sum(column) / len(errors) for column in zip(*errors))
            rows.append(
                {
                    "model": ABLATIONS[name][0],
                    "group": group,
                    "points": len(errors),
                    "MAPE_own_percent": with_it,
                    "MAPE_percent": without,
                    "worse_by_percent": without - with_it,
                    "energy_error_percent": 100 * max(balances.get(run, 0.0) for run in runs[group]),
                    "says": "too few points to tell"
                    if len(errors) < TELLING
                    else "worse"
                    if without > with_it + WORSE
                    else "nothing here depends on it"
                    if abs(without - with_it) < 1e-6
                    else "not worse: it does not earn its place here",
                }
            )
        for (study, variant), (_, ranking) in found.items():
            if variant == name and ranking and ranking["role"] == "validation":
                order = own(study)[1]["outcome"]
                right += [(order[pair], other) for pair, other in ranking["outcome"].items() if None not in (order[pair], other)]
        if right:
            rows.append(
                {
                    "model": ABLATIONS[name][0],
                    "group": "pairs in the right order",
                    "points": len(right),
                    "right_own": sum(with_it for with_it, _ in right),
                    "right": sum(without for _, without in right),
                    "says": "",
                }
            )
    return rows


def meshes(found, resolution):
    """[row]: predictions on two meshes, or why there is none on the finer one, where both were run; resolution: {run: name of its mesh}."""
    rows = []
    for (study, name), (points, _) in found.items():
        if name not in (FINER, SAMPLES_MESH):
            continue
        for own, other in zip(found[study, ""][0], points, strict=True):
            coarse, fine = (own, other) if name == FINER else (other, own)
            if not coarse.predicted or own.kind == "correlation" or fine.why.endswith("not run"):
                continue
            rows.append(
                {
                    "study": study,
                    "what": own.what,
                    "unit": own.unit,
                    "role": own.role,
                    "uncounted": own.uncounted,
                    "resolution": _names(resolution, coarse.runs),
                    "predicted": coarse.predicted,
                    "finer": _names(resolution, fine.runs),
                    "predicted_finer": fine.predicted,
                    "change_percent": None if fine.predicted is None else 100 * (fine.predicted / coarse.predicted - 1),
                    "why": fine.why,
                    "runs_coarse": " ".join(coarse.runs),
                    "runs": " ".join(fine.runs),
                }
            )
    return rows


def _names(resolution, runs):
    return " and ".join(dict.fromkeys(resolution[run] for run in runs))
