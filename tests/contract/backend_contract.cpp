#include "contract/backend_contract.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "ptq/core/error.h"

namespace ptq {
namespace {

class Contract {
 public:
  Contract(const GemmBackend& backend, const BackendCase& made)
      : made_(made),
        weight_(random_weight(made)),
        sparse_(random_values(made)),
        dense_(dense_weight(weight_, sparse_)),
        packed_(backend.pack(weight_, made.sparse ? &sparse_ : nullptr)) {}

  std::vector<std::string> check() {
    gives_weights_on_unit_vectors();
    const at::Tensor x = at::randn({97, made_.in});
    is_within_the_bound(x);
    keeps_rows_apart(x);
    does_not_depend_on_threads(x);
    passes_on_what_is_not_finite(x);
    keeps_to_its_buffer(x);
    multiply(at::empty({0, made_.in}));
    expect(packed_->bytes() * 2 >= made_.out * made_.in * made_.scheme.bits / 8,
           "it tells its memory");
    return broken_;
  }

 private:
  void expect(bool holds, const std::string& promise) {
    if (!holds) broken_.push_back(made_.name() + ": " + promise);
  }

  at::Tensor multiply(const at::Tensor& x) const {
    at::Tensor y = at::full({x.size(0), made_.out}, NAN);
    packed_->multiply(x, y);
    return y;
  }

  void gives_weights_on_unit_vectors() {
    const at::Tensor units = at::eye(made_.in), expected = dense_.t();
    expect(at::equal(multiply(units), expected), "unit vectors give the weight bit for bit");
    for (const int64_t rows : {1, 2, 5})
      for (int64_t row = 0; row + rows <= made_.in; row += rows + made_.in / 7)
        expect(at::equal(multiply(units.narrow(0, row, rows)), expected.narrow(0, row, rows)),
               std::to_string(rows) + " unit vectors give the weight bit for bit");
  }

  void is_within_the_bound(const at::Tensor& x) {
    is_near(x, multiply(x));
    for (const int64_t row : {0, 17, 96})
      is_near(x.narrow(0, row, 1), multiply(x.narrow(0, row, 1)));
  }

  void is_near(const at::Tensor& x, const at::Tensor& y) {
    const at::Tensor x64 = x.to(at::kDouble), w64 = dense_.to(at::kDouble);
    const at::Tensor error = (y.to(at::kDouble) - x64.mm(w64.t())).abs();
    // Any order of summation: n products and sums, each rounded once (docs/numerics.md).
    const double rounding = static_cast<double>(made_.in + 2) * 0x1p-24;
    const at::Tensor bound = x64.abs().mm(w64.abs().t()) * rounding;
    expect(error.le(bound).all().item<bool>(), "errors are within the bound of float32 sums");
  }

  void keeps_rows_apart(const at::Tensor& x) {
    const at::Tensor all = multiply(x);
    // A row alone may be summed in an order of its own.
    for (const int64_t rows : {2, 3, 4, 6, 7, 12, 13, 64})
      expect(at::equal(multiply(x.narrow(0, 3, rows)), all.narrow(0, 3, rows)),
             "a row's result does not depend on the batch (" + std::to_string(rows) + " rows)");
  }

  void does_not_depend_on_threads(const at::Tensor& x) {
    const int before = at::get_num_threads();
    const at::Tensor many = multiply(x), few = multiply(x.narrow(0, 0, 3));
    const at::Tensor one = multiply(x.narrow(0, 0, 1));
    for (const int threads : {1, 2}) {
      at::set_num_threads(threads);
      expect(at::equal(multiply(x), many) && at::equal(multiply(x.narrow(0, 0, 3)), few) &&
                 at::equal(multiply(x.narrow(0, 0, 1)), one),
             "the number of threads does not matter");
    }
    at::set_num_threads(before);
  }

  void passes_on_what_is_not_finite(const at::Tensor& x) {
    for (const int64_t rows : {3, 20})
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        const at::Tensor whole = multiply(x.narrow(0, 0, rows));
        at::Tensor damaged = x.narrow(0, 0, rows).clone();
        damaged[1][made_.in / 2] = bad;
        const at::Tensor y = multiply(damaged);
        expect(!y[1].isfinite().any().item<bool>(), "what is not finite is passed on");
        expect(at::equal(y.narrow(0, 2, 1), whole.narrow(0, 2, 1)),
               "what is not finite stays in its row");
      }
  }

  void keeps_to_its_buffer(const at::Tensor& x) {
    for (const int64_t rows : {4, 20}) {
      const at::Tensor wide = at::full({rows, made_.out + 9}, 7.0F);
      const at::Tensor padded = at::full({rows, made_.in + 5}, NAN);
      padded.narrow(1, 2, made_.in).copy_(x.narrow(0, 0, rows));
      packed_->multiply(padded.narrow(1, 2, made_.in), wide.narrow(1, 4, made_.out));
      expect(at::equal(wide.narrow(1, 4, made_.out), multiply(x.narrow(0, 0, rows))),
             "rows may lie apart");
      expect(wide.narrow(1, 0, 4).eq(7).all().item<bool>() &&
                 wide.narrow(1, made_.out + 4, 5).eq(7).all().item<bool>(),
             "nothing is written beside the result");
    }
  }

  BackendCase made_;
  QuantizedTensor weight_;
  SparseWeight sparse_;
  at::Tensor dense_;
  std::unique_ptr<PackedWeight> packed_;
  std::vector<std::string> broken_;
};

}  // namespace

std::string BackendCase::name() const {
  return scheme.name() + " " + std::to_string(out) + " x " + std::to_string(in) +
         (permuted ? " permuted" : "") + (sparse ? " sparse" : "") +
         (long_scales ? " long scales" : "");
}

QuantizedTensor random_weight(const BackendCase& made) {
  const int64_t groups = made.scheme.groups(made.in);
  const int levels = 1 << made.scheme.bits;
  QuantizedTensor weight;
  weight.scheme = made.scheme;
  weight.q = at::randint(0, levels, {made.out, made.in}).to(at::kByte);
  weight.group_of = contiguous_groups(made.scheme, made.in);
  if (made.scheme.lookup) {
    weight.table = std::get<0>(at::randn({made.out, levels}).sort(1));
    if (!made.long_scales) weight.table = storable_entries(weight.table);
    weight.check();
    return weight;
  }
  weight.scale = (at::rand({made.out, groups}) + 0.25) * 0.01;
  if (!made.long_scales) weight.scale = storable_scale(weight.scale, at::kHalf);
  weight.scale.select(0, made.out / 2).neg_();
  weight.zero = made.scheme.symmetric ? at::full({made.out, groups}, levels / 2, at::kByte)
                                      : at::randint(0, levels, {made.out, groups}).to(at::kByte);
  if (made.permuted) weight.group_of = weight.group_of.index({at::randperm(made.in)});
  weight.check();
  return weight;
}

SparseWeight random_values(const BackendCase& made) {
  SparseWeight sparse;
  if (!made.sparse) return sparse;
  std::vector<int32_t> begin{0}, columns;
  const at::Tensor chosen = at::rand({made.out, made.in}).lt(0.02);
  for (int64_t out = 0; out < made.out; ++out) {
    for (int64_t in = 0; in < made.in; ++in)
      if (out != 1 && (chosen[out][in].item<bool>() || in == made.in - 1))
        columns.push_back(static_cast<int32_t>(in));
    begin.push_back(static_cast<int32_t>(columns.size()));
  }
  sparse.row_begin = at::tensor(begin, at::kInt);
  sparse.columns = at::tensor(columns, at::kInt);
  sparse.values = at::randn({static_cast<int64_t>(columns.size())});
  return sparse;
}

at::Tensor dense_weight(const QuantizedTensor& weight, const SparseWeight& sparse) {
  at::Tensor dense = weight.dequantize();
  if (sparse.count() == 0) return dense;
  const int32_t* begin = sparse.row_begin.data_ptr<int32_t>();
  const int32_t* column = sparse.columns.data_ptr<int32_t>();
  for (int64_t out = 0; out < weight.out_features(); ++out)
    for (int32_t i = begin[out]; i < begin[out + 1]; ++i)
      dense.data_ptr<float>()[out * weight.in_features() + column[i]] =
          sparse.values.data_ptr<float>()[i];
  return dense;
}

std::vector<BackendCase> backend_cases() {
  std::vector<BackendCase> all;
  for (const int bits : {2, 3, 4, 5, 8})
    for (const int64_t group : {32, 64, 128, -1})
      for (const bool symmetric : {true, false})
        all.push_back({{bits, group, symmetric}, 48, 256, false, false, false});
  for (const bool permuted : {false, true})
    for (const bool sparse : {false, true})
      for (const bool symmetric : {true, false}) {
        all.push_back({{4, 32, symmetric}, 70, 160, permuted, sparse, false});
        all.push_back({{4, 128, symmetric}, 33, 1300, permuted, sparse, false});
        all.push_back({{4, 20, symmetric}, 37, 90, permuted, sparse, false});
        all.push_back({{4, -1, symmetric}, 5, 7, permuted, sparse, false});
        all.push_back({{3, 64, symmetric}, 40, 200, permuted, sparse, true});
        all.push_back({{4, 64, symmetric}, 130, 200, permuted, sparse, true});
      }
  for (const int bits : {2, 3, 4, 5, 8})
    for (const bool sparse : {false, true}) {
      const QuantScheme lookup{bits, -1, true, true};
      all.push_back({lookup, 48, 256, false, sparse, false});
      all.push_back({lookup, 33, 1300, false, sparse, true});
      all.push_back({lookup, 5, 7, false, sparse, false});
    }
  return all;
}

std::vector<std::string> broken_promises(const GemmBackend& backend,
                                         const std::vector<BackendCase>& cases) {
  at::manual_seed(51);
  std::vector<std::string> broken;
  int taken = 0;
  for (const BackendCase& made : cases) {
    const WeightShape shape{made.scheme, made.out, made.in, made.permuted, made.sparse};
    if (!backend.unsupported(shape)) {
      ++taken;
      const auto found = Contract(backend, made).check();
      broken.insert(broken.end(), found.begin(), found.end());
      continue;
    }
    const QuantizedTensor weight = random_weight(made);
    const SparseWeight sparse = random_values(made);
    try {
      backend.pack(weight, made.sparse ? &sparse : nullptr);
      broken.push_back(made.name() + ": what is not supported is refused");
    } catch (const UnsupportedError&) {
    }
  }
  if (taken == 0) broken.push_back("some weight is supported");
  return broken;
}

}  // namespace ptq
