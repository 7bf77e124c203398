"""What the testing machine is told: peak and minimum load of every cycle."""

import numpy as np

SHORTEST = 0.25  # fewest cycles that one block stands for, but for the last before a rise of the load or the end


class Waveform:
    """Loads of a cyclic step; `loading` as in problem.json: constant, ramped (ramp_N_per_cycle) or stepped (step_N, every_cycles)."""

    def __init__(self, loading):
        self.loading = loading
        self.ramp = loading.get("ramp_N_per_cycle")
        self.step = loading.get("step_N")

    def peak(self, cycles):
        """Peak load (N) of cycle number `cycles` (the first is 0)."""
        start = self.loading["start_N"]
        if self.ramp:
            return start + self.ramp * cycles
        return start + self.step * self._rises(cycles) if self.step else start

    def _rises(self, cycles):
        return np.floor(cycles / self.loading["every_cycles"] + 1e-9)

    def minimum(self, peak):
        """Load (N) to which a cycle of this peak load goes back."""
        low = self.loading.get("minimum_N")
        return self.loading["ratio"] * peak if low is None else low

    def reach(self, done, cycles):
        """(cycles, their peak load in N) after `done` cycles: at most `cycles`, not over the protocol's end or a rise of a stepped load."""
        stop = self.loading["stop"]
        cycles = min(cycles, stop["cycles"] - done)
        if stop.get("load_N") and self.ramp:
            cycles = min(cycles, max((stop["load_N"] - self.peak(done)) / self.ramp, SHORTEST))
        if self.step:
            cycles = min(cycles, self.loading["every_cycles"] * (self._rises(done) + 1.0) - done)
            return cycles, self.peak(done)
        return cycles, self.peak(done + cycles)
