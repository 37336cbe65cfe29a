// What an export changes: weights as another program will read them, against the artifact's.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

namespace gwq {

// Of one matrix, or of several together.
struct WeightLoss {
  int64_t weights = 0;
  int64_t changed = 0;  // weights that differ by more than FP16's rounding of the artifact's weight
  double error = 0;     // sum of squared differences, rounding included
  double power = 0;     // sum of squared weights of the artifact

  void Add(std::span<const float> ours, std::span<const float> written);
  void Add(const WeightLoss& other);
  // error / power; 0 where there are no weights but zeros.
  [[nodiscard]] double relative() const { return power > 0 ? error / power : 0; }
};

// What became of one matrix.
struct ExportedMatrix {
  std::string name;    // of the tensor
  std::string stored;  // "4 bits, groups of 64", "Q4_1", "FP16"
  WeightLoss loss;
};

struct ExportReport {
  std::vector<ExportedMatrix> matrices;  // those that the artifact holds packed
  std::vector<std::string> notes;        // other differences, a sentence each

  [[nodiscard]] WeightLoss Total() const;
  // Lines for a job's log: what the matrices became, and what was lost.
  [[nodiscard]] std::vector<std::string> Lines() const;
  // The same as canonical JSON, matrix by matrix, for a file beside the weights. `options` is an object of their texts,
  // which stand in it too.
  [[nodiscard]] std::string Json(nlohmann::json options) const;
};

}  // namespace gwq
