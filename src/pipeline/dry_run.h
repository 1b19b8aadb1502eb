#pragma once
#include "session.h"

namespace ptq::detail {

/// What `session` says of its run; the time is not measured.
QuantizePlan plan_of(Session& session);

/// Seconds of the whole run, from block 0: its linears once, its sequences as far as one batch,
/// scaled up.
double measured_seconds(Session& session);

}  // namespace ptq::detail
