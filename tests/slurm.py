"""A SLURM of one node on this machine, for tests: munged, slurmctld and slurmd of Debian's packages, as ordinary processes.

Everything it has lies in one directory: no service of the machine is touched. No accounting, and `MpiDefault=none`, where a
plain srun starts ranks that do not know of each other: as on many clusters.
"""

import os
from pathlib import Path
import secrets
import shutil
import signal
import socket
import subprocess
import time

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol", "sacct", "sacctmgr", "sshare")
CONFIGURATION = """\
ClusterName=halofix
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=defer,sched_interval=2,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
KillWait=5
SlurmdParameters=config_overrides
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=100000 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def available():
    """Whether the daemons are installed."""
    return all(shutil.which(name) for name in DAEMONS)


class Cluster:
    """A running SLURM in directory `root`; `environment`: what its commands need beside os.environ."""

    def __init__(self, root, cpus=2):
        self.root, self.cpus = Path(root), cpus
        path = f"{self.root}/bin{os.pathsep}{os.environ['PATH']}"
        self.environment = {"SLURM_CONF": str(self.root / "slurm.conf"), "PATH": path}
        self.processes = {}

    def __enter__(self):
        import getpass

        for name in ("state", "spool", "bin"):
            (self.root / name).mkdir(parents=True)
        self.root.chmod(0o755)
        for name in COMMANDS:  # SLURM_CONF does not reach the inside of Snakemake's jobs
            command = self.root / "bin" / name
            command.write_text(f"#!/bin/sh\nSLURM_CONF={self.root}/slurm.conf exec {shutil.which(name)} \"$@\"\n")
            command.chmod(0o755)
        key = self.root / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        (self.root / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        (self.root / "slurm.conf").write_text(CONFIGURATION.format(
            host=socket.gethostname(), user=getpass.getuser(), root=self.root, ports=_free_ports(2), cpus=self.cpus))
        try:
            self.start("munged")
            self._wait(lambda: (self.root / "munge.socket").exists(), "munged")
            self.start("slurmctld")
            self.start("slurmd")
            self._wait(lambda: self.call("sinfo", "-h", "-o", "%T").stdout.strip() == "idle", "slurmctld and slurmd")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.call("scancel", "--me")
        for name in reversed(DAEMONS):
            self.kill(name, signal.SIGTERM)

    def start(self, name):
        at = self.root
        words = {
            "munged": ["--foreground", "--force", f"--key-file={at}/munge.key", f"--socket={at}/munge.socket", f"--pid-file={at}/munged.pid",
                       f"--log-file={at}/munged.log", f"--seed-file={at}/munged.seed"],
            "slurmctld": ["-D", "-i"],
            "slurmd": ["-D", "-N", "localhost"],
        }[name]
        with open(at / f"{name}.out", "ab") as out:
            self.processes[name] = subprocess.Popen([shutil.which(name), *words], env=os.environ | self.environment, stdout=out, stderr=out,
                                                    start_new_session=True)

    def kill(self, name, sign=signal.SIGKILL):
        if process := self.processes.pop(name, None):
            process.send_signal(sign)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def call(self, *command):
        return subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60)

    def _wait(self, condition, what, seconds=40):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                logs = "\n".join(f.read_text()[-1500:] for f in sorted([*self.root.glob("*.out"), *self.root.glob("*.log")]))
                raise RuntimeError(f"{what} did not come up:\n{logs}")
            time.sleep(0.3)


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
