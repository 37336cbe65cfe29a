#include "tests/server/infer/infer_fixture.h"

#include <fmt/format.h>
#include <google/protobuf/any.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <thread>

#include "core/backend/cpu/cpu_backend.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/infer/models/jobs_source.h"
#include "tests/server/infer/tiny_model.h"

namespace gwq::testing {
namespace {

struct Imported {
  TempFolder folder;
  std::unique_ptr<BlobStore> store;
  Digest tiny;
  Digest other;
  Digest seeing;
  Digest blind;
  Digest llava;
  Digest boxless;
};

// Made when first asked for; the folder goes with the process.
const Imported& Models() {
  static const Imported* const imported = [] {
    static Imported models;
    models.store = *OpenLocalBlobStore(LocalFileSystem(), models.folder.path(), SystemClock());
    models.tiny = *ImportTinyModel(*models.store, 1);
    models.other = *ImportTinyModel(*models.store, 2);
    models.seeing = *ImportTinyVlm(*models.store, 1);
    models.blind = *WithoutFile(*models.store, models.seeing, "preprocessor_config.json");
    models.llava = *ImportTinyFamily(*models.store, "llava", 1);
    models.boxless = *ImportTinyFamily(*models.store, "idefics3", 1);
    return &models;
  }();
  return *imported;
}

}  // namespace

void InferFixture::SetUpTestSuite() { (void)Models(); }

const Digest& InferFixture::tiny() { return Models().tiny; }
const Digest& InferFixture::other() { return Models().other; }
const Digest& InferFixture::llava() { return Models().llava; }
BlobStore& InferFixture::store() { return *Models().store; }

InferFixture::InferFixture() {
  jobs = std::make_unique<FakeJobs>(Models().folder.path());
  jobs->Add("models/tiny", Models().tiny);
  jobs->Add("models/other", Models().other);
  jobs->Add("models/seeing", Models().seeing);
  jobs->Add("models/blind", Models().blind);
  jobs->Add("models/llava", Models().llava);
  jobs->Add("models/boxless", Models().boxless);
}

InferFixture::~InferFixture() { Stop(); }

void InferFixture::Start() { Start(Setup()); }

void InferFixture::Start(const Setup& setup) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(jobs.get());
  jobs_server_ = builder.BuildAndStart();
  source_ = MakeJobsSource({.address = fmt::format("127.0.0.1:{}", port),
                            .token = setup.jobs_token,
                            .blob_root = {},
                            .hold_millis = setup.hold_millis},
                           "test");

  metrics = std::make_unique<Metrics>();
  authenticator_ =
      std::make_unique<Authenticator>(setup.tokens.empty() ? Authenticator() : *Authenticator::FromText(setup.tokens));
  backend = std::make_unique<GatedBackend>(*CreateCpuBackend({.threads = 2, .isa = {}}));
  holds_ = std::make_unique<Holds>(*source_, log_);
  loader_ = std::make_unique<ModelLoader>(*backend, *metrics, *setup.clock, setup.load);
  models = std::make_unique<ModelTable>(*source_, *holds_, *loader_, setup.max_loaded_bytes);
  executor_ = std::make_unique<Executor>(2, 1000);
  loads_ = std::make_unique<Executor>(setup.load_threads, 16);
  lookups_ = std::make_unique<Executor>(2, 16);
  images_ = std::make_unique<Executor>(1, setup.max_queued_images);
  image_store = std::make_unique<ImageStore>(size_t{1} << 20);
  image_memory = std::make_unique<ImageMemory>(setup.image_memory_bytes);
  service_ = std::make_unique<InferenceService>(InferEnvironment{.call = {*executor_, *authenticator_, *metrics, log_},
                                                                 .models = *models,
                                                                 .loads = *loads_,
                                                                 .lookups = *lookups_,
                                                                 .images = *images_,
                                                                 .image_store = *image_store,
                                                                 .image_memory = *image_memory,
                                                                 .image_limits = setup.image_limits,
                                                                 .clock = *setup.clock,
                                                                 .unload_millis = setup.unload_millis});
  ServiceSettings settings;
  host_ = *ServiceHost::Start(settings, {service_.get()});
  stub = NewStub();
}

void InferFixture::Stop() {
  if (backend != nullptr) backend->Open();
  stub.reset();
  host_.reset();
  service_.reset();
  images_.reset();
  lookups_.reset();
  loads_.reset();
  executor_.reset();
  models.reset();
  loader_.reset();
  holds_.reset();
  source_.reset();
  backend.reset();
  if (jobs_server_ != nullptr) jobs_server_->Shutdown();
  jobs_server_.reset();
}

std::unique_ptr<v1::InferenceService::Stub> InferFixture::NewStub(const grpc::ChannelArguments& given) {
  grpc::ChannelArguments arguments = given;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::InferenceService::NewStub(
      grpc::CreateCustomChannel(host_->address(), grpc::InsecureChannelCredentials(), arguments));
}

grpc::Status InferFixture::Load(const std::string& name, v1::LoadedModel* loaded, int64_t context) {
  v1::LoadModelRequest request;
  request.set_name(name);
  request.set_max_context_tokens(context);
  v1::LoadedModel ignored;
  grpc::ClientContext call;
  return stub->LoadModel(&call, request, loaded == nullptr ? &ignored : loaded);
}

v1::LoadedModel InferFixture::Describe(const std::string& name) {
  v1::ListLoadedModelsResponse response;
  grpc::ClientContext call;
  EXPECT_TRUE(stub->ListLoadedModels(&call, {}, &response).ok());
  for (const v1::LoadedModel& model : response.models()) {
    if (model.name() == name) return model;
  }
  return {};
}

SchedulerStats InferFixture::Stats(const std::string& name, const std::string& principal) {
  return (*models->Find(principal, name))->engine().stats();
}

void InferFixture::ExpectIdle(const std::string& name, const std::string& principal) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  EXPECT_TRUE((*models->Find(principal, name))->engine().WaitUntilIdle(until));
  EXPECT_EQ(Stats(name, principal).free_blocks, Stats(name, principal).blocks);
}

Streamed ReadStream(v1::InferenceService::Stub& stub, const v1::GenerateRequest& request) {
  Streamed out;
  grpc::ClientContext call;
  const auto reader = stub.Generate(&call, request);
  for (v1::GenerateChunk chunk; reader->Read(&chunk); ++out.chunks) {
    out.valid_utf8 &= IsUtf8(chunk.text());
    out.answer.mutable_text()->append(chunk.text());
    out.answer.mutable_token_ids()->MergeFrom(chunk.token_ids());
    out.answer.set_finish_reason(chunk.finish_reason());
    *out.answer.mutable_usage() = chunk.usage();
    *out.answer.mutable_timings() = chunk.timings();
    out.answer.set_seed(chunk.seed());
    out.answer.set_stop_match(chunk.stop_match());
  }
  out.status = reader->Finish();
  return out;
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t size = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (size == 0 || i + size > text.size()) return false;
    for (size_t j = 1; j < size; ++j) {
      if ((static_cast<unsigned char>(text[i + j]) & 0xC0) != 0x80) return false;
    }
    i += size;
  }
  return true;
}

namespace {

template <class Detail>
bool FindDetail(const grpc::Status& status, Detail& out) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return false;
  for (const auto& detail : details.details()) {
    if (detail.UnpackTo(&out)) return true;
  }
  return false;
}

}  // namespace

std::string ViolatedField(const grpc::Status& status) {
  google::rpc::BadRequest bad;
  if (!FindDetail(status, bad) || bad.field_violations().empty()) return "";
  return bad.field_violations(0).field();
}

int64_t RetryMillis(const grpc::Status& status) {
  google::rpc::RetryInfo retry;
  if (!FindDetail(status, retry)) return -1;
  return retry.retry_delay().seconds() * 1000 + retry.retry_delay().nanos() / 1'000'000;
}

v1::GenerateRequest Prompt(const std::string& model, const std::string& prompt, int max_tokens) {
  v1::GenerateRequest request;
  request.set_model(model);
  request.set_prompt(prompt);
  request.set_max_tokens(max_tokens);
  request.set_ignore_eos(true);
  return request;
}

}  // namespace gwq::testing
