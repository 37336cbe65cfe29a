#include "server/common/options.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/base/status.h"
#include "server/common/authenticator.h"

namespace gwq {
namespace {

struct Settings {
  std::string name = "default";
  int64_t count = 1;
  bool on = false;
};

bool Parse(Settings& settings, std::vector<const char*> arguments) {
  Options options("program", "A program.");
  options.Add("some-name", settings.name, "a name");
  options.Add("count", settings.count, 0, 10, "a count");
  options.Add("on", settings.on, "a switch");
  arguments.insert(arguments.begin(), "program");
  return options.Parse(static_cast<int>(arguments.size()), arguments.data());
}

class OptionsTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = std::filesystem::path(testing::TempDir()) / "gwq-options.toml";
    std::ofstream(file_) << "some-name = \"file\"\ncount = 3\non = true\n";
  }
  void TearDown() override {
    unsetenv("GWQ_SOME_NAME");
    unsetenv("GWQ_CONFIG");
    unsetenv("GWQ_PROGRAM_CONFIG");
    unsetenv("GWQ_COUNT");
    std::filesystem::remove(file_);
  }
  std::filesystem::path file_;
};

TEST_F(OptionsTest, DefaultsStay) {
  Settings settings;
  ASSERT_TRUE(Parse(settings, {}));
  EXPECT_EQ(settings.name, "default");
}

TEST_F(OptionsTest, AFlagWinsOverTheEnvironmentAndThatOverTheFile) {
  Settings settings;
  ASSERT_TRUE(Parse(settings, {"--config", file_.c_str()}));
  EXPECT_EQ(settings.name, "file");
  EXPECT_EQ(settings.count, 3);
  EXPECT_TRUE(settings.on);
  setenv("GWQ_SOME_NAME", "environment", 1);
  setenv("GWQ_PROGRAM_CONFIG", file_.c_str(), 1);
  Settings second;
  ASSERT_TRUE(Parse(second, {}));
  EXPECT_EQ(second.name, "environment");
  EXPECT_EQ(second.count, 3);
  Settings third;
  ASSERT_TRUE(Parse(third, {"--some-name=flag"}));
  EXPECT_EQ(third.name, "flag");
}

TEST_F(OptionsTest, AFileOfAnotherProgramIsNotRead) {
  setenv("GWQ_CONFIG", file_.c_str(), 1);  // what gwq reads
  Settings settings;
  ASSERT_TRUE(Parse(settings, {}));
  EXPECT_EQ(settings.name, "default");
}

TEST_F(OptionsTest, AFileThatCannotBeReadIsNamedWithWhatNamedIt) {
  setenv("GWQ_PROGRAM_CONFIG", "/no/such/file", 1);
  Settings settings;
  testing::internal::CaptureStderr();
  EXPECT_FALSE(Parse(settings, {}));
  const std::string missing = testing::internal::GetCapturedStderr();
  EXPECT_NE(missing.find("--config [GWQ_PROGRAM_CONFIG]"), std::string::npos) << missing;
  EXPECT_NE(missing.find("/no/such/file"), std::string::npos) << missing;
  std::ofstream(file_) << "cuont = 3\n";
  testing::internal::CaptureStderr();
  EXPECT_FALSE(Parse(settings, {"--config", file_.c_str()}));
  const std::string typo = testing::internal::GetCapturedStderr();
  EXPECT_NE(typo.find("cuont"), std::string::npos) << typo;
  testing::internal::CaptureStdout();
  EXPECT_FALSE(Parse(settings, {"--help"}));
  EXPECT_NE(testing::internal::GetCapturedStdout().find("[GWQ_PROGRAM_CONFIG]"), std::string::npos);
}

TEST_F(OptionsTest, AFlagWithoutItsValueIsRefusedWhateverTheEnvironmentHolds) {
  setenv("GWQ_COUNT", "7", 1);
  Settings settings;
  EXPECT_FALSE(Parse(settings, {"--some-name"}));
  EXPECT_EQ(settings.name, "default");
}

TEST_F(OptionsTest, UnknownFlagsKeysAndValuesOutOfRangeAreRefused) {
  Settings settings;
  EXPECT_FALSE(Parse(settings, {"--nonsense"}));
  EXPECT_FALSE(Parse(settings, {"--count", "11"}));
  setenv("GWQ_COUNT", "many", 1);
  EXPECT_FALSE(Parse(settings, {}));
  unsetenv("GWQ_COUNT");
  std::ofstream(file_) << "nonsense = 1\n";
  EXPECT_FALSE(Parse(settings, {"--config", file_.c_str()}));
}

TEST(Authenticator, RefusesMalformedTokenFiles) {
  EXPECT_FALSE(Authenticator::FromText("").ok());
  EXPECT_FALSE(Authenticator::FromText("short alice").ok());
  const absl::Status bytes = Authenticator::FromText("0123456789abcd\xe9z alice").status();
  EXPECT_NE(bytes.message().find("line 1"), std::string::npos) << bytes;
  EXPECT_EQ(bytes.message().find("0123456789"), std::string::npos) << "a token is told to nobody";
  EXPECT_FALSE(Authenticator::FromText("0123456789abcdef").ok());
  EXPECT_FALSE(Authenticator::FromText("0123456789abcdef alice more").ok());
  EXPECT_FALSE(Authenticator::FromText("0123456789abcdef alice\n0123456789abcdef bob").ok());
}

}  // namespace
}  // namespace gwq
