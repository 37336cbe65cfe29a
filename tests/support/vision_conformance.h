// What a vision-language model must compute on any backend.
#pragma once

#include <string>

#include "core/backend/backend.h"
#include "core/models/model.h"
#include "tests/support/golden_model.h"

namespace gwq::testing {

// Image embeddings and logits of a tiny model against transformers: the prompts of GoldenPromptNames; whole,
// token by token, and mixed in one batch. With `bitwise`, a prompt's logits in a batch with the others are those it has
// alone.
void ExpectGoldenVision(Backend& backend, const std::string& name, double tolerance, bool bitwise);
// The same of a model loaded from elsewhere, a blob store for example.
void ExpectGoldenVision(Backend& backend, const LoadedModel& model, const GoldenModel& golden, double tolerance,
                        bool bitwise);

// The same of the trained model that ships with the project (tests/models).
void ExpectEasyVqa(Backend& backend, double tolerance, bool bitwise);

}  // namespace gwq::testing
