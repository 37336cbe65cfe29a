// What a report's plots show, of its JSON. Each is HTML, and empty if the report does not tell it. Internal to
// report_html.cc.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace gwq {

// One map a part: the bits per weight of each matrix, by block and by place in the block.
[[nodiscard]] std::string BitsFigures(const nlohmann::json& report);
// The relative error of each block.
[[nodiscard]] std::string ErrorFigure(const nlohmann::json& report);
// The loss of each block's output before and after it was learned.
[[nodiscard]] std::string BlockLossFigure(const nlohmann::json& report);
// The divergence over the steps of the tuning of the whole model.
[[nodiscard]] std::string TuningFigure(const nlohmann::json& report);
// The divergence by position in the window, of each evaluation of a text.
[[nodiscard]] std::string PositionFigures(const nlohmann::json& report);

}  // namespace gwq
