"""What failed, on the implant failure scale of Silva 2021, and the numbers that say so.

1 loosening, 2 pull-out or cut-out, 3 screw or rod breakage, 4 angular deformity over 10 degrees. An axial pullout
test can end in 2 or 3 only: 3 if the metal yielded, 2 if the screw slipped past its peak or to the end of the travel.
"""

from pathlib import Path

import numpy as np

from meshes.labmesh import REGIONS, cell_volumes
from scenarios import resultdir

NAMES = {1: "loosening", 2: "pull-out", 3: "screw breakage", 4: "angular deformity"}
BONE = [REGIONS[name] for name in ("trabecular", "pedicle", "posterior", "foam")]
YIELDED = 0.01  # plastic strain, above the measured yield strain of 0.8 %


def judge(directory, step, problem):
    """{failure_type (None if nothing failed), failure_evidence (a sentence)} of the pullout `step` in `directory`."""
    peak, end = step.get("peak_force_N"), step.get("force_at_end_N")
    at, stopped = step.get("displacement_at_peak_mm"), step.get("displacement_at_end_mm")
    if not peak or end is None:
        return {"failure_type": None, "failure_evidence": "The test did not get far enough to judge a failure."}
    use, yielded = _at_peak(Path(directory), problem)
    if use is not None and use >= 1.0:
        sentence = f"The metal of the screw reached {100 * use:.0f} % of its yield stress at the peak of {peak:.0f} N."
        return {"failure_type": 3, "failure_evidence": sentence}
    more = ""
    if yielded is not None:
        amount = f"{yielded:.0f} mm³ of bone" if yielded >= 1 else "no bone"
        more += f"; at the peak {amount} had yielded by more than 1 % plastic strain"
    if use is not None:
        more += f"; the metal carried {100 * use:.0f} % of its yield stress"
    fell = 100 * (1 - end / peak)
    kind = 2
    if fell >= 5.0:
        sentence = f"The force fell by {fell:.0f} % to {end:.0f} N after its peak of {peak:.0f} N at {at:.2f} mm"
    elif stopped >= 1.0:
        sentence = f"The screw came out by {stopped:.2f} mm at up to {peak:.0f} N, without a marked drop of the force"
    else:
        kind, sentence = None, f"The test ended at {stopped:.2f} mm and {end:.0f} N, before the force dropped"
    return {"failure_type": kind, "failure_evidence": sentence + more + "."}


def _at_peak(directory, problem):
    """(largest von Mises stress in the screw over its yield stress, yielded bone in mm^3) or (None, None)."""
    try:
        _, fields = resultdir.fields(directory)
        with np.load(directory / "mesh.npz", allow_pickle=False) as data:
            points, cells, region = data["points"], data["cells"], data["region"]
    except Exception:  # a damaged file: the verdict then rests on the curve
        return None, None
    yielded = cell_volumes(points, cells)[np.isin(region, BONE) & (fields["plastic_strain"] > YIELDED)].sum()
    strength = next((law["strength"] for law in problem.get("laws", ()) if law["name"] == "screw"), None)
    metal = fields["von_mises"][region == REGIONS["screw"]]
    return (float(metal.max() / strength) if strength and len(metal) else None), float(yielded)

