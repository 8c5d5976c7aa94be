// The functions of the format table, one file each. Private to sinks.
#pragma once

#include <ostream>

#include "sinks/sink_registry.h"

namespace memspy::sinks {

Result<Unit> write_folded(const recording::Profile&, const FormatOptions&, std::ostream&);
Result<Unit> write_csv(const recording::Profile&, const FormatOptions&, std::ostream&);
Result<Unit> write_jsonl(const recording::Profile&, const FormatOptions&, std::ostream&);
Result<Unit> write_html(const recording::Profile&, const FormatOptions&, std::ostream&);
Result<Unit> write_svg(const recording::Profile&, const FormatOptions&, std::ostream&);
Result<Unit> write_json(const recording::Profile&, const FormatOptions&, std::ostream&);
Result<Unit> write_pprof(const recording::Profile&, const FormatOptions&, std::ostream&);
Result<Unit> write_speedscope(const recording::Profile&, const FormatOptions&, std::ostream&);

// kOutput if the stream has failed.
Result<Unit> check_stream(const std::ostream& out);

}  // namespace memspy::sinks
