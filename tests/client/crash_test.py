"""The real services die by SIGKILL at every durable step of upload, import, quantization and commit, and lose what was not synced: nothing is
lost, doubled or half-visible afterwards.

usage: crash_test.py [--every N] [--victim service|worker] [--kind drop|zero|keep] [--at-once N]
  --every N     each Nth step, counted from the start of the process that dies; 1 for all of them (the default is what the suite has time for)
  --at-once N   stories that run side by side, each in a folder of its own; they mostly wait for leases and disks

gwq-jobs and gwq-worker run as they are, on a file system (and SQLite VFS) of tests/support that undoes un-synced writes, names and removals
before the process is killed. A step past the story's end is never reached: its plan is still there, and that ends the enumeration.
"""
import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402
import tiny_model  # noqa: E402

ATTEMPTS = 5
RECIPE = ["--bits", "4", "--group-size", "32", "--calibration-token-ids", "5,9,12,40,77,31", "--evaluate", "kind=text,tokens=16,window=8",
          "--request-id", "the-job"]


class Lost(AssertionError):
    pass


class Story:
    """One state folder, one planned death, and a client that repeats what was not acknowledged."""

    def __init__(self, folder, model, victim, step, kind):
        self.folder, self.model = Path(folder), model
        self.plan = self.folder / "plan"
        self.plan.write_text(f"{step} {kind}")
        names = {"service": ("crashing-jobs", "gwq-worker"), "worker": ("gwq-jobs", "crashing-worker")}[victim]
        self.jobs = services.Service(
            names[0], self.folder, ["--state", self.folder / "state", "--lease-seconds", "2", "--worker-program", services.BIN / names[1]],
            {"CRASH_PLAN": str(self.plan)})
        self.acknowledged = []
        self.retries = 0

    def died(self):
        return not self.plan.exists()

    def start(self):
        try:
            self.jobs.start()
        except RuntimeError:
            if not self.died() or self.jobs.process.returncode != -signal.SIGKILL:
                raise
            self.jobs.start()

    def gwq(self, *arguments):
        return subprocess.run([services.BIN / "gwq", "--jobs", self.jobs.address, *map(str, arguments)], capture_output=True, text=True, timeout=120)

    def lines(self, *arguments):
        run = self.gwq("--json", *arguments)
        if run.returncode != 0:
            raise Lost(f"{arguments}: {run.stderr}")
        return [json.loads(line) for line in run.stdout.splitlines()]

    def acknowledge(self, *arguments):
        """Repeats a command until it is acknowledged; only a death of the service excuses a failure."""
        for _ in range(ATTEMPTS):
            run = self.gwq(*arguments)
            if run.returncode == 0:
                self.acknowledged.append(arguments[0])
                return run.stdout
            self.retries += 1
            if self.jobs.process.poll() is None and not self.ends_soon():
                raise Lost(f"{arguments} failed while the service lives: {run.stderr}\n{self.jobs.tail()}")
            self.start()
            self.check_visible()
        raise Lost(f"{arguments} failed {ATTEMPTS} times: {run.stderr}\n{self.jobs.tail()}")

    def ends_soon(self):
        return self.died() and self.jobs.ended_within(5)

    def check_visible(self):
        """What can be seen is whole, and what was acknowledged can be seen."""
        models = self.lines("models", "list")
        artifacts = self.lines("artifacts", "list")
        if "models" in self.acknowledged and len(models) != 1:
            raise Lost("an acknowledged model is gone")
        for name in [entry["name"] for entry in models + artifacts]:
            with tempfile.TemporaryDirectory(dir=self.folder) as pulled:
                for check in (("pull", name, "--to", pulled), ("verify", pulled)):
                    run = self.gwq("artifacts", *check)
                    if run.returncode != 0:
                        raise Lost(f"{name} can be seen and is not whole: {run.stderr}")

    def run(self):
        self.start()
        self.acknowledge("models", "push", self.model, "--name", "m")
        self.acknowledge("quantize", "models/m", "--name", "a", *RECIPE, "--wait")
        # The service may die after the last acknowledgement, also while it is looked at.
        for attempt in range(ATTEMPTS):
            if self.jobs.process.poll() is not None:
                self.start()
            try:
                self.check_visible()
                return self.result()
            except Lost:
                if attempt + 1 == ATTEMPTS or (self.jobs.process.poll() is None and not self.ends_soon()):
                    raise

    def result(self):
        models, artifacts, jobs = (self.lines(what, "list") for what in ("models", "artifacts", "jobs"))
        pulled = self.folder / "pulled"
        run = self.gwq("artifacts", "pull", "models/m", "--to", pulled)
        if run.returncode != 0:
            raise Lost(run.stderr)
        for file in self.model.iterdir():
            if (pulled / file.name).read_bytes() != file.read_bytes():
                raise Lost(f"{file.name} came back different")
        states = sorted(job["state"] for job in jobs)
        kinds = sorted(job["kind"] for job in jobs)
        if states != ["JOB_STATE_SUCCEEDED"] * len(states):
            raise Lost(f"jobs ended as {states}")
        return {"models": [entry["digest"] for entry in models], "artifacts": [entry["digest"] for entry in artifacts], "jobs": kinds}

    def stop(self):
        if self.jobs.process is not None:
            self.jobs.stop(signal.SIGKILL)


def run_story(model, victim, step, kind):
    with tempfile.TemporaryDirectory(prefix="gwq-crash-") as folder:
        story = Story(folder, model, victim, step, kind)
        try:
            return story.run(), story.died()
        except (Lost, RuntimeError, subprocess.TimeoutExpired) as error:
            raise Lost(f"{victim} killed at durable step {step} ({kind}): {error}") from error
        finally:
            story.stop()


def enumerate_steps(model, expected, victim, kind, every, at_once):
    """How many durable steps there are, to the next of those tried, and how many of them killed the victim: all before the first that was never
    reached."""
    deaths = 0
    with ThreadPoolExecutor(at_once) as pool:
        while True:
            steps = [every * (deaths + i) for i in range(at_once)]
            for step, (result, died) in zip(steps, pool.map(lambda step: run_story(model, victim, step, kind), steps)):
                if result != expected:
                    raise Lost(f"{victim} killed at durable step {step} ({kind}): {result} instead of {expected}")
                if not died:
                    return step, deaths
                deaths += 1
            print(f"{victim}: {deaths} deaths, the last at durable step {steps[-1]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=29)
    parser.add_argument("--victim", choices=("service", "worker"))
    parser.add_argument("--kind", choices=("drop", "zero", "keep"), default="drop")
    parser.add_argument("--at-once", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gwq-crash-model-") as folder:
        model = tiny_model.write_model(Path(folder) / "model", blocks=1, hidden=32)
        expected, died = run_story(model, "service", 10**9, args.kind)
        if died or len(expected["models"]) != 1 or len(expected["artifacts"]) != 1 or len(expected["jobs"]) != 2:
            raise Lost(f"undisturbed: {expected}")
        for victim in [args.victim] if args.victim else ["service", "worker"]:
            begun = time.monotonic()
            steps, deaths = enumerate_steps(model, expected, victim, args.kind, args.every, args.at_once)
            print(f"{victim}: killed {deaths} times, at each {args.every}. of about {steps} durable steps ({args.kind}); "
                  f"nothing lost, doubled or half-visible; {time.monotonic() - begun:.0f} s", flush=True)
            if deaths < 5:
                raise Lost(f"only {deaths} deaths: the steps are no longer counted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
