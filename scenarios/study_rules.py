"""What is wrong with a study beyond its single values: each rule takes a study_loader.View and yields (path, sentence)."""

import re

from materials import library
from materials.ablation import within_limits
from meshes.specimen import RESOLUTIONS
from scenarios import loader, measured_rules, open_inputs, specimen_table, study
from scenarios.document import Problem, document_of, path_text
from scenarios.loader import did_you_mean
from scenarios.study import MODEL_INPUTS
from scenarios.trouble import BadInput
from scenarios.units import number
from scenarios.variation import number_in, value_at, varied

DOI = re.compile(r"10\.\d{4,}/\S+")


def _doi(view):
    doi = view.data.get("doi")
    if isinstance(doi, str) and not DOI.fullmatch(doi):
        yield ("doi",), f"`{doi}` is no DOI; write it without address, such as `10.1177/2192568220919123`"


def _empty(view):
    if not view.data.get("measured") and not view.data.get("specimens"):
        yield (), "there is nothing to compare with; give `measured:`, or specimen-wise data as `specimens: file.csv`"


def _reported(view):
    specimen = view.data.get("specimen")
    specimen = specimen if isinstance(specimen, dict) else {}
    assumed = view.data.get("assumed")
    if (
        "bmd" in specimen
        and "bmd_kind" not in specimen
        and "specimen.bmd_kind" not in (assumed if isinstance(assumed, dict) else {})
    ):
        yield (
            ("specimen", "bmd"),
            "a density is of a kind; give `bmd_kind: qct_k2hpo4`, qct_ha, ash or apparent, or assume `specimen.bmd_kind`",
        )
    for key in ("bmd_sd", "bmd_kind"):
        if key in specimen and "bmd" not in specimen:
            yield ("specimen", key), "there is no `bmd` that it belongs to"
    if "bmd" in specimen and "density" in specimen:
        yield ("specimen", "density"), "bone has a `bmd` and foam a `density`; keep one"


def _assumed(view):
    found = view.study
    if found is None:
        return
    for path, assumption in found.assumed.items():
        if assumption.value is None:
            continue
        if path in found.reported:
            yield ("assumed", path), f"the source gives it ({found.reported[path]}), so it cannot be assumed; keep one"
        if all(isinstance(arm, dict) and path in arm for arm in found.arms.values()):
            yield ("assumed", path), "every arm has a value of its own there, so this one is never used; leave it out"
        if not any(_reaches(view, arm, path) for arm in found.arms):
            yield (
                ("assumed", path),
                "no arm has such a value; write a path such as specimen.bmd or screw.pitch, or leave `value` out",
            )


def _tested(view):
    """Arms whose specimens are none of those that the source describes."""
    if view.study is None:
        return
    reported, kind = view.study.specimen, view.data.get("kind")
    specimens = {arm: scenario.specimen for arm, scenario in view.scenarios.items() if scenario}
    for arm, specimen in specimens.items():
        foam = specimen.shape == "block"
        if kind == "synthetic" and not foam:
            yield ("kind",), f"arm `{arm}` is of bone, which is `cadaveric` or `animal`; correct one"
        if kind in ("cadaveric", "animal") and foam:
            yield ("kind",), f"arm `{arm}` is of foam, which is `synthetic`; correct one"
        level = getattr(specimen, "level", None)
        if reported.levels and level and level not in reported.levels:
            yield (
                _place(view.study, arm, "specimen.level", ("specimen", "levels")),
                f"in arm `{arm}`: {level} is none of the levels that were tested ({', '.join(reported.levels)})",
            )
    densities = [getattr(specimen, "bmd", None) for specimen in specimens.values()]
    if reported.bmd is None or None in densities or len(densities) < len(view.arms):
        return
    if not min(densities) <= reported.bmd <= max(densities):  # arms may be classes, but those lie on both sides of their mean
        yield ("specimen", "bmd"), (
            f"the arms have {' and '.join(number(d) for d in dict.fromkeys(densities))} mg/cm^3, which cannot have this mean; correct one"
        )


def _reaches(view, arm, path):
    if (text := view.texts.get(arm)) is None:
        return True  # its own trouble is told elsewhere
    try:
        varied(text, {path: 1})
        return True
    except BadInput:
        return False


def _base(view):
    """A base that cannot be read is told once; what else is wrong with it only if an arm leaves it so, in _arms."""
    if view.study is None:
        return
    try:
        text = study.readable(study.base_text(view.study.base, view.folder))
    except BadInput as error:
        yield ("base",), str(error)
        return
    view.base_problems = {(problem.path, problem.message) for problem in loader.judged(document_of(text), "base").problems}


def _arms(view):
    """Every arm as a scenario: what is wrong with it is told at the value that the arm, or else the study, sets."""
    found = view.study
    if found is None:
        return
    for arm, given in found.arms.items():
        here = ("arms", arm)
        if not isinstance(given, (dict, str)):
            yield here, "an arm is `{}`, `{dotted path: value}` or the name of a scenario file"
            continue
        of_base = isinstance(given, dict) and "base" not in given
        if of_base and view.base_problems is None:
            continue
        try:
            text = study.arm_text(found.model_copy(update={"name": found.name or "study"}), view.folder, arm)
        except BadInput as error:
            yield here, str(error)
            continue
        view.texts[arm] = text
        reading = loader.judged(document_of(text), "arm")
        view.scenarios[arm] = reading.scenario
        for problem in reading.problems:
            dotted = path_text(problem.path).rstrip(": ")
            if of_base and (problem.path, problem.message) in view.base_problems:
                yield ("base", *problem.path), problem.message
            else:
                yield _place(found, arm, dotted), f"in arm `{arm}`: {dotted}: {problem.message}"
        view.warnings += [
            Problem(here, view.document.line(here), f"in arm `{arm}`: {path_text(p.path)}{p.message}")
            for p in reading.warnings
        ]


def _place(found, arm, dotted, otherwise=None):
    """Path in the study of what is wrong at `dotted` of an arm's scenario; otherwise: where the study does not set it, else the arm."""
    own = found.arms[arm] if isinstance(found.arms[arm], dict) else {}
    plain = dotted.replace("[1]", "")
    for path in own:
        if path != "base" and (plain.startswith(path) or plain.endswith(path.partition("protocol.")[2] or "\0")):
            return "arms", arm, path
    if plain in found.assumed:
        return "assumed", plain
    if plain in found.reported and "." in plain:
        return tuple(plain.split(".", 1))
    return otherwise if otherwise and isinstance(found.arms[arm], dict) else ("arms", arm)


def _open(view):
    """Distributions that cannot be sampled, or whose ends are no scenario."""
    found = view.study
    if found is None:
        return
    for path, given in found.open.items():
        here = ("open", path)
        if sum(kind is not None for kind in (given.normal, given.uniform, given.relative)) != 1:
            yield here, "give one of `normal: [mean, SD]`, `uniform: [low, high]` and `relative: 15 %`"
            continue
        try:
            ends = [open_inputs.quantile(given, share, path) for share in (0.0, 1.0)]
        except ValueError as error:
            yield here, str(error)
            continue
        if path in MODEL_INPUTS:
            if given.relative is not None:
                yield (
                    here,
                    "an input of the laws has no value in the arms; give `uniform: [low, high]` or `normal: [mean, SD]`",
                )
                continue
            try:
                for end in ends:
                    within_limits(path, end)
            except ValueError as error:
                yield here, str(error)
            continue
        if path.startswith("model."):
            yield (
                here,
                f"there is no such input of the laws; allowed: {', '.join(MODEL_INPUTS)}{did_you_mean(path, MODEL_INPUTS)}",
            )
            continue
        if not any(_reaches(view, arm, path) for arm in found.arms):
            yield here, "no arm has such a value; write a path such as specimen.bmd"
            continue
        if sentence := next(_beyond(view, path, given, ends), None):
            yield here, sentence


def _beyond(view, path, given, ends):
    """What is wrong with the arms that a distribution is sampled in: at its ends, and with what they have beside its bounds."""
    for arm, scenario in view.scenarios.items():
        if scenario is None or (path in open_inputs.own(view.study, arm) and given.relative is None):
            continue
        bounds = []
        for end in ends:
            if (changed := open_inputs.placed(view.texts[arm], path, end, given.relative is not None)) is None:
                continue
            reading = loader.judged(document_of(changed), "arm")
            if reading.problems:
                yield f"at {end}, in arm `{arm}`: {reading.problems[0].message}"
            else:
                bounds.append(number_in(reading.scenario, path))
        nominal = number_in(scenario, path)
        if given.relative is None and None not in (nominal, *bounds) and bounds and not bounds[0] <= nominal <= bounds[-1]:
            yield f"arm `{arm}` has {value_at(view.texts[arm], path) or number(nominal)} there, outside of these bounds; correct one"


def _samples_on(view):
    """Samples on a mesh that is no coarser than that of the arms would save nothing."""
    coarse = view.study and view.study.samples_on
    for arm, scenario in view.scenarios.items() if coarse else ():
        mesh, order = scenario and scenario.resolution, list(RESOLUTIONS)
        if mesh is not None and (mesh not in order or order.index(mesh) <= order.index(coarse)):
            words = f"`{mesh}`" if isinstance(mesh, str) else "of given lengths"
            yield ("samples_on",), f"the mesh of arm `{arm}` is {words}; `{coarse}` is for arms on a finer one, so leave this out"
            return


def _specimens(view):
    """The table of specimens, row by row."""
    if view.study is None or not view.study.specimens:
        return
    texts = {arm: text for arm, text in view.texts.items() if view.scenarios.get(arm)}  # the trouble of the others is told elsewhere
    for message in specimen_table.problems(view.study, view.folder, texts):
        yield ("specimens",), message


def _fitted(view):
    """A study that a constant was fitted to proves nothing, nor does a copy of it under another name."""
    known = {str(what).casefold() for what in (view.data.get("name") or view.stem, view.data.get("doi"), view.data.get("citation"))}
    for name, value in vars(library.load("calibrated")).items():
        on = value.fitted["on"] if value.fitted else {}
        if view.role != "calibration" and known & {word.casefold() for study, sources in on.items() for word in (study, *sources)}:
            yield (
                ("role",),
                f"{name} was fitted to this study (materials/calibrated.yaml), so it cannot be {_role(view.role)}; "
                "write `role: calibration`",
            )


def _role(role):
    return "a validation" if role == "validation" else f"`{role}`"


RULES = [
    _doi,
    _empty,
    _fitted,
    *measured_rules.RULES,
    _reported,
    _base,
    _arms,
    _tested,
    _assumed,
    measured_rules.produced,
    _open,
    _samples_on,
    _specimens,
]
