"""Bone laws from density: vertebral body, pedicle isthmus, posterior elements, cortex.

Body: modulus and 0.2 % offset yield along the cranio-caudal axis from QCT density (Kopperdahl 2002) or from apparent
density (Morgan 2003), transversely isotropic about that axis (z of the material frame). The strength of the quadric is
set so that the stress at 0.2 % plastic strain is the measured yield: strength = yield / r(0.002).

Isthmus: denser than the body and nearly isotropic. BV/TV is 0.209, taken to belong to a normal BMD of 156 mg/cm^3, and falls with the
0.79th power of BMD: vertebral BMD explains 63 % of isthmus BMD, so r = 0.79 is the regression slope between the
logarithms if both scatter equally. The isthmus thus loses less than the body. Modulus and strength are those of vertebral
bone of that apparent density (Morgan 2003) with its fabric made isotropic (m = 1 in E_i ~ m_i^2l, sigma_i ~ m_i^2q).

Posterior elements: the same cancellous bone inside their cortex. The 3500 MPa of spine models is a value of
cortex and core smeared together; beside an explicit cortex it would count the shell twice and give the thread in the
lamina thirty times the strength of its bone.
"""

from materials import fatigue, library
from materials.density import Density, Kind
from materials.law import Law, hardening, quadric
from materials.tensors import isotropic, transversely_isotropic


def cranio_caudal(density, warnings):
    """Modulus and 0.2 % offset compressive yield strength (MPa) of the vertebral body along the cranio-caudal axis.

    QCT densities go to Kopperdahl 2002 (K2HPO4 equivalent), all others to Morgan 2003. Values outside the range of the
    law add a sentence to `warnings`.
    """
    if density.kind not in (Kind.QCT_K2HPO4, Kind.QCT_HA):
        warnings.append("strength of the vertebral body is from the law for apparent density, which gives it 1.5 to 1.8 times "
                        "the strength that the law for QCT density gives the same bone: do not compare forces across the two")
        return _of_apparent(density, "the vertebral body", warnings)
    v = library.load("bone")
    rho = v.qct_density.check(density.to(Kind.QCT_K2HPO4).value, "bone density of the vertebral body", warnings) / 1000
    return v.qct_modulus * rho**v.qct_modulus_exponent, v.qct_yield * rho**v.qct_yield_exponent


def _of_apparent(density, where, warnings):
    """Modulus and 0.2 % offset yield strength (MPa) along the main axis: Morgan 2003 (apparent density) with the yield
    strain of Kopperdahl and Keaveny 1998."""
    v = library.load("bone")
    rho = v.apparent_density.check(density.to(Kind.APPARENT).value, f"bone density of {where}", warnings) / 1000
    modulus = v.apparent_modulus * rho**v.apparent_modulus_exponent
    return modulus, modulus * (v.compressive_yield_strain - fatigue.OFFSET)


def _law(name, stiffness, yield_strength, F, f, bvtv, sources):
    v = library.load("bone")
    tiring, references = fatigue.bone()
    closing = (float(v.densification_strain), v.densification_modulus * bvtv**v.densification_exponent,
               v.densification_power_modulus * bvtv**v.densification_power_exponent)
    strength = yield_strength / hardening(fatigue.OFFSET, v.onset, v.hardening_strain)
    return Law(name, "plastic", stiffness, strength, F, f, onset=v.onset, hardening_strain=v.hardening_strain,
               damage_max=v.damage_max, damage_rate=v.damage_rate, tissue="bone",
               densification=closing, fatigue=tiring,
               sources=sources | references | library.sources("bone", "onset", "hardening_strain", "damage_max",
                                                              "damage_rate", "tension_ratio", "shear_ratio",
                                                              "densification_strain", "densification_modulus"))


APPARENT = "apparent_modulus", "compressive_yield_strain"


def _density_sources(density):
    keys = ("qct_modulus", "qct_yield") if density.kind in (Kind.QCT_K2HPO4, Kind.QCT_HA) else APPARENT
    return library.sources("bone", *keys) | _given(density)


def _given(density):
    return {"density": f"{density.value:g} {density.kind}, as given"}


def trabecular(density, warnings):
    """Law of the vertebral body, isotropic about z = the cranio-caudal axis."""
    v = library.load("bone")
    modulus, strength = cranio_caudal(density, warnings)
    stiffness = transversely_isotropic(modulus, modulus * v.modulus_transverse_ratio, v.poisson_longitudinal,
                                       modulus * v.shear_modulus_longitudinal_ratio,
                                       modulus * v.shear_modulus_transverse_ratio)
    F, f = quadric(v.tension_ratio, v.shear_ratio, v.interaction_longitudinal, v.interaction_transverse,
                   v.strength_transverse_ratio)
    return _law("trabecular", stiffness, strength, F, f, density.to(Kind.BVTV).value, _density_sources(density) | library.sources(
        "bone", "modulus_transverse_ratio", "shear_modulus_longitudinal_ratio", "shear_modulus_transverse_ratio",
        "strength_transverse_ratio", "interaction_longitudinal", "interaction_transverse"))


def isthmus_density(density):
    """BV/TV of the pedicle isthmus beside a vertebral body of `density`, as a `Density`."""
    v = library.load("bone")
    relative = density.to(Kind.QCT_K2HPO4) / Density(v.normal_bmd, Kind.QCT_K2HPO4)
    return Density(min(0.6, v.isthmus_bvtv * relative**v.isthmus_correlation), Kind.BVTV)


def isotropic_fabric():
    """Modulus and strength of isotropic bone over those along the main axis of body bone of the same density."""
    v = library.load("bone")
    ratio = v.modulus_transverse_ratio ** (1 / (2 * v.fabric_modulus_exponent))     # m_T / m_L
    main = 3 / (1 + 2 * ratio)                                                      # m_L with m_L + 2 m_T = 3
    return main ** (-2 * v.fabric_modulus_exponent), main ** (-2 * v.fabric_strength_exponent)


def pedicle(density, warnings, name="pedicle"):
    """Law of the pedicle isthmus beside a body of `density`; isotropic elasticity, shear strength free about z."""
    v = library.load("bone")
    # what was measured there is BV/TV: the way through a QCT phantom would take a third of the strength on uncertain conversions
    modulus, strength = _of_apparent(isthmus_density(density), "the pedicle isthmus", warnings)
    stiffer, stronger = isotropic_fabric()
    F, f = quadric(v.tension_ratio, v.shear_ratio, v.interaction_isotropic, v.interaction_isotropic)
    return _law(name, isotropic(modulus * stiffer, v.poisson_isotropic), strength * stronger, F, f,
                isthmus_density(density).value, _given(density) | library.sources(
                    "bone", *APPARENT, "isthmus_bvtv", "isthmus_correlation", "normal_bmd", "fabric_modulus_exponent",
                    "fabric_strength_exponent", "interaction_isotropic"))


def posterior(density, warnings):
    """Law of the cancellous bone in the posterior elements: that of the isthmus."""
    return pedicle(density, warnings, name="posterior")


def cortex(density):
    """Membrane of the cortical shell: modulus, poisson, strength (MPa), fatigue; softer in weak bone."""
    v = library.load("bone")
    tiring, references = fatigue.shell()
    relative = density.to(Kind.QCT_K2HPO4) / Density(v.normal_bmd, Kind.QCT_K2HPO4)
    modulus = v.cortex_modulus * min(1.0, relative) ** v.cortex_modulus_exponent
    return {"modulus": float(modulus), "poisson": float(v.cortex_poisson),
            "strength": float(modulus * v.cortex_yield_strain), "fatigue": tiring,
            "sources": library.sources("bone", "cortex_modulus", "cortex_modulus_exponent", "cortex_yield_strain") | references}
