// The report's Markdown: which tables stand where.
#include "core/quant/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace gwq {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report With(std::initializer_list<ModelPart> parts) {
  Report report;
  for (const ModelPart part : parts) {
    ReportPart& sum = report.parts.emplace_back();
    sum.part = part;
    sum.weights = 64;
    ReportModule& module = report.modules.emplace_back();
    module.part = part;
    module.tensor = std::string(ModelPartName(part)) + ".weight";
    module.weights = 64;
  }
  return report;
}

std::string After(const std::string& text, const std::string& heading) {
  const size_t at = text.find(heading);
  return at == std::string::npos ? "" : text.substr(at + heading.size());
}

TEST(ReportMarkdown, HasOneTableOfModulesAPart) {
  const std::string text = ReportMarkdown(With({ModelPart::kLanguage, ModelPart::kProjector, ModelPart::kVision}));
  const std::string vision = After(text, "\n## vision\n\n| tensor | ");
  EXPECT_THAT(vision, HasSubstr("| vision.weight | "));
  EXPECT_THAT(vision, Not(HasSubstr("projector.weight")));
  const std::string projector = After(text, "\n## projector\n\n| tensor | ");
  EXPECT_THAT(projector.substr(0, projector.find("##")), HasSubstr("| projector.weight | "));
  EXPECT_THAT(projector.substr(0, projector.find("##")), Not(HasSubstr("vision.weight")));
  EXPECT_THAT(After(text, "\n## language\n\n| tensor | "), HasSubstr("| language.weight | "));
}

TEST(ReportMarkdown, APartWithoutModulesHasNoTable) {
  Report report = With({ModelPart::kLanguage, ModelPart::kVision});
  report.modules.pop_back();
  const std::string text = ReportMarkdown(report);
  EXPECT_THAT(text, HasSubstr("## language"));
  EXPECT_THAT(text, Not(HasSubstr("## vision")));
}

TEST(ReportMarkdown, OfOnePartHasNoHeadings) {
  const std::string text = ReportMarkdown(With({ModelPart::kLanguage}));
  EXPECT_THAT(text, HasSubstr("| language.weight | "));
  EXPECT_THAT(text, Not(HasSubstr("## ")));
}

TEST(ReportMarkdown, TellsTheOptionsOfItsOwnMethodAndNoOthers) {
  Report report = With({ModelPart::kLanguage});
  report.recipe.gwq.outlier_ratio = 0.125;
  report.recipe.spqr.outlier_ratio = 0.25;
  const auto of = [&](Method method) {
    report.recipe.method = method;
    return ReportMarkdown(report);
  };
  EXPECT_THAT(of(Method::kGwq), HasSubstr(", loss last, outlier_ratio 0.125"));
  EXPECT_THAT(of(Method::kSpqr), AllOf(HasSubstr("outlier_ratio 0.25"), Not(HasSubstr("0.125"))));
  EXPECT_THAT(of(Method::kGptq), AllOf(HasSubstr("damping 0.01"), Not(HasSubstr("outlier_ratio"))));
  EXPECT_THAT(of(Method::kRtn), HasSubstr("rtn, 4 bits, groups of 64, 0 calibration tokens."));
}

// A report travels in one message: a text of megabytes in it would not.
TEST(ReportJson, CutsLongTextsOfTheRecipe) {
  Report report = With({ModelPart::kLanguage});
  report.recipe.calibration.source = CalibrationSource::kText;
  report.recipe.calibration.text = std::string(1 << 20, 'a');
  report.recipe.calibration.question = "short";
  const std::string json = ReportJson(report);
  EXPECT_LT(json.size(), 10'000U);
  EXPECT_THAT(json, HasSubstr("aaa…\""));
  EXPECT_THAT(json, HasSubstr("\"short\""));
}

}  // namespace
}  // namespace gwq
