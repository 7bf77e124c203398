"""Posed problems changed on purpose: models that are wrong in one thing, and open inputs of the laws set to a value.

    edited(problem, {"von_mises": True})              a deliberately wrong model, to see what each idea earns
    edited(problem, {"model.friction": 0.2})          an input that no scenario names

What is not in the problem (the friction of a screw that touches no bone) stays as it is: the change then changes nothing.
"""

from copy import deepcopy

import numpy as np

from materials import library
from materials.interface import BONES
from materials.law import quadric

POROUS = (*BONES, "foam")
# von Mises is open along the pressure axis and has no closest point there; 0.49 in place of 0.5 closes it far away
INTERACTION = 0.49
# stiffer than any contact penalty of bone (some 1e4 MPa/mm) and never broken
BOND = {"normal_stiffness": 1e4, "shear_stiffness": 1e4, "normal_strength": 1e6, "shear_strength": 1e6, "energy_I": 1e9,
        "energy_II": 1e9, "eta": 1.0, "fatigue_exponent": 1e3}


def von_mises(problem):
    """Bone and foam yield by the second deviatoric invariant: as strong in tension, shear strength compression / sqrt(3)."""
    F, f = quadric(1.0, 1 / np.sqrt(3), INTERACTION, INTERACTION)
    for law in problem["laws"]:
        if law["name"] in POROUS:
            law["F"], law["f"] = F.tolist(), f.tolist()


def bonded_threads(problem):
    """The screw is tied to what it touches: no contact, no friction, no opening."""
    for name, interface in problem["interfaces"].items():
        if name.startswith("screw_"):
            interface["cohesive"] = dict(BOND)


def no_predamage(problem):
    """Insertion leaves the bone as it was."""
    set_insertion_damage(problem, 0.0)


def set_insertion_damage(problem, value):
    """Share of stiffness and strength that insertion takes from the bone round the thread."""
    if problem.get("insertion"):
        problem["insertion"]["damage"] = float(value)


def set_friction(problem, value):
    """Coulomb friction of the screw on bone and foam; that on halo tissue and cement is another matter."""
    for name, interface in problem["interfaces"].items():
        if name.startswith("screw_") and name.removeprefix("screw_") in POROUS:
            interface["friction"] = float(value)


def set_fatigue_life(problem, value):
    """Cycles that bone and its shell stand at their yield stress."""
    share = value / library.load("calibrated").fatigue_life_at_yield
    for law in problem["laws"]:
        if law["name"] in BONES and law["fatigue"]:
            law["fatigue"]["life"] *= float(share)
    if problem["cortex"]:
        problem["cortex"]["fatigue"]["life"] *= float(share)


def set_entry_cortex(problem, value):
    """Share of the cortex's thickness that is left round the entry: 1 as an awl leaves it, 0 where a burr has opened it wider than the
    screw."""
    if problem["cortex"]:
        problem["cortex"]["entry"] = float(value)


ABLATIONS = {"von_mises": ("von Mises bone", von_mises), "bonded_threads": ("bonded threads", bonded_threads),
             "no_predamage": ("no insertion damage", no_predamage)}
INPUTS = {"model.friction": set_friction, "model.insertion_damage": set_insertion_damage,
          "model.fatigue_life_at_yield": set_fatigue_life, "model.entry_cortex": set_entry_cortex}
LIMITS = {"model.friction": (0.0, 1.0), "model.insertion_damage": (0.0, 0.95), "model.fatigue_life_at_yield": (1.0, 1e6),
          "model.entry_cortex": (0.0, 1.0)}


def within_limits(name, value):
    """Raises ValueError if `value` is none that the input `name` can have."""
    low, high = LIMITS[name]
    if not low <= value <= high:
        raise ValueError(f"`{value:g}` is not possible; allowed: {low:g} to {high:g}")


def edited(problem, edits):
    """A copy of the solver's `problem` with `edits` ({name of an ablation: True, name of an input: value}).

    Raises KeyError for a name that is neither.
    """
    problem = deepcopy(problem)
    for name, value in edits.items():
        if name in ABLATIONS:
            ABLATIONS[name][1](problem)
        else:
            INPUTS[name](problem, value)
    return problem | ({"edits": dict(edits)} if edits else {})
