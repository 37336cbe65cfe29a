"""The gwq program itself against a real gwq-jobs: where its settings come from, what it prints for programs, how it ends."""
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402
import tiny_model  # noqa: E402

OK, FAILURE, USAGE, NOT_FOUND, INVALID, UNAVAILABLE, JOB_FAILED, JOB_CANCELLED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 7, 130
NOBODY = "127.0.0.1:1"


class GwqTest(unittest.TestCase):
    """A gwq-jobs and a gwq that knows of it only what a test says: no setting comes from who runs the test."""
    jobs_arguments = ()

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="gwq-test-")
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        cls.environment = {name: value for name, value in os.environ.items() if not name.startswith("GWQ_")} | {"HOME": str(cls.folder)}
        cls.jobs = services.Service("gwq-jobs", cls.folder, ["--state", cls.folder / "state", *cls.jobs_arguments]).start()
        cls.addClassCleanup(cls.jobs.stop)

    def gwq(self, *arguments, code=OK, environment=None):
        run = subprocess.run([services.BIN / "gwq", *map(str, arguments)], capture_output=True, text=True, timeout=60,
                             env=self.environment | (environment or {}))
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run


class SettingsTest(GwqTest):
    def setUp(self):
        self.default_file = self.folder / ".config/gwq/config.toml"
        self.default_file.parent.mkdir(parents=True, exist_ok=True)
        self.other_file = self.folder / "other.toml"

    def tearDown(self):
        self.default_file.unlink(missing_ok=True)

    def test_a_flag_wins_over_the_environment_and_that_over_the_file(self):
        self.default_file.write_text(f'jobs = "{NOBODY}"\n')
        self.assertIn(NOBODY, self.gwq("models", "list", code=UNAVAILABLE).stderr)
        self.gwq("models", "list", environment={"GWQ_JOBS": self.jobs.address})
        self.gwq("models", "list", "--jobs", self.jobs.address, environment={"GWQ_JOBS": NOBODY})
        self.default_file.write_text(f'jobs = "{self.jobs.address}"\n')
        self.gwq("models", "list")
        self.gwq("models", "list", environment={"GWQ_JOBS": ""})
        self.assertIn(NOBODY, self.gwq("models", "list", environment={"GWQ_JOBS": NOBODY}, code=UNAVAILABLE).stderr)

    def test_the_environment_names_the_file_and_a_flag_another_one(self):
        self.default_file.write_text(f'jobs = "{NOBODY}"\n')
        self.other_file.write_text(f'jobs = "{self.jobs.address}"\n')
        self.gwq("models", "list", environment={"GWQ_CONFIG": str(self.other_file)})
        self.gwq("--config", self.other_file, "models", "list", environment={"GWQ_CONFIG": str(self.default_file)})

    def test_a_named_file_that_is_missing_is_an_error_and_the_default_one_is_not(self):
        missing = self.folder / "missing.toml"
        self.gwq("models", "list", "--jobs", self.jobs.address)
        for named in (self.gwq("models", "list", environment={"GWQ_CONFIG": str(missing)}, code=USAGE),
                      self.gwq("models", "list", "--config", missing, code=USAGE)):
            self.assertIn(str(missing), named.stderr)
            self.assertIn("GWQ_CONFIG", named.stderr)
        self.assertIn("GWQ_CONFIG", self.gwq("--help", environment={"GWQ_CONFIG": str(missing)}).stdout)

    def test_a_key_that_is_no_setting_is_refused_by_name(self):
        self.other_file.write_text('jbos = "x"\n')
        self.assertIn("jbos", self.gwq("models", "list", "--config", self.other_file, code=USAGE).stderr)


    def test_a_token_that_no_header_takes_is_refused_by_its_source_and_not_told(self):
        self.addCleanup(self.other_file.unlink)
        for byte in ("\r", "\n", "\x01", "\udcff", "é"):
            token = f"secret{byte}secret"
            self.other_file.write_text('token = "secrét"\n', encoding="utf-8")
            for source, run in (("GWQ_TOKEN", self.gwq("models", "list", environment={"GWQ_TOKEN": token}, code=USAGE)),
                                ("GWQ_TOKEN", self.gwq("--json", "models", "list", environment={"GWQ_TOKEN": token}, code=USAGE)),
                                ("--token", self.gwq("models", "list", "--token", token, code=USAGE)),
                                ("--token", self.gwq("models", "list", f"--token={token}", environment={"GWQ_TOKEN": "fine"}, code=USAGE)),
                                (str(self.other_file), self.gwq("models", "list", "--config", self.other_file, code=USAGE))):
                self.assertEqual(run.stdout, "")
                self.assertIn(f"{source}: byte ", run.stderr)
                self.assertNotIn("secr", run.stderr)
                self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)

    def test_what_is_no_address_is_refused_by_its_source(self):
        self.addCleanup(self.other_file.unlink)
        self.other_file.write_text('infer = ""\n')
        for source, run in (("--jobs", self.gwq("--jobs", "", "models", "list", code=USAGE)),
                            ("--infer", self.gwq("models", "list", "--infer", "", code=USAGE)),
                            ("GWQ_JOBS", self.gwq("models", "list", environment={"GWQ_JOBS": "dns:"}, code=USAGE)),
                            (str(self.other_file), self.gwq("models", "list", "--config", self.other_file, code=USAGE))):
            self.assertIn(f"{source}: ", run.stderr)
            self.assertIn("give HOST:PORT", run.stderr)
            self.assertEqual(len(run.stderr.splitlines()), 1, run.stderr)
        self.assertEqual(error_of(self.gwq("--json", "--jobs", "", "models", "list", code=USAGE))["code"], "INVALID_ARGUMENT")

    def test_the_address_of_the_other_service_is_named(self):
        error = self.gwq("serve", "list", "--infer", self.jobs.address, code=INVALID).stderr
        self.assertIn(self.jobs.address, error)
        self.assertIn("the address of gwq-infer", error)


class UsageTest(GwqTest):
    """What was given and means nothing is named, and no service is asked."""

    def refused(self, named, *arguments):
        run = self.gwq("--jobs", NOBODY, "--infer", NOBODY, *arguments, code=USAGE)
        self.assertEqual(run.stdout, "")
        self.assertIn(named, run.stderr, arguments)

    def test_a_word_that_is_no_command_is_named(self):
        self.refused("frobnicate", "frobnicate")
        self.refused("frobnicate", "--json", "frobnicate")
        self.refused("not expected: model\n", "model", "list")
        self.refused("frobnicate", "models", "frobnicate")
        self.refused("--frobnicate", "models", "show", "--frobnicate")
        self.refused("A subcommand is required", "models")

    def test_numbers_that_are_none(self):
        self.refused("--timeout: 'nan'", "models", "list", "--timeout", "nan")
        for seed in ("-1", "", "18446744073709551616", "1.5"):
            for ask in (["generate", "any", "--prompt", "x"], ["vqa", "any", "--question", "x"]):
                self.refused(f"--seed: '{seed}'", *ask, f"--seed={seed}" if seed else "--seed", *([] if seed else [""]))
        self.refused("--from: '-1'", "jobs", "logs", "any", "--from", "-1")
        self.refused("--stop-id", "generate", "any", "--prompt", "x", "--stop-id", "")

    def test_lists_of_token_ids_with_gaps(self):
        for ids in ("", "1,,2", "1,", ",", "1 2", "x", "2147483648"):
            self.refused(f"--ids: '{ids}'", "generate", "any", "--ids", ids)

    def test_names_that_are_empty(self):
        for flag, arguments in (("--name", ["models", "push", self.folder]), ("--name", ["quantize", "any"]),
                                ("--name", ["eval", "run", "any"]), ("--name", ["eval", "push", __file__]),
                                ("--name", ["artifacts", "export", "any"]), ("--to", ["artifacts", "export", "any"]),
                                ("--to", ["artifacts", "pull", "any"])):
            self.refused(f"{flag}: it is empty", *arguments, flag, "")


MODEL = "models/tiny"
RECIPE = ["--bits", "4", "--group-size", "32", "--calibration-token-ids", ",".join(str(2 + i * 7 % 250) for i in range(40)),
          "--no-evaluation"]


def error_of(run):
    return json.loads(run.stderr.splitlines()[-1])["error"]


class ModelTest(GwqTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.environment["GWQ_JOBS"] = cls.jobs.address
        cls.model = tiny_model.write_model(cls.folder / "tiny")
        cls().gwq("models", "push", cls.model)

    def json(self, *arguments, **keywords):
        return json.loads(self.gwq(*arguments, "--json", **keywords).stdout)


class JobsTest(ModelTest):
    PUSH = ["models", "push", "--name", "shown"]

    def test_progress_without_a_terminal_is_plain_lines(self):
        run = self.gwq(*self.PUSH, self.model)
        self.assertNotRegex(run.stderr, r"[\r\033]")
        self.assertRegex(run.stderr, r"(?m)^\w+: [0-9.]+ \w+ of [0-9.]+ \w+ \(100 %\)$")
        self.assertEqual(self.gwq(*self.PUSH, self.model, "--quiet").stderr, "")

    def test_progress_on_a_terminal_is_a_bar(self):
        try:
            terminal, its_side = os.openpty()
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.ENOENT):  # a bare root file system has no /dev/pts
                raise
            self.skipTest(f"no terminal can be opened here: {error}")
        push = [services.BIN / "gwq", *self.PUSH, self.model]
        subprocess.run(push, stdout=subprocess.DEVNULL, stderr=its_side, timeout=60, env=self.environment, check=True)
        os.close(its_side)
        with os.fdopen(terminal, "rb", buffering=0) as shown:
            self.assertIn(b"\r\033[K", shown.read(4096))

    def test_a_job_is_watched_and_its_log_read(self):
        job = self.gwq("quantize", "tiny", "--name", "watched", *RECIPE).stdout.strip()
        self.assertIn("succeeded", self.gwq("jobs", "watch", job).stdout)
        self.assertEqual(self.json("jobs", "watch", job.removeprefix("jobs/"))["state"], "JOB_STATE_SUCCEEDED")
        lines = [json.loads(line) for line in self.gwq("jobs", "logs", job, "--follow", "--json").stdout.splitlines()]
        self.assertTrue(lines)
        self.assertEqual([int(line["index"]) for line in lines], list(range(len(lines))))
        plain = self.gwq("jobs", "logs", job).stdout.splitlines()
        self.assertEqual([line.split("  ", 1)[1] for line in plain], [line["text"] for line in lines])
        self.assertEqual(self.gwq("jobs", "logs", job, "--from", 1).stdout.splitlines(), plain[1:])

    def test_a_failed_job_is_an_error_that_names_it(self):
        data = self.folder / "seen.jsonl"
        data.write_text('{"question": "a", "image": "shape.png", "choices": ["b", "c"], "answer": "b"}\n')
        shutil.copy(services.SOURCE / "tests/models/easy-vqa-example.png", self.folder / "shape.png")
        self.gwq("eval", "push", data)
        run = ["eval", "run", MODEL, "--dataset", "seen", "--kind", "choices"]
        self.assertIn("line 1.image", self.gwq(*run, code=JOB_FAILED).stderr)
        failed = self.gwq(*run, "--json", code=JOB_FAILED)
        job, error = json.loads(failed.stdout), error_of(failed)
        self.assertEqual(job["state"], "JOB_STATE_FAILED")
        self.assertEqual((error["job"], error["code"]), (job["name"], "INVALID_ARGUMENT"))
        self.assertEqual(error["field_violations"][0]["field"], "line 1.image")
        self.assertEqual(error_of(self.gwq("jobs", "watch", job["name"], "--json", code=JOB_FAILED)), error)

    def test_what_is_deleted_is_told_and_gone(self):
        self.gwq("models", "push", self.model, "--name", "gone")
        self.gwq("quantize", "tiny", "--name", "gone", *RECIPE, "--wait")
        data = self.folder / "gone.jsonl"
        data.write_text('{"context": "a", "choices": ["b", "c"], "answer": 0}\n')
        self.gwq("eval", "run", MODEL, "--data", data, "--name", "gone")
        pulled = self.json("eval", "pull", "gone", self.folder / "pulled")
        self.assertEqual((pulled["folder"], pulled["files"]), (str(self.folder / "pulled"), 2))
        for collection, delete in (("models", ["models", "delete"]), ("artifacts", ["artifacts", "delete"]), ("evaluations", ["eval", "delete"]),
                                   ("datasets", ["eval", "delete-dataset"])):
            self.assertEqual(self.json(*delete, "gone"), {"name": f"{collection}/gone", "deleted": True})
            self.assertEqual(error_of(self.gwq(*delete, "gone", "--json", code=NOT_FOUND))["code"], "NOT_FOUND")
        self.assertIn("models/gone", self.gwq("models", "show", "gone", code=NOT_FOUND).stderr)

    def test_errors_are_objects_for_programs_and_lines_for_people(self):
        refused = ["quantize", "tiny", "--bits", "9"]
        self.assertTrue(self.gwq(*refused, code=INVALID).stderr.startswith("gwq: INVALID_ARGUMENT: "))
        error = error_of(self.gwq(*refused, "--json", code=INVALID))
        self.assertEqual([violation["field"] for violation in error["field_violations"]], ["quantize.recipe.bits"])
        self.assertIn(error["field_violations"][0]["description"], error["message"])
        self.assertEqual(error_of(self.gwq("models", "list", "--jobs", NOBODY, "--json", code=UNAVAILABLE))["code"], "UNAVAILABLE")

    def test_wrong_usage_is_told_as_json_where_that_is_asked(self):
        for words in (["nonsense"], ["models", "show"], ["models", "list", "--timeout", "never"], ["models", "list", "--config", "/no/such/file"]):
            self.assertNotIn("{", self.gwq(*words, code=USAGE).stderr)
            run = self.gwq("--json", *words, code=USAGE)
            self.assertEqual((run.stdout, error_of(run)["code"]), ("", "INVALID_ARGUMENT"))
        self.assertIn(str(self.gwq("--help").stdout), self.gwq("--json", "--help").stdout)


class WaitingJobsTest(ModelTest):
    """Nobody works, so that a job waits for as long as a test looks at it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.restart("--no-workers", "--max-queued-jobs", "1")

    @classmethod
    def restart(cls, *arguments):
        cls.jobs.stop()
        cls.jobs.arguments = ["--state", cls.folder / "state", *arguments]
        cls.environment["GWQ_JOBS"] = cls.jobs.start().address

    def start_watch(self, job, *flags):
        """A watch that has seen the job wait."""
        watch = subprocess.Popen([services.BIN / "gwq", "jobs", "watch", job, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=self.environment)
        self.assertEqual(watch.stderr.readline(), f"{job}: queued\n")
        return watch

    def test_an_interrupted_watch_says_how_to_come_back_and_the_job_goes_on(self):
        job = self.gwq("quantize", "tiny", "--name", "patient", *RECIPE).stdout.strip()
        watch = self.start_watch(job)
        watch.send_signal(signal.SIGINT)
        out, error = watch.communicate(timeout=60)
        self.assertEqual((watch.returncode, out), (INTERRUPTED, ""))
        self.assertIn("the job goes on", error)
        self.assertIn(f"gwq jobs watch {job}", error)
        self.assertIn(f"gwq jobs cancel {job}", error)
        self.assertEqual(self.json("jobs", "show", job)["state"], "JOB_STATE_QUEUED")
        self.addCleanup(self.restart, "--no-workers", "--max-queued-jobs", "1")
        self.restart()
        self.assertEqual(self.json("jobs", "watch", job)["result"], "artifacts/patient")

    def test_a_cancelled_job_ends_its_watch(self):
        job = self.gwq("quantize", "tiny", "--name", "cancelled", *RECIPE).stdout.strip()
        watch = self.start_watch(job)
        self.assertIn("cancelled", self.gwq("jobs", "cancel", job).stdout)
        out, error = watch.communicate(timeout=60)
        self.assertEqual(watch.returncode, JOB_CANCELLED)
        self.assertIn("cancelled", out)
        self.assertIn(f"{job}: cancelled", error)
        again = self.gwq("jobs", "watch", job, "--json", code=JOB_CANCELLED)
        self.assertEqual(json.loads(again.stdout)["state"], "JOB_STATE_CANCELLED")
        self.assertEqual((error_of(again)["code"], error_of(again)["job"]), ("CANCELLED", job))
        self.assertEqual(self.json("jobs", "cancel", job)["state"], "JOB_STATE_CANCELLED")

    def test_a_full_queue_says_when_to_try_again(self):
        job = self.gwq("quantize", "tiny", "--name", "first", *RECIPE).stdout.strip()
        self.addCleanup(self.gwq, "jobs", "cancel", job)
        error = error_of(self.gwq("quantize", "tiny", "--name", "second", *RECIPE, "--json", code=UNAVAILABLE))
        self.assertEqual(error["code"], "RESOURCE_EXHAUSTED")
        self.assertGreater(error["retry_delay_seconds"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
