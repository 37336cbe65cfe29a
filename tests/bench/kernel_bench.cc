// Bytes of weights a second through the product of one row with packed matrices, beside plain reading of memory in the
// same run. A walk goes over enough copies of the matrix to leave the caches that belong to a core.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <array>
#include <memory>
#include <numeric>
#include <vector>

#include "core/backend/cpu/cpu_backend.h"
#include "core/base/thread_pool.h"
#include "core/format/packed_matrix.h"
#include "tests/bench/random_packed.h"

namespace gwq {
namespace {

constexpr int64_t kWalkBytes = 96 << 20;
constexpr int64_t kCachedBytes = 1 << 20;  // stays in the second-level cache: the kernel without the memory

void ReadMemory(benchmark::State& state) {
  ThreadPool pool(static_cast<int>(state.range(0)));
  std::vector<uint64_t> words(kWalkBytes / sizeof(uint64_t), 1);
  std::array<uint64_t, 64> sums{};
  for (auto _ : state) {
    pool.ParallelFor(static_cast<int64_t>(words.size()), 4096, [&](int64_t begin, int64_t end, int thread) {
      sums[static_cast<size_t>(thread)] += std::accumulate(words.begin() + begin, words.begin() + end, uint64_t{0});
    });
    benchmark::DoNotOptimize(sums);
  }
  state.SetBytesProcessed(state.iterations() * kWalkBytes);
}

struct Case {
  int64_t rows;
  int64_t cols;
  int bits;
  double outliers;
  int scale_bits = 16;
};

void MultiplyRow(benchmark::State& state, const Case& c, int threads, IsaLevel level, int64_t batch_rows,
                 int64_t walk_bytes) {
  const auto backend = CreateCpuBackend({threads, level}).value();
  const std::vector<std::byte> blob = bench::RandomPacked(c.rows, c.cols, c.bits, 64, c.outliers, c.scale_bits);
  const PackedView view = PackedView::Open(blob).value();
  std::vector<std::unique_ptr<Weight>> weights;
  uint64_t bytes = 0;
  while (bytes < static_cast<uint64_t>(walk_bytes)) {
    weights.push_back(backend->LoadPacked(view).value());
    bytes += weights.back()->bytes();
  }
  const std::vector<int32_t> tokens(static_cast<size_t>(batch_rows), 0);
  const SequenceRows sequence{0, batch_rows, 0, {}};
  Batch batch;
  batch.rows = batch_rows;
  batch.tokens = tokens;
  batch.positions = tokens;
  batch.sequences = {&sequence, 1};
  const auto pass = backend->Begin(batch, nullptr).value();
  const std::vector<float> x(static_cast<size_t>(batch_rows * c.cols), 0.5F);
  const Activation input = pass->Input(x, c.cols);
  Activation sum = pass->Input(std::vector<float>(static_cast<size_t>(batch_rows * c.rows), 0.0F), c.rows);
  for (auto _ : state) {
    for (const auto& weight : weights) sum = pass->AddLinear(std::move(sum), input, {weight.get(), nullptr});
  }
  if (!pass->Finish().ok()) state.SkipWithError("the pass failed");
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 *
          static_cast<double>(state.iterations() * static_cast<int64_t>(weights.size()) * c.rows * c.cols * batch_rows),
      benchmark::Counter::kIsRate);
}

// From the stored bytes to the backend's tiles: what loading an artifact costs beside reading it.
void LoadMatrix(benchmark::State& state, int bits) {
  const auto backend = CreateCpuBackend({1, {}}).value();
  const std::vector<std::byte> blob = bench::RandomPacked(2048, 2048, bits, 64, 0.0);
  const PackedView view = PackedView::Open(blob).value();
  for (auto _ : state) benchmark::DoNotOptimize(backend->LoadPacked(view).value());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(blob.size()));
}

void Register() {
  // A few long iterations in wall time: the figures are for whole machines.
  const auto timed = [](benchmark::internal::Benchmark* bench) {
    bench->UseRealTime()->MeasureProcessCPUTime()->MinTime(0.3)->Unit(benchmark::kMillisecond);
  };
  for (int threads : {1, 2}) timed(benchmark::RegisterBenchmark("read_memory/threads", ReadMemory)->Arg(threads));
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    timed(benchmark::RegisterBenchmark(fmt::format("load_packed{}/2048x2048", bits).c_str(),
                                       [=](benchmark::State& state) { LoadMatrix(state, bits); }));
  }
  const std::vector<Case> cases = {
      {576, 576, 4, 0.01},  {1536, 576, 4, 0.01},  {576, 1536, 4, 0.01},  {1536, 576, 4, 0.0},   {1536, 576, 3, 0.01},
      {49152, 576, 8, 0.0}, {2048, 2048, 4, 0.01}, {4096, 4096, 4, 0.01}, {4096, 4096, 3, 0.01}, {4096, 4096, 8, 0.01},
      {1536, 576, 2, 0.01}, {1536, 576, 5, 0.0},   {1536, 576, 6, 0.0},
  };
  for (IsaLevel level : SupportedIsaLevels()) {
    if (level == IsaLevel::kScalar) continue;
    for (const Case& c : cases) {
      for (int threads : {1, 2}) {
        const std::string name = fmt::format("row_times_packed{}/{}x{}/outliers_{}/{}/threads:{}", c.bits, c.rows,
                                             c.cols, c.outliers, IsaLevelName(level), threads);
        timed(benchmark::RegisterBenchmark(
            name.c_str(), [=](benchmark::State& state) { MultiplyRow(state, c, threads, level, 1, kWalkBytes); }));
      }
    }
    for (const Case& c : {cases[1], cases[3], cases[4], cases[11], cases[12], Case{1536, 576, 8, 0.0},
                          Case{1536, 576, 4, 0.01, 8}, Case{1536, 576, 2, 0.0, 8}}) {
      const std::string name = fmt::format("cached_row_times_packed{}/{}x{}/outliers_{}/scales_{}/{}/threads:1", c.bits,
                                           c.rows, c.cols, c.outliers, c.scale_bits, IsaLevelName(level));
      timed(benchmark::RegisterBenchmark(
          name.c_str(), [=](benchmark::State& state) { MultiplyRow(state, c, 1, level, 1, kCachedBytes); }));
    }
    for (int64_t rows : {4, 8, 64, 256}) {
      const std::string name =
          fmt::format("{}_rows_times_packed4/1536x576/outliers_0.01/{}/threads:1", rows, IsaLevelName(level));
      timed(benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        MultiplyRow(state, {1536, 576, 4, 0.01}, 1, level, rows, kWalkBytes);
      }));
    }
  }
}

}  // namespace
}  // namespace gwq

int main(int argc, char** argv) {
  gwq::Register();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
