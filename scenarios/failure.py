"""What failed, on the implant failure scale of Silva 2021, and the numbers that say so.

1 loosening, 2 pull-out or cut-out, 3 screw or rod breakage, 4 angular deformity over 10 degrees. An axial pullout
test can end in 2 or 3 only: 3 if the metal yielded, 2 if the screw slipped past its peak or to the end of the travel.
"""

NAMES = {1: "loosening", 2: "pull-out", 3: "screw breakage", 4: "angular deformity"}


def judge(step, metal_use=None, damaged_mm3=None):
    """(type or None, evidence): the failure of a pullout step.

    step: numbers of the step as the solver wrote them. metal_use: largest von Mises stress in the screw over its
    yield stress at the peak. damaged_mm3: volume of bone that lost more than half of its stiffness at the peak.
    """
    peak, end = step.get("peak_force_N"), step.get("force_at_end_N")
    at, stopped = step.get("displacement_at_peak_mm"), step.get("displacement_at_end_mm")
    if not peak:
        return None, "No load was carried: there is no peak to judge."
    if metal_use is not None and metal_use >= 1.0:
        return 3, f"The screw's metal reached {100 * metal_use:.0f} % of its yield stress at the peak of {peak:.0f} N."
    clauses = []
    if damaged_mm3:
        clauses.append(f"{damaged_mm3:.0f} mm³ of bone had lost more than half of their stiffness at the peak")
    if metal_use is not None:
        clauses.append(f"the metal carried {100 * metal_use:.0f} % of its yield stress")
    more = ("; " + "; ".join(clauses)) if clauses else ""
    fell = 100 * (1 - end / peak) if end is not None else 0.0
    if fell >= 5.0:
        return 2, f"The force fell by {fell:.0f} % to {end:.0f} N after its peak of {peak:.0f} N at {at:.2f} mm{more}."
    if stopped and stopped > 2 * at + 0.1:
        return 2, f"From {at:.2f} mm on the screw slid at a nearly constant {peak:.0f} N, up to {stopped:.2f} mm{more}."
    if stopped and stopped >= 1.0:
        return 2, (f"The screw came out by {stopped:.2f} mm while the force rose slowly to {peak:.0f} N, "
                   f"without a drop{more}.")
    return None, f"The test ended at {peak:.0f} N and {at:.2f} mm, before any drop of the force{more}."
