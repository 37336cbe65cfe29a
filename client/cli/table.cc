#include "client/cli/table.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "client/cli/output.h"

namespace gwq::cli {

void PrintTable(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::string& cell : header) widths.push_back(cell.size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    Print("{}\n", line);
  };
  print(header);
  for (const auto& row : rows) print(row);
}

std::string JsonText(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) text.clear();
  return text;
}

void PrintJson(const google::protobuf::Message& message) { Print("{}\n", JsonText(message)); }

void PrintDone(const std::string& name, const std::string& done) {
  Print("{{\"name\":{},{}:true}}\n", JsonString(name), JsonString(done));
}

std::string JsonString(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string TimeText(int64_t seconds) {
  // The years that a proto's Timestamp may hold; fmt::gmtime throws beyond its own.
  constexpr int64_t kFirst = -62'135'596'800, kLast = 253'402'300'799;
  if (seconds < kFirst || seconds > kLast) return fmt::format("{} s", seconds);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

}  // namespace gwq::cli
