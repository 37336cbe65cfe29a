// JSON of a worker or of the database whose fields have other types than ours: no call of a caller ends with it.
#include <gtest/gtest.h>

#include <limits>

#include "server/jobs/evaluation_proto.h"
#include "server/jobs/handlers/upload_manifest.h"
#include "server/jobs/record_proto.h"

namespace gwq {
namespace {

constexpr char kDigest[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

v1::Evaluation MetricsOf(const std::string& result_json) {
  v1::Evaluation out;
  AddMetrics(result_json, out);
  return out;
}

google::longrunning::Operation OperationWith(const std::string& result_json) {
  Job job;
  job.id = "j";
  job.state = JobState::kSucceeded;
  job.result_json = result_json;
  return OperationOf(job);
}

absl::StatusCode CodeOfPage(const std::string& json) { return AssembleUpload("model", {json}).status().code(); }

TEST(DamagedRecords, MetricsWithoutANameAndANumberAreLeftOut) {
  for (const char* metric : {R"({"name":1,"value":1})", R"({"name":"a","value":"1"})", R"({"name":"a","value":null})",
                             R"({"name":["a"],"value":1})", R"({"value":1})", "[1]", "1", "null"}) {
    EXPECT_EQ(MetricsOf(std::string(R"({"metrics":[)") + metric + "]}").metrics_size(), 0) << metric;
  }
  for (const char* result : {R"({"metrics":1})", R"({"metrics":{"a":1}})", "[]", "1", "{", "{}"}) {
    EXPECT_EQ(MetricsOf(result).metrics_size(), 0) << result;
  }
}

TEST(DamagedRecords, AMetricThatIsNotFiniteIsNotDamaged) {
  const v1::Evaluation out = MetricsOf(R"({"metrics":[{"name":"ppl","value":"Infinity"}]})");
  ASSERT_EQ(out.metrics_size(), 1);
  EXPECT_EQ(out.metrics(0).value(), std::numeric_limits<double>::infinity());
}

TEST(DamagedRecords, AStandardErrorThatIsNoNumberIsLeftOutAlone) {
  const v1::Evaluation out = MetricsOf(
      R"({"metrics":[{"name":"a","value":1,"standard_error":"x"},{"name":"b","value":2.5,"standard_error":3}]})");
  ASSERT_EQ(out.metrics_size(), 2);
  EXPECT_FALSE(out.metrics(0).has_standard_error());
  EXPECT_EQ(out.metrics(1).value(), 2.5);
  EXPECT_EQ(out.metrics(1).standard_error(), 3);
}

TEST(DamagedRecords, AnOperationWhoseResultCannotBeReadTellsAnError) {
  for (const char* result : {R"({"kind":1,"name":{},"digest":[]})", "[]", "1", "", R"({"digest":1})"}) {
    EXPECT_TRUE(OperationWith(result).has_error()) << result;
  }
}

TEST(DamagedRecords, FieldsOfAResultThatHaveAnotherTypeAreLeftOut) {
  const auto operation = OperationWith(std::string(R"({"kind":"model","name":"m","digest":")") + kDigest +
                                       R"(","stored_bytes":"many","architecture":7,"source":[]})");
  v1::Model model;
  ASSERT_TRUE(operation.response().UnpackTo(&model)) << operation.ShortDebugString();
  EXPECT_EQ(model.name(), "models/m");
  EXPECT_EQ(model.stored_bytes(), 0u);
  EXPECT_EQ(model.architecture(), "");
}

TEST(DamagedRecords, APageThatWeDidNotWriteIsDataLoss) {
  const std::string head = std::string(R"("path":"a.gguf","sha256":")") + kDigest + R"(","size":9,)";
  const auto file = [](const std::string& fields) { return R"({"files":[{)" + fields + R"(}],"last":false})"; };
  ASSERT_EQ(CodeOfPage(file(head + R"("header_size":4,"cuts":[])")), absl::StatusCode::kOk);
  for (const std::string& page :
       {std::string("{}"), std::string("[]"), std::string("{"), std::string(R"({"files":{},"last":true})"),
        std::string(R"({"files":[],"last":1})"), std::string(R"({"files":[1],"last":true})"),
        file(head + R"("cuts":[])"), file(head + R"("header_size":4)"), file(head + R"("header_size":-4,"cuts":[])"),
        file(head + R"("header_size":4,"cuts":[1])"), file(head + R"("header_size":4,"cuts":[["t",4,5]])"),
        file(head + R"("header_size":4,"cuts":[[1,4,5,"x"]])"),
        file(head + R"("header_size":4,"cuts":[["t","4",5,"x"]])")}) {
    EXPECT_EQ(CodeOfPage(page), absl::StatusCode::kDataLoss) << page;
  }
}

}  // namespace
}  // namespace gwq
