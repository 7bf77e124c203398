"""The halo that cycling makes: bone round the screw that has lost more than half of its stiffness.

Its thickness along the shaft is that of a ring of equal volume beyond the thread crest; CT shows a halo from about 1 mm.
"""

import numpy as np
from mpi4py import MPI

from fem.regions import BONE, SCREW

THRESHOLD = 0.5  # of the stiffness lost to tearing and fatigue (insertion damage is not loosening)
VISIBLE = 1.0  # mm, thickness from which CT shows a halo
REACH = 5.0  # mm beyond the crest; damage farther away belongs to no halo
SPACING, SECTORS = 2.0, 12  # mm along the shaft; round it, for the largest thickness


class Halo:
    """Measures the halo on a model; keeps snapshots of its growth."""

    def __init__(self, model, problem):
        self.model = model
        self.radius, depth = problem["screw"]["radius"], problem["screw"]["depth"]
        q = model.quadrature
        self.bone = np.isin(model.domain.region, BONE)
        comm = model.comm
        self.screw_volume = comm.allreduce(float(q.weights[(model.domain.region == SCREW)[:, None] & (q.points[..., 2] < 0)].sum()))
        x = q.points
        r = np.hypot(x[..., 0], x[..., 1])
        n = max(int(np.ceil(depth / SPACING)), 5)
        self.edges = np.linspace(-depth, 0.0, n + 1)
        self.z = 0.5 * (self.edges[1:] + self.edges[:-1])
        self.inside = self.bone[:, None] & (r > self.radius) & (r < self.radius + REACH) & (x[..., 2] > -depth) & (x[..., 2] < 0)
        self.slice = np.clip(np.searchsorted(self.edges, x[..., 2]) - 1, 0, n - 1)[self.inside]
        sector = ((np.arctan2(x[..., 1], x[..., 0]) / (2 * np.pi) + 0.5) * SECTORS).astype(int) % SECTORS
        self.sector = sector[self.inside]
        self.snapshots = []

    def damage_volume(self):
        """Integral of the damage over bone, mm^3."""
        w = self.model.quadrature.weights * self.bone[:, None]
        return self.model.comm.allreduce(float(np.sum(w * self.model.damage.lost())))

    def measure(self):
        """Thickness along the shaft (volume-equivalent, and largest over the circumference), volume, hourglass index."""
        n = len(self.z)
        lost = (self.model.damage.lost()[self.inside] > THRESHOLD) * self.model.quadrature.weights[self.inside]
        volume = np.zeros((n, SECTORS))
        np.add.at(volume, (self.slice, self.sector), lost)
        self.model.comm.Allreduce(MPI.IN_PLACE, volume, op=MPI.SUM)
        height = np.diff(self.edges)

        def thickness(area):
            return np.sqrt(self.radius**2 + area / np.pi) - self.radius

        mean = thickness(volume.sum(axis=1) / height)
        largest = thickness(SECTORS * volume.max(axis=1) / height)
        fifth = np.array_split(mean, 5)  # from the tip to the entry
        waist = min(part.mean() for part in fifth[1:-1])
        ends = min(fifth[0].mean(), fifth[-1].mean())  # a funnel, wide at one end, is no hourglass
        return {"thickness_mm": mean.tolist(), "largest_mm": largest.tolist(), "volume_mm3": float(volume.sum()),
                "hourglass_index": float(ends / waist) if waist > 0.05 else None,
                "visible_on_ct": bool(mean.max() >= VISIBLE)}

    def snapshot(self, cycles, displacement, halo):
        """Keep a halo if it has grown by a quarter since the last one kept; the last one is always kept."""
        entry = {"cycles": float(cycles), "head_displacement_mm": float(displacement), **halo}
        if len(self.snapshots) > 1 and self.snapshots[-1]["volume_mm3"] < 1.25 * self.snapshots[-2]["volume_mm3"] + 1.0:
            self.snapshots[-1] = entry
        else:
            self.snapshots.append(entry)

    def document(self):
        """halo.json."""
        return {"z_mm": self.z.tolist(), "threshold": THRESHOLD, "snapshots": self.snapshots}

    def summary(self):
        if not self.snapshots:
            return {}
        last = self.snapshots[-1]
        return {"halo_thickness_mm": max(last["thickness_mm"]), "halo_volume_mm3": last["volume_mm3"],
                "hourglass_index": last["hourglass_index"], "halo_visible_on_ct": last["visible_on_ct"]}
