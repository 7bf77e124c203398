"""Designs: which values the cases of a sweep have.

    points(sweep, parameters)  -> [Point, ...] of any design but csv
    table(file, base)          -> (parameters, [Point, ...]) of a CSV file

Designs come from scipy.stats.qmc and SALib; all that is drawn is drawn from the seed and is the same on every machine.
"""

from dataclasses import dataclass, replace
from itertools import product
import re

import numpy as np

from scenarios.specimen_table import heading, repeated
from scenarios.specimen_table import table as cells_of
from scenarios.sweeps.parameters import parameter
from scenarios.sweeps.spec import MORRIS_LEVELS, OUTPUTS
from scenarios.trouble import BadInput

NOT_VARIED = {"case", "status", "reason", "replicate", "seconds_wall", "ranks", "log"}  # other columns of table.csv


@dataclass(frozen=True)
class Point:
    """A row of the design. values: {path: value}; replicate from 1; share: places in the unit cube of a drawn design."""

    values: dict
    replicate: int = 1
    share: tuple | None = None


def points(sweep, parameters):
    """The points of `sweep` (spec.Sweep) over [Parameter, ...]."""
    design = sweep.design
    if design.kind in ("latin_hypercube", "sobol_sequence"):
        return [
            point for repeat in range(sweep.replicates or 1)
            for point in _placed(parameters, _filled(design, len(parameters), [design.seed, repeat]), repeat + 1)
        ]
    if design.kind in ("sobol", "morris"):
        return _placed(parameters, _salib(design, len(parameters)))
    if design.kind == "one_at_a_time":
        return [Point({}), *(Point({p.path: value}) for p in parameters for value in p.levels)]
    fixed = [p for p in parameters if p.law is None]
    drawn = [p for p in parameters if p.law is not None]
    rows = product(*(p.levels for p in fixed)) if design.kind == "grid" else zip(*(p.levels for p in fixed), strict=True)
    rows = [dict(zip((p.path for p in fixed), row, strict=True)) for row in rows] or [{}]
    if not drawn:
        return [Point(row) for row in rows]
    # a cohort: every combination is tried on each of the same specimens
    cohort = _placed(drawn, _latin(len(drawn), sweep.replicates, design.seed))
    return [Point(row | member.values, i + 1) for row in rows for i, member in enumerate(cohort)]


def _filled(design, dimensions, seed):
    from scipy.stats import qmc

    if design.kind == "latin_hypercube":
        return _latin(dimensions, design.samples, seed)
    return qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed)).random(design.samples)


def _latin(dimensions, samples, seed):
    from scipy.stats import qmc

    return qmc.LatinHypercube(dimensions, rng=np.random.default_rng(seed)).random(samples)


def problem(dimensions):
    """What SALib calls the problem: the unit cube."""
    return {"num_vars": dimensions, "names": [str(i) for i in range(dimensions)], "bounds": [[0.0, 1.0]] * dimensions}


def _salib(design, dimensions):
    if design.kind == "sobol":
        from SALib.sample import sobol

        return sobol.sample(problem(dimensions), design.samples, calc_second_order=False, seed=design.seed)
    from SALib.sample import morris

    return morris.sample(problem(dimensions), design.samples, num_levels=MORRIS_LEVELS, seed=design.seed)


def _placed(parameters, shares, repeat=1):
    """Points whose values lie at `shares` (n, parameters) of each parameter's probability."""
    columns = [p.at(shares[:, i]) for i, p in enumerate(parameters)]
    return [
        Point({p.path: column[k] for p, column in zip(parameters, columns, strict=True)}, repeat,
              tuple(round(float(x), 9) for x in shares[k]))
        for k in range(len(shares))
    ]


def table(file, base):
    """([Parameter, ...], [Point, ...]) of a CSV file with a heading `path [unit]` a column, for the scenario `base`.

    Of a table that a sweep has written the other columns are passed over. Raises BadInput, a line a problem.
    """
    heads, rows, problems = cells_of(file, file)
    if "case" in heads and "status" in heads:
        varied = [head for head in heads if heading(head)[0] not in NOT_VARIED and heading(head)[0].rpartition(".")[2] not in OUTPUTS]
    else:
        varied = heads
    problems += [f"{file}:1: {sentence}" for sentence in repeated(varied)]
    parameters, columns = [], []
    for head in varied:
        path, unit = heading(head)
        cells = [(line, row[heads.index(head)]) for line, row in rows]
        problems += [f"{file}:{line}: {head}: there is no value" for line, cell in cells if not cell]
        cells = [(line, cell) for line, cell in cells if cell]
        try:
            parameters.append(parameter(base, path, [_cell(cell, unit) for _, cell in cells]))
            columns.append(parameters[-1].levels)
        except BadInput as error:
            line = cells[error.where][0] if hasattr(error, "where") else 1
            problems.append(f"{file}:{line}: {head}: {error}")
    if problems:
        raise BadInput("\n".join(problems))
    found = [Point(dict(zip((p.path for p in parameters), row, strict=True))) for row in zip(*columns, strict=True)]
    levels = [replace(p, levels=tuple(dict.fromkeys(p.levels))) for p in parameters]
    return levels, found


def _cell(text, unit):
    try:
        value = float(text)
    except ValueError:
        return text
    if unit:
        return f"{text} {unit}"
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else value
