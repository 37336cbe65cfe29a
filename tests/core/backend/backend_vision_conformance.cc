// The operations of vision towers, and batches that mix text with rows of images.
#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "core/base/status.h"
#include "tests/core/backend/backend_conformance.h"
#include "tests/core/backend/tiny_decoder.h"

namespace gwq::testing {
namespace {

using ::testing::HasSubstr;
using Floats = std::vector<float>;

constexpr int64_t kHidden = 72;

// Runs `body` in a pass over `rows` rows that are no tokens; the result has `out_rows`.
Floats RunRows(Backend& backend, int64_t rows, int64_t out_rows, const std::function<Activation(Pass&)>& body) {
  const Batch batch = BatchOfRows(rows);
  auto pass = backend.Begin(batch, nullptr);
  EXPECT_TRUE(pass.ok()) << pass.status();
  const Activation result = body(**pass);
  return ReadAll(**pass, result, out_rows);
}

TEST_P(BackendConformance, ApplyOfEveryWeightFormAndActivationMatchesTheReference) {
  std::mt19937 random(31);
  const std::vector<std::optional<Gate>> activations = {std::nullopt,    Gate::kSilu,      Gate::kGelu,
                                                        Gate::kGeluTanh, Gate::kQuickGelu, Gate::kRelu};
  for (const WeightForm& form : AllForms()) {
    const TestWeight weight = RandomWeight(*backend_, form, 37, kHidden, random);
    const TestWeight bias = RandomVector(*backend_, 37, 0.0, random);
    for (const int64_t rows : {1, 13, 65}) {
      const Floats x = RandomFloats(rows * kHidden, 2.0, random);
      for (size_t kind = 0; kind < activations.size(); ++kind) {
        SCOPED_TRACE(::testing::Message() << form.name << " " << rows << " rows, activation " << kind);
        const Floats y = RunRows(*backend_, rows, rows, [&](Pass& pass) {
          return pass.Apply(pass.Input(x, kHidden), {weight.weight.get(), bias.weight.get()}, activations[kind]);
        });
        Matrix expected = LinearSlow(FromFloats(rows, kHidden, x), weight.dense, bias.dense.values);
        for (double& value : expected.values) {
          if (activations[kind].has_value()) value = GateSlow(*activations[kind], value);
        }
        EXPECT_LE(RelativeError(y, expected), GetParam().tolerance);
      }
    }
  }
}

TEST_P(BackendConformance, NormalizeMatchesTheReferenceForBothKinds) {
  std::mt19937 random(32);
  for (const int64_t width : {1, 16, 31, 72, 200}) {
    const TestWeight weight = RandomVector(*backend_, width, 1.0, random);
    const TestWeight bias = RandomVector(*backend_, width, 0.2, random);
    Floats x = RandomFloats(5 * width, 2.0, random);
    // Far from zero: a variance out of squares would be lost in their sum.
    for (int64_t i = 0; i < width; ++i) x[static_cast<size_t>(i)] += 300.0F;
    const auto run = [&](const Norm& norm) {
      return RunRows(*backend_, 5, 5, [&](Pass& pass) { return pass.Normalize(pass.Input(x, width), norm); });
    };
    const Matrix rows = FromFloats(5, width, x);
    EXPECT_LE(RelativeError(run({weight.weight.get(), 1e-6F, NormKind::kLayer, bias.weight.get()}),
                            LayerNormSlow(rows, weight.dense.values, bias.dense.values, 1e-6)),
              10 * GetParam().tolerance)
        << width;
    EXPECT_LE(RelativeError(run({weight.weight.get(), 1e-6F}), RmsNormSlow(rows, weight.dense.values, 1e-6)),
              GetParam().tolerance)
        << width;
  }
}

TEST_P(BackendConformance, AddRowsAddsRowsOfMatricesAndVectors) {
  std::mt19937 random(33);
  const Floats x = RandomFloats(4 * kHidden, 1.0, random);
  const TestWeight vector = RandomVector(*backend_, kHidden, 0.5, random);
  for (const WeightForm& form : AllForms()) {
    SCOPED_TRACE(form.name);
    const TestWeight table = RandomWeight(*backend_, form, 9, kHidden, random);
    const Floats y = RunRows(*backend_, 4, 4, [&](Pass& pass) {
      Activation sum = pass.AddRows(pass.Input(x, kHidden), *table.weight, std::vector<int32_t>{8, -1, 0, 8});
      return pass.AddRows(std::move(sum), *vector.weight, std::vector<int32_t>{-1, 0, -1, -1});
    });
    for (int64_t i = 0; i < 4 * kHidden; ++i) {
      const int64_t row = i / kHidden, col = i % kHidden;
      const double add = row == 1 ? vector.dense.at(0, col) : table.dense.at(row == 2 ? 0 : 8, col);
      EXPECT_FLOAT_EQ(y[static_cast<size_t>(i)], x[static_cast<size_t>(i)] + static_cast<float>(add)) << i;
    }
  }
}

TEST_P(BackendConformance, RegroupGathersAndConcatenates) {
  std::mt19937 random(34);
  const Floats x = RandomFloats(3 * 5, 1.0, random);
  const std::vector<int32_t> order = {2, 0, -1, 1, 1, 2};
  const Floats y = RunRows(*backend_, 3, 2, [&](Pass& pass) { return pass.Regroup(pass.Input(x, 5), order, 3); });
  ASSERT_EQ(y.size(), 2u * 15);
  for (size_t i = 0; i < y.size(); ++i) {
    const int32_t row = order[i / 5];
    EXPECT_EQ(y[i], row < 0 ? 0.0F : x[static_cast<size_t>(row) * 5 + i % 5]) << i;
  }
}

// Queries, keys and values of one attention, and what the reference makes of them.
struct Segments {
  AttentionShape shape;
  std::vector<int64_t> ends;
  bool rotary;
  int64_t rows = ends.back();
  Floats q, k, v, angles, cosines, sines;

  Segments(AttentionShape shape_in, std::vector<int64_t> ends_in, bool rotary_in, std::mt19937& random)
      : shape(shape_in), ends(std::move(ends_in)), rotary(rotary_in) {
    q = RandomFloats(rows * shape.heads * shape.head_dim, 1.0, random);
    k = RandomFloats(rows * shape.kv_heads * shape.head_dim, 1.0, random);
    v = RandomFloats(rows * shape.kv_heads * shape.head_dim, 1.0, random);
    angles = rotary ? RandomFloats(rows * shape.head_dim / 2, 3.0, random) : Floats();
    for (const float angle : angles) {
      cosines.push_back(std::cos(angle));
      sines.push_back(std::sin(angle));
    }
  }

  [[nodiscard]] SegmentAttention attention() const { return {shape, ends, cosines, sines}; }

  // q, k and v of each row side by side.
  [[nodiscard]] Floats Joined() const {
    Floats all;
    for (int64_t row = 0; row < rows; ++row) {
      for (const Floats* part : {&q, &k, &v}) {
        const auto width = static_cast<std::ptrdiff_t>(part->size()) / rows;
        all.insert(all.end(), part->begin() + row * width, part->begin() + (row + 1) * width);
      }
    }
    return all;
  }

  [[nodiscard]] Matrix Expected() const {
    Matrix out = Zeros(0, shape.heads * shape.head_dim);
    int64_t begin = 0;
    for (const int64_t end : ends) {
      const auto part = [&](const Floats& values, int64_t heads, bool turn) {
        const int64_t width = heads * shape.head_dim;
        const auto own =
            std::span(values).subspan(static_cast<size_t>(begin * width), static_cast<size_t>((end - begin) * width));
        const Matrix matrix = FromFloats(end - begin, width, own);
        if (!turn || angles.empty()) return matrix;
        return TurnSlow(matrix, shape.head_dim,
                        std::span(angles).subspan(static_cast<size_t>(begin * shape.head_dim / 2)));
      };
      const Matrix attended = AttendSlow(part(q, shape.heads, true), part(k, shape.kv_heads, true),
                                         part(v, shape.kv_heads, false), end - begin, shape);
      out.values.insert(out.values.end(), attended.values.begin(), attended.values.end());
      out.rows += end - begin;
      begin = end;
    }
    return out;
  }

  [[nodiscard]] Floats Run(Backend& backend, bool joined) const {
    return RunRows(backend, rows, rows, [&](Pass& pass) {
      if (joined) {
        const Activation all = pass.Input(Joined(), (shape.heads + 2 * shape.kv_heads) * shape.head_dim);
        return pass.AttendWithin({&all, nullptr, nullptr}, attention());
      }
      const Activation queries = pass.Input(q, shape.heads * shape.head_dim);
      const Activation keys = pass.Input(k, shape.kv_heads * shape.head_dim);
      const Activation values = pass.Input(v, shape.kv_heads * shape.head_dim);
      return pass.AttendWithin({&queries, &keys, &values}, attention());
    });
  }
};

TEST_P(BackendConformance, AttentionWithinSegmentsMatchesTheReference) {
  std::mt19937 random(35);
  for (const AttentionShape& shape :
       {AttentionShape{4, 4, 16, 0.25F}, {2, 2, 80, 0.1F}, {9, 3, 20, 0.2F}, {1, 1, 4, 0.5F}, {5, 1, 8, 0.3F}}) {
    for (const bool rotary : {false, true}) {
      for (const std::vector<int64_t>& ends : {std::vector<int64_t>{1}, {40}, {3, 4, 20, 37}, {16, 32, 33}}) {
        SCOPED_TRACE(::testing::Message() << shape.heads << " heads of " << shape.head_dim
                                          << (rotary ? " rotary " : " ") << ends.size() << " segments");
        const Segments segments(shape, ends, rotary, random);
        const Floats apart = segments.Run(*backend_, false);
        EXPECT_LE(RelativeError(apart, segments.Expected()), GetParam().tolerance);
        EXPECT_EQ(segments.Run(*backend_, true), apart);
      }
    }
  }
}

TEST_P(BackendConformance, SegmentsAreBitwiseEqualAloneAndTogether) {
  if (!GetParam().bitwise_rows) GTEST_SKIP() << "the backend does not promise it";
  std::mt19937 random(36);
  const Segments all({4, 2, 24, 0.2F}, {7, 30, 47}, true, random);
  const Floats together = all.Run(*backend_, false);
  Segments alone = all;
  const auto cut = [](Floats& values, int64_t rows, int64_t begin, int64_t end) {
    const auto width = static_cast<std::ptrdiff_t>(values.size()) / rows;
    values = Floats(values.begin() + begin * width, values.begin() + end * width);
  };
  for (Floats* part : {&alone.q, &alone.k, &alone.v, &alone.cosines, &alone.sines}) cut(*part, 47, 7, 30);
  alone.rows = 23;
  alone.ends = {23};
  Floats expected = together;
  cut(expected, 47, 7, 30);
  EXPECT_EQ(alone.Run(*backend_, false), expected);
}

TEST_P(BackendConformance, RowsOfApplyAreBitwiseEqualAloneAndTogether) {
  if (!GetParam().bitwise_rows) GTEST_SKIP() << "the backend does not promise it";
  std::mt19937 random(37);
  for (const WeightForm& form : AllForms()) {
    SCOPED_TRACE(form.name);
    const TestWeight weight = RandomWeight(*backend_, form, 40, kHidden, random);
    const Floats x = RandomFloats(70 * kHidden, 1.0, random);
    const auto run = [&](int64_t begin, int64_t end) {
      const auto rows =
          std::span(x).subspan(static_cast<size_t>(begin * kHidden), static_cast<size_t>((end - begin) * kHidden));
      return RunRows(*backend_, end - begin, end - begin, [&](Pass& pass) {
        return pass.Apply(pass.Input(rows, kHidden), {weight.weight.get(), nullptr}, Gate::kGelu);
      });
    };
    const Floats whole = run(0, 70);
    Floats parts;
    for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {1, 4}, {4, 20}, {20, 70}}) {
      const Floats part = run(begin, end);
      parts.insert(parts.end(), part.begin(), part.end());
    }
    EXPECT_EQ(parts, whole);
  }
}

TEST_P(BackendConformance, TokensBelowZeroTakeRowsOfTheEmbeddings) {
  std::mt19937 random(38);
  const Floats embeddings = RandomFloats(3 * kHidden, 1.0, random);
  for (const WeightForm& form : AllForms()) {
    const TestWeight table = RandomWeight(*backend_, form, 50, kHidden, random);
    TestBatch batch(5);
    batch.tokens = {~2, 17, ~0, ~2, 49};
    Batch description = batch.batch();
    description.embeddings = embeddings;
    auto pass = backend_->Begin(description, nullptr).value();
    const Floats rows = ReadAll(*pass, pass->Embed(*table.weight), 5);
    for (size_t i = 0; i < rows.size(); ++i) {
      const int32_t token = batch.tokens[i / kHidden];
      const size_t col = i % kHidden;
      const float want = token < 0 ? embeddings[static_cast<size_t>(~token) * kHidden + col]
                                   : static_cast<float>(table.dense.at(token, static_cast<int64_t>(col)));
      ASSERT_EQ(rows[i], want) << form.name << " " << i;
    }
  }
}

TEST_P(BackendConformance, ATokenOutsideTheEmbeddingsIsRefusedByField) {
  std::mt19937 random(39);
  const TestWeight table = RandomWeight(*backend_, AllForms()[0], 50, kHidden, random);
  const Floats embeddings = RandomFloats(3 * kHidden, 1.0, random);
  const auto error = [&](std::vector<int32_t> tokens, size_t floats) {
    TestBatch batch(2);
    batch.tokens = std::move(tokens);
    Batch description = batch.batch();
    description.embeddings = std::span(embeddings).first(floats);
    auto pass = backend_->Begin(description, nullptr).value();
    EXPECT_FALSE(pass->Embed(*table.weight).valid());
    const auto fields = FieldViolations(pass->Finish());
    return fields.empty() ? "" : fields[0].field;
  };
  EXPECT_EQ(error({0, ~3}, 3 * kHidden), "batch.tokens[1]");
  EXPECT_EQ(error({~0, 1}, 0), "batch.tokens[0]");
  EXPECT_EQ(error({INT32_MIN, 1}, 3 * kHidden), "batch.tokens[0]");
  EXPECT_EQ(error({1, 50}, 3 * kHidden), "batch.tokens[1]");
  EXPECT_EQ(error({1, ~0}, 3 * kHidden - 1), "batch.embeddings");
}

// Text of one sequence beside image rows of another, cut inside the image: each gets what it gets alone.
TEST_P(BackendConformance, TextAndImageRowsInOneBatchAreBitwiseEqualToEachAlone) {
  if (!GetParam().bitwise_rows || !GetParam().has_cache) GTEST_SKIP() << "the backend does not promise it";
  using Part = TinyDecoder::Part;
  constexpr std::pair<int64_t, int64_t> kImage = {4, 17};
  constexpr std::pair<int64_t, int64_t> kOther = {0, 9};
  for (const WeightForm& form : AllForms()) {
    SCOPED_TRACE(form.name);
    const TinyDecoder decoder(*backend_, form, 40);
    const auto run = [&](const std::vector<std::vector<Part>>& batches) {
      const auto cache = backend_->CreateKvCache(TinyDecoder::CacheShape(16)).value();
      std::vector<Floats> by_sequence(3);
      for (const std::vector<Part>& batch : batches) {
        const Floats logits = decoder.Run(cache.get(), batch);
        auto at = logits.begin();
        for (const Part& part : batch) {
          Floats& own = by_sequence[static_cast<size_t>(part.sequence)];
          own.insert(own.end(), at, at + part.rows * TinyDecoder::kVocabulary);
          at += part.rows * TinyDecoder::kVocabulary;
        }
      }
      return by_sequence;
    };
    const std::vector<Floats> alone = run({{{0, 0, 23}}, {{1, 0, 20, kImage}}, {{2, 0, 12, kOther}}});
    EXPECT_EQ(run({{{0, 0, 23}, {1, 0, 20, kImage}, {2, 0, 12, kOther}}}), alone);
    EXPECT_EQ(run({{{1, 0, 7, kImage}, {0, 0, 3}},
                   {{0, 3, 1}, {2, 0, 5, kOther}, {1, 7, 9, kImage}},
                   {{2, 5, 7, kOther}, {0, 4, 19}, {1, 16, 4, kImage}}}),
              alone);
  }
}

TEST_P(BackendConformance, VisionOperationsThatDoNotFitAreErrors) {
  std::mt19937 random(41);
  const TestWeight matrix = RandomWeight(*backend_, AllForms()[0], 16, 99, random);
  const TestWeight vector = RandomVector(*backend_, 99, 0.0, random);
  const Floats x(4 * 16, 1.0F);
  const std::vector<int64_t> short_ends = {3};
  const std::vector<int64_t> unordered = {3, 2, 4};
  const std::vector<int64_t> past = {5};
  const Floats few(5, 1.0F);
  const auto attend = [&](Pass& pass, const AttentionShape& shape, std::span<const int64_t> ends,
                          const Floats& angles) {
    const Activation q = pass.Input(x, 16);
    return pass.AttendWithin({&q, &q, &q}, {shape, ends, angles, angles});
  };
  const std::vector<int64_t> good = {2, 4};
  const AttentionShape shape = {2, 2, 8, 0.5F};
  const std::vector<std::function<Activation(Pass&)>> mistakes = {
      [&](Pass& pass) { return pass.Apply(pass.Input(x, 16), {matrix.weight.get(), nullptr}); },
      [&](Pass& pass) { return pass.Apply(pass.Input(x, 16), {vector.weight.get(), nullptr}); },
      [&](Pass& pass) { return pass.Normalize(pass.Input(x, 16), {vector.weight.get(), 1e-5F}); },
      [&](Pass& pass) {
        return pass.Normalize(pass.Input(x, 16), {vector.weight.get(), 1e-5F, NormKind::kLayer, nullptr});
      },
      [&](Pass& pass) { return pass.AddRows(pass.Input(x, 16), *matrix.weight, std::vector<int32_t>{0, 0, 0, 0}); },
      [&](Pass& pass) { return pass.Regroup(pass.Input(x, 16), std::vector<int32_t>{0, 4}, 1); },
      [&](Pass& pass) { return pass.Regroup(pass.Input(x, 16), std::vector<int32_t>{0, -2}, 1); },
      [&](Pass& pass) { return pass.Regroup(pass.Input(x, 16), std::vector<int32_t>{0, 1, 2}, 2); },
      [&](Pass& pass) { return pass.Regroup(pass.Input(x, 16), std::vector<int32_t>{0, 1, 2}, 0); },
      [&](Pass& pass) { return attend(pass, shape, short_ends, {}); },
      [&](Pass& pass) { return attend(pass, shape, unordered, {}); },
      [&](Pass& pass) { return attend(pass, shape, past, {}); },
      [&](Pass& pass) { return attend(pass, shape, good, few); },
      [&](Pass& pass) { return attend(pass, {4, 4, 8, 0.5F}, good, {}); },
      [&](Pass& pass) {
        const Activation q = pass.Input(x, 16);
        return pass.AttendWithin({&q, nullptr, nullptr}, {shape, good, {}, {}});
      },
      [&](Pass& pass) { return pass.AttendWithin({nullptr, nullptr, nullptr}, {shape, good, {}, {}}); },
      // Rows that are no tokens have no sequence and no position.
      [&](Pass& pass) { return pass.Embed(*matrix.weight); },
      [&](Pass& pass) { return pass.Attend(0, pass.Input(x, 16), shape); },
  };
  const Batch batch = BatchOfRows(4);
  for (size_t i = 0; i < mistakes.size(); ++i) {
    auto pass = backend_->Begin(batch, nullptr).value();
    EXPECT_FALSE(mistakes[i](*pass).valid()) << i;
    EXPECT_EQ(pass->Finish().code(), absl::StatusCode::kInvalidArgument) << i << ": " << pass->Finish();
  }
  auto pass = backend_->Begin(batch, nullptr).value();
  EXPECT_TRUE(attend(*pass, shape, good, {}).valid()) << pass->Finish();
}

// Text of a model with M-RoPE needs no axes of its own; image rows do.
TEST_P(BackendConformance, TextOnOnePositionAxisEqualsTheSameOnEvery) {
  if (!GetParam().has_cache) GTEST_SKIP() << "the backend has no cache";
  std::mt19937 random(42);
  const AttentionShape shape = {2, 2, 12, 0.3F};
  const TestWeight norm = RandomVector(*backend_, kHidden, 1.0, random);
  const TestWeight matrix = RandomWeight(*backend_, AllForms()[0], 24, kHidden, random);
  const Rope rope = {{1.0F, 0.7F, 0.5F, 0.3F, 0.2F, 0.1F}, 1.0F, {2, 1, 3}};
  const Floats x = RandomFloats(5 * kHidden, 1.0, random);
  const KvCacheShape cache_shape = {1, 2, 12, 16, 1};
  const auto run = [&](int axes, std::span<const float> embeddings) -> absl::StatusOr<Floats> {
    const auto cache = backend_->CreateKvCache(cache_shape).value();
    TestBatch batch({5}, {0}, cache_shape);
    Batch description = batch.batch();
    std::vector<int32_t> positions;
    for (int axis = 0; axis < axes; ++axis) {
      for (int32_t row = 0; row < 5; ++row) positions.push_back(3 * row);
    }
    description.position_axes = axes;
    description.positions = positions;
    description.embeddings = embeddings;
    auto pass = backend_->Begin(description, cache.get()).value();
    const Linear linear = {matrix.weight.get(), nullptr};
    const Activation queries =
        pass->Queries(0, pass->Input(x, kHidden), {norm.weight.get(), 1e-5F}, linear, linear, linear, rope, shape);
    if (!queries.valid()) return pass->Finish();
    return ReadAll(*pass, pass->Attend(0, queries, shape), 5);
  };
  const auto three = run(3, {});
  ASSERT_TRUE(three.ok()) << three.status();
  EXPECT_EQ(run(1, {}).value(), *three);
  EXPECT_EQ(run(2, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(run(1, x).status().code(), absl::StatusCode::kInvalidArgument);
}

// What a batch points at belongs to the caller; the description itself does not.
TEST_P(BackendConformance, APassOutlivesTheDescriptionOfItsBatch) {
  const Floats x(3 * 8, 1.5F);
  auto batch = std::make_unique<Batch>(BatchOfRows(3));
  auto pass = backend_->Begin(*batch, nullptr).value();
  *batch = BatchOfRows(7);
  batch.reset();
  EXPECT_EQ(pass->batch().rows, 3);
  EXPECT_EQ(ReadAll(*pass, pass->Input(x, 8), 3), x);
}

}  // namespace
}  // namespace gwq::testing
