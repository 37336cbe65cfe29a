"""gwq eval against the real services: datasets in, evaluations out, compared, and named by a quantization."""
import json
import math
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import png_image  # noqa: E402
import services  # noqa: E402
import tiny_model  # noqa: E402
import tiny_vlm  # noqa: E402

INVALID = 4
SMALL = ["--group-size", "32", "--calibration-text", "abcdefghijklmnopqrstuvwxyz"]


class EvalTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = services.Services().__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        model = tiny_model.write_model(cls.services.folder / "tiny")
        cls.services.gwq("models", "push", model, "--name", "tiny")
        cls.services.gwq("quantize", "tiny", "--name", "small", "--bits", "2", *SMALL, "--no-evaluation", "--wait")
        cls.questions = cls.services.folder / "questions.jsonl"
        lines = [{"context": f"What is {i}?", "choices": [f"number {i}", "no", f"{i * i}"], "answer": i % 3} for i in range(30)]
        cls.questions.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def gwq(self, *arguments):
        return json.loads(self.services.gwq("--json", *arguments).stdout.splitlines()[-1])

    def metrics(self, evaluation):
        return {metric["name"]: metric["value"] for metric in evaluation["metrics"]}

    def test_choices_of_a_file_are_measured_listed_pulled_and_compared(self):
        before = self.gwq("eval", "run", "models/tiny", "--data", self.questions, "--name", "before")
        after = self.gwq("eval", "run", "small", "--data", self.questions, "--reference", "tiny", "--name", "after")
        self.assertEqual(set(self.metrics(before)), {"acc", "acc_norm"})
        self.assertEqual(set(self.metrics(after)), {"acc", "acc_norm", "mean_kl", "same_choice"})
        self.assertGreater(self.metrics(after)["mean_kl"], 0)
        names = self.services.gwq("eval", "list").stdout
        self.assertIn("evaluations/before", names)
        self.assertIn("evaluations/after", names)
        self.assertIn("datasets/questions", self.services.gwq("eval", "datasets").stdout)

        compared = self.gwq("eval", "compare", "before", "after")
        self.assertTrue(compared["same_task"])
        acc = compared["metrics"][0]
        self.assertEqual(acc["name"], "acc")
        self.assertAlmostEqual(acc["difference"], acc["b"] - acc["a"])
        self.assertEqual(compared["items"], {"a": 30, "b": 30})
        error = {metric["name"]: metric["standard_error"] for metric in before["metrics"]}["acc"]
        self.assertGreater(error, 0)
        self.assertAlmostEqual(acc["a_standard_error"], error)
        table = self.services.gwq("eval", "compare", "before", "after").stdout
        self.assertIn("mean_kl", table)
        self.assertRegex(table, r"items +30 +30")
        self.assertRegex(table, r"acc +[0-9.]+ ± [0-9.]+ +[0-9.]+ ± [0-9.]+ +[+-]")

        folder = self.services.folder / "pulled"
        self.services.gwq("eval", "pull", "after", folder)
        items = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
        self.assertEqual(len(items), 30)
        right = sum(item["best"] == item["answer"] for item in items)
        self.assertAlmostEqual(self.metrics(after)["acc"], right / 30)
        self.assertTrue(all(math.isfinite(value) for item in items for value in item["log_likelihoods"]))

        again = self.gwq("eval", "run", "small", "--dataset", "questions", "--kind", "choices", "--reference", "tiny",
                         "--threads", "1", "--name", "again")
        self.assertEqual(again["digest"], after["digest"], "the same task on the same model")
        self.services.gwq("eval", "delete", "again")
        self.assertNotIn("evaluations/again", self.services.gwq("eval", "list").stdout)

    def test_runs_that_were_not_measured_alike_are_compared_only_where_one_says_so(self):
        self.services.gwq("eval", "push", self.questions, "--name", "all")
        for limit in (5, 10):
            self.services.gwq("eval", "run", "models/tiny", "--dataset", "all", "--kind", "choices", "--limit", limit, "--name", f"first-{limit}")
        refused = self.services.gwq("eval", "compare", "first-5", "first-10", check=False)
        self.assertEqual(refused.returncode, INVALID)
        self.assertIn("task.limit: 5 and 10", refused.stderr)
        self.assertIn("--anyway", refused.stderr)
        self.assertEqual(refused.stdout, "")
        anyway = self.services.gwq("eval", "compare", "first-5", "first-10", "--anyway")
        self.assertRegex(anyway.stdout, r"items +5 +10")
        self.assertIn("task.limit: 5 and 10", anyway.stderr)
        compared = self.gwq("eval", "compare", "first-5", "first-10", "--anyway")
        self.assertFalse(compared["same_task"])
        self.assertEqual(compared["measured_differently"], ["task.limit: 5 and 10"])

    def test_a_text_is_measured_without_any_file(self):
        text = self.gwq("eval", "run", "small", "--reference", "models/tiny", "--tokens", "300", "--window", "100", "--name", "text")
        metrics = self.metrics(text)
        self.assertGreater(metrics["perplexity"], 1)
        self.assertEqual(set(metrics), {"perplexity", "reference_perplexity", "mean_kl", "p99_kl", "same_top1"})
        self.assertGreater(int(self.gwq("eval", "run", "small", "--tokens", "300", "--plan")["peak_memory_bytes"]), 2**28)

    def test_a_malformed_line_is_named_before_anything_is_sent_and_by_the_service(self):
        bad = self.services.folder / "bad.jsonl"
        bad.write_text('{"context": "a", "choices": ["b", "c"], "answer": 0}\n{"context": "a", "choices": ["b", "c"], "answer": 7}\n')
        refused = self.services.gwq("eval", "push", bad, check=False)
        self.assertEqual(refused.returncode, INVALID)
        self.assertIn("line 2.answer", refused.stderr)
        # Well formed, but no question for this kind: the job says so.
        (self.services.folder / "any.png").write_bytes(png_image.stripes(24, 20, 1))
        bad.write_text('{"question": "a", "image": "any.png", "answer": "b"}\n')
        refused = self.services.gwq("eval", "run", "small", "--data", bad, "--kind", "choices", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("line 1.choices", refused.stderr)

    def test_a_quantization_tells_evaluations_before_and_after(self):
        self.services.gwq("eval", "push", self.questions, "--name", "named")
        self.services.gwq("quantize", "tiny", "--name", "told", "--bits", "3", *SMALL, "--wait", "--evaluate",
                          "kind=choices,dataset=named,limit=10,name=ten", "--evaluate", "tokens=200,window=100")
        report = self.gwq("artifacts", "show", "told", "--report")
        self.assertEqual([one["name"] for one in report["evaluations"]], ["ten", "text"])
        perplexity = report["evaluations"][1]["metrics"][0]
        self.assertEqual(perplexity["name"], "perplexity")
        self.assertNotEqual(perplexity["before"], perplexity["after"])
        self.assertIn("| ten (10) | acc |", self.services.gwq("artifacts", "show", "told", "--report").stdout)

    def test_a_quantization_measures_a_text_unless_it_is_told_otherwise(self):
        self.services.gwq("quantize", "tiny", "--name", "plain", "--bits", "3", *SMALL, "--wait")
        (text,) = self.gwq("artifacts", "show", "plain", "--report")["evaluations"]
        self.assertEqual((text["task"]["tokens"], text["task"]["window"]), (2048, 512))
        self.assertEqual([metric["name"] for metric in text["metrics"]], ["perplexity", "mean_kl", "p99_kl", "same_top1"])
        self.assertNotIn("evaluations", self.gwq("artifacts", "show", "small", "--report"))

    def test_flags_and_recipes_of_one_version_ago_are_read_and_told(self):
        recipe = self.services.folder / "old.json"
        recipe.write_text(json.dumps({"evaluation_text": "w x y z " * 40, "evaluation_window": 16}))
        run = self.services.gwq("quantize", "tiny", "--name", "old", "--bits", "3", *SMALL, "--recipe", recipe, "--evaluation-tokens", "48", "--wait")
        for name in ("recipe.evaluation_text", "recipe.evaluation_window", "--evaluation-tokens"):
            self.assertRegex(run.stderr, f"(?m)^note: {name} is now --evaluate kind=text,")
        (text,) = self.gwq("artifacts", "show", "old", "--report")["evaluations"]
        self.assertEqual((text["task"]["text"], text["task"]["tokens"], text["task"]["window"]), ("w x y z " * 40, 48, 16))
        self.services.gwq("quantize", "tiny", "--name", "none", "--bits", "3", *SMALL, "--evaluation-tokens", "0", "--wait")
        self.assertNotIn("evaluations", self.gwq("artifacts", "show", "none", "--report"))


class VisionEvalTest(unittest.TestCase):
    """The same on a model that sees: quantized by one image and its question, asked about others."""

    @classmethod
    def setUpClass(cls):
        cls.services = services.Services().__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        folder = cls.services.folder
        cls.services.gwq("models", "push", tiny_vlm.write_model(folder / "seeing"), "--name", "seeing")
        cls.data = folder / "data"
        (cls.data / "images").mkdir(parents=True)
        lines = []
        for i in range(6):
            (cls.data / f"images/{i}.png").write_bytes(png_image.stripes(24 + 4 * i, 20, i))
            lines.append({"image": f"images/{i}.png", "question": f"what is {i}?", "answers": ["stripes", "lines"]})
        cls.questions = cls.data / "vqa.jsonl"
        cls.questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
        cls.boxes = cls.data / "boxes.jsonl"
        cls.boxes.write_text("".join(json.dumps({"image": line["image"], "question": "where?", "box": [1, 2, 9, 12]}) + "\n" for line in lines))

    gwq = EvalTest.gwq
    metrics = EvalTest.metrics

    def quantize(self, name, *flags):
        self.services.gwq("quantize", "seeing", "--name", name, "--bits", "3", "--group-size", "16", "--gwq-outlier-ratio", "0.05",
                          "--no-evaluation", *flags, "--wait")
        return self.gwq("artifacts", "show", name, "--report")

    def methods(self, report):
        return {part: {module["method"] for module in report["modules"] if module["part"] == part and "embed_tokens" not in module["tensor"]}
                for part in ("language", "vision", "projector")}

    def test_all_three_parts_are_quantized_by_one_image_and_reported_apart(self):
        report = self.quantize("whole")
        self.assertEqual(self.methods(report), {part: {"gwq"} for part in ("language", "vision", "projector")})
        self.assertEqual([part["part"] for part in report["parts"]], ["language", "vision", "projector"])
        self.assertEqual(sum(part["bytes"] for part in report["parts"]), report["total_bytes"])
        self.assertEqual(sum(part["quantized_bytes"] for part in report["parts"]), report["quantized_bytes"])
        for part in report["parts"]:
            self.assertGreater(part["outliers"], 0)
            self.assertTrue(0 < part["relative_error"] < 1)
        self.assertIn("visual.patch_embed.proj.weight", [module["tensor"] for module in report["modules"]])
        self.assertGreater(report["calibration_tokens"], 50)
        peak = max(phase["peak_memory_bytes"] for phase in report["phases"])
        self.assertLess(peak, report["planned_memory_bytes"])
        self.assertIn("| projector |", self.services.gwq("artifacts", "show", "whole", "--report").stdout)
        again = self.services.gwq("quantize", "seeing", "--name", "again", "--bits", "3", "--group-size", "16", "--gwq-outlier-ratio", "0.05",
                                  "--no-evaluation", "--wait", "--json")
        self.assertEqual(json.loads(again.stdout.splitlines()[-1])["digest"], report["artifact"])

    def test_text_alone_leaves_the_tower_to_rounding_and_a_rule_leaves_it_whole(self):
        text = self.methods(self.quantize("words", "--calibration-text", "a text without any image in it"))
        self.assertEqual(text, {"language": {"gwq"}, "vision": {"rtn"}, "projector": {"rtn"}})
        kept = self.methods(self.quantize("kept", "--rule", "*:method=keep,part=vision", "--rule", "visual.*:method=keep"))
        self.assertEqual(kept, {"language": {"gwq"}, "vision": set(), "projector": set()})

    def test_an_image_of_ones_own_calibrates(self):
        own = self.quantize("own", "--calibration-image", self.data / "images/3.png", "--calibration-question", "what?",
                            "--calibration-answer", "stripes")
        self.assertEqual(own["recipe"]["calibration"]["source"], "image")
        self.assertLess(own["calibration_tokens"], 150)
        refused = self.services.gwq("quantize", "seeing", "--name", "bad", "--calibration-source", "image", "--calibration-blob", "0" * 64,
                                    check=False)
        self.assertEqual(refused.returncode, INVALID)

    def test_a_dataset_of_images_and_questions_calibrates(self):
        self.services.gwq("eval", "push", self.questions, "--name", "samples")
        report = self.quantize("sampled", "--method", "gptq", "--calibration-dataset", "samples", "--calibration-samples", "4")
        self.assertEqual(report["calibration_samples"], 4)
        self.assertEqual(self.methods(report), {part: {"gptq"} for part in ("language", "vision", "projector")})
        peak = max(phase["peak_memory_bytes"] for phase in report["phases"])
        self.assertLess(peak, report["planned_memory_bytes"])
        missing = self.services.gwq("quantize", "seeing", "--name", "bad", "--calibration-dataset", "missing", check=False)
        self.assertNotEqual(missing.returncode, 0)

    def test_answers_and_boxes_are_measured(self):
        self.quantize("asked")
        vqa = self.gwq("eval", "run", "asked", "--data", self.questions, "--reference", "seeing", "--max-tokens", "6", "--name", "vqa")
        self.assertEqual(set(self.metrics(vqa)), {"exact_match", "mean_kl", "same_answer"})
        self.assertGreater(self.metrics(vqa)["mean_kl"], 0)
        same = self.gwq("eval", "run", "models/seeing", "--data", self.questions, "--reference", "seeing", "--max-tokens", "6", "--name", "same")
        self.assertEqual(self.metrics(same)["mean_kl"], 0)
        self.assertEqual(self.metrics(same)["same_answer"], 1)
        folder = self.services.folder / "answers"
        self.services.gwq("eval", "pull", "same", folder)
        answers = [json.loads(line)["answer"] for line in (folder / "items.jsonl").read_text().splitlines()]
        self.services.gwq("serve", "load", "models/seeing")
        for i, answer in enumerate(answers):
            served = self.services.gwq("vqa", "models/seeing", "--image", self.data / f"images/{i}.png", "--question", f"what is {i}?",
                                       "--max-tokens", "6", "--temperature", "0", "--json").stdout.splitlines()[-1]
            self.assertEqual(json.loads(served)["result"]["free_text"]["answer"], answer, "what serving answers")
        marked = self.data / "marked.jsonl"
        marked.write_text(json.dumps({"image": "images/0.png", "question": "a <|image_pad|> b", "answer": "c"}) + "\n")
        refused = self.services.gwq("eval", "run", "asked", "--data", marked, "--name", "marked", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("line 1.question", refused.stderr)
        boxes = self.metrics(self.gwq("eval", "run", "asked", "--data", self.boxes, "--max-tokens", "8", "--name", "boxes"))
        self.assertEqual(set(boxes), {"accuracy_iou50", "mean_iou", "malformed"})


if __name__ == "__main__":
    unittest.main()
