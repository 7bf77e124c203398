"""The state of the specimen as a protocol goes on: which screw is in, which halo there is, how much cement.
"""

# -- the state of the specimen as the protocol goes ---------------------------------------------------------------------


class _View:
    """A screw after a revision: what the revision gives, else what the screw before had."""

    def __init__(self, old, new):
        self.old, self.new = old, new

    def __getattr__(self, name):
        given = getattr(self.new, name, None)
        if given is not None:
            return given
        if name == "core_diameter":
            return self.old.core_diameter * self.new.diameter / self.old.diameter
        if name == "insertion_depth" and self.new.length is not None:
            return None
        return getattr(self.old, name)


def revised(old, revision):
    """The screw after `revision` (a spec.Revise) of the screw `old`: same attributes as spec.Screw."""
    return _View(old, revision)


def depth(screw):
    """Depth of the tip below the surface of the specimen, mm."""
    return screw.length if screw.insertion_depth is None else screw.insertion_depth


def screws(scenario):
    """[(path, screw), ...]: the first screw and each one that replaces it."""
    found = [(("screw",), scenario.screw)]
    for i, kind, body in scenario.steps():
        if kind == "revise":
            found.append((("protocol", i, "revise"), revised(found[-1][1], body)))
    return found


def _halos(scenario):
    """(index, halo, screw that made it) of each halo step."""
    screw = scenario.screw
    for i, kind, body in scenario.steps():
        if kind == "revise":
            screw = revised(screw, body)
        elif kind == "halo":
            yield i, body, screw


def preset_volume(specimen):
    """Cement for one screw, mm^3, and where that comes from; None where there is no custom."""
    if specimen.shape != "vertebra" or specimen.level == "S1":
        return None
    region, number_ = specimen.level[0], int(specimen.level[1:])
    millilitres, levels = (4, "L1-L5") if region == "L" else (2, "T1-T6") if number_ <= 6 else (3, "T7-T12")
    return 500.0 * millilitres, f"preset: {millilitres} ml at {levels} for both screws of the level, half of it for one"


def volume(body, specimen):
    """Cement of an augment step, mm^3."""
    if body.volume != "preset":
        return body.volume
    preset = preset_volume(specimen)
    if preset is None:
        raise Unknown("volume")
    return preset[0]


class Unknown(AttributeError):
    """A value that a rule needs could not be read."""


def density(specimen):
    """Density of the bone, or None for foam."""
    return None if specimen.shape == "block" else Density(specimen.bmd, Kind(specimen.bmd_kind))


def foam_density(specimen):
    """Density of the foam in mg/cm^3, or None for bone."""
    if specimen.shape != "block":
        return None
    return specimen.density if specimen.density is not None else 1000 * FOAM_GRADES[specimen.grade]


def bvtv(specimen):
    """Fraction of bone in the volume."""
    return density(specimen).to(Kind.BVTV).value


def void_volume(screw, halo):
    """Volume between screw and outside of the halo, mm^3: what cement fills before it enters bone.

    V = pi * integral of max(0, outer(z)^2 - r(z)^2) over the depth of the halo, r(z) the profile of the thread.
    """
    z = np.linspace(-halo.depth, 0.0, 4001)
    core = np.where(z >= -screw.depth, screw.core_radius(z), 0.0)
    if screw.thread == "smooth":
        profile = np.where(z >= -screw.depth, screw.radius, 0.0)
    else:
        along = np.mod(z, screw.pitch)  # position on the way from one root to the next
        crest, deep = screw.crest, np.maximum(screw.radius - core, 1e-9)
        near, far = (deep * np.tan(np.radians(a)) for a in (screw.proximal_flank, screw.distal_flank))
        rise = np.clip(along / np.maximum(far, 1e-9), 0, 1)
        fall = np.clip((far + crest + near - along) / np.maximum(near, 1e-9), 0, 1)
        profile = np.where(z >= -screw.depth, core + deep * np.minimum(rise, fall), 0.0)
    gap = np.maximum(halo.outer_radius(z) ** 2 - profile**2, 0.0)
    return float(np.pi * np.trapezoid(gap, z))


def _halo_void(scenario, halo, made_by):
    """Volume between the final screw and the outside of the halo, mm^3 (threads taken at half their depth)."""
    screw = screws(scenario)[-1][1]
    inner = (screw.diameter + screw.core_diameter) / 4
    waist = halo.thickness / 4 if halo.waist is None else halo.waist
    mean = halo.thickness if halo.shape == "cylinder" else (halo.thickness + waist) / 2
    outer = made_by.diameter / 2 + mean
    return max(0.0, pi * (outer**2 - inner**2) * depth(made_by))


