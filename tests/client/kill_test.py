"""The real programs killed with SIGKILL while they upload, calibrate and commit: nothing is lost, doubled or half there, and the bytes are the same."""
import json
import os
import signal
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402
import tiny_model  # noqa: E402

WAIT_SECONDS = 120
LEASE = ["--lease-seconds", "2"]
RECIPE = ["--bits", "4", "--group-size", "32", "--calibration-token-ids", ",".join(str(2 + i * 7 % 250) for i in range(200)),
          "--evaluate", "kind=text,tokens=64,window=32"]


def children(pid):
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:  # ended meanwhile
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


def wait_until(condition, what):
    # Each look is a process of its own: that is pause enough.
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
    raise AssertionError(f"not within {WAIT_SECONDS} s: {what}")


class KillTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = services.Services(jobs_arguments=LEASE)
        cls.services.__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        model = tiny_model.write_model(cls.services.folder / "model", blocks=6, hidden=256)
        cls.services.gwq("models", "push", model, "--name", "model")
        cls.services.gwq("quantize", "model", "--name", "undisturbed", *RECIPE, "--wait")
        cls.digest = cls.artifact("undisturbed")["digest"]

    @classmethod
    def artifact(cls, name):
        return json.loads(cls.services.gwq("--json", "artifacts", "show", name).stdout)

    def job(self, name):
        return json.loads(self.services.gwq("--json", "jobs", "show", name).stdout)

    def start_job(self, artifact):
        return self.services.gwq("quantize", "model", "--name", artifact, *RECIPE, "--request-id", artifact).stdout.strip()

    def wait_for_phase(self, name, phase):
        """True once the job is in that phase or a task's; False where it ended first, which so small a job may."""
        def there():
            job = self.job(name)
            if job["state"] == "JOB_STATE_SUCCEEDED":
                return "ended"
            return "there" if job["progress"]["phase"].endswith(phase) else None
        return wait_until(there, f"{name} in {phase}") == "there"

    def finish(self, name, artifact):
        wait_until(lambda: self.job(name)["state"] in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"), f"{name} to end")
        self.assertEqual(self.job(name)["state"], "JOB_STATE_SUCCEEDED", self.services.jobs.tail())
        self.assertEqual(self.artifact(artifact)["digest"], self.digest)

    def restart_jobs(self):
        self.services.jobs.stop(signal.SIGKILL)
        self.services.jobs.start()

    def signal_workers_in(self, phases, number):
        for phase in phases:
            artifact = f"worker-{phase}-{number.name.lower()}"
            job = self.start_job(artifact)
            if self.wait_for_phase(job, phase):
                for worker in children(self.services.jobs.process.pid):
                    os.kill(worker, number)
            self.finish(job, artifact)

    def test_a_worker_killed_in_any_phase_is_replaced_and_the_bytes_are_the_same(self):
        self.signal_workers_in(("forward", "backward", "evaluate"), signal.SIGKILL)

    def test_a_worker_that_hangs_is_killed_and_replaced(self):
        self.signal_workers_in(("forward", "backward"), signal.SIGSTOP)

    def test_a_service_killed_in_any_phase_goes_on_where_it_was(self):
        for phase in ("forward", "backward", "evaluate"):
            artifact = f"service-{phase}"
            job = self.start_job(artifact)
            self.wait_for_phase(job, phase)
            self.restart_jobs()
            # The same request after the restart is the same job.
            self.assertEqual(self.start_job(artifact), job)
            self.finish(job, artifact)
        names = [json.loads(line)["name"] for line in self.services.gwq("--json", "artifacts", "list").stdout.splitlines()]
        self.assertEqual(len(names), len(set(names)))

    def test_a_service_killed_at_many_moments_of_a_push_takes_the_rest_afterwards(self):
        for moment in range(6):
            name = f"pushed-{moment}"
            model = tiny_model.write_model(self.services.folder / name, seed=moment + 1, blocks=3, hidden=128)
            killed = threading.Timer(0.02 * (moment + 1), lambda: self.services.jobs.process.send_signal(signal.SIGKILL))
            killed.start()
            self.services.gwq("models", "push", model, "--name", name, check=False)
            killed.join()
            self.restart_jobs()
            self.services.gwq("models", "push", model, "--name", name)
            pulled = self.services.folder / f"{name}-pulled"
            self.services.gwq("artifacts", "pull", f"models/{name}", "--to", pulled)
            for file in model.iterdir():
                self.assertEqual((pulled / file.name).read_bytes(), file.read_bytes(), file.name)

    def test_five_runs_beside_other_load_give_the_same_digest(self):
        # The other tests gave gwq-jobs new ports.
        self.services.infer.stop()
        self.services.infer.arguments = ["--jobs", self.services.jobs.address]
        self.services.infer.start()
        stop, answers = threading.Event(), []

        def load():
            while not stop.is_set():
                run = self.services.gwq("generate", "undisturbed", "-p", "hello", "-n", "64", "--ignore-eos", check=False)
                answers.append(run.returncode)

        loader = threading.Thread(target=load)
        for run in range(5):
            if run == 2:
                loader.start()
            job = self.start_job(f"run-{run}")
            self.finish(job, f"run-{run}")
        stop.set()
        loader.join()
        self.assertEqual(set(answers), {0})


if __name__ == "__main__":
    unittest.main(verbosity=2)
