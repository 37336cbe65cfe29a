// Results as tables and as lines of JSON, and errors as programs and pipelines see them.
#include "client/cli/table.h"

#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "client/cli/errors.h"
#include "client/cli/session.h"
#include "core/base/status.h"
#include "gwq/v1/evaluations.pb.h"
#include "tests/client/cli/printed.h"

namespace gwq::cli {
namespace {

using nlohmann::json;
using testing::PrintedBy;

TEST(Table, ColumnsAreAsWideAsTheirWidestCell) {
  const auto printed = PrintedBy([] { PrintTable({"NAME", "SIZE"}, {{"a", "10 B"}, {"longer", ""}}); });
  EXPECT_EQ(printed.out, "NAME    SIZE\na       10 B\nlonger  \n");
  EXPECT_EQ(printed.error, "") << "standard error is for notes";
}

TEST(PrintJson, IsOneLineWithTheProtosNamesAndFieldsAtTheirDefault) {
  v1::Evaluation evaluation;
  evaluation.set_result_markdown("two\nlines \"quoted\" 漢");
  const std::string out = PrintedBy([&] { PrintJson(evaluation); }).out;
  EXPECT_EQ(out.find('\n'), out.size() - 1);
  EXPECT_EQ(json::parse(out).at("result_markdown"), evaluation.result_markdown());
  EXPECT_EQ(json::parse(out).at("model_digest"), "");
}

TEST(PrintDone, IsAnObjectWhateverTheNameHolds) {
  const std::string out = PrintedBy([] { PrintDone("models/\"x\"\n\xFF", "deleted"); }).out;
  EXPECT_EQ(json::parse(out), (json{{"name", "models/\"x\"\n\uFFFD"}, {"deleted", true}}));
}

TEST(TimeText, IsUtcAndWhatIsNoTimeOfAnyCalendarIsShownAsItCame) {
  EXPECT_EQ(TimeText(1'769'862'896), "2026-01-31 12:34:56");
  EXPECT_EQ(TimeText(-1), "1969-12-31 23:59:59");
  EXPECT_EQ(TimeText(253'402'300'799), "9999-12-31 23:59:59");
  EXPECT_EQ(TimeText(std::numeric_limits<int64_t>::max()), "9223372036854775807 s");
  EXPECT_EQ(TimeText(std::numeric_limits<int64_t>::min()), "-9223372036854775808 s");
}

TEST(ErrorJson, HasWhatTheServiceToldAndNothingElse) {
  EXPECT_EQ(ErrorJson(absl::NotFoundError("gone")), (json{{"code", "NOT_FOUND"}, {"message", "gone"}}));
  const auto delay = [](int64_t millis) {
    return ErrorJson(WithRetryDelay(absl::ResourceExhaustedError("full"), millis)).at("retry_delay_seconds");
  };
  EXPECT_EQ(delay(1500), 1.5);
  EXPECT_EQ(delay(0), 0.0) << "at once is told, too";
}

TEST(PrintErrorJson, IsOneLineOnStandardErrorWhateverTheMessageHolds) {
  const auto printed = PrintedBy([] { PrintErrorJson(ErrorJson(absl::InternalError("two\nlines \xFF"))); });
  EXPECT_EQ(printed.out, "");
  EXPECT_EQ(printed.error.find('\n'), printed.error.size() - 1);
  EXPECT_EQ(json::parse(printed.error)["error"]["message"], "two\nlines \uFFFD");
}

TEST(ExitCodeOf, EveryCodeHasTheOneThatTheReadmeLists) {
  // In the order of absl::StatusCode, from OK to UNAUTHENTICATED.
  constexpr int kExitCodes[] = {0, 130, 1, 4, 5, 3, 1, 1, 5, 1, 1, 4, 4, 1, 5, 1, 1};
  for (int code = 0; code < 17; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "");
    EXPECT_EQ(ExitCodeOf(status), kExitCodes[code]) << status;
  }
}

}  // namespace
}  // namespace gwq::cli
