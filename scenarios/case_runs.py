"""Runs of the cases of studies, each carried out once: directories are named by what was solved.

The name is a hash of the resolved scenario (without its name), the changes to the posed problem, the version of halofix, the
values of the material library and the laws that become of them. It does not hold the commit: provenance.json has that, and
the report says where runs of several commits are mixed.
"""

from dataclasses import dataclass
import hashlib
from itertools import pairwise
import json
from pathlib import Path
import shutil

from scenarios import files, loader, runner
from scenarios.assemble import law_numbers
from scenarios import solve as solver
from scenarios.document import document_of
from scenarios.loader import BadScenario
from scenarios.provenance import laws
from scenarios.resolved import resolved_text
from scenarios.result import Result
from scenarios.solve import ROOT
from scenarios.trouble import BadInput, Environment
from scenarios.unfinished import running, unfinished

PUBLISHED = ROOT / "benchmarks" / "cadaveric" / "runs"
FILES = "resolved.yaml", "result.json", "provenance.json"  # of a run: what the repository keeps
FINER = dict(pairwise(runner.RESOLUTIONS))  # {resolution: the next finer one}
MARK = "published"  # in the directory of a result that was not made here


@dataclass(frozen=True)
class Planned:
    """A case that is ready to be run: its scenario, the changes to its problem, the directory of its result, the resolution that
    takes the place of the scenario's own, if any, and whether it is run brief (`runner.How`)."""

    case: object
    scenario: object
    edits: dict
    directory: Path
    resolution: str | None = None
    brief: bool = False

    @property
    def result(self):
        """The Result if there is one that says something of the screw: not of a run that was stopped or that the machine failed, nor a brief
        one of a case that is to be run in full."""
        try:
            found = Result(self.directory)
        except BadInput:
            return None
        trouble = found.summary.get("interrupted") or found.summary.get("broke_off") or found.exit_code == solver.ENVIRONMENT
        brief = about(self.directory).get("options", {}).get("brief")
        return None if trouble or (brief and not self.brief) else found


def planned(case, runs, resolution, edits=None, brief=False):
    """Planned of a `study.Case` under the folder `runs`; edits: a deliberate change of the model beside the case's inputs."""
    reading = loader.judged(document_of(case.text), case.arm)
    if reading.problems:
        raise BadScenario(f"{case.study}, arm {case.arm}", reading.problems)
    scenario = reading.scenario.model_copy(update={"resolution": resolution} if resolution else {})
    edits = case.inputs | (edits or {})
    return Planned(case, scenario, edits, Path(runs) / key(scenario, edits), resolution, brief)


def finer(plan, runs):
    """A Planned on the next finer mesh; None where there is none, or where the scenario gives lengths."""
    following = FINER.get(plan.scenario.resolution) if isinstance(plan.scenario.resolution, str) else None
    return following and planned(plan.case, runs, following, plan.edits, plan.brief)


def key(scenario, edits):
    """Name of the directory of a run: 12 hexadecimal digits."""
    resolved = resolved_text(scenario.model_copy(update={"name": None}))
    return hashlib.sha256("\n".join([laws(), law_numbers(scenario), resolved, json.dumps(edits, sort_keys=True)]).encode()).hexdigest()[:12]


def carry_out(plan, ranks, shared=None):
    """Result of a planned case, run now, or gone on with if it was killed; (None, why) if it could not be run, or another
    process is running it.

    shared: `scenarios.shared.Shared` of the meshes and first tests that cases have in common, if they share any."""
    if process := running(plan.directory):
        return None, f"process {process} is running it; ask again when that has ended"
    reported = plan.case.sample is None  # nobody looks at the figures of a sample, which take as long as some samples
    try:
        if _begun(plan.directory):
            return runner.resume(plan.directory, ranks, shared, reported), ""
        path = plan.directory / "scenario.yaml"
        return runner.carried_out(path, plan.scenario, plan.case.text, plan.directory,
                                  runner.How(ranks, plan.resolution, shared, reported, plan.edits, plan.brief)), ""
    except (BadInput, Environment) as error:
        return None, str(error)


def take_published(plan):
    """Bring the published result of this case, if there is one, to where its run would be, unless a run is there or was begun."""
    if (PUBLISHED / plan.directory.name).is_dir() and not plan.directory.exists() and not _begun(plan.directory):
        copy_files(PUBLISHED / plan.directory.name, plan.directory)
        (plan.directory / MARK).touch()


def drop_published(plan):
    """Make room for a run of one's own where a published result was brought to."""
    if (plan.directory / MARK).exists():
        shutil.rmtree(plan.directory)


def about(directory):
    """provenance.json of the run in `directory`, {} where there is none."""
    return files.read_json(directory / "provenance.json")


def copy_files(source, target):
    """The FILES of a run in directory `source` to `target`."""
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(source / name, target)


def _begun(directory):
    try:
        return unfinished(directory)
    except BadInput:
        return None
