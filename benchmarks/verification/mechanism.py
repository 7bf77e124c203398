"""How a screw loosens and what holds it again, to look at: figures of weiser2021 and of what `revision` has computed.

    python -m benchmarks.verification.mechanism [--results DIR]      (of `validate`; what weiser2021 lacks there is run first)

Writes mechanism_damage.png (bone at the end of the cycling), mechanism_micromotion.png (reference cycles of the native and the
cemented screws) and mechanism_revision.png (a screw 2 mm thicker in a cylindrical and in an hourglass-shaped hole of the
same volume, which are pulled and pushed here; a table as well) beside this file.
"""

import argparse
from dataclasses import replace
from pathlib import Path
import tempfile

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.verification import toggling
from benchmarks.verification.revision import engagement, hole, revision
from meshes.specimen import Cylinder
from scenarios import cyclic_figures, figures, resultdir, tables
from scenarios.laboratory import FINENESS, INDEX, SPECIMEN, pullout
from scenarios.style import run_style
from scenarios.validation import validate

HERE = Path(__file__).parent
CYLINDER = 0.5  # mm, thickness of the cylindrical hole


def arms(options):
    """[(name, step)] of the three arms of weiser2021, the cyclic steps."""
    study, = validate(["weiser2021"], options.results, ranks=options.ranks)["studies"]
    runs = {run["arm"]: resultdir.Run(Path(options.results) / "runs" / run["run"]) for run in study["runs"] if run["sample"] is None}
    first, second = runs["rescue"].of_kind("cycle")
    return [("native", first), ("cement first", runs["primary"].of_kind("cycle")[0]), ("cement after loosening", second)]


def damage(options):
    """The share of stiffness that bone has lost at the end of each arm."""
    found = arms(options)
    fig, axes = plt.subplots(len(found), 1, figsize=(7.4, 3.2 * len(found)), layout="compressed")
    for ax, (name, step) in zip(axes, found):
        mesh = figures.read_mesh(step.directory)
        displacement, fields = resultdir.fields(step.directory)
        drawn = figures.field_cut(ax, mesh, mesh["points"] + displacement, figures.stiffness_lost(fields), 0.9, "magma_r",
                                  figures.near_screw(mesh))
        ax.set_title(f"{name}: {cyclic_figures.ending(step)}", fontsize=10)
    fig.colorbar(drawn, ax=axes, fraction=0.03, pad=0.02, label="share of the stiffness lost").outline.set_visible(False)
    return fig


def micromotion(options):
    """Reference cycles of the three arms."""
    found = arms(options)
    fig = cyclic_figures.reference([(step, run_style(k)) for k, (_, step) in enumerate(found)])
    for text, (name, _) in zip(fig.legends[0].get_texts(), found):
        text.set_text(name)
    return fig


def holes():
    """A cylindrical hole and the hourglass of the same volume."""
    def volume(thickness, shape):
        shape = hole(thickness, shape, content="empty")
        z = np.linspace(-INDEX.depth, 0.0, 401)
        return np.trapezoid(shape.outer_radius(z) ** 2, z)

    wanted = volume(CYLINDER, "cylinder")
    low, high = CYLINDER, 6 * CYLINDER
    while high - low > 1e-6:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if volume(middle, "hourglass") < wanted else (low, middle)
    return {"cylinder": hole(CYLINDER, "cylinder", "empty"), "hourglass": hole(low, "hourglass", "empty")}


def thicker(options):
    """The screw 2 mm thicker in two holes of one volume: pulled out, and pushed sideways as toggling does."""
    screw = revision(2.0)
    cases = {"in intact bone": None, **{f"in the {shape}": made for shape, made in holes().items()}}
    rows = []
    fig, axes = plt.subplots(2, 1, figsize=(6.4, 8.4), layout="compressed")
    for ax, (name, made) in zip([None, *axes], cases.items()):
        with tempfile.TemporaryDirectory() as folder:
            run = pullout(keep=folder, screw=screw, specimen=SPECIMEN, halo=made, resolution=FINENESS["standard"])
            mesh, (displacement, fields) = figures.read_mesh(folder), resultdir.fields(folder)
        with tempfile.TemporaryDirectory() as folder:
            toggling.pose(folder, Cylinder(26.0, 26.0), replace(screw, head_height=7.5), toggling.SHORT_MESH, bmd=80.0, halo=made)
            pushed = toggling.static_curve(folder, options.ranks)["rows"]
        u, force = (np.array([row[key] for row in pushed]) for key in ("displacement_mm", "force_N"))
        rows.append({"screw of 8.5 mm": name, "largest thickness of the hole mm": made and made.thickness,
                     "flank in bone": engagement(screw, made), "pullout N": run.peak,
                     **{f"lateral at {at:g} mm N": float(np.interp(at, u, force)) for at in (0.1, 0.2, 0.5, 1.0)}})
        rows[-1]["pullout ratio"] = run.peak / rows[0]["pullout N"]
        rows[-1]["lateral ratio at 0.5 mm"] = rows[-1]["lateral at 0.5 mm N"] / rows[0]["lateral at 0.5 mm N"]
        print(rows[-1], flush=True)
        if ax:
            drawn = figures.field_cut(ax, mesh, mesh["points"] + displacement, figures.stiffness_lost(fields), 0.9, "magma_r",
                                      figures.near_screw(mesh))
            ax.set_title(f"{name}: {100 * engagement(screw, made):.0f} % of the flank in bone, pullout {run.peak:.0f} N", fontsize=10)
    fig.colorbar(drawn, ax=axes, shrink=0.6, label="share of the stiffness lost").outline.set_visible(False)
    tables.write(HERE / "mechanism_revision", rows,
                 "A screw 2 mm thicker in a cylindrical hole and in an hourglass of the same volume",
                 "Bone cylinder of 80 mg/cm^3, 20 mm deep, holes cleaned out; pullout axisymmetric, lateral push (10 mm off the bone) in 3D.")
    return fig


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", help="damage, micromotion, revision; all if none is named")
    parser.add_argument("--results", default="results/validation")
    parser.add_argument("-n", dest="ranks", type=int, default=1)
    options = parser.parse_args()
    for name, draw in (("damage", damage), ("micromotion", micromotion), ("revision", thicker)):
        if not options.figures or name in options.figures:
            draw(options).savefig(HERE / f"mechanism_{name}.png", bbox_inches="tight", dpi=130)


if __name__ == "__main__":
    main()
