"""Material laws of bone, foam, cement, metal and their interfaces, from density, with sources. Plain numpy."""
