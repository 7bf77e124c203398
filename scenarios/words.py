"""A resolved scenario in sentences, as the methods section of a paper would put them."""

TARGETS = {"halo": "into the halo", "fenestrations": "through the holes of the screw", "tip": "round the tip",
           "anterior_two_thirds": "round the screw in the front two thirds of the body"}
MODELS = {"threaded3d": "the full geometry in three dimensions", "axisymmetric": "a body of revolution"}
HOLDS = {"potted": "potted", "side": "held on its side surface", "support_ring": "held down by a support ring"}
KINDS = {"qct_k2hpo4": "QCT, K2HPO4 equivalent", "qct_ha": "QCT, hydroxyapatite equivalent", "ash": "ash density",
         "apparent": "apparent density"}


def value(tree, *path):
    """Value of the leaf at `path` of a resolved document, or None."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree.get("value") if isinstance(tree, dict) else tree


def specimen(resolved):
    """'L3 vertebra, left pedicle, BMD 70 mg/cm³ (QCT, K2HPO4 equivalent), potted'; KeyError if there is none."""
    part = resolved["specimen"]
    shape = value(part, "shape")
    if shape == "block":
        words = [f"{value(part, 'width'):g} × {value(part, 'height'):g} mm block of polyurethane foam, "
                 f"{value(part, 'density'):g} mg/cm³"]
    elif shape == "cylinder":
        words = [f"cylinder of trabecular bone, {value(part, 'diameter'):g} × {value(part, 'length'):g} mm"]
    else:
        words = [f"{value(part, 'level')} vertebra, {value(part, 'side')} pedicle"]
    if value(part, "bmd") is not None:
        words.append(f"BMD {value(part, 'bmd'):g} mg/cm³ ({KINDS.get(value(part, 'bmd_kind'), 'QCT')})")
    if hold := HOLDS.get(value(resolved, "fixture", "hold")):
        words.append(hold)
    return ", ".join(words)


def screw(part):
    """'6.5 × 45 mm, core 4.5 mm, pitch 2.75 mm, Ti6Al4V'"""
    words = [f"{value(part, 'diameter'):g} × {value(part, 'length'):g} mm",
             f"core {value(part, 'core_diameter'):.3g} mm"]
    if value(part, "thread") == "smooth":
        words.append("a plain pin")
    else:
        words.append(f"pitch {value(part, 'pitch'):g} mm")
    if count := value(part, "fenestration", "count"):
        words.append(f"{count} holes of {value(part, 'fenestration', 'diameter'):g} mm")
    return ", ".join([*words, str(value(part, "material"))])


def mesh(resolved):
    """'coarse mesh (1 mm at the thread) of the full geometry'; KeyError if there is none."""
    name, edge = value(resolved, "resolution"), value(resolved, "derived", "edges", "thread") or value(resolved, "resolution", "thread")
    named = f"{name} mesh ({edge:g} mm at the thread)" if isinstance(name, str) else f"mesh of {edge:g} mm at the thread"
    return f"{named} of {MODELS[value(resolved, 'model')]}"


def protocol(resolved, problem):
    """One sentence a step, in order; steps that cannot be read are named only."""
    sentences = []
    for step in resolved.get("protocol", ()):
        kind = next(iter(step), "")
        body = step.get(kind) or {}
        try:
            sentences.append(_STEPS[kind](body, resolved, problem))
        except (KeyError, TypeError, ValueError):
            sentences.append(f"Step: {kind}.")
    return sentences


def _insert(body, resolved, problem):
    depth = value(resolved, "screw", "insertion_depth")
    words = f"Insert the screw ({screw(resolved['screw'])}) {depth:g} mm deep"
    damage = problem.get("insertion", {})
    if damage.get("damage") and damage.get("regions"):
        words += (f"; bone up to {damage['radius']:g} mm from the axis loses {100 * damage['damage']:.0f} % of its "
                  "stiffness and strength by that")
    return words + "."


def _cycle(body, resolved, problem):
    axis = value(body, "axis")
    words = f"Load the head cyclically, {_AXES[axis] if isinstance(axis, str) else f'along {_direction(axis)}'}"
    if axis != "axial":
        lever = value(body, "lever_arm")
        words += f" {lever:g} mm off the bone" if lever >= 0 else f" on a line {-lever:g} mm deep in the bone"
    if (frequency := value(body, "frequency")) is not None:
        words += f", at {frequency:g} Hz"
    ramp, minimum = value(body, "ramp"), value(body, "minimum")
    grows = "the same in each cycle" if ramp == "constant" else f"growing by {ramp.replace('N/cycle', 'N each cycle')}"
    back = f"{100 * value(body, 'ratio'):g} % of it" if minimum is None else f"{minimum:g} N"
    preset = body["preset"]
    protocol = f" (after {preset['source'].removeprefix('given: ')})" if preset["value"] else ""
    return (f"{words}: a peak of {value(body, 'start'):g} N, {grows}, and back to {back}, until {_until(body['stop'])}"
            f"{protocol}.")


_AXES = {"craniocaudal": "craniocaudally", "mediolateral": "mediolaterally", "axial": "along its axis"}


def _direction(axis):
    return "[" + ", ".join(f"{x:.3g}" for x in axis) + "]"


def _until(stop):
    """'the head has moved 5.4 mm or after 10000 cycles'"""
    ends = {"head_displacement": "the head has moved {:g} mm", "angle": "it has tilted by {:g}°",
            "load": "the peak is {:g} N", "stiffness_loss": "it has lost {:g} % of its stiffness"}
    words = [text.format(value(stop, name)) for name, text in ends.items() if value(stop, name) is not None]
    return " or ".join([*words, f"{value(stop, 'cycles')} cycles are done"])


def _halo(body, resolved, problem):
    shape = {"hourglass": "hourglass-shaped", "cylinder": "even"}[value(body, "shape")]
    content = {"fibrous": "filled with fibrous tissue", "empty": "empty"}[value(body, "content")]
    return f"Loosen it: {shape} halo up to {value(body, 'thickness'):g} mm thick, {content}."


def _augment(body, resolved, problem):
    return f"Inject {value(body, 'volume') / 1000:g} ml of PMMA {TARGETS[value(body, 'target')]}."


def _revise(body, resolved, problem):
    return f"Replace the screw by another ({screw(body)}), {value(body, 'insertion_depth'):g} mm deep."


def _pullout(body, resolved, problem):
    rate, drop = 60 * value(body, "rate"), value(body, "stop", "force_drop")
    return (f"Pull along the axis at {rate:.3g} mm/min until the force has fallen by {drop:g} % from its peak, "
            f"or to {value(body, 'stop', 'displacement'):g} mm.")


_STEPS = {"insert": _insert, "cycle": _cycle, "halo": _halo, "augment": _augment, "revise": _revise,
          "pullout": _pullout}
