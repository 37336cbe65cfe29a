"""gwq sweep against the real services: one gradient pass, several artifacts, a report; and a later job that runs no pass."""
import json
import sys
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402
import tiny_model  # noqa: E402

INVALID = 4
CALIBRATION = ["--calibration-token-ids", ",".join(str(2 + i * 7 % 250) for i in range(64)), "--threads", "1"]
TEXT = ["--evaluate", "kind=text,tokens=64,window=32"]


class SweepTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = services.Services(["--metrics", "127.0.0.1:0"]).__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        cls.services.gwq("models", "push", tiny_model.write_model(cls.services.folder / "tiny"), "--name", "tiny")

    def gwq(self, *arguments, **keywords):
        return self.services.gwq(*arguments, **keywords)

    def passes(self, result):
        for line in (self.services.folder / "gwq-jobs.log").read_text().splitlines():
            if line.startswith("{") and json.loads(line)["event"] == "serving":
                address = json.loads(line)["metrics"]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        name = f'gwq_gradient_passes_total{{result="{result}"}} '
        return sum(int(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))

    def plan(self, bits):
        return json.loads(self.gwq("--json", "quantize", "tiny", "--method", "rtn", "--target-bits", bits, *CALIBRATION, "--plan").stdout)

    def test_a_sweep_makes_artifacts_and_a_report_from_one_pass_and_later_jobs_run_none(self):
        self.assertTrue(self.plan(5.5)["bounds"])
        run = json.loads(self.gwq("--json", "sweep", "tiny", "--name", "small", "--method", "rtn", "--target-bits", "5,6", "--point",
                                  "bits=4,group_size=32", *CALIBRATION, *TEXT, "--wait").stdout.splitlines()[-1])
        self.assertEqual({point["artifact"] for point in run["points"]}, {"small-5", "small-6", "small-rtn-4b-g32"})
        self.assertEqual((self.passes("run"), self.passes("reused")), (1, 1))
        artifacts = self.gwq("artifacts", "list").stdout
        for point in run["points"]:
            self.assertIn(point["artifact"], artifacts)
            self.assertIn("mean_kl", [metric["name"] for metric in point["metrics"]])
        self.assertTrue(any(point["pareto"] for point in run["points"]))

        folder = self.services.folder / "report"
        self.gwq("eval", "pull", "small", folder)
        self.assertEqual(json.loads((folder / "sweep.json").read_text()), run)
        self.assertIn("<svg", (folder / "sweep.html").read_text())
        self.assertIn("small-6", self.gwq("eval", "show", "small").stdout)

        planned = self.plan(5.5)
        self.assertFalse(planned["bounds"], "the costs are known now")
        self.gwq("quantize", "tiny", "--name", "alone", "--method", "rtn", "--target-bits", "5.5", *CALIBRATION, *TEXT, "--wait")
        self.assertEqual((self.passes("run"), self.passes("reused")), (1, 2))
        report = json.loads(self.gwq("--json", "artifacts", "show", "alone", "--report").stdout)
        self.assertEqual(report["backward_passes"], {"run": 0, "reused": 1})
        self.assertEqual(report["total_bytes"], int(planned["total_bytes"]))

        self.gwq("quantize", "tiny", "--name", "same", "--method", "rtn", "--target-bits", "6", *CALIBRATION, *TEXT, "--wait")
        digests = {point["artifact"]: point["digest"] for point in run["points"]}
        self.assertEqual(json.loads(self.gwq("--json", "artifacts", "show", "same").stdout)["digest"], digests["small-6"])

    def test_a_point_that_cannot_be_is_named_before_anything_is_made(self):
        refused = self.gwq("sweep", "tiny", "--name", "bad", "--method", "rtn", "--target-bits", "5,1", *CALIBRATION, "--plan", check=False)
        self.assertEqual(refused.returncode, INVALID)
        self.assertIn("sweep.targets[1]", refused.stderr)
        plan = self.gwq("sweep", "tiny", "--name", "good", "--method", "rtn", "--target-bits", "5,6", *CALIBRATION, "--plan").stdout
        self.assertIn("peak memory", plan)


if __name__ == "__main__":
    unittest.main()
