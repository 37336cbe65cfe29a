#include "server/jobs/contract_proto.h"

namespace gwq {

QualityContract ContractFromProto(const v1::QualityContract& proto) {
  QualityContract out;
  if (proto.has_max_mean_kl()) out.max_mean_kl = proto.max_mean_kl();
  if (proto.has_min_same_top1()) out.min_same_top1 = proto.min_same_top1();
  if (proto.has_max_bits()) out.max_bits = proto.max_bits();
  for (const v1::QualityFloor& one : proto.floors()) {
    QualityFloor& floor = out.floors.emplace_back();
    floor.evaluation = one.evaluation();
    floor.metric = one.metric();
    if (one.has_at_least()) floor.at_least = one.at_least();
    if (one.has_at_most()) floor.at_most = one.at_most();
  }
  return out;
}

v1::QualityContract ContractToProto(const QualityContract& contract) {
  v1::QualityContract out;
  if (contract.max_mean_kl) out.set_max_mean_kl(*contract.max_mean_kl);
  if (contract.min_same_top1) out.set_min_same_top1(*contract.min_same_top1);
  if (contract.max_bits) out.set_max_bits(*contract.max_bits);
  for (const QualityFloor& one : contract.floors) {
    v1::QualityFloor& floor = *out.add_floors();
    floor.set_evaluation(one.evaluation);
    floor.set_metric(one.metric);
    if (one.at_least) floor.set_at_least(*one.at_least);
    if (one.at_most) floor.set_at_most(*one.at_most);
  }
  return out;
}

}  // namespace gwq
