"""Specimen-wise data: a CSV file with one row a specimen and arm, beside a study file.

Columns: `specimen` (its name) and `arm`, of which a specimen may be in several, such as its left and right pedicle; inputs by
dotted path, with the unit in brackets, `specimen.bmd [mg/cm^3]`, or in the cells; outcomes by their key (`peak_force_N`, in the
unit that the key names); `curve`, a CSV file with the columns displacement_mm and force_N. Empty cells are values that are not known: the arm's own is taken, an outcome is not compared.
"""

import csv
from dataclasses import dataclass
from math import inf, isfinite, nan
from pathlib import Path
import re

from scenarios import loader
from scenarios.document import document_of, path_text
from scenarios.loader import did_you_mean
from scenarios.study import OUTCOME, OUTCOMES, not_produced
from scenarios.trouble import BadInput
from scenarios.variation import varied

HEADING = re.compile(r"([A-Za-z_][\w.]*(?:\[\d+\][\w.]*)*)\s*(?:\[([^\[\]]+)\]|\(([^()]+)\))?")
OWN = ("specimen", "arm", "curve")
CURVE = ("displacement_mm", "force_N")


@dataclass(frozen=True)
class Specimen:
    """One row: name, arm, changes {dotted path: text}, measured {outcome: float}, curve (Path or None), line in the file."""

    name: str
    arm: str
    changes: dict
    measured: dict
    curve: Path | None
    line: int

    def words(self, outcome):
        """What is compared of this row, in words."""
        return f"{self.name}, {self.arm}: {outcome}"


def read(study, folder):
    """[Specimen, ...] of the study's table; BadInput with one line for each thing that is wrong in it."""
    file = Path(folder) / study.specimens
    rows, wrong = _rows(file, study)
    if wrong:
        raise BadInput("\n".join(wrong))
    return rows


def problems(study, folder, texts):
    """Sentences about what is wrong in the table, also of what its rows make of the scenario `texts` of the arms."""
    rows, wrong = _rows(Path(folder) / study.specimens, study)
    found = {}  # sentence -> lines
    for row in rows:
        if row.arm in texts:
            try:
                reading = loader.judged(document_of(varied(texts[row.arm], row.changes)), "row")
                trouble = [f"{path_text(p.path)}{p.message}" for p in reading.problems]
                if reading.scenario:
                    trouble += filter(None, (not_produced(outcome, reading.scenario, row.arm) for outcome in row.measured))
            except BadInput as error:
                trouble = [str(error)]
            for sentence in trouble:
                found.setdefault(sentence, []).append(row.line)
    for sentence, (line, *more) in found.items():
        wrong.append(f"{study.specimens}:{line}: {sentence}" + (f" (and {len(more)} more)" if more else ""))
    return wrong


def table(file, name):
    """([heading, ...], [(line, [cell, ...]), ...], problems) of a CSV file, which problems call `name`; BadInput for what is no table.

    Cells that a row lacks are empty; a row that has more cells than there are headings is a problem and left out.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{name}: cannot be read as a table ({getattr(error, 'strerror', None) or error})") from None
    lines = [(line, cells) for line, cells in lines if any(cells)]
    if len(lines) < 2:
        raise BadInput(f"{name}: a heading and at least one row are needed")
    heads, rows, wrong = lines[0][1], [], []
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if any(separator in head for head in heads):
            raise BadInput(f"{name}:{lines[0][0]}: the cells are separated by {word}; separate them by commas")
    for line, cells in lines[1:]:
        if len(cells) > len(heads):
            wrong.append(f"{name}:{line}: {len(cells)} cells under {len(heads)} headings; a decimal comma?")
        else:
            rows.append((line, (cells + [""] * len(heads))[: len(heads)]))
    return heads, rows, wrong


def curve(file):
    """{column: [float, ...]} of a measured curve; BadInput with one line for each thing that is wrong in it."""
    heads, rows, wrong = table(file, file.name)
    of_heads = [f"there is no column `{name}`" for name in CURVE if name not in heads] + repeated([head for head in heads if head in CURVE])
    wrong += [f"{file.name}:1: {sentence}" for sentence in of_heads]
    found = {name: [] for name in CURVE}
    for line, cells in rows:
        for name, cell in zip(heads, cells):
            if name in CURVE:
                found[name].append(number := _number(cell))
                wrong += [] if isfinite(number) else [f"{file.name}:{line}: {name}: `{cell}` is not a number"]
    if not wrong and len(rows) < 2:
        wrong.append(f"{file.name}: a curve has at least two points")
    if wrong:
        raise BadInput("\n".join(wrong))
    return found


def _number(cell):
    """A cell as a float, nan where it is none."""
    try:
        return float(cell)
    except ValueError:
        return nan


def heading(text):
    """(path, unit) of the heading `path [unit]` or `path (unit)`; unit None where there is none."""
    found = HEADING.fullmatch(text)
    return (found[1], found[2] or found[3]) if found else (text, None)


def repeated(heads):
    """Sentences about columns that are there more than once, whatever their units."""
    names = [heading(head)[0] for head in heads]
    return [f"the column `{name}` is there {names.count(name)} times" for name in dict.fromkeys(names) if names.count(name) > 1]


def _rows(file, study):
    try:
        heads, lines, wrong = table(file, file.name)
    except BadInput as error:
        return [], [str(error)]
    of_heads = [
        f"`{head}` is neither an input, such as `specimen.bmd [mg/cm^3]`, nor an outcome; allowed: "
        f"{', '.join((*OWN, *OUTCOMES))}{did_you_mean(heading(head)[0], (*OWN, *OUTCOMES))}"
        for head in dict.fromkeys(heads)
        if head not in OWN and not _is_input(head) and not _is_outcome(head)
    ]
    of_heads += repeated(heads)
    of_heads += [f"there is no column `{name}`" for name in ("specimen", "arm") if name not in heads]
    if of_heads:
        return [], [f"{file.name}:1: {sentence}" for sentence in of_heads] + wrong
    rows = []
    for line, cells in lines:
        row = dict(zip(heads, cells))
        wrong += [f"{file.name}:{line}: {name}: there is no value" for name in ("specimen", "arm") if not row[name]]
        if row["arm"] and row["arm"] not in study.arms:
            wrong.append(f"{file.name}:{line}: there is no arm `{row['arm']}`{did_you_mean(row['arm'], study.arms)}")
        changes, measured, own_curve = {}, {}, None
        for head, cell in row.items():
            if not cell or head in ("specimen", "arm"):
                continue
            if head == "curve":
                own_curve = file.parent / cell
                wrong += _curve_problems(own_curve, f"{file.name}:{line}")
            elif _is_input(head):
                path, unit = heading(head)
                changes[path] = f"{cell} {unit}" if unit else cell
            else:
                try:
                    measured[head] = float(cell)
                except ValueError:
                    wrong.append(f"{file.name}:{line}: {head}: `{cell}` is not a number (its unit is in the heading)")
                    continue
                if not 0 < measured[head] < inf:
                    wrong.append(f"{file.name}:{line}: {head}: `{cell}` is no measured value; allowed is above 0 (empty: not measured)")
        rows.append(Specimen(row["specimen"], row["arm"], changes, measured, own_curve, line))
    pairs = [(row.name, row.arm) for row in rows]
    wrong += [
        f"{file.name}: specimen `{name}` is in arm `{arm}` {pairs.count((name, arm))} times"
        for name, arm in dict.fromkeys(pairs)
        if pairs.count((name, arm)) > 1
    ]
    if not wrong and not any(row.measured or row.curve for row in rows):
        wrong.append(f"{file.name}: there is nothing measured in it; give an outcome, such as peak_force_N, or a `curve`")
    return rows, wrong


def _curve_problems(file, place):
    """Sentences about a curve file that the row at `place` names."""
    if not file.is_file():
        return [f"{place}: there is no curve file {file}"]
    try:
        curve(file)
        return []
    except BadInput as error:
        return str(error).split("\n")


def _is_input(head):
    """Whether a heading is a dotted path; those of outcomes of single steps, `cycle[2].cycles`, are not."""
    return HEADING.fullmatch(head) and "." in head and not _is_outcome(heading(head)[0])


def _is_outcome(head):
    found = OUTCOME.match(head)
    return bool(found) and found["key"] in OUTCOMES
