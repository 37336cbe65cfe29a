#include "core/quant/budget/choose.h"

#include <algorithm>
#include <optional>
#include <queue>

namespace gwq {
namespace {

// A thing's next form and what it gains.
struct Step {
  double gain = 0;  // fall of loss per byte
  size_t thing = 0;
  size_t form = 0;
  // The greatest gain first, of equal ones the earlier thing.
  bool operator<(const Step& other) const { return gain != other.gain ? gain < other.gain : thing > other.thing; }
};

double GainOf(const FormCost& from, const FormCost& to) {
  return (from.loss - to.loss) / static_cast<double>(to.bytes - from.bytes);
}

class Chooser {
 public:
  Chooser(std::span<const std::vector<FormCost>> things, uint64_t limit)
      : things_(things), forms_(things.size()), left_(limit) {
    for (const std::vector<FormCost>& forms : things) left_ -= forms.front().bytes;
  }

  std::vector<size_t> Run() {
    // On the hull each step of a thing gains less per byte than the one before it, so the best step of all is among
    // the next ones. A step that does not fit ends its thing's way; smaller steps may fit yet.
    for (const bool fill : {false, true}) {
      std::priority_queue<Step> steps;
      for (size_t i = 0; i < things_.size(); ++i) Push(i, fill, steps);
      while (!steps.empty()) {
        const Step step = steps.top();
        steps.pop();
        const uint64_t more = things_[step.thing][step.form].bytes - BytesOf(step.thing);
        if (more > left_) {
          if (fill) Push(step.thing, fill, steps);
          continue;
        }
        left_ -= more;
        forms_[step.thing] = step.form;
        Push(step.thing, fill, steps);
      }
    }
    return std::move(forms_);
  }

 private:
  [[nodiscard]] uint64_t BytesOf(size_t thing) const { return things_[thing][forms_[thing]].bytes; }

  // The form with the greatest gain from where the thing stands is the next one on its hull. With `fill` only those
  // that fit count.
  void Push(size_t thing, bool fill, std::priority_queue<Step>& steps) const {
    const std::vector<FormCost>& forms = things_[thing];
    const FormCost& now = forms[forms_[thing]];
    std::optional<Step> best;
    for (size_t form = 0; form < forms.size(); ++form) {
      const FormCost& next = forms[form];
      if (next.bytes <= now.bytes || !(next.loss < now.loss) || (fill && next.bytes - now.bytes > left_)) continue;
      const Step step{GainOf(now, next), thing, form};
      if (!best || *best < step) best = step;
    }
    if (best) steps.push(*best);
  }

  std::span<const std::vector<FormCost>> things_;
  std::vector<size_t> forms_;
  uint64_t left_;
};

}  // namespace

std::vector<size_t> ChooseForms(std::span<const std::vector<FormCost>> things, uint64_t limit) {
  return Chooser(things, limit).Run();
}

}  // namespace gwq
