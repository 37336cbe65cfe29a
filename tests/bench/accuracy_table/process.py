"""Runs a program and reads its time, CPU time and peak memory from outside."""
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

# A thread that waits for another one sleeps. Where programs share the cores, spinning would count as CPU time of whoever waits.
SLEEPING_THREADS = {"OMP_WAIT_POLICY": "passive"}
_STEP = re.compile(r"(.+) \d+/\d+$")


@dataclass
class Usage:
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # user and system, of all threads
    peak_bytes: int = 0

    def __add__(self, other):
        return Usage(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds, max(self.peak_bytes, other.peak_bytes))

    def minus(self, other):
        return Usage(self.seconds - other.seconds, self.cpu_seconds - other.cpu_seconds, self.peak_bytes)


def _cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def output(command, log):
    """The standard output of a program that must succeed; what else it says is in the file `log`."""
    with open(log, "w", encoding="utf-8") as errors:
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=errors, text=True, check=False,
                              env={**os.environ, **SLEEPING_THREADS})
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {done.returncode}; see {log}:\n{Path(log).read_text(encoding='utf-8')[-2000:]}")
    return done.stdout


def run(command, log, environment=None):
    """The usage of the whole process, and of each of its phases where it reports them as "name done/total" lines on stderr."""
    command = [str(word) for word in command]
    began = time.monotonic()
    phases, phase, since = {}, None, (began, 0.0)
    # Not `with`: wait4 has to reap it, for its memory.
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
                             env={**os.environ, **SLEEPING_THREADS, **(environment or {})})
    with open(log, "w", encoding="utf-8") as out:
        for line in child.stderr:
            out.write(line)
            out.flush()
            step = _STEP.match(line.strip())
            if step and step.group(1) != phase:
                now = (time.monotonic(), _cpu_seconds(child.pid))
                if phase:
                    phases[phase] = phases.get(phase, Usage()) + Usage(now[0] - since[0], now[1] - since[1])
                phase, since = step.group(1), now
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    total = Usage(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
    if phase:
        phases[phase] = phases.get(phase, Usage()) + Usage(began + total.seconds - since[0], total.cpu_seconds - since[1])
    if child.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {child.returncode}; see {log}:\n{Path(log).read_text(encoding='utf-8')[-2000:]}")
    return total, phases
