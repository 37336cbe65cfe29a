#include "core/backend/torch/input_gram.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

namespace gwq {

void GramCollector::Add(const at::Tensor& input, bool diagonal, std::shared_ptr<InputGram>& gram) {
  const bool seen = last_input_.defined() && last_input_.is_same(input) && last_gram_->diagonal == diagonal;
  if (seen && (gram == nullptr || gram == last_gram_)) {
    gram = last_gram_;
    return;
  }
  const c10::AutoGradMode no_record(false);
  if (gram == nullptr) {
    gram = std::make_shared<InputGram>();
    gram->diagonal = diagonal;
    gram->sum = diagonal ? input.square().sum(0) : at::mm(input.t(), input);
  } else if (diagonal) {
    gram->sum.add_(input.square().sum(0));
  } else {
    at::addmm_out(gram->sum, gram->sum, input.t(), input);
  }
  last_input_ = input;
  last_gram_ = gram;
}

void GramCollector::Forget() {
  last_input_ = at::Tensor();
  last_gram_ = nullptr;
}

}  // namespace gwq
