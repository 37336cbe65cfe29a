"""Quality contracts and reports against the real services: what is published, what is refused, what a server loads, what is shown."""
import html.parser
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402
import tiny_model  # noqa: E402

NOT_FOUND, INVALID, JOB_FAILED = 3, 4, 6
SMALL = ["--group-size", "32", "--bits", "3", "--calibration-text", "abcdefghijklmnopqrstuvwxyz"]
TEXT = ["--evaluate", "kind=text,tokens=200,window=100"]


class Page(html.parser.HTMLParser):
    """The tags of a page, and every attribute that could load something."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [(tag, name) for name, _ in attributes if name in ("src", "href", "xlink:href", "data", "action") or name.startswith("on")]

    def handle_data(self, data):
        self.text += data


class QualityTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = services.Services().__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        cls.services.gwq("models", "push", tiny_model.write_model(cls.services.folder / "tiny"), "--name", "tiny")
        cls.made = cls.quantize("made", "--max-mean-kl", "100", "--min-same-top1", "0", "--max-bits", "16", "--require", "text:perplexity>=1")

    @classmethod
    def quantize(cls, name, *flags, check=True):
        return cls.services.gwq("quantize", "tiny", "--name", name, *SMALL, *TEXT, *flags, "--wait", check=check)

    def refused(self, name, *flags):
        run = self.quantize(name, *flags, check=False)
        self.assertEqual(run.returncode, JOB_FAILED, run.stderr)
        self.assertEqual(self.services.gwq("artifacts", "show", name, check=False).returncode, NOT_FOUND)
        return run

    def report(self, name, form):
        return self.services.gwq("artifacts", "report", name, "--format", form).stdout

    def test_the_end_of_a_job_tells_what_it_came_to(self):
        watched = self.services.gwq("jobs", "watch", json.loads(self.services.gwq("--json", "artifacts", "show", "made").stdout)["job"])
        for printed in (self.made.stdout, watched.stdout):
            self.assertRegex(printed, r"(?m)^size +[0-9.]+ \w+ before, [0-9.]+ \w+ after$")
            self.assertRegex(printed, r"(?m)^bits +[0-9.]+ per weight of the matrices, [0-9.]+ of the model$")
            self.assertRegex(printed, r"(?m)^perplexity +[0-9.]+ before, [0-9.]+ after$")
            self.assertRegex(printed, r"(?m)^mean KL +[0-9.e-]+$")
            self.assertRegex(printed, r"(?m)^same top 1 +[0-9.]+$")
            self.assertRegex(printed, r"(?m)^time +[0-9.]+ s$")
            self.assertRegex(printed, r"(?m)^peak memory +[0-9.]+ \w+$")

    def test_a_list_compares_artifacts_at_a_glance(self):
        header, *rows = self.services.gwq("artifacts", "list").stdout.splitlines()
        for column in ("SIZE", "BITS", "PERPLEXITY", "KL", "METHOD"):
            self.assertIn(column, header)
        (row,) = [row for row in rows if row.startswith("artifacts/made ")]
        report = json.loads(self.report("made", "json"))
        self.assertIn(f" {report['model_bits_per_weight']:.3f} ", row)
        self.assertIn(" gwq ", row)
        (listed,) = [one for one in map(json.loads, self.services.gwq("--json", "artifacts", "list").stdout.splitlines()) if one["name"] == "artifacts/made"]
        metrics = {metric["name"]: metric["after"] for metric in report["evaluations"][0]["metrics"]}
        self.assertEqual(listed["summary"]["mean_kl"], metrics["mean_kl"])
        self.assertEqual(listed["summary"]["perplexity"], metrics["perplexity"])

    def test_a_report_is_one_page_that_loads_nothing(self):
        file = self.services.folder / "report.html"
        self.services.gwq("artifacts", "report", "made", "--format", "html", "--to", file)
        page = Page(file.read_text())
        self.assertEqual(page.loads, [])
        self.assertNotIn("script", page.tags)
        self.assertNotIn("url(", file.read_text())
        self.assertGreaterEqual(page.tags.count("svg"), 3, "bits, error by block, divergence by position")
        for title in ("Quality contract", "Evaluations", "Divergence by position", "Bits", "Error by block", "To repeat it"):
            self.assertIn(title, page.text)
        self.assertEqual(file.read_text() + "\n", self.report("made", "html"), "the same each time")
        self.assertIn("| quantized matrices |", self.report("made", "md"))
        self.assertEqual(json.loads(self.report("made", "json"))["contract"]["misses"], [])

    def test_what_misses_its_contract_is_not_published_and_its_report_stays(self):
        run = self.refused("missed", "--max-mean-kl", "1e-9", "--min-same-top1", "1", "--require", "text:perplexity<=1.5")
        for bound in ("max_mean_kl: mean_kl of text is ", "min_same_top1: same_top1 of text is ", "floors[0]: perplexity of text is "):
            self.assertIn(bound, run.stderr)
        self.assertIn("at most 1e-09", run.stderr)
        job = next(one for one in map(json.loads, self.services.gwq("--json", "jobs", "list").stdout.splitlines()) if one["quantize"]["artifact_id"] == "missed")
        self.assertTrue(job["has_report"])
        self.assertEqual(job["error"]["code"], 9, "FAILED_PRECONDITION")
        self.assertIn(f"gwq jobs report {job['name']}", run.stderr)
        report = json.loads(self.services.gwq("jobs", "report", job["name"], "--format", "json").stdout)
        self.assertEqual([miss["bound"] for miss in report["contract"]["misses"]], ["max_mean_kl", "min_same_top1", "floors[0]"])
        self.assertGreater(report["total_bytes"], 0)
        self.assertIn("The contract is not met", self.services.gwq("jobs", "report", job["name"], "--format", "html").stdout)

    def test_a_replaced_artifact_stays_where_its_successor_misses(self):
        self.quantize("kept")
        before = self.services.gwq("--json", "artifacts", "show", "kept").stdout
        self.assertEqual(self.quantize("kept", "--max-mean-kl", "0", check=False).returncode, JOB_FAILED)
        self.assertEqual(self.services.gwq("--json", "artifacts", "show", "kept").stdout, before)

    def test_bits_above_the_bound_cost_no_job(self):
        jobs = self.services.gwq("jobs", "list").stdout
        run = self.quantize("large", "--max-bits", "3", check=False)
        self.assertNotEqual(run.returncode, 0)
        self.assertRegex(run.stderr, r"quantize.contract.max_bits: bits per weight of the model is [0-9.]+, the limit is at most 3")
        self.assertEqual(self.services.gwq("jobs", "list").stdout, jobs)

    def test_a_bound_on_what_nothing_measures_is_refused_at_once(self):
        for flags, field in ((("--require", "mmlu:acc>=0.5"), "quantize.contract.floors[0].evaluation"),
                             (("--require", "text:acc>=0.5"), "quantize.contract.floors[0].metric"),
                             (("--min-same-top1", "1.5"), "quantize.contract.min_same_top1"),
                             (("--require", "text"), "require")):
            run = self.quantize("never", *flags, check=False)
            self.assertEqual(run.returncode, INVALID, flags)
            self.assertIn(field, run.stderr)
        run = self.services.gwq("quantize", "tiny", "--name", "never", *SMALL, "--no-evaluation", "--max-mean-kl", "1", check=False)
        self.assertEqual(run.returncode, INVALID)
        self.assertIn("quantize.contract.max_mean_kl", run.stderr)

    def test_the_contract_stands_in_the_manifest_and_a_server_holds_an_artifact_to_it(self):
        folder = self.services.folder / "pulled"
        self.services.gwq("artifacts", "pull", "made", "--to", folder)
        quality = json.loads((folder / "gwq-manifest.json").read_text())["quality"]
        self.assertEqual(quality["contract"]["max_mean_kl"], 100)
        report = json.loads(self.report("made", "json"))
        self.assertEqual(quality["measures"]["bits"], report["model_bits_per_weight"])
        self.services.gwq("serve", "load", "made")
        self.services.gwq("serve", "unload", "made")


if __name__ == "__main__":
    unittest.main()
