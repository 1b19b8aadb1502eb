#!/usr/bin/env python3
"""Prints what `ptq sensitivity --validate` found as the tables of docs/sensitivity.md.

usage: validation_tables.py validation.json…

The tables of several files follow one another.
"""
import json
import sys


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def figure(agreement, name, digits=2):
    """A figure with its interval, or a dash where it is not defined."""
    one = agreement[name]
    if one["value"] is None:
        return "-"
    text = f"{one['value']:.{digits}f}"
    return text if one["low"] is None else f"{text} [{one['low']:.{digits}f}, {one['high']:.{digits}f}]"


def factor(agreement):
    """Measured over predicted, geometric mean, with its interval."""
    one = agreement["log_bias"]
    if one["value"] is None:
        return "-"
    text = f"{10 ** one['value']:.2g}"
    return text if one["low"] is None else f"{text} [{10 ** one['low']:.2g}, {10 ** one['high']:.2g}]"


def plain(value):
    return "-" if value is None else f"{value:.2f}"


def print_table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("| --- |" + " --: |" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def by_spearman(rows):
    value = lambda row: row["pooled"]["spearman"]["value"]
    return sorted(rows, key=lambda row: -2 if value(row) is None else -value(row))


def print_set(one):
    rows = {basis: by_spearman([row for row in one["estimators"] if row["basis"] == basis])
            for basis in ("predicted", "score", "score x error")}
    if not one["estimators"]:
        return
    within = any("within_linear" in row for row in one["estimators"])
    print(f"{one['count']} units of kind {one['units']}, {one['scheme']}, kappa {one['scale']:g}: KL median "
          f"{one['median_kl']:.3g}, largest {one['max_kl']:.3g}; {one['near_noise']} near the noise")
    if "kl_over_first_scale_5_50_95" in one:
        print("KL over that at the first kappa (5, 50, 95 %): "
              + ", ".join(f"{value:.3g}" for value in one["kl_over_first_scale_5_50_95"]))
    print()
    inner = ["within linears"] if within else []
    print_table(["by prediction", "Spearman", *inner, "Kendall", "slope", "measured / predicted", "top 5 %", "with NLL"],
                [[row["estimator"], figure(row["pooled"], "spearman"),
                  *([figure(row["within_linear"], "spearman")] if within else []),
                  figure(row["pooled"], "kendall"), figure(row["pooled"], "log_slope"), factor(row["pooled"]),
                  plain(row["pooled"]["top_5_percent_overlap"]["value"]), plain(row["nll_change_spearman"])]
                 for row in rows["predicted"]])
    errors = {row["estimator"]: row for row in rows["score x error"]}
    columns = lambda row: [figure(row["pooled"], "spearman")] + ([figure(row["within_linear"], "spearman")] if within else [])
    print_table(["by score", "score", *inner, "score x error", *inner],
                [[row["estimator"], *columns(row), *columns(errors[row["estimator"]])] for row in rows["score"]])


def print_additivity(subsets):
    """Joint KL over the sum of the single ones, by scheme and size."""
    ratios = {}
    for one in subsets:
        if one["sum_of_single"]["kl"] > 0:
            ratios.setdefault((one["scheme"], len(one["linears"])), []).append(one["joint"]["kl"] / one["sum_of_single"]["kl"])
    if ratios:
        print_table(["random linears together", "subsets", "joint KL / sum of single, lowest", "mean", "highest"],
                    [[f"{size}, {scheme}", str(len(values)), f"{min(values):.2f}", f"{sum(values) / len(values):.2f}", f"{max(values):.2f}"]
                     for (scheme, size), values in sorted(ratios.items())])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        report = load(path)
        print(f"{report['perturbations']} perturbations on {report['targets']} targets (mean NLL {report['mean_nll']:.3f}) in "
              f"{report['seconds']:.0f} s; KL of rounding alone {report['noise_kl']:.2g}\n")
        for one in report["agreement"]:
            print_set(one)
        print_additivity(report["additivity"])


if __name__ == "__main__":
    main()
