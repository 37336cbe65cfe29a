"""Clients that are not ours drive both services: stubs made by protoc, the reflection client, google.api_core's operations client."""
import datetime
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402
import tiny_model  # noqa: E402

STUBS = tempfile.TemporaryDirectory(prefix="gwq-stubs-")
services.generate_stubs(STUBS.name)
sys.path.insert(0, STUBS.name)

import grpc  # noqa: E402
from google.api_core import exceptions, operation, operations_v1  # noqa: E402
from google.longrunning import operations_pb2, operations_pb2_grpc  # noqa: E402
from google.rpc import error_details_pb2, status_pb2  # noqa: E402
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase  # noqa: E402
from google.protobuf import descriptor_pool, message_factory  # noqa: E402
from gwq.v1 import artifacts_pb2, artifacts_pb2_grpc, evaluations_pb2, evaluations_pb2_grpc, inference_pb2, inference_pb2_grpc, jobs_pb2, jobs_pb2_grpc, models_pb2, models_pb2_grpc  # noqa: E402

WAIT_SECONDS = 120


class ForeignClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.services = services.Services().__enter__()
        cls.addClassCleanup(cls.services.__exit__)
        model = tiny_model.write_model(cls.services.folder / "tiny")
        cls.services.gwq("models", "push", model, "--name", "tiny")
        cls.jobs_channel = grpc.insecure_channel(cls.services.jobs.address)
        cls.infer_channel = grpc.insecure_channel(cls.services.infer.address)
        cls.addClassCleanup(cls.jobs_channel.close)
        cls.addClassCleanup(cls.infer_channel.close)
        cls.jobs = jobs_pb2_grpc.JobServiceStub(cls.jobs_channel)
        cls.artifacts = artifacts_pb2_grpc.ArtifactServiceStub(cls.jobs_channel)
        cls.infer = inference_pb2_grpc.InferenceServiceStub(cls.infer_channel)
        cls.operations = operations_v1.OperationsClient(cls.jobs_channel)

    def quantize(self, artifact_id, text="", tokens=64, **recipe):
        task = evaluations_pb2.EvaluationTask(kind=evaluations_pb2.EvaluationTask.TEXT, text=text, tokens=tokens, window=32)
        spec = jobs_pb2.QuantizeSpec(model="models/tiny", artifact_id=artifact_id, recipe=jobs_pb2.Recipe(group_size=32, **recipe),
                                     evaluations=[task])
        return self.jobs.CreateJob(jobs_pb2.CreateJobRequest(quantize=spec), timeout=30).job

    def future(self, job, result=artifacts_pb2.Artifact):
        return operation.from_gapic(self.operations.get_operation(job.operation), self.operations, result,
                                    metadata_type=jobs_pb2.JobMetadata)

    def wait(self, job, seconds):
        request = operations_pb2.WaitOperationRequest(name=job.operation)
        request.timeout.FromTimedelta(datetime.timedelta(seconds=seconds))
        return operations_pb2_grpc.OperationsStub(self.jobs_channel).WaitOperation(request, timeout=WAIT_SECONDS)

    def start_long_job(self, artifact_id):
        """One that goes on for long after its worker was told to stop: two passes over 900,000 tokens."""
        job = self.quantize(artifact_id, bits=4, threads=1, text="a long text " * 75_000, tokens=900_000)
        for seen in self.jobs.WatchJob(jobs_pb2.WatchJobRequest(name=job.name), timeout=WAIT_SECONDS):
            if seen.state == jobs_pb2.JOB_STATE_RUNNING:
                return job
        self.fail("the job ended before it was seen to run")

    def test_the_operations_client_waits_for_a_typed_result(self):
        job = self.quantize("by-operation", bits=4)
        future = self.future(job)
        artifact = future.result(timeout=WAIT_SECONDS)
        self.assertEqual(artifact.name, "artifacts/by-operation")
        self.assertTrue(future.done())
        self.assertEqual(future.metadata.job.state, jobs_pb2.JOB_STATE_SUCCEEDED)
        self.assertEqual(self.services.gwq("artifacts", "show", "by-operation").returncode, 0)

    def test_the_operations_client_cancels(self):
        job = self.start_long_job("to-be-cancelled")
        future = self.future(job)
        self.assertTrue(future.cancel())
        with self.assertRaises(exceptions.Cancelled):
            future.result(timeout=WAIT_SECONDS)
        self.assertTrue(future.cancelled())
        self.assertEqual(self.jobs.GetJob(jobs_pb2.GetJobRequest(name=job.name), timeout=30).state, jobs_pb2.JOB_STATE_CANCELLED)

    def test_waiting_for_an_operation_ends_with_its_time_or_with_the_job(self):
        job = self.start_long_job("to-wait-for")
        self.assertFalse(self.wait(job, 0.1).done)
        self.operations.cancel_operation(job.operation)
        ended = self.wait(job, WAIT_SECONDS)
        self.assertTrue(ended.done)
        self.assertEqual(ended.error.code, grpc.StatusCode.CANCELLED.value[0])

    def test_an_evaluation_is_an_operation_with_a_typed_result(self):
        task = evaluations_pb2.EvaluationTask(kind=evaluations_pb2.EvaluationTask.TEXT, text="some words to measure", window=8)
        spec = jobs_pb2.EvaluateSpec(target="models/tiny", evaluation_id="words", task=task)
        job = self.jobs.CreateJob(jobs_pb2.CreateJobRequest(evaluate=spec), timeout=30).job
        evaluation = self.future(job, evaluations_pb2.Evaluation).result(timeout=WAIT_SECONDS)
        self.assertEqual(evaluation.name, "evaluations/words")
        stub = evaluations_pb2_grpc.EvaluationServiceStub(self.jobs_channel)
        stored = stub.GetEvaluation(evaluations_pb2.GetEvaluationRequest(name=evaluation.name), timeout=30)
        self.assertEqual(stored.digest, evaluation.digest)
        perplexity = {metric.name: metric.value for metric in stored.metrics}["perplexity"]
        self.assertGreater(perplexity, 1)

    def test_a_failed_call_names_the_field_in_standard_details(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.quantize("never", bits=9)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        trailers = dict(caught.exception.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        bad_request = error_details_pb2.BadRequest()
        self.assertTrue(any(detail.Unpack(bad_request) for detail in status.details))
        self.assertEqual(bad_request.field_violations[0].field, "quantize.recipe.bits")

    def test_generated_stubs_stream_an_answer(self):
        self.future(self.quantize("to-ask", bits=4)).result(timeout=WAIT_SECONDS)
        self.infer.LoadModel(inference_pb2.LoadModelRequest(name="artifacts/to-ask"), timeout=60)
        request = inference_pb2.GenerateRequest(model="artifacts/to-ask", prompt="hello", max_tokens=12, ignore_eos=True)
        chunks = list(self.infer.Generate(request, timeout=60))
        once = self.infer.GenerateOnce(request, timeout=60)
        self.assertEqual("".join(chunk.text for chunk in chunks), once.text)
        self.assertEqual([i for chunk in chunks for i in chunk.token_ids], list(once.token_ids))
        self.assertEqual(once.usage.generated_tokens, 12)
        self.assertEqual(chunks[-1].finish_reason, inference_pb2.LENGTH)
        self.infer.UnloadModel(inference_pb2.UnloadModelRequest(name="artifacts/to-ask"), timeout=60)

    def test_a_client_that_knows_no_proto_calls_by_reflection(self):
        database = ProtoReflectionDescriptorDatabase(self.jobs_channel)
        self.assertIn("gwq.v1.JobService", database.get_services())
        pool = descriptor_pool.DescriptorPool(database)
        method = pool.FindServiceByName("gwq.v1.ModelService").FindMethodByName("GetModel")
        request_class = message_factory.GetMessageClass(method.input_type)
        response_class = message_factory.GetMessageClass(method.output_type)
        call = self.jobs_channel.unary_unary("/gwq.v1.ModelService/GetModel", request_class.SerializeToString, response_class.FromString)
        self.assertEqual(call(request_class(name="models/tiny"), timeout=30).architecture, "LlamaForCausalLM")
        self.assertIn("gwq.v1.InferenceService", ProtoReflectionDescriptorDatabase(self.infer_channel).get_services())

    def test_a_second_push_sends_only_the_tensor_that_changed(self):
        changed = "model.layers.1.mlp.up_proj.weight"
        model = tiny_model.write_model(self.services.folder / "fine-tuned", changed_tensor=changed)
        run = self.services.gwq("models", "push", model, "--name", "fine-tuned")
        # 128 x 64 halves; the header and the small files are the same bytes.
        self.assertIn("sent 16.0 KiB of", run.stderr)

    def test_exported_and_pulled_files_verify(self):
        self.future(self.quantize("to-export", bits=3)).result(timeout=WAIT_SECONDS)
        pulled = self.services.folder / "pulled"
        self.services.gwq("artifacts", "pull", "to-export", "--to", pulled)
        digest = self.artifacts.GetArtifact(artifacts_pb2.GetArtifactRequest(name="artifacts/to-export"), timeout=30).digest
        self.assertIn(digest, self.services.gwq("artifacts", "verify", pulled).stdout)
        self.services.gwq("artifacts", "verify", pulled, "--digest", digest)
        other = self.services.gwq("artifacts", "verify", pulled, "--digest", digest[::-1], check=False)
        self.assertEqual(other.returncode, 1, other.stderr)
        self.assertIn(digest, other.stderr)
        self.assertEqual(self.services.gwq("artifacts", "verify", pulled, "--digest", "12", check=False).returncode, 4)
        exported = self.services.folder / "exported"
        self.services.gwq("artifacts", "export", "to-export", "--to", exported)
        self.assertTrue((exported / "model.safetensors").exists())
        with open(pulled / "model.safetensors", "r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)
            file.seek(-1, 2)
            file.write(bytes([last[0] ^ 1]))
        self.assertEqual(self.services.gwq("artifacts", "verify", pulled, check=False).returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
