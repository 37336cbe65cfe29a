"""Slots of two sizes in the real service: the job that needs the large one gets it, and others go on beside it."""
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402
import tiny_model  # noqa: E402

SMALL = ["--group-size", "32", "--no-evaluation"]
# Two passes over 900,000 tokens, whose states need memory: it runs for as long as the small one needs and longer.
LARGE = ["--group-size", "32", "--threads", "1"]


class PlacementTest(unittest.TestCase):
    def start(self, *arguments):
        service = services.Services(arguments)
        service.__enter__()
        self.addCleanup(service.__exit__)
        service.gwq("models", "push", self.model, "--name", "tiny")
        return service

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gwq-model-")
        self.addCleanup(folder.cleanup)
        self.model = tiny_model.write_model(Path(folder.name) / "tiny")
        text = Path(folder.name) / "long.txt"
        text.write_text("a long text " * 75_000)
        self.large = [*LARGE, "--evaluate", f"kind=text,text_file={text},tokens=900000,window=32,threads=1"]

    def test_each_job_runs_on_a_slot_that_holds_it(self):
        planning = self.start()
        small, large = (json.loads(planning.gwq("--json", "quantize", "tiny", "--plan", *recipe).stdout) for recipe in (SMALL, self.large))
        small, large = (-(-int(plan["peak_memory_bytes"]) // (1 << 20)) for plan in (small, large))
        self.assertLess(small, large)
        sized = self.start("--fake-devices", f"1x{large}MiB,1x{small}MiB")
        needs_large = sized.gwq("quantize", "tiny", "--name", "large", *self.large).stdout.strip()
        sized.gwq("quantize", "tiny", "--name", "small", *SMALL, "--wait")
        show = lambda name: json.loads(sized.gwq("--json", "jobs", "show", name).stdout)  # noqa: E731
        made_by = json.loads(sized.gwq("--json", "artifacts", "show", "small").stdout)["job"]
        self.assertEqual(show(made_by)["device"], "fake:1")
        self.assertEqual(show(needs_large)["state"], "JOB_STATE_RUNNING", "the small job did not wait for the large one")
        self.assertEqual(show(needs_large)["device"], "fake:0")
        sized.gwq("jobs", "cancel", needs_large)


if __name__ == "__main__":
    unittest.main(verbosity=2)
