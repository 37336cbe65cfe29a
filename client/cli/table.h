// Results on standard output: aligned columns for people, JSON for programs.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <string_view>
#include <vector>

namespace gwq::cli {

// Prints rows under a header, columns padded to their widest cell.
void PrintTable(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

// One line of JSON with the proto's field names; fields at their default are printed too.
void PrintJson(const google::protobuf::Message& message);

// {"name": NAME, DONE: true}, for a command whose answer is empty.
void PrintDone(const std::string& name, const std::string& done);

[[nodiscard]] std::string JsonText(const google::protobuf::Message& message);

// `text` as a JSON string, quotes included.
[[nodiscard]] std::string JsonString(std::string_view text);

// "2026-01-31 12:34:56" UTC; the seconds themselves outside of the years 1 to 9999.
[[nodiscard]] std::string TimeText(int64_t seconds);

}  // namespace gwq::cli
