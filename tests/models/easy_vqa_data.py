#!/usr/bin/env python3
"""Writes easy-VQA's held-out test data as files, from the wheel: 1,000 questions, and 1,000 pictures to locate the shape in.

usage: easy_vqa_data.py OUT_DIR
needs: numpy, pillow, easy-vqa 1.0

  OUT_DIR/images/ID.png    the 1,000 pictures of the test split, as they are in the wheel: 64 x 64, one shape each
  OUT_DIR/questions.jsonl  a fixed selection of 1,000 of its 9,673 questions (vqa_training/dataset.py says which):
                           {"id", "image": "images/ID.png", "question", "answer", "kind": "shape" | "colour" | "yesno", "box"}
  OUT_DIR/locate.jsonl     a request for each picture: {"id", "image", "question", "box"}
  OUT_DIR/blank.png        a picture of background alone, to be shown in place of any: what can be answered without seeing

A box is [x1, y1, x2, y2] in pixels of the picture, x2 and y2 behind the last pixel.
"""
import json
import shutil
import sys
from pathlib import Path

from PIL import Image

from vqa_training.dataset import SIDE, held_out_questions, pictures

LOCATE = "where is the shape?"
BLANK = (242, 242, 242)  # the middle of the data's backgrounds


def blank_picture():
    return Image.new("RGB", (SIDE, SIDE), BLANK)


def question_rows(shown):
    return [{"id": row.id, "image": f"images/{row.picture}.png", "question": row.text, "answer": row.answer, "kind": row.kind,
             "box": list(shown[row.picture].box)} for row in held_out_questions()]


def locate_rows(shown):
    return [{"id": f"locate-{id}", "image": f"images/{id}.png", "question": LOCATE, "box": list(picture.box)}
            for id, picture in shown.items()]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    (out / "images").mkdir(parents=True, exist_ok=True)
    shown = pictures("test")
    for id, picture in shown.items():
        shutil.copyfile(picture.file, out / "images" / f"{id}.png")
    blank_picture().save(out / "blank.png")
    write_rows(out / "questions.jsonl", question_rows(shown))
    write_rows(out / "locate.jsonl", locate_rows(shown))


if __name__ == "__main__":
    main()
