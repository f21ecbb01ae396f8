// Translates the types of model/ to those of a plan and back: the only place that does. The
// verifier does not use it: it reads plans by itself.

#ifndef FLASHCP_RUNTIME_PLAN_CONVERSION_H_
#define FLASHCP_RUNTIME_PLAN_CONVERSION_H_

#include <iterator>
#include <vector>

#include "model/cluster.h"
#include "model/document.h"
#include "model/dtype.h"
#include "model/exchange.h"
#include "model/head_shape.h"
#include "runtime/plan/plan_generated.h"

namespace flashcp {

// Enumerators of one meaning have one number, and there are no others.
static_assert(static_cast<int>(model::DType::kF32) == static_cast<int>(fbs::DType::f32));
static_assert(static_cast<int>(model::DType::kBF16) == static_cast<int>(fbs::DType::bf16));
static_assert(static_cast<int>(model::DType::kF16) == static_cast<int>(fbs::DType::f16));
static_assert(std::size(model::kDTypeNames) == static_cast<int>(fbs::DType::MAX) + 1);
static_assert(static_cast<int>(model::Exchange::kNeeded) ==
              static_cast<int>(fbs::Exchange::needed));
static_assert(static_cast<int>(model::Exchange::kAllGather) ==
              static_cast<int>(fbs::Exchange::all_gather));
static_assert(std::size(model::kExchangeNames) == static_cast<int>(fbs::Exchange::MAX) + 1);

inline model::DType ModelOf(fbs::DType dtype) { return static_cast<model::DType>(dtype); }
inline fbs::DType PlanOf(model::DType dtype) { return static_cast<fbs::DType>(dtype); }

inline model::Exchange ModelOf(fbs::Exchange exchange) {
  return static_cast<model::Exchange>(exchange);
}
inline fbs::Exchange PlanOf(model::Exchange exchange) {
  return static_cast<fbs::Exchange>(exchange);
}

inline model::HeadShape ModelOf(const fbs::HeadShape& heads) {
  return {static_cast<int>(heads.query()), static_cast<int>(heads.key_value()),
          static_cast<int>(heads.dim())};
}
inline fbs::HeadShape PlanOf(const model::HeadShape& heads) {
  return fbs::HeadShape(heads.query, heads.key_value, heads.dim);
}

inline model::Band ModelOf(const fbs::Band& band) { return {band.lower(), band.upper()}; }
inline fbs::Band PlanOf(const model::Band& band) { return fbs::Band(band.lower, band.upper); }

inline model::Document ModelOf(const fbs::Document& document) {
  return {document.length(), model::Mask(ModelOf(document.band()))};
}
inline fbs::Document PlanOf(const model::Document& document) {
  return fbs::Document(document.length, PlanOf(document.mask.band()));
}

// The documents of a plan, in pack order.
std::vector<model::Document> DocumentsOf(const fbs::Plan& plan);

model::Cluster ModelOf(const fbs::Cluster& cluster);
flatbuffers::Offset<fbs::Cluster> Write(const model::Cluster& cluster,
                                        flatbuffers::FlatBufferBuilder* builder);

}  // namespace flashcp

#endif  // FLASHCP_RUNTIME_PLAN_CONVERSION_H_
