// A decoder of two blocks with random weights, to see whole passes agree bit for bit.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/backend/backend.h"
#include "tests/core/backend/weights.h"

namespace gwq::testing {

class TinyDecoder {
 public:
  // Matrices of `form`; the table is the head too. The same seed gives the same weights on every backend.
  TinyDecoder(Backend& backend, const WeightForm& form, unsigned seed);

  static constexpr int64_t kVocabulary = 70;
  [[nodiscard]] static KvCacheShape CacheShape(int64_t block_tokens);

  // Tokens of sequence `s` of a test: any function of both.
  [[nodiscard]] static int32_t Token(int64_t sequence, int64_t position) {
    return static_cast<int32_t>((sequence * 31 + position * 17 + 5) % kVocabulary);
  }

  struct Part {
    int64_t sequence;
    int64_t context;
    int64_t rows;
    // Rows at these positions of the sequence, [first, second), are an image's: embeddings instead of tokens.
    std::pair<int64_t, int64_t> image = {0, 0};
  };
  // Runs one pass over the parts; logits of every row, [rows, kVocabulary]. Sequence s has the blocks s, s + 8, s
  // + 16...
  [[nodiscard]] std::vector<float> Run(KvCache* cache, const std::vector<Part>& parts) const;

 private:
  struct Block {
    TestWeight norm1, q, k, v, k_bias, o, norm2, gate, up, down;
  };
  [[nodiscard]] Activation RunBlocks(Pass& pass, Activation x) const;

  Backend& backend_;
  Rope rope_;
  TestWeight table_, norm_;
  std::vector<Block> blocks_;
};

}  // namespace gwq::testing
