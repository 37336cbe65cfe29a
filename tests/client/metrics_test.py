"""GET /metrics of the real services: every family says what it is, and what a dashboard needs is there and counts."""
import contextlib
import json
import re
import socket
import sys
import time
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402
import tiny_model  # noqa: E402

WAIT_SECONDS = 60
STALLED_SECONDS = 10  # for what takes one, far less than a request may take that a service waits for in vain
METRICS = ("--metrics", "127.0.0.1:0")
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$')


def metrics_address(service):
    """The port is told by the log line that says that the service is up."""
    for line in (service.folder / f"{service.name}.log").read_text().splitlines():
        if line.startswith("{") and json.loads(line)["event"] == "serving":
            return json.loads(line)["metrics"]
    raise AssertionError(f"{service.name} logged no line with the event 'serving'")


class Exposition:
    """The text format of Prometheus, read strictly."""

    def __init__(self, text):
        self.help, self.type, self.samples = {}, {}, []
        for line in text.splitlines():
            if line.startswith("# HELP "):
                _, _, name, self.help[name] = line.split(" ", 3)
            elif line.startswith("# TYPE "):
                _, _, name, self.type[name] = line.split(" ", 3)
            elif line:
                name, labels, value = SAMPLE.match(line).groups()
                self.samples.append((name, dict(re.findall(r'(\w+)="([^"]*)"', labels or "")), float(value)))

    def family(self, name):
        histogram = re.sub(r"_(bucket|sum|count)$", "", name)
        return histogram if self.type.get(histogram) in ("histogram", "summary") else name

    def sum(self, name, **labels):
        """Over the samples with these labels; None where there is none."""
        values = [value for at, has, value in self.samples if at == name and labels.items() <= has.items()]
        return sum(values) if values else None


def fetch(address, timeout=30):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=timeout) as response:
        return Exposition(response.read().decode())


class MetricsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = services.Services(METRICS, METRICS).__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        model = tiny_model.write_model(cls.services.folder / "tiny")
        cls.services.gwq("models", "push", model, "--name", "tiny")
        cls.services.gwq("quantize", "tiny", "--name", "small", "--group-size", "32", "--no-evaluation", "--wait")
        cls.services.gwq("generate", "small", "-p", "hello", "--max-tokens", "12")
        cls.jobs = metrics_address(cls.services.jobs)
        cls.infer = metrics_address(cls.services.infer)

    def eventually(self, address, name, least, **labels):
        """Gauges are set by a thread of their own: asked for again until then."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            value = fetch(address).sum(name, **labels)
            if value is not None and value >= least:
                return
        self.fail(f"{name}{labels} is {value}, not {least} within {WAIT_SECONDS} s")

    def test_every_family_has_its_help_and_type(self):
        for address in (self.jobs, self.infer):
            metrics = fetch(address)
            ours = {metrics.family(name) for name, _, _ in metrics.samples if name.startswith("gwq_")}
            self.assertTrue(ours)
            for name in ours:
                self.assertRegex(metrics.help.get(name, ""), r"^[A-Z].*\.$", name)
                self.assertIn(metrics.type.get(name), ("counter", "gauge", "histogram"), name)
                self.assertEqual(metrics.type[name] == "counter", name.endswith("_total"), name)

    def test_jobs_tells_its_queue_workers_uploads_and_calls(self):
        self.eventually(self.jobs, "gwq_workers_running", 1)
        for state in ("queued", "running"):
            self.eventually(self.jobs, "gwq_jobs_live", 0, state=state)
        metrics = fetch(self.jobs)
        size = (self.services.folder / "tiny/model.safetensors").stat().st_size
        self.assertGreaterEqual(metrics.sum("gwq_upload_received_bytes_total"), size)
        for method in ("ModelService/CommitUpload", "JobService/CreateJob"):
            self.eventually(self.jobs, "gwq_rpc_total", 1, method=method, code="OK")
            self.eventually(self.jobs, "gwq_rpc_seconds_count", 1, method=method)
        self.assertIsNotNone(metrics.sum("gwq_rpc_in_flight"))

    def test_connections_that_stand_half_sent_hold_up_no_scrape(self):
        for address in (self.jobs, self.infer):
            host, port = address.rsplit(":", 1)
            with contextlib.ExitStack() as connections:
                for _ in range(50):
                    stalled = connections.enter_context(socket.create_connection((host, int(port))))
                    stalled.sendall(b"GET /metrics HTTP/1.1\r\nHost: half")
                self.assertTrue(fetch(address, timeout=STALLED_SECONDS).samples)

    def test_infer_tells_its_requests_tokens_and_queue(self):
        self.eventually(self.infer, "gwq_infer_generated_tokens_total", 1, model="artifacts/small")
        self.eventually(self.infer, "gwq_infer_requests_total", 1, model="artifacts/small", code="OK")
        self.eventually(self.infer, "gwq_rpc_total", 1, method="InferenceService/Generate", code="OK")
        metrics = fetch(self.infer)
        self.assertGreaterEqual(metrics.sum("gwq_infer_prompt_tokens_total", model="artifacts/small"), 5)
        for name in ("gwq_infer_queued_requests", "gwq_infer_running_requests", "gwq_infer_cache_used_ratio"):
            self.assertIsNotNone(metrics.sum(name, model="artifacts/small"), name)
        self.assertEqual(metrics.sum("gwq_infer_first_token_seconds_count", model="artifacts/small"), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
