"""What gwq reads and writes on its own machine: pipes, sockets and devices are refused at once, before any service is asked."""
import os
import socket
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import fake_services  # noqa: E402
import png_image  # noqa: E402

FAILED, USAGE, NOT_FOUND, INVALID = 1, 2, 3, 4


class Files(unittest.TestCase):
    def setUp(self):
        self.services = fake_services.FakeServices().__enter__()
        self.addCleanup(self.services.__exit__)
        temporary = tempfile.TemporaryDirectory(prefix="gwq-test-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def gwq(self, *arguments, **keywords):
        return self.services.gwq(*arguments, **keywords)

    def pipe(self, name):
        os.mkfifo(self.folder / name)
        return self.folder / name


class SpecialFilesTest(Files):
    def refused(self, path, *arguments, code=INVALID, kind="pipe", **keywords):
        run = self.gwq(*arguments, **keywords)
        self.assertEqual(run.returncode, code, (arguments, run.stderr))
        self.assertIn(f"'{path}' is a {kind}", run.stderr, arguments)

    def test_every_flag_that_names_a_file_refuses_a_pipe(self):
        pipe, text, lines = self.pipe("pipe"), self.pipe("pipe.txt"), self.pipe("pipe.jsonl")
        ask = ["vqa", "any", "--no-load", "--question", "x"]
        for path, arguments in [(pipe, [*ask, "--image", pipe]),
                                (pipe, ["vqa", "any", "--no-load", "--batch", pipe]),
                                (lines, ["eval", "run", "any", "--data", lines]),
                                (text, ["eval", "run", "any", "--data", text]),
                                (lines, ["eval", "push", lines]),
                                (pipe, ["eval", "run", "any", "--text-file", pipe]),
                                (pipe, ["quantize", "any", "--recipe", pipe]),
                                (pipe, ["quantize", "any", "--calibration-file", pipe]),
                                (pipe, ["quantize", "any", "--calibration-messages", pipe]),
                                (pipe, ["quantize", "any", "--calibration-image", pipe]),
                                (pipe, ["quantize", "any", "--evaluate", f"kind=text,text_file={pipe}"]),
                                (pipe, ["models", "push", pipe])]:
            self.refused(path, *arguments)
        self.assertEqual(self.services.inference.calls, [])

    def test_sockets_and_devices_are_no_files_either(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "socket"))
            self.refused(self.folder / "socket", "vqa", "any", "--no-load", "--batch", self.folder / "socket", kind="socket")
        self.refused("/dev/zero", "quantize", "any", "--recipe", "/dev/zero", kind="device")

    def test_a_file_of_a_model_that_is_none_is_named_and_not_left_out(self):
        (self.folder / "config.json").write_text("{}")
        weights = self.pipe("model.safetensors")
        self.refused(weights, "models", "push", self.folder)
        weights.unlink()
        weights.write_bytes(bytes(8))
        self.refused(self.pipe("tokenizer.json"), "models", "push", self.folder)
        (self.folder / "tokenizer.json").unlink()
        (self.folder / "tokenizer.json").symlink_to("nowhere")
        run = self.gwq("models", "push", self.folder)
        self.assertEqual(run.returncode, NOT_FOUND, run.stderr)
        self.assertIn("tokenizer.json", run.stderr)

    def test_other_entries_of_a_models_folder_are_left_alone(self):
        self.pipe("control")
        (self.folder / "assets.json").mkdir()
        (self.folder / "model.safetensors").write_bytes(bytes(7))
        run = self.gwq("models", "push", self.folder)
        self.assertEqual(run.returncode, INVALID)
        self.assertIn("model.safetensors: has less than 8 bytes", run.stderr)

    def test_a_configuration_is_a_file_or_was_opened_by_the_caller(self):
        pipe = self.pipe("config")
        self.refused(pipe, "models", "list", "--config", pipe, code=USAGE)
        self.refused(pipe, f"--config={pipe}", "models", "list", code=USAGE)
        self.refused(pipe, "models", "list", env={**os.environ, "GWQ_CONFIG": str(pipe)}, code=USAGE)
        home = self.folder / "home"
        (home / ".config/gwq").mkdir(parents=True)
        usual = home / ".config/gwq/config.toml"
        os.mkfifo(usual)
        without = {name: value for name, value in os.environ.items() if name != "GWQ_CONFIG"}
        self.refused(usual, "models", "list", env={**without, "HOME": str(home)}, code=USAGE)

        reader, writer = os.pipe()
        os.write(writer, b"json = true\n")
        os.close(writer)
        run = self.gwq("models", "list", "--config", "/dev/stdin", stdin=reader)
        os.close(reader)
        self.assertTrue(run.stdout.startswith("{"), run.stdout + run.stderr)
        self.assertEqual(self.gwq("models", "list", "--config", "/dev/null").returncode, 0)

    def test_a_file_is_read_as_standard_input_too(self):
        questions = self.folder / "questions.jsonl"
        questions.write_text('{"question": "x", "id": "first"}\n')
        with questions.open() as opened:
            run = self.gwq("vqa", "any", "--no-load", "--batch", "/dev/stdin", stdin=opened)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("first", run.stdout)


class DrawTest(Files):
    def setUp(self):
        super().setUp()
        self.image = self.folder / "image.png"
        self.image.write_bytes(png_image.stripes(24, 16, 0))

    def draw(self, target, *arguments, image=True, **keywords):
        before = sorted(self.folder.rglob("*"))
        source = ["--image", self.image] if image else []
        run = self.gwq("vqa", "any", "--json", "--question", "where?", *source, "--draw", target, *arguments, **keywords)
        made = [path for path in sorted(self.folder.rglob("*")) if path not in before]
        return run, made

    def test_what_cannot_be_written_is_refused_before_any_call(self):
        (self.folder / "folder").mkdir()
        pipe = self.pipe("pipe")
        for target, code in [(self.folder / "none/out.png", NOT_FOUND), (self.folder / "folder", INVALID), (pipe, INVALID),
                             (f"{self.folder}/new/", NOT_FOUND), (self.image / "out.png", FAILED), ("/dev/null", INVALID),
                             ("/proc/out.png", None)]:
            run, made = self.draw(target)
            self.assertNotEqual(run.returncode, 0, target)
            if code is not None:
                self.assertEqual(run.returncode, code, (target, run.stderr))
            self.assertIn("--draw", run.stderr)
            self.assertEqual((run.stdout, made), ("", []), target)
        self.assertEqual(self.services.inference.calls, [])

    def test_an_image_that_was_not_given_is_refused_before_any_call(self):
        for image, arguments in [(False, []), (True, ["--box-image", 1]), (True, ["--box-image=-1"])]:
            run, made = self.draw(self.folder / "out.png", *arguments, image=image)
            self.assertEqual(run.returncode, INVALID, run.stderr)
            self.assertIn("--box-image", run.stderr)
            self.assertEqual(made, [])
        self.assertEqual(self.services.inference.calls, [])

    def test_an_answer_is_drawn_and_a_failure_leaves_no_file(self):
        out = self.folder / "out.png"
        run, made = self.draw(out)
        self.assertEqual((run.returncode, made), (0, [out]), run.stderr)
        self.assertEqual(self.services.inference.calls, ["LoadModel", "VqaOnce"])
        self.image.write_bytes(b"no image")
        run, made = self.draw(self.folder / "other.png")
        self.assertEqual((run.returncode, made), (INVALID, []), run.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
