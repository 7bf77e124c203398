"""What governs an output: Morris' elementary effects and Sobol indices, of a design made for them or from an emulator.

    rows(plan, table, models)          -> [row, ...] of sensitivity.csv
    morris(plan, table, output), sobol(plan, table, output), emulated(output, model)    -> rows of one output

A row: output, method, parameter, then mu_star (with half its 95 % interval, in the output's unit over the range of the parameter) and
sigma, or the shares of the variance that a parameter explains alone and with its interactions, with half their 95 % intervals. An
output that has too few cases for them has one row, without parameter and numbers, whose method says what is needed.
"""

import numpy as np

from scenarios.sweeps import emulator
from scenarios.sweeps.designs import problem
from scenarios.sweeps.spec import MORRIS_LEVELS

LEAST_TRAJECTORIES, LEAST_BLOCKS = 2, 8


def rows(plan, table, models):
    """Rows of all outputs; models: {output: Emulator or None}."""
    found = []
    for output, model in models.items():
        if plan["design"] in BY_DESIGN:
            found += BY_DESIGN[plan["design"]](plan, table, output)
        if model:
            found += emulated(output, model)
        if why := too_few(plan, table, output):
            found.append({"output": output, "method": why, "parameter": ""})
    return found


def too_few(plan, table, output):
    """What an output lacks for the analysis that its design is for, in a sentence; '' if nothing, or if there is no such analysis."""
    if plan["design"] in emulator.DESIGNS:
        there, least = len(emulator.completed(table, output)), emulator.least(plan)
        return f"no emulator and no indices: they need {least} completed cases, of which there are {there}" if there < least else ""
    if plan["design"] not in BY_DESIGN:
        return ""
    kind, least = {"morris": ("trajectories", LEAST_TRAJECTORIES), "sobol": ("blocks", LEAST_BLOCKS)}[plan["design"]]
    there = len(whole(plan, table, output)[1]) // block(plan)
    return f"no indices: they need {least} whole {kind} of {block(plan)} cases, of which there are {there}" if there < least else ""


def block(plan):
    """How many cases belong together in the design; 1 where each stands alone."""
    count = len(plan["parameters"])
    return {"morris": count + 1, "sobol": count + 2}.get(plan["design"], 1)


def whole(plan, table, output):
    """(places in the unit cube, values) of the blocks of cases that all have the output."""
    values = table[output].where(table["status"] == "completed").to_numpy(float)
    places = np.array([point["share"] for point in plan["points"]])
    size = block(plan)
    kept = np.repeat(np.isfinite(values.reshape(-1, size)).all(axis=1), size)
    return places[kept], values[kept]


def morris(plan, table, output):
    from SALib.analyze import morris as analysis

    places, values = whole(plan, table, output)
    if len(values) < LEAST_TRAJECTORIES * block(plan):
        return []
    found = analysis.analyze(problem(len(plan["parameters"])), places, values, num_levels=MORRIS_LEVELS, seed=0)
    return [
        {"output": output, "method": "Morris", "parameter": p["path"], "mu_star": float(found["mu_star"][i]),
         "mu_star_pm": float(found["mu_star_conf"][i]), "sigma": float(found["sigma"][i])}
        for i, p in enumerate(plan["parameters"])
    ]


def sobol(plan, table, output):
    from SALib.analyze import sobol as analysis

    _, values = whole(plan, table, output)
    if len(values) < LEAST_BLOCKS * block(plan) or not np.ptp(values):
        return []
    found = analysis.analyze(problem(len(plan["parameters"])), values, calc_second_order=False, seed=0)
    paths = [p["path"] for p in plan["parameters"]]
    return _shares(output, "Sobol design", paths, found["S1"], found["S1_conf"], found["ST"], found["ST_conf"])


def emulated(output, model):
    """Rows from an Emulator; none for a single parameter, or where it is too poor."""
    found = model.indices if len(model.parameters) > 1 else None
    if found is None:
        return []
    return _shares(output, "emulator", found.paths, found.first, found.first_width, found.total, found.total_width)


def _shares(output, method, paths, *columns):
    names = "alone", "alone_pm", "with_interactions", "with_interactions_pm"
    return [
        {"output": output, "method": method, "parameter": path} | {name: float(column[i]) for name, column in zip(names, columns, strict=True)}
        for i, path in enumerate(paths)
    ]


BY_DESIGN = {"morris": morris, "sobol": sobol}
