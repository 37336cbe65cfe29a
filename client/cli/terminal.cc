#include "client/cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "client/cli/output.h"

namespace gwq::cli {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr int kBarCells = 28;

double Seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string Amount(uint64_t amount, std::string_view unit) {
  return unit == "B" ? BytesText(amount) : fmt::format("{}", amount);
}

}  // namespace

std::string BytesText(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

Terminal::Terminal(bool silent) : silent_(silent), terminal_(isatty(STDERR_FILENO) != 0) {}

Terminal::~Terminal() { Done(); }

void Terminal::Update(std::string_view phase, uint64_t done, uint64_t total, std::string_view unit) {
  if (silent_) return;
  done = std::min(done, total);  // a service's word: nothing is more than whole
  const auto now = std::chrono::steady_clock::now();
  if (phase != phase_) {
    Done();
    phase_ = phase;
    started_ = now;
    drawn_ = {};
    last_tenth_ = -1;
  }
  if (terminal_) {
    if (now - drawn_ < kRedraw && done < total) return;
    drawn_ = now;
    Draw(done, total, unit);
    return;
  }
  const int tenth = total == 0 ? 10 : static_cast<int>(done * 10 / total);
  if (tenth == last_tenth_) return;
  last_tenth_ = tenth;
  PrintError("{}: {} of {} ({} %)\n", phase_, Amount(done, unit), Amount(total, unit), 10 * tenth);
}

void Terminal::Draw(uint64_t done, uint64_t total, std::string_view unit) {
  const double share = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  const int filled = static_cast<int>(share * kBarCells);
  const double seconds = Seconds(std::chrono::steady_clock::now() - started_);
  std::string rest;
  if (unit == "B" && seconds > 0.2) {
    rest = fmt::format("  {}/s", BytesText(static_cast<uint64_t>(static_cast<double>(done) / seconds)));
  }
  if (share > 0.02 && share < 1 && seconds > 1) rest += fmt::format("  {:.0f} s left", seconds / share - seconds);
  PrintError("\r\033[K{:<12} [{}{}] {:3.0f} %  {}/{}{}", phase_, std::string(static_cast<size_t>(filled), '#'),
             std::string(static_cast<size_t>(kBarCells - filled), '.'), share * 100, Amount(done, unit),
             Amount(total, unit), rest);
  std::fflush(stderr);
  open_ = true;
}

void Terminal::Done() {
  if (open_) PrintError("\n");
  open_ = false;
  phase_.clear();
}

void Terminal::Note(std::string_view line) {
  if (silent_) return;
  Done();
  PrintError("{}\n", line);
}

}  // namespace gwq::cli
