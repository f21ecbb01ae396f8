// The contents of a plan as JSON for programs, and the figures that its tables for people share.
// Every modelled figure has that label. docs/cli.md describes the keys.

#ifndef FLASHCP_SESSION_PLAN_JSON_H_
#define FLASHCP_SESSION_PLAN_JSON_H_

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "runtime/cpu/cpu_device.h"
#include "runtime/plan/plan.h"

namespace flashcp::session {

// Returns one JSON object. planning_ms is null if it is not known.
std::string PlanJson(const Plan& plan, std::optional<double> planning_ms);

// Modelled times in milliseconds.
struct ModelledMs {
  explicit ModelledMs(const fbs::Modelled& modelled)
      : forward(modelled.forward_us() * 1e-3),
        backward(modelled.backward_us() * 1e-3),
        step(forward + backward),
        compute_bound(modelled.compute_bound_us() * 1e-3),
        communication_bound(modelled.communication_bound_us() * 1e-3),
        combined_bound(modelled.combined_bound_us() * 1e-3),
        lower_bound(std::max({compute_bound, communication_bound, combined_bound})) {}

  // Returns the share by which the step is above the bound: 0.02 is 2 percent.
  double AboveBound() const { return lower_bound > 0 ? step / lower_bound - 1 : 0; }

  double forward, backward, step;
  double compute_bound, communication_bound, combined_bound;
  double lower_bound;  // the largest of them
};

// Returns the modelled times as PlanJson shows them.
nlohmann::ordered_json ModelledJson(const fbs::Modelled& modelled);

// Returns the text of JSON. Replaces bytes that are not UTF-8: a plan file may hold any bytes as
// its strings.
std::string JsonText(const nlohmann::ordered_json& json);

// Returns the hash of a plan, in hexadecimal.
std::string HashText(const Plan& plan);

// Returns the stages in which rows of other ranks arrive, as many on all ranks.
uint32_t RowStages(const Plan& plan);

// Returns what the kernels that run on this CPU by default take of each thread; nothing if none
// computes the plan's heads.
std::optional<CpuKernelsFound> FindCpuKernels(const Plan& plan);

}  // namespace flashcp::session

#endif  // FLASHCP_SESSION_PLAN_JSON_H_
