"""The two ways in which halofix says no: the input is bad, or the machine cannot do it. Each is a sentence to read."""


class BadInput(Exception):
    """Something the user wrote cannot be done; exit code 2."""


class Environment(Exception):
    """Something is missing or wrong in the installation or on the machine; exit code 4."""
