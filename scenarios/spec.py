"""The scenario language: specimen, screw and protocol as pydantic models.

Every dimensional field is a float in mm, N, MPa, s, Hz, mm^3, mg/cm^3 or degrees once read. Every default says where it
comes from (`default_source`, shown by the editor and written into resolved.yaml). What can be judged from one value
alone is judged here; what takes two is in rules.py.
"""

from typing import Annotated, Literal, Union

from pydantic import Discriminator, Field, Tag

from meshes.anatomy import ORDER
from scenarios.cycling import Cycle
from scenarios.language import CHOICE, Block, default, required
from scenarios.units import Quantity, number

LEVELS = tuple(ORDER)
# ASTM F1839: density of each grade, g/cm^3 (grade = nominal density in lb/ft^3).
FOAM_GRADES = {5: 0.08, 10: 0.16, 12: 0.192, 15: 0.24, 20: 0.32, 25: 0.40, 30: 0.48, 35: 0.56, 40: 0.64, 50: 0.80}
ENVELOPE = "commercial pedicle screws"

Angle = Annotated[float, Quantity("deg", -60, 60, "10 deg")]
Offset = Annotated[float, Quantity("mm", -20, 20, "1 mm")]
BoneDensity = Annotated[float, Quantity("mg/cm^3", 20, 600, "70 mg/cm^3")]
Diameter = Annotated[float, Quantity("mm", 2, 12, "6.5 mm")]
Side = Annotated[float, Quantity("mm", 10, 200, "40 mm")]


# -- specimen ----------------------------------------------------------------------------------------------------------

BmdKind = Literal["qct_k2hpo4", "qct_ha", "ash", "apparent"]
_BMD = "trabecular density of the bone; which kind of density it is says bmd_kind"
_BMD_KIND = "what was measured: QCT against a hydroxyapatite or a K2HPO4 phantom, ash or apparent density"
_BMD_SOURCE = "bmd on its own means QCT against K2HPO4, the density of the bone laws (Kopperdahl 2002)"


class EntryOffset(Block):
    """Entry point against the axis of the pedicle."""

    lateral: Offset = default("0 mm", "on the pedicle axis", "shift of the entry point away from the midline")
    cranial: Offset = default("0 mm", "on the pedicle axis", "shift of the entry point towards the head")


class Trajectory(Block):
    """Direction and entry point of the screw; left out, the axis of the pedicle of that level."""

    transverse: Angle | None = default(None, "table", "medial convergence")
    sagittal: Angle | None = default(None, "table", "how far the screw points caudally, to the feet")
    offset: EntryOffset = default(EntryOffset(), "on the pedicle axis", "entry point against the pedicle axis")


class Vertebra(Block):
    """An anthropometric vertebra."""

    shape: Literal["vertebra"] = default("vertebra", "a level is given", "a vertebra; needs no saying")
    level: Literal[LEVELS] = required("vertebral level, T1 to L5 or S1")
    bmd: BoneDensity = required(_BMD)
    bmd_kind: BmdKind = default("qct_k2hpo4", _BMD_SOURCE, _BMD_KIND)
    side: Literal["left", "right"] = default("left", "the model is symmetric", "which pedicle")
    trajectory: Trajectory = default(Trajectory(), "pedicle axis of the level", "direction and entry of the screw")


class Cylinder(Block):
    """A cylinder of trabecular bone about the screw axis."""

    shape: Literal["cylinder"] = required("a bone cylinder about the screw")
    diameter: Side = required("diameter of the cylinder")
    length: Side = required("length of the cylinder along the screw")
    bmd: BoneDensity = required(_BMD)
    bmd_kind: BmdKind = default("qct_k2hpo4", _BMD_SOURCE, _BMD_KIND)


class FoamBlock(Block):
    """A square block of rigid polyurethane foam (ASTM F1839); give its grade or its measured density."""

    shape: Literal["block"] = required("a block of rigid polyurethane foam")
    grade: Literal[tuple(FOAM_GRADES)] | None = default(None, "the density is given", "grade of ASTM F1839")
    density: Annotated[float, Quantity("mg/cm^3", 60, 900, "0.24 g/cm^3")] | None = default(
        None, "nominal density of the grade (ASTM F1839)", "measured density of the foam"
    )
    width: Side = default("60 mm", CHOICE + ": wider than the support ring", "edge of the square face")
    height: Side = default("40 mm", CHOICE + ": twice the insertion depth of ASTM F543", "height along the screw")


def _specimen_tag(value):
    shape = value.get("shape", "vertebra") if isinstance(value, dict) else getattr(value, "shape", None)
    return f"<{shape}>" if isinstance(shape, str) else None


Specimen = Annotated[
    Union[
        Annotated[Vertebra, Tag("<vertebra>")],
        Annotated[Cylinder, Tag("<cylinder>")],
        Annotated[FoamBlock, Tag("<block>")],
    ],
    Discriminator(_specimen_tag),
]

# -- screw -------------------------------------------------------------------------------------------------------------

Length = Annotated[float, Quantity("mm", 10, 100, "45 mm")]
Pitch = Annotated[float, Quantity("mm", 0.5, 8, "2.75 mm")]
Core = Annotated[float, Quantity("mm", 1, 11, "4.5 mm")]
Taper = Annotated[float, Quantity("deg", 0, 5, "1 deg")]
Crest = Annotated[float, Quantity("mm", 0.05, 2, "0.2 mm")]
Flank = Annotated[float, Quantity("deg", 0, 60, "25 deg")]
Depth = Annotated[float, Quantity("mm", 5, 100, "40 mm")]
Material = Literal["Ti6Al4V", "CoCr", "316L"]
Thread = Literal["annular", "smooth"]


class Fenestration(Block):
    """Holes near the tip through which cement leaves the screw."""

    count: Annotated[int, Field(strict=True, ge=1, le=12)] = required("number of holes")
    diameter: Annotated[float, Quantity("mm", 0.3, 4, "1.5 mm")] = required("diameter of a hole")
    from_tip: Annotated[float, Quantity("mm", 0.5, 60, "8 mm")] = required("middle of the holes, from the tip")


class Screw(Block):
    """A pedicle screw."""

    diameter: Diameter = required("major (outer) diameter of the thread")
    length: Length = required("length of the threaded shaft")
    pitch: Pitch = required("distance between threads (lead over the number of leads)")
    core_diameter: Core = required("minor (core) diameter at the head")
    taper: Taper = default("0 deg", ENVELOPE + ": 0 to 2 deg", "half angle of a conical core")
    crest: Crest = default("0.2 mm", ENVELOPE + ": 0.1 to 0.3 mm", "width of the thread at its crest")
    proximal_flank: Flank = default("5 deg", ENVELOPE, "flank towards the head, from the normal to the axis")
    distal_flank: Flank = default("25 deg", ENVELOPE, "flank towards the tip, from the normal to the axis")
    material: Material = default("Ti6Al4V", ENVELOPE, "metal of the screw")
    thread: Thread = default("annular", "threads are geometry, not a fitted bond", "smooth: a plain pin")
    insertion_depth: Depth | None = default(None, "inserted over its whole length", "depth of the tip in the specimen")
    fenestration: Fenestration | None = default(None, "solid shaft", "holes for cement")


# -- fixture, model, resolution ----------------------------------------------------------------------------------------


class Fixture(Block):
    """How the specimen is held, and how much the machine gives."""

    hold: Literal["potted", "side", "support_ring"] | None = default(
        None,
        "what fits the specimen: a vertebra is potted, a cylinder held on its side, a block under a support ring",
        "potted (vertebra), side (cylinder), support_ring (foam block, ASTM F543)",
    )
    ring_inner_diameter: Annotated[float, Quantity("mm", 8, 190, "32.5 mm")] | None = default(
        None, "five times the screw's diameter (ASTM F543 Annex A3)", "inner diameter of the support ring"
    )
    rig_compliance: Annotated[float, Quantity("mm/N", 0, 0.1, "0.0005 mm/N")] = default(
        "0 mm/N", "displacements are those of the screw head, not of the crosshead", "give of the testing machine"
    )


Edge = Annotated[float, Quantity("mm", 0.05, 20, "0.6 mm")]


class Lengths(Block):
    """Edge lengths of the mesh."""

    thread: Edge = required("at the threads")
    near: Edge = required("at the outside of the finely meshed core round the screw")
    far: Edge = required("far from the screw")
    sectors: Annotated[int, Field(strict=True, ge=6, le=48, multiple_of=2)] = required("sectors round the screw, an even number")


Resolution = Annotated[
    Union[
        Annotated[Literal["coarse", "standard", "fine"], Tag("<word>")], Annotated[Lengths, Tag("<lengths>")]
    ],
    Discriminator(lambda value: "<lengths>" if isinstance(value, (dict, Lengths)) else "<word>"),
]

# -- protocol ----------------------------------------------------------------------------------------------------------


class Insert(Block):
    """Put the screw in; the bone round it is damaged by that."""


class Halo(Block):
    """A given resorption halo: what loosening has made of the bone round the screw."""

    thickness: Annotated[float, Quantity("mm", 0.1, 5, "1 mm")] = required("largest thickness of the halo")
    shape: Literal["cylinder", "hourglass"] = default(
        "hourglass", "toggling resorbs most at entry and tip", "cylinder: the same thickness everywhere"
    )
    content: Literal["fibrous", "empty"] = default("fibrous", "halos on CT hold soft tissue", "what fills the halo")
    waist: Annotated[float, Quantity("mm", 0, 5, "0.25 mm")] | None = default(
        None, CHOICE + ": a quarter of the thickness", "thickness at the waist of an hourglass"
    )


Target = Literal["halo", "fenestrations", "tip", "anterior_two_thirds"]


class Augment(Block):
    """Inject PMMA cement."""

    volume: Annotated[float | str, Quantity("mm^3", 50, 12000, "2 ml", words=("preset",))] = required(
        "cement for this one screw; preset: what is usual for the level (2 ml at T1-T6, 3 ml at T7-T12, 4 ml at L1-L5, "
        "for both sides together: half of it for this screw)"
    )
    target: Target = required("where the cement goes")


class Revise(Block):
    """Replace the screw; what is not given stays as it was on the first screw."""

    diameter: Diameter = required("major diameter of the new screw, as thick as the old one or thicker")
    length: Length | None = default(None, "as the first screw", "length of the new shaft")
    pitch: Pitch | None = default(None, "as the first screw", "pitch of the new thread")
    core_diameter: Core | None = default(
        None, "the first screw's ratio of core to major diameter, as in commercial families", "core of the new screw"
    )
    taper: Taper | None = default(None, "as the first screw", "half angle of a conical core")
    crest: Crest | None = default(None, "as the first screw", "width of the thread at its crest")
    proximal_flank: Flank | None = default(None, "as the first screw", "flank towards the head")
    distal_flank: Flank | None = default(None, "as the first screw", "flank towards the tip")
    material: Material | None = default(None, "as the first screw", "metal of the new screw")
    thread: Thread | None = default(None, "as the first screw", "annular or smooth")
    insertion_depth: Depth | None = default(
        None, "as the first screw; a new length is inserted whole", "depth of the new tip in the specimen"
    )
    fenestration: Fenestration | None = default(None, "as the first screw", "holes for cement")


class Stop(Block):
    """When the pull ends, whichever comes first."""

    force_drop: Annotated[float, Quantity("%", 1, 90, "20 %")] = default(
        "20 %", CHOICE + ": the peak is past", "fall of the force below its peak"
    )
    displacement: Annotated[float, Quantity("mm", 0.01, 5, "3 mm")] = default(
        "3 mm", CHOICE + ": bone is past its peak below 1 mm, the soft tissue of a halo below 3 mm", "pull of the head"
    )


class Pullout(Block):
    """Pull the screw out along its axis."""

    rate: Annotated[float, Quantity("mm/s", 1e-4, 10, "5 mm/min")] = default(
        "5 mm/min", "ASTM F543 Annex A3", "speed of the crosshead"
    )
    stop: Stop = default(Stop(), CHOICE, "when the pull ends")


class InsertStep(Block):
    insert: Insert


class HaloStep(Block):
    halo: Halo


class AugmentStep(Block):
    augment: Augment


class ReviseStep(Block):
    revise: Revise


class CycleStep(Block):
    cycle: Cycle


class PulloutStep(Block):
    pullout: Pullout


STEPS = {
    "insert": InsertStep,
    "cycle": CycleStep,
    "halo": HaloStep,
    "augment": AugmentStep,
    "revise": ReviseStep,
    "pullout": PulloutStep,
}


def _step_tag(value):
    if isinstance(value, dict):
        return f"<{next(iter(value))}>" if len(value) == 1 else None
    return next((f"<{kind}>" for kind, step in STEPS.items() if isinstance(value, step)), None)


Step = Annotated[
    Union[tuple(Annotated[step, Tag(f"<{kind}>")] for kind, step in STEPS.items())], Discriminator(_step_tag)
]
TAGGED = {f"<{kind}>": step for kind, step in STEPS.items()} | {
    "<vertebra>": Vertebra,
    "<cylinder>": Cylinder,
    "<block>": FoamBlock,
    "<lengths>": Lengths,
}


def step_kind(step):
    """'insert', 'cycle', 'halo', 'augment', 'revise' or 'pullout'."""
    return next(kind for kind in STEPS if hasattr(step, kind))


class Scenario(Block):
    """What a lab does to a specimen: a specimen, a screw, and the steps of a protocol in order."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^/\\\x00-\x1f]*$")] | None = default(
        None, "name of the file", "what to call it in reports; names the result directory"
    )
    model: Literal["threaded3d", "axisymmetric"] = default(
        "threaded3d", "the full geometry", "axisymmetric: the fast path for cylinders and blocks"
    )
    specimen: Specimen = required("what the screw is put into: a vertebra, a bone cylinder or a foam block")
    screw: Screw = required("the screw")
    fixture: Fixture = default(Fixture(), "what fits the specimen", "how the specimen is held")
    protocol: Annotated[list[Step], Field(min_length=1)] = required(
        "the steps, in order; the last one is a pullout or a cycle"
    )
    resolution: Resolution = default("standard", CHOICE, "coarse, standard, fine, or lengths")

    def steps(self):
        """[(index, kind, step body), ...] in protocol order."""
        return [(i, step_kind(step), getattr(step, step_kind(step))) for i, step in enumerate(self.protocol)]

    def named(self, stem):
        """The same scenario, called after its file if it has no name of its own."""
        if self.name is not None:
            return self
        given = self.model_fields_set
        copy = self.model_copy(update={"name": stem})
        copy.model_fields_set.difference_update({"name"} - given)
        return copy

    def describe(self):
        """One line: what is done to what."""
        specimen = self.specimen
        what = {
            "vertebra": lambda: f"{specimen.level} with {number(specimen.bmd)} mg/cm^3",
            "cylinder": lambda: f"bone cylinder with {number(specimen.bmd)} mg/cm^3",
            "block": lambda: f"foam block, grade {specimen.grade}" if specimen.grade else "foam block",
        }[specimen.shape]()
        steps = ", ".join(kind for _, kind, _ in self.steps())
        return f"{what}; screw {number(self.screw.diameter)} x {number(self.screw.length)} mm; {steps}"
