// gwq-infer as a process.
#include <fcntl.h>
#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/server/infer/infer_fixture.h"
#include "tests/server/infer/tiny_model.h"

extern char** environ;

namespace gwq::testing {
namespace {

class Program {
 public:
  Program(const TempFolder& folder, std::vector<std::string> arguments) : log_(folder / "log"), port_(folder / "port") {
    arguments.insert(arguments.begin(), std::string(std::getenv("GWQ_BIN_DIR")) + "/gwq-infer");
    arguments.push_back("--port-file=" + port_);
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    EXPECT_EQ(posix_spawn(&process_, pointers[0], &files, nullptr, pointers.data(), environ), 0);
    posix_spawn_file_actions_destroy(&files);
  }
  ~Program() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  // HOST:PORT once the service is ready; empty if the program ended instead.
  std::string WaitReady() {
    for (;;) {
      if (std::ifstream file(port_); file.good()) {
        std::string address;
        if (file >> address) return address;
      }
      int status = 0;
      if (waitpid(process_, &status, WNOHANG) == process_) {
        process_ = -1;
        exit_ = WEXITSTATUS(status);
        return "";
      }
      std::this_thread::yield();
    }
  }
  int Terminate() {
    kill(process_, SIGTERM);
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  [[nodiscard]] int exit_code() const { return exit_; }
  [[nodiscard]] std::string log() const {
    std::ifstream file(log_);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

 private:
  const std::string log_;
  const std::string port_;
  pid_t process_ = -1;
  int exit_ = -1;
};

TEST(InferProgram, ServesADigestWithoutGwqJobsDrainsOnSigtermAndLogsNoPrompt) {
  const TempFolder blobs;
  const TempFolder folder;
  const auto store = OpenLocalBlobStore(LocalFileSystem(), blobs.path(), SystemClock());
  ASSERT_TRUE(store.ok());
  const auto digest = ImportTinyModel(**store, 3);
  ASSERT_TRUE(digest.ok()) << digest.status();
  Program program(folder, {"--blobs=" + blobs.path(), "--load=" + digest->Hex(), "--isa=scalar"});
  const std::string address = program.WaitReady();
  ASSERT_FALSE(address.empty()) << program.log();
  const auto stub = v1::InferenceService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));

  grpc::ClientContext call;
  const auto reader = stub->Generate(&call, Prompt(digest->Hex(), "a secret prompt", 2000));
  v1::GenerateChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  std::thread terminate([&] { EXPECT_EQ(program.Terminate(), 0); });
  int chunks = 1;
  while (reader->Read(&chunk)) ++chunks;
  EXPECT_TRUE(reader->Finish().ok()) << "a running stream is finished in the drain";
  EXPECT_EQ(chunks, 2001) << "2000 tokens and the figures";
  terminate.join();
  const std::string log = program.log();
  EXPECT_NE(log.find("\"event\":\"draining\""), std::string::npos) << log;
  EXPECT_NE(log.find("InferenceService/Generate"), std::string::npos);
  EXPECT_EQ(log.find("secret"), std::string::npos) << "prompts are not logged";
}

TEST(InferProgram, WithTokensWhatIsLoadedAtStartIsSeenByItsOwnerAlone) {
  const TempFolder blobs;
  const TempFolder folder;
  const auto store = OpenLocalBlobStore(LocalFileSystem(), blobs.path(), SystemClock());
  ASSERT_TRUE(store.ok());
  const auto digest = ImportTinyModel(**store, 3);
  ASSERT_TRUE(digest.ok()) << digest.status();
  std::ofstream(folder / "tokens") << "alice-0123456789 alice\nbob-0123456789ab bob\n";
  const std::vector<std::string> arguments = {"--blobs=" + blobs.path(), "--load=" + digest->Hex(),
                                              "--tokens=" + (folder / "tokens")};
  Program ownerless(folder, arguments);
  EXPECT_EQ(ownerless.WaitReady(), "");
  EXPECT_EQ(ownerless.exit_code(), 1);
  EXPECT_NE(ownerless.log().find("jobs-token"), std::string::npos) << ownerless.log();

  std::vector<std::string> owned = arguments;
  owned.push_back("--jobs-token=alice-0123456789");
  Program program(folder, owned);
  const std::string address = program.WaitReady();
  ASSERT_FALSE(address.empty()) << program.log();
  const auto stub = v1::InferenceService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  const auto loaded = [&](const std::string& token) {
    grpc::ClientContext call;
    call.AddMetadata("authorization", "Bearer " + token);
    v1::ListLoadedModelsResponse response;
    EXPECT_TRUE(stub->ListLoadedModels(&call, {}, &response).ok());
    return response.models_size();
  };
  EXPECT_EQ(loaded("alice-0123456789"), 1);
  EXPECT_EQ(loaded("bob-0123456789ab"), 0);
  EXPECT_EQ(program.Terminate(), 0);
  EXPECT_EQ(program.log().find("alice-0123456789"), std::string::npos) << "tokens are not logged";
}

TEST(InferProgram, ABadSettingEndsItWithTheRemedy) {
  const TempFolder folder;
  Program program(folder, {"--blobs=/nowhere", "--isa=mmx"});
  EXPECT_EQ(program.WaitReady(), "");
  EXPECT_EQ(program.exit_code(), 1);
  EXPECT_NE(program.log().find("isa: 'mmx' is unknown; use"), std::string::npos) << program.log();
}

TEST(InferProgram, AModelThatCannotBeLoadedAtStartEndsIt) {
  const TempFolder folder;
  const TempFolder blobs;
  Program program(folder, {"--blobs=" + blobs.path(), "--load=" + Digest{}.Hex()});
  EXPECT_EQ(program.WaitReady(), "");
  EXPECT_EQ(program.exit_code(), 1);
  EXPECT_NE(program.log().find("load 0000"), std::string::npos) << program.log();
}

}  // namespace
}  // namespace gwq::testing
