#include "sinks/pprof_encoder.h"

namespace memspy::sinks::pprof {

void write_type(pbf_writer& to, pbf_tag_type tag, Strings& strings, const char* type,
                const char* unit) {
  pbf_writer message(to, tag);
  message.add_int64(value_type::kType, strings.index(type));
  message.add_int64(value_type::kUnit, strings.index(unit));
}

}  // namespace memspy::sinks::pprof
