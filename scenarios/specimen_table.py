"""Specimen-wise data: a CSV file with one row a specimen, beside a study file.

Columns: `specimen` (its name) and `arm`; inputs by dotted path, with the unit in brackets (`specimen.bmd (mg/cm^3)`) or in
the cells; outcomes by their key (`peak_force_N`, in the unit that the key names); `curve`, a CSV file with the columns
displacement_mm and force_N. Empty cells are values that are not known: the arm's own is taken, an outcome is not compared.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
import re

from scenarios import loader
from scenarios.document import document_of, path_text
from scenarios.loader import did_you_mean
from scenarios.study import OUTCOME, OUTCOMES
from scenarios.trouble import BadInput
from scenarios.variation import varied

HEAD = re.compile(r"(?P<path>[A-Za-z_][\w.\[\]]*\.[\w.\[\]]+)\s*(?:\((?P<unit>[^()]+)\))?$")
OWN = ("specimen", "arm", "curve")


@dataclass(frozen=True)
class Specimen:
    """One row: name, arm, changes {dotted path: text}, measured {outcome: float}, curve (Path or None), line in the file."""

    name: str
    arm: str
    changes: dict
    measured: dict
    curve: Path | None
    line: int


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
    for row in rows:
        if row.arm in texts:
            try:
                reading = loader.judged(document_of(varied(texts[row.arm], row.changes)), "row")
                trouble = [f"{path_text(p.path)}{p.message}" for p in reading.problems[:1]]
            except BadInput as error:
                trouble = [str(error)]
            wrong += [f"{study.specimens}:{row.line}: {sentence}" for sentence in trouble]
    return wrong


def _rows(file, study):
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            table = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError) as error:
        return [], [f"{file} cannot be read ({getattr(error, 'strerror', None) or error})"]
    if len(table) < 2:
        return [], [f"{file.name}: there is no row of data below the headings"]
    heads, wrong = [head.strip() for head in table[0]], []
    for head in heads:
        if head not in OWN and not HEAD.match(head) and not _is_outcome(head):
            known = (*OWN, *OUTCOMES)
            wrong.append(
                f"{file.name}:1: `{head}` is neither an input (dotted path) nor an outcome{did_you_mean(head, known)}"
            )
    wrong += [f"{file.name}:1: there is no column `{name}`" for name in ("specimen", "arm") if name not in heads]
    if wrong:
        return [], wrong
    rows = []
    for line, cells in enumerate(table[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        row = dict(zip(heads, (cell.strip() for cell in cells)))
        if row["arm"] not in study.arms:
            wrong.append(f"{file.name}:{line}: there is no arm `{row['arm']}`{did_you_mean(row['arm'], study.arms)}")
        changes, measured, curve = {}, {}, None
        for head, cell in row.items():
            if not cell or head in ("specimen", "arm"):
                continue
            if head == "curve":
                curve = file.parent / cell
                if not curve.is_file():
                    wrong.append(f"{file.name}:{line}: there is no curve file {curve}")
            elif found := HEAD.match(head):
                changes[found["path"]] = f"{cell} {found['unit']}" if found["unit"] else cell
            else:
                try:
                    measured[head] = float(cell)
                except ValueError:
                    wrong.append(f"{file.name}:{line}: {head}: `{cell}` is not a number (its unit is in the heading)")
        rows.append(Specimen(row["specimen"], row["arm"], changes, measured, curve, line))
    names = [row.name for row in rows]
    wrong += [
        f"{file.name}: specimen `{name}` is there {names.count(name)} times"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    return rows, wrong


def _is_outcome(head):
    found = OUTCOME.match(head)
    return bool(found) and found["key"] in OUTCOMES
