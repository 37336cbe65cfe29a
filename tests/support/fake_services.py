"""Services that answer from this process, for tests of the command line alone: nothing but gwq has to be built.

Import it before any generated module: it makes the stubs."""
import subprocess
import sys
import tempfile
from concurrent import futures

import services

STUBS = tempfile.TemporaryDirectory(prefix="gwq-stubs-")
services.generate_stubs(STUBS.name)
sys.path.insert(0, STUBS.name)

import grpc  # noqa: E402
from gwq.v1 import inference_pb2, inference_pb2_grpc, jobs_pb2, jobs_pb2_grpc, models_pb2, models_pb2_grpc  # noqa: E402

SECONDS = 60
SHORT = "be short"  # a prompt that has an end


class Models(models_pb2_grpc.ModelServiceServicer):
    def GetModel(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, f"{request.name}: there is no such model")

    def ListModels(self, request, context):
        return models_pb2.ListModelsResponse(models=[models_pb2.Model(name=f"models/{i}") for i in range(3)])


class Jobs(jobs_pb2_grpc.JobServiceServicer):
    def WatchJob(self, request, context):
        yield jobs_pb2.Job(name=request.name, state=jobs_pb2.JOB_STATE_FAILED, error={"code": 13, "message": "no luck"})

    def ReadJobLogs(self, request, context):
        while context.is_active():
            yield jobs_pb2.JobLogLine(text="line")


class Inference(inference_pb2_grpc.InferenceServiceServicer):
    """Its streams go on until the client ends them, but for the prompt SHORT. `calls` are the names of what was called."""

    def __init__(self):
        self.calls = []
        self.box = inference_pb2.Box(label="thing", left=1, top=1, right=5, bottom=5)

    def LoadModel(self, request, context):
        self.calls.append("LoadModel")
        return inference_pb2.LoadedModel(name=request.name)

    def Generate(self, request, context):
        self.calls.append("Generate")
        if request.prompt == SHORT:
            yield inference_pb2.GenerateChunk(text="word ", finish_reason=inference_pb2.STOP)
            return
        while context.is_active():
            yield inference_pb2.GenerateChunk(text="word ")

    def Vqa(self, request, context):
        self.calls.append("Vqa")
        while context.is_active():
            yield inference_pb2.VqaChunk(text="word ")

    def VqaOnce(self, request, context):
        self.calls.append("VqaOnce")
        return inference_pb2.VqaResponse(result=inference_pb2.VqaResult(boxes=inference_pb2.BoxResult(boxes=[self.box])))


class FakeServices:
    """All of them on one loopback port, chosen by the kernel; use as a context manager."""

    def __enter__(self):
        self.inference = Inference()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
        models_pb2_grpc.add_ModelServiceServicer_to_server(Models(), self._server)
        jobs_pb2_grpc.add_JobServiceServicer_to_server(Jobs(), self._server)
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(self.inference, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *unused):
        self._server.stop(grace=None).wait()

    def command(self, *arguments):
        return [services.BIN / "gwq", "--jobs", self.address, "--infer", self.address, *map(str, arguments)]

    def gwq(self, *arguments, **keywords):
        """The finished process; TimeoutExpired where it does not end."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **keywords}
        return subprocess.run(self.command(*arguments), text=True, timeout=SECONDS, **streams)
