"""What all tests need."""

import signal

from standin import bench, toggling  # noqa: F401  fixtures


def pytest_configure():
    """A shell's background job ignores Ctrl-C, and so would every program that the tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
