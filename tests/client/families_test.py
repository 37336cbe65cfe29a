"""Every vision-language family through both services: pushed, quantized by an image and its question, and asked about others."""
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import golden_family  # noqa: E402
import png_image  # noqa: E402
import services  # noqa: E402

QUESTION = "what are these?"


class FamiliesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = services.Services().__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        # The second is as high as two of the first: Idefics3 splits them into different numbers of tiles.
        cls.pictures = [cls.services.folder / name for name in ("a.png", "b.png", "c.png")]
        for i, (path, size) in enumerate(zip(cls.pictures, ((40, 30), (20, 60), (40, 30)))):
            path.write_bytes(png_image.stripes(*size, i))
        for family in golden_family.names():
            folder = golden_family.write_model(family, cls.services.folder / family)
            cls.services.gwq("models", "push", folder, "--name", cls.model(family))
            cls.services.gwq("quantize", cls.model(family), "--name", cls.model(family), "--rule", "*:bits=8", "--group-size",
                             "16", "--gwq-outlier-ratio", "0.05", "--no-evaluation", "--wait")

    @staticmethod
    def model(family):
        return family.replace(".", "-")

    def ask(self, name, pictures, *arguments):
        images = [part for path in pictures for part in ("--image", path)]
        run = self.services.gwq("vqa", name, *images, "--question", QUESTION, "--json", *arguments)
        return json.loads(run.stdout.splitlines()[-1])

    def probabilities(self, name, pictures):
        choices = self.ask(name, pictures, "--choices", "one,two,a third")["result"]["choices"]["choices"]
        return [choice["probability"] for choice in choices]

    def test_all_parts_are_quantized_by_gradient(self):
        for family in golden_family.names():
            with self.subTest(family):
                report = json.loads(self.services.gwq("artifacts", "show", self.model(family), "--report", "--json").stdout)
                self.assertEqual([part["part"] for part in report["parts"]], ["language", "vision", "projector"])
                for part in report["parts"]:
                    self.assertGreater(part["outliers"], 0)
                    self.assertLess(part["relative_error"], 0.01)

    def test_an_artifact_answers_about_the_images_it_is_shown(self):
        first, second, third = self.pictures
        for family in golden_family.names():
            with self.subTest(family):
                name = self.model(family)
                alone, both = self.probabilities(name, [first]), self.probabilities(name, [first, second])
                self.assertAlmostEqual(sum(alone), 1, places=6)
                self.assertAlmostEqual(sum(both), 1, places=6)
                self.assertNotEqual(alone, self.probabilities(name, [third]))
                self.assertNotEqual(both, self.probabilities(name, [second, first]))
                self.assertEqual(both, self.probabilities(name, [first, second]))

    def test_an_artifact_of_8_bits_is_near_its_model(self):
        for family in golden_family.names():
            for pictures in (self.pictures[:1], self.pictures[:2], []):
                with self.subTest(family, pictures=len(pictures)):
                    full, small = (self.probabilities(f"{kind}/{self.model(family)}", pictures) for kind in ("models", "artifacts"))
                    # Seen: at most 0.04; the same at 4 bits 0.32.
                    self.assertLess(max(abs(a - b) for a, b in zip(full, small)), 0.06)
                    self.assertNotEqual(full, small)

    def test_boxes_are_asked_for_where_the_family_writes_them(self):
        for family in golden_family.names():
            with self.subTest(family):
                ask = ("vqa", self.model(family), "--image", self.pictures[0], "--question", "where is it?", "--boxes", "-n", "4", "--json")
                run = self.services.gwq(*ask, check=family != "idefics3")
                if family == "idefics3":
                    self.assertEqual(run.returncode, 4)
                    self.assertIn("UNIMPLEMENTED", run.stderr)
                else:
                    self.assertIn("text", json.loads(run.stdout.splitlines()[-1])["result"]["boxes"])

    def test_two_images_take_the_tokens_of_both(self):
        for family in golden_family.names():
            with self.subTest(family):
                tokens = [self.ask(self.model(family), pictures, "-n", "1")["usage"]["image_tokens"]
                          for pictures in (self.pictures[:1], self.pictures[1:2], self.pictures[:2])]
                self.assertEqual(tokens[2], tokens[0] + tokens[1])


if __name__ == "__main__":
    unittest.main()
