"""Study files: read, check in full, and report everything that is wrong at once, with its line.

    read(file) -> StudyReading      never raises for what is in the file
    load(file) -> (Study, Path)     raises loader.BadScenario; Path: the folder that its paths start from
"""

from copy import deepcopy
from dataclasses import dataclass, replace
import os
from pathlib import Path

from pydantic import ValidationError

from scenarios import loader
from scenarios.document import read_document
from scenarios.loader import BadScenario, did_you_mean
from scenarios.solve import ROOT
from scenarios.study import Measured, Study
from scenarios.study_rules import RULES

SHIPPED = ROOT / "benchmarks" / "cadaveric" / "studies"
LEAST = {"citation": "?", "role": "validation", "kind": "synthetic"}  # in place of what cannot be read, to judge the rest


@dataclass(frozen=True)
class StudyReading:
    """A study file as read: study (None if there are problems), problems and warnings in the order of the lines."""

    study: Study | None
    problems: list
    warnings: list
    text: str

    @property
    def content(self):
        return self.study


def load(file):
    """(Study, folder of its paths); BadScenario if anything is wrong with it."""
    reading = read(file)
    if reading.problems:
        raise BadScenario(file, reading.problems)
    return reading.study, Path(file).parent


def read(file):
    """Read and check the study `file` in full."""
    document = read_document(file)
    if Path(file).name == str(file) and not os.path.exists(file):  # a word: the name of a study that we ship
        names = sorted(shipped.stem for shipped in SHIPPED.glob("*.yaml"))
        shipped = f"; shipped studies: {', '.join(names)}{did_you_mean(Path(file).stem, names)}"
        document.problems = [replace(problem, message=problem.message + shipped) for problem in document.problems]
    return judged(document, file)


def judged(document, file):
    """The StudyReading of a Document that came from `file`."""
    found, warnings = None, []
    loader.tell_decimal_commas(document)
    if isinstance(document.data, dict) and "protocol" in document.data and not loader.is_study(document):
        document.problems.clear()
        document.add((), f"this is a scenario and not a study; `./halofix run {file}` runs it, and a study names it as its `base`")
    elif loader.is_sweep(document):
        document.problems.clear()
        document.add((), f"this is a sweep and not a study; `./halofix sweep {file}` runs it")
    elif document.data is not None and not isinstance(document.data, dict):
        document.add((), "a study is a mapping with the keys `citation`, `role`, `arms` and `measured`")
    elif document.data is not None:
        found = loader.validated(document, Study)
        view = View(document, found, Path(file))
        for rule in RULES:
            for path, message in rule(view):
                if tuple(path) not in document.flagged or path == ("specimens",):  # a table has many lines
                    document.add(path, message)
        warnings = view.warnings
    problems = sorted(document.problems, key=lambda p: p.line)
    if found is not None and found.name is None:
        found = found.model_copy(update={"name": Path(file).stem})
    return StudyReading(None if problems else found, problems, warnings, document.text)


class View:
    """What of a study could be read, so that contradictions between good values are found beside errors elsewhere."""

    def __init__(self, document, found, file):
        self.document, self.folder, self.stem, self.warnings = document, file.parent, file.stem, []
        self.study = found or _without(document)
        self.data = document.data
        self.role = self.data.get("role")
        arms = self.data.get("arms")
        self.arms = list(arms) if isinstance(arms, dict) else []
        self.measured = {}
        given = self.data.get("measured")
        for i, item in enumerate(given if isinstance(given, list) else []):
            try:
                self.measured[i] = Measured.model_validate(item)
            except ValidationError:
                continue
        self.base_problems = None  # {(path, message)} of the base, if that can be read
        self.texts = {}  # arm -> Scenario text, of the arms that can be read
        self.scenarios = {}


def _without(document):
    """The Study that is left of a Document when what is wrong with it is taken out; None if that is not enough."""
    data = LEAST | deepcopy(document.data)
    for _ in range(len(document.flagged) + 1):
        try:
            return Study.model_validate(data)
        except ValidationError as error:
            wrong = [item["loc"] for item in error.errors(include_url=False)]
        # from the end, so that what is taken out of a list does not move what is still to be taken out
        for path in sorted(wrong, key=lambda path: [str(part).zfill(6) for part in path], reverse=True):
            if not _taken_out(data, path):
                _taken_out(data, path[:-1])  # what a block lacks costs the block
        data = LEAST | data
    return None


def _taken_out(data, path):
    """Whether there was a value at `path`, which is deleted."""
    try:
        for part in path[:-1]:
            data = data[part]
        del data[path[-1]]
        return True
    except (KeyError, IndexError, TypeError):
        return False
