// Delays by the link class that two ranks share.

#include "benchmarks/link_model.h"

#include <algorithm>
#include <chrono>

namespace flashcp {
namespace {

DeliveryModel::Time After(DeliveryModel::Time time, double us) {
  return time + std::chrono::duration_cast<DeliveryModel::Time::duration>(
                    std::chrono::duration<double, std::micro>(us));
}

}  // namespace

LinkModel::LinkModel(int ranks, const model::LinkClass& link)
    : link_(link), out_free_(ranks), in_free_(ranks) {}

DeliveryModel::Time LinkModel::Arrival(int sender, int receiver, size_t bytes, Time now) {
  const Time begin = std::max({now, out_free_[sender], in_free_[receiver]});
  const Time end = After(begin, bytes / link_.bytes_per_us);
  out_free_[sender] = in_free_[receiver] = end;
  return After(end, link_.latency_us);
}

}  // namespace flashcp
