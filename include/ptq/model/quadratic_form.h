#pragma once
#include <cstdint>

#include <ATen/core/Tensor.h>

namespace ptq {

/// tr(A H Aᵀ) for A float32 [out, in] and the symmetric H float32 [in, in], with half of the
/// product.
double quadratic_form(const at::Tensor& a, const at::Tensor& h);

/// What `quadratic_form` takes beside its arguments, in bytes.
int64_t quadratic_form_bytes(int64_t out, int64_t in);

}  // namespace ptq
