#include "plan_items.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "ptq/core/version.h"
#include "ptq/pipeline/plan.h"
#include "ptq/report/table.h"

namespace ptq::detail {
namespace {

/// Of a linear's codes, scales and zero points, as QuantScheme::bits_per_weight counts them.
int64_t bits_of(const LinearSite& site, const QuantScheme& scheme) {
  const auto weights = static_cast<double>(site.out_features * site.in_features);
  return std::llround(weights * scheme.bits_per_weight(site.in_features));
}

bool same_letters(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

/// Sites that read one input, or each alone; in the order of their first.
std::vector<std::vector<LinearSite>> tied(const std::vector<LinearSite>& sites, bool untie) {
  std::vector<std::vector<LinearSite>> sets;
  std::map<std::string, size_t> by_input;
  for (const LinearSite& site : sites) {
    const auto [known, fresh] = by_input.emplace(untie ? site.name : site.input, sets.size());
    if (fresh) sets.emplace_back();
    sets[known->second].push_back(site);
  }
  return sets;
}

FormatContext context_of(const std::vector<LinearSite>& sites, QuantPlan plan) {
  return {std::move(plan), sites, at::kFloat, version(), {}};
}

QuantPlan plan_of(const std::vector<MixedPrecisionPlan::Row>& rows) {
  QuantPlan plan;
  for (const MixedPrecisionPlan::Row& row : rows)
    plan[row.site.name] = row.chosen.scheme;
  return plan;
}

/// The verdict of `engine` on `context`, if it is known.
std::optional<EngineSupport> verdict(const CheckpointFormat& format, const std::string& engine,
                                     const FormatContext& context) {
  for (const EngineSupport& support : format.engines(context))
    if (same_letters(support.engine, engine)) return support;
  return std::nullopt;
}

}  // namespace

void PlanItem::add(const LinearSite& site, std::vector<double> costs) {
  for (Member& member : members_)
    if (member.site.name == site.name) member.costs = std::move(costs);
}

std::vector<StorageOption> PlanItem::options() const {
  std::vector<StorageOption> options(schemes_.size());
  for (size_t k = 0; k < schemes_.size(); ++k)
    for (const Member& member : members_) {
      options[k].size += member.sizes[k];
      if (!member.costs.empty()) options[k].cost += std::abs(member.costs[k]);
    }
  return options;
}

PlanItems::PlanItems(const MixedPrecisionJob& job, const CalibrationSession& session)
    : job_(job), session_(session), format_(formats().make(job.format)) {
  if (!session.input.format.empty())
    throw UnsupportedError(
        job.model.string() + " is already quantized (" + session.input.format + ")",
        "start from the full-precision checkpoint");
  SkippedSites chosen = apply_skips(job.skip, session.sites);
  left_ = std::move(chosen.skipped);
  warnings_ = std::move(chosen.warnings);
  check_engine();
  const Checkpoint& checkpoint = *session.input.checkpoint;
  other_bytes_ = tensor_bytes(checkpoint);
  for (const LinearSite& site : chosen.kept)
    other_bytes_ -= tensor_bytes(checkpoint, site.name + ".weight");
  for (const std::vector<LinearSite>& together : tied(chosen.kept, job.untie))
    add_item(together);
  budget_ = job.target_bytes > 0 ? job.target_bytes - other_bytes_
                                 : static_cast<int64_t>(std::floor(job.target_bits * weights_));
  require_mixed();
}

/// Neighbours with different schemes, wherever they can be: what does not load then is known before
/// any work.
void PlanItems::require_mixed() const {
  QuantPlan mixed;
  size_t turn = 0;
  for (const PlanItem& item : items_) {
    const size_t count = item.schemes().size();
    const size_t k = count > 1 ? turn++ % count : 0;
    for (const PlanItem::Member& member : item.members())
      mixed[member.site.name] = item.schemes()[k];
  }
  require_loads(std::move(mixed));
}

void PlanItems::require_loads(const std::vector<MixedPrecisionPlan::Row>& rows) const {
  require_loads(plan_of(rows));
}

void PlanItems::require_loads(QuantPlan plan) const {
  const FormatContext context = context_of(session_.sites, std::move(plan));
  if (const auto reason = format_->unsupported(context))
    throw UnsupportedError("such a plan cannot be written as " + job_.format + ": " + *reason,
                           "choose another --format, or --candidates that go together in it");
  if (job_.engine.empty()) return;
  const auto support = verdict(*format_, job_.engine, context);
  if (!support->loads)
    throw UnsupportedError(
        support->engine + " does not load such a plan in " + job_.format + ": " + support->note,
        "choose another --engine or --format, or leave --untie out");
}

void PlanItems::check_engine() const {
  if (job_.engine.empty()) return;
  const LinearSite& site = session_.sites.front();
  const FormatContext any = context_of({site}, {{site.name, job_.candidates.front()}});
  if (verdict(*format_, job_.engine, any)) return;
  std::string known;
  for (const EngineSupport& support : format_->engines(any))
    known += (known.empty() ? "" : ", ") + support.engine;
  throw ConfigError("unknown engine \"" + job_.engine + "\"", "known: " + known);
}

/// The reason why `site`, one of those that get a scheme `together`, cannot have `scheme`.
std::optional<std::string> PlanItems::refusal(const std::vector<LinearSite>& together,
                                              const LinearSite& site,
                                              const QuantScheme& scheme) const {
  if (site.in_features % scheme.group_length(site.in_features) != 0)
    return "group size " + std::to_string(scheme.group_size) + " does not divide the " +
           std::to_string(site.in_features) + " inputs";
  if (auto reason = format_->unsupported(site, scheme)) return job_.format + ": " + *reason;
  if (job_.engine.empty()) return std::nullopt;
  QuantPlan plan;
  for (const LinearSite& one : together)
    plan[one.name] = scheme;
  const auto support = verdict(*format_, job_.engine, context_of(together, std::move(plan)));
  if (support->loads) return std::nullopt;
  return support->engine + ": " + support->note;
}

void PlanItems::add_item(const std::vector<LinearSite>& together) {
  std::vector<QuantScheme> schemes;
  for (const QuantScheme& scheme : job_.candidates) {
    bool allowed = true;
    for (const LinearSite& site : together)
      if (const auto reason = refusal(together, site, scheme)) {
        allowed = false;
        const auto known = std::find_if(excluded_.begin(), excluded_.end(), [&](const auto& one) {
          return one.scheme == scheme && one.reason == *reason;
        });
        if (known == excluded_.end())
          excluded_.push_back({scheme, *reason, {site.name}});
        else
          known->linears.push_back(site.name);
      }
    if (allowed) schemes.push_back(scheme);
  }
  require_candidates(together, schemes);
  PlanItem item(schemes);
  for (const LinearSite& site : together) {
    const std::string prefix = session_.input.model->block_prefix(site.block);
    const bool inside = site.name.rfind(prefix, 0) == 0;
    PlanItem::Member member{site, inside ? site.name.substr(prefix.size()) : site.name, {}, {}, {}};
    const at::ScalarType dtype = session_.input.checkpoint->entry(site.name + ".weight").dtype;
    for (const QuantScheme& scheme : schemes) {
      member.bytes.push_back(packed_sizes_.of(*format_, site, scheme, dtype));
      member.sizes.push_back(job_.target_bytes > 0 ? member.bytes.back() : bits_of(site, scheme));
    }
    weights_ += static_cast<double>(site.out_features * site.in_features);
    item_of_[site.name] = items_.size();
    item.join(std::move(member));
  }
  items_.push_back(std::move(item));
}

void PlanItems::require_candidates(const std::vector<LinearSite>& together,
                                   const std::vector<QuantScheme>& schemes) const {
  if (!schemes.empty()) return;
  Table table({"candidate", "linear", "reason"});
  for (const MixedPrecisionPlan::Exclusion& one : excluded_)
    for (const LinearSite& site : together)
      if (std::find(one.linears.begin(), one.linears.end(), site.name) != one.linears.end())
        table.add({one.scheme.name(), site.name, one.reason});
  std::string text = "no candidate is left for " + together.front().name + "\n" + table.text();
  text.pop_back();
  throw UnsupportedError(text, "add --candidates that fit, or --skip these linears");
}

PlanItem* PlanItems::item_of(const std::string& name) {
  const auto found = item_of_.find(name);
  return found == item_of_.end() ? nullptr : &items_[found->second];
}

int64_t PlanItems::size(const std::vector<size_t>& choice) const {
  int64_t size = 0;
  for (size_t i = 0; i < items_.size(); ++i)
    for (const PlanItem::Member& member : items_[i].members())
      size += member.sizes[choice[i]];
  return size;
}

std::string PlanItems::described(const MixedPrecisionPlan::Total& total) const {
  return fixed(total.bits_per_weight, 3) + " bits a weight, " + std::to_string(total.output_bytes) +
         " bytes (" + human_bytes(total.output_bytes) + ")";
}

void PlanItems::require_budget() const {
  std::vector<size_t> least, largest;
  for (const PlanItem& item : items_) {
    const std::vector<StorageOption> options = item.options();
    const auto [first, last] = std::minmax_element(
        options.begin(), options.end(),
        [](const StorageOption& a, const StorageOption& b) { return a.size < b.size; });
    least.push_back(static_cast<size_t>(first - options.begin()));
    largest.push_back(static_cast<size_t>(last - options.begin()));
  }
  if (size(least) <= budget_) return;
  const std::string asked = job_.target_bytes > 0
                                ? std::to_string(job_.target_bytes) + " bytes"
                                : Json(job_.target_bits).dump() + " bits a weight";
  throw ConfigError("no choice among these candidates fits into " + asked + ": the least is " +
                        described(total(least)) + ", the largest " + described(total(largest)),
                    "raise the target or add smaller --candidates");
}

MixedPrecisionPlan::Total PlanItems::total(const std::vector<size_t>& choice) const {
  MixedPrecisionPlan::Total total;
  double bits = 0;
  for (size_t i = 0; i < items_.size(); ++i)
    for (const PlanItem::Member& member : items_[i].members()) {
      bits += static_cast<double>(bits_of(member.site, items_[i].schemes()[choice[i]]));
      total.linear_bytes += member.bytes[choice[i]];
      if (!member.costs.empty()) total.cost += member.costs[choice[i]];
    }
  total.bits_per_weight = bits / weights_;
  total.output_bytes = other_bytes_ + total.linear_bytes;
  return total;
}

std::vector<MixedPrecisionPlan::Row> PlanItems::rows(const std::vector<size_t>& choice) const {
  std::vector<MixedPrecisionPlan::Row> rows;
  for (size_t i = 0; i < items_.size(); ++i)
    for (const PlanItem::Member& member : items_[i].members()) {
      MixedPrecisionPlan::Row row{member.site, member.kind, static_cast<int>(i), {}, {}};
      for (size_t k = 0; k < items_[i].schemes().size(); ++k)
        row.costs.push_back({items_[i].schemes()[k], member.bytes[k], member.costs[k]});
      row.chosen = row.costs[choice[i]];
      rows.push_back(std::move(row));
    }
  return rows;
}

std::vector<MixedPrecisionPlan::Uniform> PlanItems::uniform() const {
  std::vector<MixedPrecisionPlan::Uniform> found;
  for (const QuantScheme& scheme : job_.candidates) {
    std::vector<size_t> choice;
    for (const PlanItem& item : items_) {
      const auto place = std::find(item.schemes().begin(), item.schemes().end(), scheme);
      if (place == item.schemes().end()) break;
      choice.push_back(static_cast<size_t>(place - item.schemes().begin()));
    }
    if (choice.size() == items_.size() && size(choice) <= budget_)
      found.push_back({scheme, total(choice)});
  }
  return found;
}

std::vector<EngineSupport> PlanItems::engines(
    const std::vector<MixedPrecisionPlan::Row>& rows) const {
  return format_->engines(context_of(session_.sites, plan_of(rows)));
}

}  // namespace ptq::detail
