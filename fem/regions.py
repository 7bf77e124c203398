"""Region numbers that the solver knows by name, see meshes.labmesh.REGIONS."""

SCREW = 1
BONE = (2, 3, 4)  # body, pedicle, posterior elements
CEMENT = (7, 8)  # pure, and bone filled with it
