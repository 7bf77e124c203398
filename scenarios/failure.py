"""What failed, on the implant failure scale of Silva 2021, and the numbers that say so.

1 loosening, 2 pull-out or cut-out, 3 screw or rod breakage, 4 angular deformity over 10 degrees. An axial pullout
test can end in 2 or 3 only: 3 if the metal yielded, 2 if the screw slipped past its peak or to the end of the travel.
A cyclic test is judged in the order of what brings about what: 3 first, since broken metal explains any motion of the
head; then 4, 2 and 1, of which the graver one counts. Angles and axial motion beyond small strain are trends and make no type.
"""

from pathlib import Path
from zipfile import BadZipFile

from meshio import ReadError
import numpy as np

from meshes import labmesh
from meshes.labmesh import REGIONS, cell_volumes
from scenarios import resultdir

NAMES = {1: "loosening", 2: "pull-out or cut-out", 3: "screw breakage", 4: "angular deformity"}
BONE, CEMENT = ([REGIONS[name] for name in names] for names in (labmesh.BONE, labmesh.CEMENT))
YIELDED = 0.01  # plastic strain, above the measured yield strain of 0.8 %
LARGEST_ANGLE = 10.0  # degrees
CUT_OUT = 1.0  # mm along the screw axis


def judge(directory, step, problem):
    """{failure_type (None if nothing failed), failure_evidence (a sentence)} of the `step` solved in `directory`."""
    if step.get("kind") == "cycle":
        return _cyclic(Path(directory), step)
    peak, end = step.get("peak_force_N"), step.get("force_at_end_N")
    at, stopped = step.get("displacement_at_peak_mm"), step.get("displacement_at_end_mm")
    if not peak or end is None:
        return {"failure_type": None, "failure_evidence": "The test did not get far enough to judge a failure."}
    use, (yielded, cement) = step.get("metal_utilisation"), _at_peak(Path(directory))
    before = ""
    if first := step.get("first_maximum_N"):
        before = (f"The force fell after a first maximum of {first:.0f} N at {step['first_maximum_displacement_mm']:.2f} mm and rose again; "
                  "strains and sliding are no longer small there, and the first maximum is the strength to be trusted. ")
    if use is not None and use >= 1.0:
        sentence = before + f"The metal of the screw reached {100 * use:.0f} % of its yield stress at the peak of {peak:.0f} N."
        return {"failure_type": 3, "failure_evidence": sentence}
    more = ""
    if yielded is not None:
        what = "foam" if any(law["name"] == "foam" for law in problem.get("laws", ())) else "bone"
        amount = f"{yielded:.0f} mm³ of {what}" if yielded >= 1 else f"no {what}"
        more += f"; at the peak {amount} had yielded by more than 1 % plastic strain"
    if use is not None:
        more += f"; the metal carried {100 * use:.0f} % of its yield stress"
    if cement:
        more += f"; {_flowed(cement)}"
    fell = 100 * (1 - end / peak)
    kind = 2
    if fell >= 5.0:
        sentence = f"The force fell by {fell:.0f} % to {end:.0f} N after its peak of {peak:.0f} N at {at:.2f} mm"
    elif stopped >= 1.0:
        sentence = f"The screw came out by {stopped:.2f} mm at up to {peak:.0f} N, without a marked drop of the force"
    else:
        kind, sentence = None, f"The test ended at {stopped:.2f} mm and {end:.0f} N, before the force dropped"
    return {"failure_type": kind, "failure_evidence": before + sentence + more + "."}


def _cyclic(directory, step):
    """As judge, of a cyclic test. Angle and axial motion count at loosening, or at the end if the screw held."""
    if step.get("cycles") is None:
        return {"failure_type": None, "failure_evidence": "The test did not get far enough to judge a failure."}
    loosened = bool(step.get("loosened"))
    _, cement = _at_peak(directory)
    at = step.get("cycles_to_loosening") if loosened else step["cycles"]
    table = resultdir.table(directory / "cycles.csv")
    angle, axial, head = (_then(table, key, at, step) for key in ("angle_deg", "axial_displacement_mm",
                                                                   "head_displacement_mm"))
    limit, kind, more = step.get("small_strain_until_mm"), 1 if loosened else None, []
    trend = None not in (limit, head) and head > limit
    defended, slid = angle, axial
    if trend and table:
        defended, slid = (float(np.interp(limit, table["head_displacement_mm"], table[key])) for key in ("angle_deg", "axial_displacement_mm"))
    if loosened and slid is not None and abs(slid) > CUT_OUT:
        kind = 2
        more.append(f"it moved {abs(slid):.1f} mm along its axis")
    if angle is not None:
        words = f"it turned by {angle:.1f}°"
        if trend:
            words += f" (a trend only beyond {limit:.2g} mm at the head, where it was {defended:.1f}°"
            words += ": no proof of an angular deformity)" if abs(angle) > LARGEST_ANGLE >= abs(defended) else ")"
        more.append(words)
        kind = 4 if loosened and abs(defended) > LARGEST_ANGLE else kind
    if cement:
        more.append(_flowed(cement))
    use, margin = step.get("metal_utilisation"), step.get("metal_fatigue_margin")
    if use is not None:
        more.append(f"the metal carried {100 * use:.0f} % of its yield stress")
    if margin is not None:
        more.append(f"its fatigue limit was {margin:.2g} times the largest stress")
    if (use is not None and use >= 1.0) or (margin is not None and margin < 1.0):
        kind = 3
    if loosened:
        sentence = f"The screw loosened after {at:.0f} cycles at a peak load of {step['load_at_loosening_N']:.0f} N"
        if capacity := step.get("static_capacity_N"):
            sentence += f" ({100 * step['load_at_loosening_N'] / capacity:.0f} % of its static capacity)"
    else:
        sentence = f"The screw held {at:.0f} cycles with peak loads up to {step['peak_load_N']:.0f} N"
    return {"failure_type": kind, "failure_evidence": "; ".join([sentence, *_interface(step), *more]) + "."}


def _then(table, key, cycles, step):
    """`key` of cycles.csv after `cycles`, of the end of the step without such a table."""
    if key in table and cycles is not None:
        until = np.searchsorted(table["cycles"], cycles) + 1  # the row after it, at the same cycle, is the push to the stop
        return float(np.interp(cycles, table["cycles"][:until], table[key][:until]))
    return step.get(key)


def _interface(step):
    """What the reference cycles and the halo say, as parts of a sentence."""
    parts = []
    slip, end = step.get("micromotion_um"), step.get("micromotion_end_um")
    if None not in (slip, end):
        parts.append(f"micromotion went from {slip:.0f} to {end:.0f} µm")
    if step.get("stiffness_loss") is not None:
        parts.append(f"{100 * step['stiffness_loss']:.0f} % of the stiffness was lost")
    if step.get("halo_thickness_mm") is not None:
        seen = "visible" if step.get("halo_visible_on_ct") else "not visible"
        parts.append(f"the halo is up to {step['halo_thickness_mm']:.1f} mm thick, {seen} on CT")
    return parts


def _flowed(cement):
    return f"{cement:.0f} mm³ of cement had yielded by more than 1 %: PMMA breaks before that where it is pulled or sheared, so this is an upper bound"


def _at_peak(directory):
    """Yielded bone and cement in mm^3, of cement 0 below 1; None for each without them."""
    try:
        _, fields = resultdir.fields(directory)
        with np.load(directory / "mesh.npz", allow_pickle=False) as data:
            points, cells, region = data["points"], data["cells"], data["region"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, ReadError):  # a damaged file: the verdict then rests on the curve
        return None, None
    yielded = np.where(fields["plastic_strain"] > YIELDED, cell_volumes(points, cells), 0.0)
    bone, cement = (float(yielded[np.isin(region, kind)].sum()) for kind in (BONE, CEMENT))
    return bone, cement if cement >= 1.0 else 0.0
