#include "core/backend/torch/one_dnn_linear.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/linear.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <string_view>

namespace gwq {
namespace {

using Pointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                             c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);

// Null where there is no oneDNN.
const c10::TypedOperatorHandle<Pointwise>* Operator() {
  static const auto found = [] {
    const auto handle = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    return handle ? std::make_optional(handle->typed<Pointwise>()) : std::nullopt;
  }();
  return found ? &*found : nullptr;
}

at::Tensor Product(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  return Operator()->call(x.contiguous(), weight, bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

// The operator itself has no gradient.
class Differentiable : public torch::autograd::Function<Differentiable> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["bias"] = bias.has_value();
    return Product(x, weight, bias);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const at::Tensor gradient = gradients[0].contiguous();
    at::Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0)) of_x = Product(gradient, weight.t(), {});
    if (context->needs_input_grad(1)) of_weight = Product(gradient.t(), x.t(), {});
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) of_bias = gradient.sum(0);
    return {of_x, of_weight, of_bias};
  }
};

}  // namespace

at::Tensor OneDnnLinear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  if (Operator() == nullptr) return at::linear(x, weight, bias);
  const bool records = c10::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
  return records ? Differentiable::apply(x, weight, bias) : Product(x, weight, bias);
}

}  // namespace gwq
