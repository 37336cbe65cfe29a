#!/usr/bin/env python3
"""The held-out data of easy-VQA: a fixed selection, boxes that fit the pixels, files that belong together."""
import hashlib
import json
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from vqa_training import dataset, drawing  # noqa: E402

SELECTION = "671b146f039003781c7c5a3f2af0f9e904b34b5c732ea50579de78df0593b0d0"


class EasyVqaDataTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shown = dataset.pictures("test")

    def test_the_thousand_questions_are_always_the_same(self):
        rows = dataset.held_out_questions()
        self.assertEqual(hashlib.sha256("".join(row.id for row in rows).encode()).hexdigest(), SELECTION)
        self.assertEqual(Counter(row.kind for row in rows), {"shape": 156, "colour": 129, "yesno": 715})

    def test_what_a_picture_shows_agrees_with_every_question_that_tells(self):
        for row in dataset.questions("test"):
            picture = self.shown[row.picture]
            if row.kind != "yesno":
                self.assertEqual(row.answer, picture.shape if row.kind == "shape" else picture.color, row)

    def test_a_box_holds_all_of_a_hard_edged_shape_and_no_more(self):
        pixels = np.full((64, 64, 3), 240, np.uint8)
        pixels[5:20, 60:64] = (255, 0, 0)
        self.assertEqual(dataset.box_of(dataset.mask_of(pixels)), (60, 5, 64, 20))

    def test_a_faint_rim_of_an_eighth_does_not_widen_a_box(self):
        pixels = np.full((64, 64, 3), 240, np.uint8)
        pixels[9:21, 9:21] = 210
        pixels[10:20, 10:20] = 0
        self.assertEqual(dataset.box_of(dataset.mask_of(pixels)), (10, 10, 20, 20))

    def test_boxes_of_drawn_pictures_are_those_of_their_pixels_to_a_pixel(self):
        random = np.random.default_rng(1)
        for _ in range(200):
            pixels, mask, _, color, box = drawing.drawn(random)
            self.assertEqual(box, dataset.box_of(mask))
            self.assertLessEqual(np.abs(np.subtract(box, dataset.box_of(dataset.mask_of(pixels)))).max(), 1)
            self.assertEqual(dataset.color_of(pixels), color)

    def test_moved_pictures_carry_their_box_and_mask_along(self):
        random = np.random.default_rng(2)
        for picture in list(self.shown.values())[:300]:
            pixels, mask, shape, color, box = drawing.moved(picture, random)
            self.assertEqual(box, dataset.box_of(dataset.mask_of(pixels)))
            self.assertTrue(np.array_equal(mask, dataset.mask_of(pixels)))
            self.assertEqual((shape, color), (picture.shape, picture.color))

    def test_the_files_written_belong_together(self):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            subprocess.run([sys.executable, str(HERE / "easy_vqa_data.py"), folder], check=True)
            rows = [json.loads(line) for line in (out / "questions.jsonl").read_text().splitlines()]
            places = [json.loads(line) for line in (out / "locate.jsonl").read_text().splitlines()]
            self.assertEqual((len(rows), len(places)), (1000, 1000))
            self.assertEqual(np.array(Image.open(out / "blank.png")).std(), 0)
            for row in places:
                pixels = np.array(Image.open(out / row["image"]).convert("RGB"))
                self.assertEqual(tuple(row["box"]), dataset.box_of(dataset.mask_of(pixels)), row)
            boxes = {row["image"]: row["box"] for row in places}
            for row in rows:
                self.assertEqual(row["box"], boxes[row["image"]])


if __name__ == "__main__":
    unittest.main()
