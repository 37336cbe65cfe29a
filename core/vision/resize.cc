// The arithmetic of Pillow's src/libImaging/Resample.c for 8-bit channels: weights as fixed-point numbers of 22 bits,
// one direction after the other, each rounded to a byte. A direction whose size stays is not touched.
#include "core/vision/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

namespace gwq {
namespace {

constexpr int kFractionBits = 32 - 8 - 2;

double Sinc(double x) { return x == 0 ? 1 : std::sin(x * std::numbers::pi) / (x * std::numbers::pi); }

double Lanczos(double x) { return x >= -3 && x < 3 ? Sinc(x) * Sinc(x / 3) : 0; }

double Bilinear(double x) { return std::abs(x) < 1 ? 1 - std::abs(x) : 0; }

double Bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

double Box(double x) { return x > -0.5 && x <= 0.5 ? 1 : 0; }

double Hamming(double x) {
  x = std::abs(x);
  if (x == 0) return 1;
  return x < 1 ? Sinc(x) * (0.54 + 0.46 * std::cos(x * std::numbers::pi)) : 0;
}

struct Filter {
  double (*weight)(double);
  double support;
};

Filter FilterOf(Resample name) {
  switch (name) {
    case Resample::kLanczos:
      return {Lanczos, 3};
    case Resample::kBilinear:
      return {Bilinear, 1};
    case Resample::kBicubic:
      return {Bicubic, 2};
    case Resample::kBox:
      return {Box, 0.5};
    case Resample::kHamming:
      return {Hamming, 1};
  }
  return {Bicubic, 2};
}

// The input pixels of one output pixel and their weights.
struct Taps {
  int first = 0;
  int count = 0;
  const int32_t* weights = nullptr;
};

// The taps of the outputs [begin, begin + count) of a line of `in` pixels resized to `out`.
class TapTable {
 public:
  TapTable(int in, int64_t out, int64_t begin, int count, const Filter& filter) : identity_(in == out), begin_(begin) {
    if (identity_) return;
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double stretch = std::max(scale, 1.0);
    const double support = filter.support * stretch;
    stride_ = static_cast<int>(std::ceil(support)) * 2 + 1;
    weights_.resize(static_cast<size_t>(count) * stride_);
    spans_.resize(count);
    std::vector<double> exact(stride_);
    for (int i = 0; i < count; ++i) {
      const double center = (static_cast<double>(begin + i) + 0.5) * scale;
      const int first = std::max(0, static_cast<int>(center - support + 0.5));
      const int end = std::min(in, static_cast<int>(center + support + 0.5));
      double sum = 0;
      for (int x = first; x < end; ++x) {
        exact[x - first] = filter.weight((x - center + 0.5) * (1 / stretch));
        sum += exact[x - first];
      }
      spans_[i] = {first, end - first};
      for (int k = 0; k < end - first; ++k) {
        const double weight = (sum != 0 ? exact[k] / sum : exact[k]) * (1 << kFractionBits);
        weights_[static_cast<size_t>(i) * stride_ + k] = static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
      }
    }
  }

  [[nodiscard]] bool identity() const { return identity_; }  // the size stays: the input is copied
  [[nodiscard]] int stride() const { return identity_ ? 1 : stride_; }
  [[nodiscard]] Taps At(int i) const {
    if (identity_) return {.first = static_cast<int>(begin_) + i, .count = 1};
    return {spans_[i].first, spans_[i].count, weights_.data() + static_cast<size_t>(i) * stride_};
  }

 private:
  struct Span {
    int first;
    int count;
  };
  const bool identity_;
  const int64_t begin_;
  int stride_ = 0;
  std::vector<int32_t> weights_;
  std::vector<Span> spans_;
};

uint8_t Round(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255)); }

constexpr int32_t kHalf = 1 << (kFractionBits - 1);

void ResizeRow(const uint8_t* in, const TapTable& columns, int width, uint8_t* out) {
  if (columns.identity()) {
    std::memcpy(out, in + size_t{3} * columns.At(0).first, size_t{3} * width);
    return;
  }
  for (int x = 0; x < width; ++x, out += 3) {
    const Taps taps = columns.At(x);
    int32_t red = kHalf, green = kHalf, blue = kHalf;
    const uint8_t* pixel = in + size_t{3} * taps.first;
    for (int k = 0; k < taps.count; ++k, pixel += 3) {
      red += pixel[0] * taps.weights[k];
      green += pixel[1] * taps.weights[k];
      blue += pixel[2] * taps.weights[k];
    }
    out[0] = Round(red);
    out[1] = Round(green);
    out[2] = Round(blue);
  }
}

// The rows under the filter, already of their final width.
class RowRing {
 public:
  RowRing(const RowSource& source, const TapTable& columns, int width, int rows)
      : source_(source), columns_(columns), width_(width), rows_(rows), bytes_(size_t{3} * width * rows) {}

  // Makes the rows [first, first + count) available; `first` never falls.
  void Reach(int first, int count) {
    for (next_ = std::max(next_, first); next_ < first + count; ++next_) {
      ResizeRow(source_.row(next_), columns_, width_, Slot(next_));
    }
  }
  [[nodiscard]] const uint8_t* Row(int y) { return Slot(y); }

 private:
  uint8_t* Slot(int y) { return bytes_.data() + size_t{3} * width_ * (y % rows_); }

  const RowSource& source_;
  const TapTable& columns_;
  const int width_;
  const int rows_;
  std::vector<uint8_t> bytes_;
  int next_ = 0;
};

using RowSink = std::function<void(int y, const uint8_t* row)>;

// A weighted sum of rows, made from one after the other.
class RowSum {
 public:
  explicit RowSum(size_t bytes) : sums_(bytes), row_(bytes) {}
  void Start() { std::fill(sums_.begin(), sums_.end(), kHalf); }
  void Add(const uint8_t* row, int32_t weight) {
    for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += row[i] * weight;
  }
  const uint8_t* Finish() {
    std::transform(sums_.begin(), sums_.end(), row_.begin(), Round);
    return row_.data();
  }

 private:
  std::vector<int32_t> sums_;
  std::vector<uint8_t> row_;
};

// Each source row is resized once and kept as long as a filter needs it.
void WidthFirst(const RowSource& source, const TapTable& columns, const TapTable& rows, const ResizeWindow& window,
                const RowSink& put) {
  RowRing ring(source, columns, window.width, std::min(source.height, rows.stride()));
  RowSum sum(rows.identity() ? 0 : size_t{3} * window.width);
  for (int y = 0; y < window.height; ++y) {
    const Taps taps = rows.At(y);
    ring.Reach(taps.first, taps.count);
    if (rows.identity()) {
      put(y, ring.Row(taps.first));
      continue;
    }
    sum.Start();
    for (int k = 0; k < taps.count; ++k) sum.Add(ring.Row(taps.first + k), taps.weights[k]);
    put(y, sum.Finish());
  }
}

void HeightFirst(const RowSource& source, const TapTable& columns, const TapTable& rows, const ResizeWindow& window,
                 const RowSink& put) {
  RowSum sum(size_t{3} * source.width);
  std::vector<uint8_t> out(size_t{3} * window.width);
  for (int y = 0; y < window.height; ++y) {
    const Taps taps = rows.At(y);
    sum.Start();
    for (int k = 0; k < taps.count; ++k) sum.Add(source.row(taps.first + k), taps.weights[k]);
    ResizeRow(sum.Finish(), columns, window.width, out.data());
    put(y, out.data());
  }
}

// The order decides about single steps of 255. Pillow 13 takes the height first where it shrinks by more than twice the
// pixels that the width does (found by trying sizes); before 13 the width always came first.
bool TakesHeightFirst(const RowSource& source, int64_t width, int64_t height) {
  return height < source.height && source.height - height > 2 * (source.width - width);
}

}  // namespace

RowSource RowsOf(const Image& image) {
  return {.width = image.width, .height = image.height, .row = [&image](int y) { return image.Row(y); }};
}

void ResizeRows(const RowSource& source, int64_t width, int64_t height, const ResizeWindow& window, Resample filter,
                const RowSink& put) {
  const TapTable columns(source.width, width, window.left, window.width, FilterOf(filter));
  const TapTable rows(source.height, height, window.top, window.height, FilterOf(filter));
  if (TakesHeightFirst(source, width, height)) {
    HeightFirst(source, columns, rows, window, put);
  } else {
    WidthFirst(source, columns, rows, window, put);
  }
}

Image Resize(const Image& image, int width, int height, Resample filter) {
  Image resized{.width = width, .height = height, .rgb = std::vector<uint8_t>(size_t{3} * width * height)};
  ResizeRows(RowsOf(image), width, height, {.width = width, .height = height}, filter,
             [&](int y, const uint8_t* row) { std::memcpy(resized.Row(y), row, size_t{3} * width); });
  return resized;
}

}  // namespace gwq
