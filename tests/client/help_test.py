"""What gwq says about itself, and that its options may stand where the help says."""
import re
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import fake_services  # noqa: E402
from gwq.v1 import inference_pb2  # noqa: E402

COLUMN = 30  # where descriptions begin


def entries(text):
    """(name, description) of each option, argument and subcommand that a help names."""
    found, section = [], None
    for line in text.splitlines():
        if line and not line.startswith(" "):
            section = line.rstrip(":") if line.endswith(":") else None
        elif section in ("Positionals", "Options", "Subcommands") and line.strip():
            if re.match(r"  \S", line):
                short = line[COLUMN - 1:COLUMN] == " "
                found.append([section, line[:COLUMN].strip() if short else line.strip(), line[COLUMN:].strip() if short else ""])
            else:
                found[-1][2] += line.strip()
    return found


class HelpTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = fake_services.FakeServices().__enter__()
        cls.addClassCleanup(cls.services.__exit__)

    def helps(self, path=()):
        run = self.services.gwq(*path, "--help")
        self.assertEqual((run.returncode, run.stderr), (0, ""), path)
        yield path, run.stdout
        for section, name, _ in entries(run.stdout):
            if section == "Subcommands":
                yield from self.helps((*path, name))

    def test_version_is_that_of_the_build(self):
        cmake = (Path(__file__).resolve().parents[2] / "CMakeLists.txt").read_text()
        version = re.search(r"project\(gwq VERSION ([0-9.]+)", cmake).group(1)
        run = self.services.gwq("--version")
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, f"gwq {version}\n", ""))

    def test_every_command_option_and_argument_is_explained(self):
        helps = list(self.helps())
        self.assertGreater(len(helps), 30)
        for path, text in helps:
            self.assertIn("Exit codes:", text, path)
            for _, name, description in entries(text):
                self.assertTrue(description, f"gwq {' '.join(path)}: {name} is not explained")

    def test_the_model_may_stand_behind_the_options(self):
        prompt = ["--no-load", "--quiet", "--prompt", fake_services.SHORT]
        for options in (["--stop", "x"], ["--stop", "x", "--stop", "y"], ["--stop-id", 3]):
            run = self.services.gwq("generate", *prompt, *options, "any")
            self.assertEqual((run.returncode, run.stdout), (0, "word \n"), (options, run.stderr))
        run = self.services.gwq("generate", "--no-load", "--ids", "1,2", "any", "--prompt", "x")
        self.assertIn("exactly one of", run.stderr)

    def test_ids_are_sent_as_they_stand_and_may_be_repeated(self):
        seen = []

        def generate(_, request, __):
            seen.append(list(request.tokens.ids))
            yield inference_pb2.GenerateChunk(finish_reason=inference_pb2.STOP)

        with mock.patch.object(fake_services.Inference, "Generate", generate), fake_services.FakeServices() as services:
            run = services.gwq("generate", "any", "--no-load", "--ids", "0,7", "--ids", "5")
        self.assertEqual((run.returncode, seen), (0, [[0, 7, 5]]), run.stderr)


class TimeoutTest(unittest.TestCase):
    def test_it_is_of_the_calls_that_the_help_says(self):
        left = {}

        def noting(service, name):
            answer = getattr(service, name)

            def call(self, request, context):
                left[name] = context.time_remaining()
                return answer(self, request, context)

            return mock.patch.object(service, name, call)

        with noting(fake_services.Models, "ListModels"), noting(fake_services.Inference, "LoadModel"), \
                noting(fake_services.Inference, "VqaOnce"), fake_services.FakeServices() as services:
            self.assertIn("loading a model, its answers and what is streamed have no limit", services.gwq("--help").stdout)
            for arguments in (["models", "list"], ["vqa", "any", "--question", "x", "--json"]):
                run = services.gwq("--timeout", "1000", *arguments)
                self.assertEqual(run.returncode, 0, run.stderr)
        self.assertLess(left["ListModels"], 2000)
        for unlimited in ("LoadModel", "VqaOnce"):
            self.assertTrue(left[unlimited] is None or left[unlimited] > 86400, left)


if __name__ == "__main__":
    unittest.main(verbosity=2)
