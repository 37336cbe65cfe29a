#include "tests/core/backend/backend_conformance.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "core/base/status.h"
#include "core/format/format.h"
#include "tests/core/backend/reference.h"
#include "tests/core/backend/weights.h"

namespace gwq::testing {

void BackendConformance::SetUp() {
  auto backend = GetParam().create();
  ASSERT_TRUE(backend.ok()) << backend.status();
  backend_ = *std::move(backend);
}

TestBatch::TestBatch(const std::vector<int64_t>& lengths, const std::vector<int64_t>& contexts,
                     const KvCacheShape& cache)
    : rows_(std::accumulate(lengths.begin(), lengths.end(), int64_t{0})) {
  tokens.assign(static_cast<size_t>(rows_), 0);
  output_rows.resize(tokens.size());
  std::iota(output_rows.begin(), output_rows.end(), 0);
  int64_t row = 0;
  blocks.resize(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i) {
    for (int64_t t = 0; t < lengths[i]; ++t) positions.push_back(static_cast<int32_t>(contexts[i] + t));
    if (cache.layers > 0) {
      const int64_t needed = (contexts[i] + lengths[i] + cache.block_tokens - 1) / cache.block_tokens;
      // Sequence i takes every lengths.size()-th block, from the last one down.
      for (int64_t b = 0; b < needed; ++b) {
        const int64_t used = b * static_cast<int64_t>(lengths.size()) + static_cast<int64_t>(i);
        blocks[i].push_back(static_cast<int32_t>(cache.blocks - 1 - used));
      }
    }
    sequences.push_back({row, lengths[i], contexts[i], blocks[i]});
    row += lengths[i];
  }
}

Batch TestBatch::batch() const {
  Batch batch;
  batch.rows = rows_;
  batch.tokens = tokens;
  batch.positions = positions;
  batch.sequences = sequences;
  batch.output_rows = output_rows;
  return batch;
}

std::vector<float> ReadAll(Pass& pass, const Activation& activation, int64_t rows) {
  std::vector<float> out(static_cast<size_t>(rows * activation.width()));
  const absl::Status status = pass.Read(activation, out);
  EXPECT_TRUE(status.ok()) << status;
  return out;
}

namespace {

constexpr int64_t kHidden = 72;

std::vector<float> RunPass(Backend& backend, int64_t rows, const std::function<Activation(Pass&)>& body) {
  TestBatch batch(rows);
  const Batch description = batch.batch();
  auto pass = backend.Begin(description, nullptr);
  EXPECT_TRUE(pass.ok()) << pass.status();
  const Activation result = body(**pass);
  return ReadAll(**pass, result, rows);
}

TEST_P(BackendConformance, LinearOfEveryWeightFormMatchesTheReference) {
  std::mt19937 random(11);
  for (const WeightForm& form : AllForms()) {
    for (const auto& [rows, in, out] : std::vector<std::array<int64_t, 3>>{
             {1, 64, 16}, {2, 72, 33}, {3, 576, 48}, {7, 130, 20}, {70, 200, 17}, {1, 1, 1}, {5, 1100, 5}}) {
      SCOPED_TRACE(::testing::Message() << form.name << " " << rows << " rows, " << in << " -> " << out);
      const TestWeight weight = RandomWeight(*backend_, form, out, in, random);
      const TestWeight bias = RandomVector(*backend_, out, 0.0, random);
      EXPECT_EQ(weight.weight->shape(), (Shape{out, in}));
      const std::vector<float> x = RandomFloats(rows * in, 1.0, random);
      const std::vector<float> residual = RandomFloats(rows * out, 1.0, random);
      const std::vector<float> y = RunPass(*backend_, rows, [&](Pass& pass) {
        return pass.AddLinear(pass.Input(residual, out), pass.Input(x, in), {weight.weight.get(), bias.weight.get()});
      });
      Matrix expected = LinearSlow(FromFloats(rows, in, x), weight.dense, bias.dense.values);
      for (size_t i = 0; i < residual.size(); ++i) expected.values[i] += residual[i];
      EXPECT_LE(RelativeError(y, expected), GetParam().tolerance);
    }
  }
}

// A format of one row of ones that stands in no table.
absl::StatusOr<PackedShape> OpenOnes(const Format& format, std::span<const std::byte>) {
  return PackedShape{.rows = 1, .cols = 8, .format = &format};
}
absl::Status RowsOfOnes(const PackedView&, absl::FunctionRef<absl::Status(int64_t, std::span<const float>)> visit) {
  return visit(0, std::vector<float>(8, 1.0F));
}
constexpr Format kOnes = {.tag = "ones",
                          .version = 3,
                          .magic = {},
                          .fields = {},
                          .check = nullptr,
                          .layout = nullptr,
                          .encode = nullptr,
                          .open = OpenOnes,
                          .for_each_outlier = nullptr,
                          .for_each_row = RowsOfOnes};

TEST_P(BackendConformance, AFormatIsRunOrRefusedByName) {
  const auto loaded = backend_->LoadPacked(PackedView::OpenAs(kOnes, {}).value());
  if (loaded.ok()) {
    EXPECT_EQ((*loaded)->shape(), (Shape{1, 8}));
    return;
  }
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(MessageOf(loaded.status())), ::testing::HasSubstr("ones version 3"));
  EXPECT_THAT(std::string(MessageOf(loaded.status())), ::testing::HasSubstr(std::string(backend_->name())));
}

TEST_P(BackendConformance, EmbeddingGivesTheRowsOfEveryWeightFormExactly) {
  std::mt19937 random(12);
  for (const WeightForm& form : AllForms()) {
    SCOPED_TRACE(form.name);
    const TestWeight table = RandomWeight(*backend_, form, 50, kHidden, random);
    TestBatch batch(4);
    batch.tokens = {49, 0, 17, 17};
    const Batch description = batch.batch();
    auto pass = backend_->Begin(description, nullptr).value();
    const std::vector<float> rows = ReadAll(*pass, pass->Embed(*table.weight), 4);
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto col = static_cast<int64_t>(i) % kHidden;
      ASSERT_EQ(rows[i], static_cast<float>(table.dense.at(batch.tokens[i / kHidden], col))) << i;
    }
  }
}

TEST_P(BackendConformance, GivenEmbeddingsTakeTheTablesPlace) {
  std::mt19937 random(13);
  const TestWeight table = RandomWeight(*backend_, AllForms()[0], 50, kHidden, random);
  const std::vector<float> embeddings = RandomFloats(3 * kHidden, 1.0, random);
  TestBatch batch(3);
  Batch description = batch.batch();
  description.tokens = {};
  description.embeddings = embeddings;
  auto pass = backend_->Begin(description, nullptr).value();
  EXPECT_EQ(ReadAll(*pass, pass->Embed(*table.weight), 3), embeddings);
}

TEST_P(BackendConformance, GatedUpMatchesTheReferenceForEveryGate) {
  std::mt19937 random(14);
  for (Gate kind : {Gate::kSilu, Gate::kGelu, Gate::kGeluTanh, Gate::kQuickGelu, Gate::kRelu}) {
    for (int64_t rows : {1, 9}) {
      const TestWeight norm = RandomVector(*backend_, kHidden, 1.0, random);
      const TestWeight gate = RandomWeight(*backend_, AllForms()[0], 100, kHidden, random);
      const TestWeight up = RandomWeight(*backend_, AllForms()[3], 100, kHidden, random);
      const TestWeight bias = RandomVector(*backend_, 100, 0.0, random);
      const std::vector<float> x = RandomFloats(rows * kHidden, 3.0, random);
      const std::vector<float> y = RunPass(*backend_, rows, [&](Pass& pass) {
        return pass.GatedUp(pass.Input(x, kHidden), {norm.weight.get(), 1e-5F}, {gate.weight.get(), bias.weight.get()},
                            {up.weight.get(), nullptr}, kind);
      });
      const Matrix normed = RmsNormSlow(FromFloats(rows, kHidden, x), norm.dense.values, 1e-5);
      Matrix expected = LinearSlow(normed, gate.dense, bias.dense.values);
      const Matrix ups = LinearSlow(normed, up.dense, {});
      for (size_t i = 0; i < ups.values.size(); ++i) {
        expected.values[i] = GateSlow(kind, expected.values[i]) * ups.values[i];
      }
      EXPECT_LE(RelativeError(y, expected), GetParam().tolerance) << static_cast<int>(kind);
    }
  }
}

TEST_P(BackendConformance, HeadGivesLogitsOfTheOutputRowsAlone) {
  std::mt19937 random(15);
  const TestWeight norm = RandomVector(*backend_, kHidden, 1.0, random);
  const TestWeight head = RandomWeight(*backend_, AllForms()[9], 130, kHidden, random);
  const std::vector<float> x = RandomFloats(6 * kHidden, 2.0, random);
  TestBatch batch(6);
  batch.output_rows = {1, 5};
  const Batch description = batch.batch();
  auto pass = backend_->Begin(description, nullptr).value();
  const Activation input = pass->Input(x, kHidden);
  const Activation logits = pass->Head(input, {norm.weight.get(), 1e-6F}, {head.weight.get(), nullptr});
  const std::vector<float> y = ReadAll(*pass, logits, 2);
  Matrix chosen = Zeros(2, kHidden);
  for (int64_t col = 0; col < kHidden; ++col) {
    chosen.at(0, col) = x[static_cast<size_t>(kHidden + col)];
    chosen.at(1, col) = x[static_cast<size_t>(5 * kHidden + col)];
  }
  const Matrix expected = LinearSlow(RmsNormSlow(chosen, norm.dense.values, 1e-6), head.dense, {});
  EXPECT_LE(RelativeError(y, expected), GetParam().tolerance);
  EXPECT_TRUE(pass->Finish().ok());
}

struct AttentionCase {
  AttentionShape shape;
  int64_t block_tokens;
  int axes;
};

// Three sequences, of which two continue what an earlier pass cached.
TEST_P(BackendConformance, AttentionOverCachedTokensMatchesTheReference) {
  std::mt19937 random(16);
  for (const AttentionCase& c : std::vector<AttentionCase>{{{4, 2, 16, 0.25F}, 16, 1},
                                                           {{9, 3, 64, 0.125F}, 16, 1},
                                                           {{6, 1, 24, 0.2F}, 5, 3},
                                                           {{2, 2, 80, 0.1F}, 32, 1}}) {
    const AttentionShape& shape = c.shape;
    const int64_t kv_width = shape.kv_heads * shape.head_dim;
    SCOPED_TRACE(::testing::Message() << shape.heads << " heads of " << shape.head_dim);
    const TestWeight norm = RandomVector(*backend_, kHidden, 1.0, random);
    const TestWeight q = RandomWeight(*backend_, AllForms()[0], shape.heads * shape.head_dim, kHidden, random);
    const TestWeight k = RandomWeight(*backend_, AllForms()[6], kv_width, kHidden, random);
    const TestWeight v = RandomWeight(*backend_, AllForms()[1], kv_width, kHidden, random);
    const TestWeight bias = RandomVector(*backend_, kv_width, 0.0, random);
    Rope rope;
    for (int64_t i = 0; i < shape.head_dim / 2; ++i) {
      rope.inverse_frequencies.push_back(
          std::pow(10000.0F, -2.0F * static_cast<float>(i) / static_cast<float>(shape.head_dim)));
    }
    rope.attention_factor = 1.1F;
    if (c.axes == 3) rope.sections = {4, 5, 3};

    const KvCacheShape cache_shape{3, shape.kv_heads, shape.head_dim, c.block_tokens, 64};
    std::unique_ptr<KvCache> cache;
    if (GetParam().has_cache) cache = backend_->CreateKvCache(cache_shape).value();
    const std::vector<int64_t> contexts =
        cache == nullptr ? std::vector<int64_t>{0, 0, 0} : std::vector<int64_t>{0, 37, 15};
    const std::vector<int64_t> lengths = {21, 1, 6};
    std::vector<std::vector<float>> histories;
    for (size_t i = 0; i < lengths.size(); ++i) {
      histories.push_back(RandomFloats((contexts[i] + lengths[i]) * kHidden, 1.0, random));
    }
    const auto run = [&](const std::vector<int64_t>& from, const std::vector<int64_t>& rows) {
      TestBatch batch(rows, from, cache == nullptr ? KvCacheShape{} : cache_shape);
      Batch description = batch.batch();
      description.position_axes = c.axes;
      std::vector<int32_t> positions;
      for (int axis = 0; axis < c.axes; ++axis) {
        for (int32_t position : batch.positions) positions.push_back(position * (axis + 1));
      }
      description.positions = positions;
      std::vector<float> x;
      for (size_t i = 0; i < rows.size(); ++i) {
        const auto begin = histories[i].begin() + from[i] * kHidden;
        x.insert(x.end(), begin, begin + rows[i] * kHidden);
      }
      auto pass = backend_->Begin(description, cache.get()).value();
      const Activation queries =
          pass->Queries(1, pass->Input(x, kHidden), {norm.weight.get(), 1e-5F}, {q.weight.get(), nullptr},
                        {k.weight.get(), bias.weight.get()}, {v.weight.get(), nullptr}, rope, shape);
      return ReadAll(*pass, pass->Attend(1, queries, shape), description.rows);
    };
    if (cache != nullptr) {
      // The block tables of a batch follow from its sequences, so the context is cached by a batch of the same three.
      std::vector<int64_t> first = contexts;
      first[0] = 1;
      (void)run({0, 0, 0}, first);
    }
    const std::vector<float> y = run(contexts, lengths);

    int64_t row = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      const int64_t total = contexts[i] + lengths[i];
      std::vector<int32_t> positions;
      for (int axis = 0; axis < c.axes; ++axis) {
        for (int32_t t = 0; t < total; ++t) positions.push_back(t * (axis + 1));
      }
      const Matrix x = RmsNormSlow(FromFloats(total, kHidden, histories[i]), norm.dense.values, 1e-5);
      const Matrix keys = RopeSlow(LinearSlow(x, k.dense, bias.dense.values), rope, shape.head_dim, positions);
      const Matrix values = LinearSlow(x, v.dense, {});
      const Matrix queries = RopeSlow(LinearSlow(x, q.dense, {}), rope, shape.head_dim, positions);
      const Matrix expected = AttendSlow(queries, keys, values, 1, shape);
      Matrix tail = Zeros(lengths[i], expected.cols);
      std::copy(expected.values.end() - static_cast<int64_t>(tail.values.size()), expected.values.end(),
                tail.values.begin());
      const auto width = static_cast<size_t>(expected.cols);
      const std::span<const float> own(y.data() + static_cast<size_t>(row) * width,
                                       static_cast<size_t>(lengths[i]) * width);
      EXPECT_LE(RelativeError(own, tail), GetParam().tolerance) << "sequence " << i;
      row += lengths[i];
    }
  }
}

}  // namespace
}  // namespace gwq::testing
