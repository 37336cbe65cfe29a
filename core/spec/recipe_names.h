// The names of a recipe's enumerations.
#pragma once

#include "core/spec/enum_names.h"
#include "core/spec/recipe.h"

namespace gwq {

inline constexpr EnumEntry<Select> kSelectNames[] = {
    {Select::kGradient, "gradient"}, {Select::kMagnitude, "magnitude"}, {Select::kRandom, "random"}};
inline constexpr EnumEntry<Loss> kLossNames[] = {{Loss::kLast, "last"}, {Loss::kAll, "all"}};
inline constexpr EnumEntry<Effort> kEffortNames[] = {
    {Effort::kFast, "fast"}, {Effort::kNormal, "normal"}, {Effort::kThorough, "thorough"}};
inline constexpr EnumEntry<CalibrationSource> kCalibrationSourceNames[] = {{CalibrationSource::kGenerated, "generated"},
                                                                           {CalibrationSource::kText, "text"},
                                                                           {CalibrationSource::kChat, "chat"},
                                                                           {CalibrationSource::kTokenIds, "token_ids"},
                                                                           {CalibrationSource::kFile, "file"},
                                                                           {CalibrationSource::kImage, "image"},
                                                                           {CalibrationSource::kDataset, "dataset"},
                                                                           {CalibrationSource::kDefault, "default"},
                                                                           {CalibrationSource::kMix, "mix"}};

constexpr const auto& NamesOf(Select) { return kSelectNames; }
constexpr const auto& NamesOf(Loss) { return kLossNames; }
constexpr const auto& NamesOf(Effort) { return kEffortNames; }
constexpr const auto& NamesOf(CalibrationSource) { return kCalibrationSourceNames; }

}  // namespace gwq
