"""Starts gwq-jobs and gwq-infer on free loopback ports with state in a temporary folder, and stops them."""
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

BIN = Path(os.environ.get("GWQ_BIN_DIR", "build/release/bin"))
SOURCE = Path(os.environ.get("GWQ_SOURCE_DIR", Path(__file__).resolve().parents[2]))
DEPS = Path(os.environ.get("GWQ_DEPS", ""))
START_SECONDS = 60


class Service:
    def __init__(self, name, folder, arguments, environment=None):
        self.name, self.folder, self.arguments = name, Path(folder), list(arguments)
        self.environment = {**os.environ, **(environment or {})}
        self.process = self.log = None

    def start(self):
        port_file = self.folder / f"{self.name}.port"
        port_file.unlink(missing_ok=True)
        self.log = open(self.folder / f"{self.name}.log", "ab")
        self.process = subprocess.Popen(
            [BIN / self.name, "--listen", "127.0.0.1:0", "--port-file", port_file, *self.arguments],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.environment, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not (port_file.exists() and port_file.read_text().strip()):
            if time.monotonic() > deadline or self.ended_within(0.02):
                self.stop(signal.SIGKILL)
                raise RuntimeError(f"{self.name} did not start:\n" + self.tail())
        self.address = "127.0.0.1:" + port_file.read_text().strip().rsplit(":", 1)[-1]
        return self

    def ended_within(self, seconds):
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def tail(self):
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-4000:]

    def stop(self, how=signal.SIGTERM):
        if self.process is None or self.process.poll() is not None:
            if self.log is not None:
                self.log.close()
            return
        self.process.send_signal(how)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"{self.name} did not end within 30 s of signal {how}:\n" + self.tail())
        finally:
            self.log.close()

    def peak_memory_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmHWM")


class Services:
    """Both services; use as a context manager."""

    def __init__(self, jobs_arguments=(), infer_arguments=()):
        self._temporary = tempfile.TemporaryDirectory(prefix="gwq-test-")
        self.folder = Path(self._temporary.name)
        self.jobs = Service("gwq-jobs", self.folder, ["--state", self.folder / "jobs", *jobs_arguments])
        self.infer = None  # made once gwq-jobs has an address
        self._infer_arguments = infer_arguments

    def __enter__(self):
        try:
            self.jobs.start()
            self.infer = Service("gwq-infer", self.folder, ["--jobs", self.jobs.address, *self._infer_arguments])
            self.infer.start()
        except BaseException:  # nobody calls __exit__ then
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        try:
            if self.infer is not None:
                self.infer.stop()
        finally:
            try:
                self.jobs.stop()
            finally:
                self._temporary.cleanup()

    def gwq(self, *arguments, check=True, **keywords):
        command = [BIN / "gwq", "--jobs", self.jobs.address, "--infer", self.infer.address, *map(str, arguments)]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=300, **keywords)


def generate_stubs(folder):
    """Python stubs of all protos, made anew by protoc, as any client would; google.longrunning comes from its own package."""
    from grpc_tools import protoc

    google = Path(folder) / "include/google/longrunning"
    google.mkdir(parents=True)
    (google / "operations.proto").write_bytes((DEPS / "site/google/longrunning/operations_proto.proto").read_bytes())
    protos = [str(p.relative_to(SOURCE / "proto")) for p in sorted((SOURCE / "proto/gwq/v1").glob("*.proto"))]
    status = protoc.main(["protoc", f"-I{SOURCE / 'proto'}", f"-I{google.parents[1]}", f"-I{DEPS / 'site'}",
                          f"-I{Path(protoc.__file__).parent / '_proto'}", f"--python_out={folder}", f"--grpc_python_out={folder}", *protos])
    if status != 0:
        raise RuntimeError("protoc failed")
