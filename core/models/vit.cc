#include "core/models/vit.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/models/vision_layout.h"
#include "core/models/weight_list.h"

namespace gwq {
namespace {

// A module's weight, and its bias where it has one.
struct Module {
  TensorSpec weight;
  bool biased = false;

  [[nodiscard]] TensorSpec bias() const {
    const std::string stem = weight.name.substr(0, weight.name.size() - std::string_view("weight").size());
    return {stem + "bias", {weight.shape[0]}, TensorKind::kBias, weight.part, weight.stage};
  }
};

// Module names to tensors. An empty name is a module that the family lacks.
class Modules {
 public:
  Modules(const VisionConfig& config, const VitNames& names, int64_t out_size, int first_stage)
      : config_(config), names_(names), out_size_(out_size), first_stage_(first_stage) {}

  [[nodiscard]] Module Patch() const {
    Shape shape = {config_.hidden_size};
    shape.insert(shape.end(), config_.patch_shape.begin(), config_.patch_shape.end());
    return {Spec(names_.patch + ".weight", std::move(shape), TensorKind::kLinear, 0), config_.patch_bias};
  }
  [[nodiscard]] TensorSpec ClassToken() const {
    return Spec(names_.class_token, {config_.hidden_size}, TensorKind::kBias, 0);
  }
  [[nodiscard]] TensorSpec Position() const {
    const int64_t count = config_.position_side * config_.position_side + (config_.class_token ? 1 : 0);
    return Spec(names_.position + ".weight", {count, config_.hidden_size}, TensorKind::kPosition, 0);
  }
  [[nodiscard]] Module PreNorm() const { return NormOf(names_.pre_norm, 0, ModelPart::kVision); }

  [[nodiscard]] Module BlockNorm(int stage, const std::string& name) const {
    return NormOf(BlockName(stage) + name, stage, ModelPart::kVision);
  }
  [[nodiscard]] Module BlockLinear(int stage, const std::string& name, int64_t out, int64_t in) const {
    return {Spec(BlockName(stage) + name + ".weight", {out, in}, TensorKind::kLinear, stage), true};
  }

  [[nodiscard]] Module PostNorm() const { return NormOf(names_.post_norm, Last(), names_.post_norm_part); }
  [[nodiscard]] Module Project() const {
    const int64_t in = config_.hidden_size * config_.merge * config_.merge;
    return Projector(names_.project, names_.project_out.empty() ? out_size_ : config_.projector_width, in);
  }
  [[nodiscard]] Module ProjectOut() const { return Projector(names_.project_out, out_size_, config_.projector_width); }

  // All of a stage in the order of the computation.
  [[nodiscard]] std::vector<TensorSpec> Stage(int stage) const {
    std::vector<TensorSpec> specs;
    const auto add = [&](const Module& module) {
      specs.push_back(module.weight);
      if (module.biased) specs.push_back(module.bias());
    };
    if (stage == 0) {
      add(Patch());
      if (!names_.class_token.empty()) specs.push_back(ClassToken());
      if (!names_.position.empty()) specs.push_back(Position());
      if (!names_.pre_norm.empty()) add(PreNorm());
    } else if (stage < Last()) {
      for (const Module& module : Block(stage)) add(module);
    } else {
      if (!names_.post_norm.empty()) add(PostNorm());
      add(Project());
      if (!names_.project_out.empty()) add(ProjectOut());
    }
    return specs;
  }

  [[nodiscard]] std::vector<Module> Block(int stage) const {
    const int64_t hidden = config_.hidden_size;
    const int64_t inner = config_.intermediate_size;
    std::vector<Module> modules = {BlockNorm(stage, names_.norm1)};
    if (!names_.qkv.empty()) {
      modules.push_back(BlockLinear(stage, names_.qkv, 3 * hidden, hidden));
    } else {
      for (const std::string* name : {&names_.q, &names_.k, &names_.v}) {
        modules.push_back(BlockLinear(stage, *name, hidden, hidden));
      }
    }
    modules.push_back(BlockLinear(stage, names_.out, hidden, hidden));
    modules.push_back(BlockNorm(stage, names_.norm2));
    if (config_.gated) modules.push_back(BlockLinear(stage, names_.gate, inner, hidden));
    modules.push_back(BlockLinear(stage, names_.up, inner, hidden));
    modules.push_back(BlockLinear(stage, names_.down, hidden, inner));
    return modules;
  }

  [[nodiscard]] int Last() const { return config_.blocks + 1; }
  [[nodiscard]] const VisionConfig& config() const { return config_; }
  [[nodiscard]] const VitNames& names() const { return names_; }
  [[nodiscard]] int64_t out_size() const { return out_size_; }

 private:
  [[nodiscard]] TensorSpec Spec(std::string name, Shape shape, TensorKind kind, int stage,
                                ModelPart part = ModelPart::kVision) const {
    return {std::move(name), std::move(shape), kind, part, first_stage_ + stage};
  }
  [[nodiscard]] Module NormOf(const std::string& name, int stage, ModelPart part) const {
    return {Spec(name + ".weight", {config_.hidden_size}, TensorKind::kNorm, stage, part),
            config_.norm == NormKind::kLayer};
  }
  [[nodiscard]] Module Projector(const std::string& name, int64_t out, int64_t in) const {
    return {Spec(name + ".weight", {out, in}, TensorKind::kLinear, Last(), ModelPart::kProjector),
            config_.projector_bias};
  }
  [[nodiscard]] std::string BlockName(int stage) const { return fmt::format(fmt::runtime(names_.block), stage - 1); }

  const VisionConfig config_;
  const VitNames names_;
  const int64_t out_size_;
  const int first_stage_;
};

class VitStage : public VisionStage {
 public:
  explicit VitStage(const Modules& modules) : modules_(modules) {}
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return weights_.all(); }
  [[nodiscard]] virtual absl::Status LoadFrom(WeightLoader& loader) = 0;

 protected:
  [[nodiscard]] const VisionConfig& config() const { return modules_.config(); }

  [[nodiscard]] absl::Status Load(const Module& module, WeightLoader& loader, Linear& linear) {
    GWQ_ASSIGN_OR_RETURN(linear.weight, weights_.Load(module.weight, loader));
    if (!module.biased) return absl::OkStatus();
    GWQ_ASSIGN_OR_RETURN(linear.bias, weights_.Load(module.bias(), loader));
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Load(const Module& module, WeightLoader& loader, Norm& norm) {
    norm.epsilon = config().norm_epsilon;
    norm.kind = config().norm;
    GWQ_ASSIGN_OR_RETURN(norm.weight, weights_.Load(module.weight, loader));
    if (!module.biased) return absl::OkStatus();
    GWQ_ASSIGN_OR_RETURN(norm.bias, weights_.Load(module.bias(), loader));
    return absl::OkStatus();
  }

  const Modules& modules_;
  WeightList weights_;
};

class EmbedStage final : public VitStage {
 public:
  using VitStage::VitStage;

  [[nodiscard]] absl::Status LoadFrom(WeightLoader& loader) override {
    GWQ_RETURN_IF_ERROR(Load(modules_.Patch(), loader, patch_));
    if (!modules_.names().class_token.empty()) {
      GWQ_ASSIGN_OR_RETURN(class_token_, weights_.Load(modules_.ClassToken(), loader));
    }
    if (!modules_.names().position.empty()) {
      GWQ_ASSIGN_OR_RETURN(position_, weights_.Load(modules_.Position(), loader));
    }
    if (modules_.names().pre_norm.empty()) return absl::OkStatus();
    return Load(modules_.PreNorm(), loader, pre_norm_);
  }

  [[nodiscard]] Activation Run(Pass& pass, const VisionLayout& layout, Activation x) const override {
    x = pass.Apply(x, patch_);
    if (!layout.entry.empty()) x = pass.Regroup(x, layout.entry, 1);
    if (class_token_ != nullptr) {
      std::vector<int32_t> ids(layout.entry.size());
      std::ranges::transform(layout.entry, ids.begin(), [](int32_t row) { return row < 0 ? 0 : -1; });
      x = pass.AddRows(std::move(x), *class_token_, ids);
    }
    if (position_ != nullptr) x = pass.AddRows(std::move(x), *position_, layout.position_ids);
    return pre_norm_.weight == nullptr ? std::move(x) : pass.Normalize(x, pre_norm_);
  }

 private:
  Linear patch_;
  const Weight* class_token_ = nullptr;
  const Weight* position_ = nullptr;
  Norm pre_norm_;
};

class BlockStage final : public VitStage {
 public:
  BlockStage(const Modules& modules, int stage)
      : VitStage(modules),
        stage_(stage),
        full_(config().window_tokens == 0 ||
              std::ranges::find(config().full_attention_blocks, stage - 1) != config().full_attention_blocks.end()) {}

  [[nodiscard]] absl::Status LoadFrom(WeightLoader& loader) override {
    const std::vector<Module> modules = modules_.Block(stage_);
    size_t next = 0;
    GWQ_RETURN_IF_ERROR(Load(modules[next++], loader, norm1_));
    const int inputs = modules_.names().qkv.empty() ? 3 : 1;
    for (int i = 0; i < inputs; ++i) GWQ_RETURN_IF_ERROR(Load(modules[next++], loader, qkv_[i]));
    GWQ_RETURN_IF_ERROR(Load(modules[next++], loader, out_));
    GWQ_RETURN_IF_ERROR(Load(modules[next++], loader, norm2_));
    if (config().gated) GWQ_RETURN_IF_ERROR(Load(modules[next++], loader, gate_));
    GWQ_RETURN_IF_ERROR(Load(modules[next++], loader, up_));
    return Load(modules[next], loader, down_);
  }

  [[nodiscard]] Activation Run(Pass& pass, const VisionLayout& layout, Activation x) const override {
    {
      const Activation attended = Attend(pass, layout, pass.Normalize(x, norm1_));
      x = pass.AddLinear(std::move(x), attended, out_);
    }
    const Activation inner = config().gated ? pass.GatedUp(x, norm2_, gate_, up_, config().activation)
                                            : pass.Apply(pass.Normalize(x, norm2_), up_, config().activation);
    return pass.AddLinear(std::move(x), inner, down_);
  }

 private:
  [[nodiscard]] Activation Attend(Pass& pass, const VisionLayout& layout, const Activation& normed) const {
    const SegmentAttention attention = {config().attention, full_ ? layout.tile_ends : layout.window_ends,
                                        layout.cosines, layout.sines};
    const Activation q = pass.Apply(normed, qkv_[0]);
    if (qkv_[1].weight == nullptr) return pass.AttendWithin({&q}, attention);
    const Activation k = pass.Apply(normed, qkv_[1]);
    const Activation v = pass.Apply(normed, qkv_[2]);
    return pass.AttendWithin({&q, &k, &v}, attention);
  }

  const int stage_;
  const bool full_;
  Norm norm1_, norm2_;
  Linear qkv_[3];
  Linear out_, gate_, up_, down_;
};

class ProjectStage final : public VitStage {
 public:
  using VitStage::VitStage;

  [[nodiscard]] absl::Status LoadFrom(WeightLoader& loader) override {
    if (!modules_.names().post_norm.empty()) GWQ_RETURN_IF_ERROR(Load(modules_.PostNorm(), loader, post_norm_));
    GWQ_RETURN_IF_ERROR(Load(modules_.Project(), loader, project_));
    if (modules_.names().project_out.empty()) return absl::OkStatus();
    return Load(modules_.ProjectOut(), loader, project_out_);
  }

  [[nodiscard]] Activation Run(Pass& pass, const VisionLayout& layout, Activation x) const override {
    if (post_norm_.weight != nullptr) x = pass.Normalize(x, post_norm_);
    x = pass.Regroup(x, layout.merge, config().merge * config().merge);
    x = pass.Apply(x, project_, config().projector_activation);
    if (project_out_.weight != nullptr) x = pass.Apply(x, project_out_);
    return layout.exit.empty() ? std::move(x) : pass.Regroup(x, layout.exit, 1);
  }

 private:
  Norm post_norm_;
  Linear project_, project_out_;
};

class Vit final : public VisionTower {
 public:
  explicit Vit(Modules modules) : modules_(std::move(modules)) {}

  [[nodiscard]] const VisionConfig& config() const override { return modules_.config(); }
  [[nodiscard]] int64_t width(int stage) const override {
    if (stage == 0) return config().patch_floats;
    return stage < stages() ? config().hidden_size : modules_.out_size();
  }
  [[nodiscard]] absl::StatusOr<VisionLayout> Layout(std::span<const PatchGrid> tiles) const override {
    return LayoutOf(config(), tiles);
  }
  [[nodiscard]] int64_t ImageTokens(const PatchGrid& tile) const override {
    return tile.high / config().merge * (tile.wide / config().merge);
  }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<VisionStage>> LoadStage(int stage, WeightLoader& loader) const override {
    if (stage < 0 || stage >= stages()) {
      return absl::OutOfRangeError(fmt::format("stage {} of a tower with {} stages", stage, stages()));
    }
    std::unique_ptr<VitStage> loaded;
    if (stage == 0) {
      loaded = std::make_unique<EmbedStage>(modules_);
    } else if (stage < modules_.Last()) {
      loaded = std::make_unique<BlockStage>(modules_, stage);
    } else {
      loaded = std::make_unique<ProjectStage>(modules_);
    }
    GWQ_RETURN_IF_ERROR(loaded->LoadFrom(loader));
    return std::unique_ptr<VisionStage>(std::move(loaded));
  }

 private:
  const Modules modules_;
};

}  // namespace

std::unique_ptr<VisionTower> MakeVit(const VisionConfig& config, int64_t out_size, int first_stage,
                                     const VitNames& names, std::vector<TensorSpec>& tensors) {
  Modules modules(config, names, out_size, first_stage);
  for (int stage = 0; stage <= modules.Last(); ++stage) {
    for (TensorSpec& spec : modules.Stage(stage)) tensors.push_back(std::move(spec));
  }
  return std::make_unique<Vit>(std::move(modules));
}

}  // namespace gwq
