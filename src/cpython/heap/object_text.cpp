#include "cpython/heap/object_text.h"

namespace memspy::cpython {

std::string object_text(ObjectRepr& reprs, RemoteAddr object, const TypeFacts& type,
                        std::size_t cap) {
  switch (type.rule) {
    case TypeRule::kUnicode:
    case TypeRule::kBytes:
    case TypeRule::kLong:
    case TypeRule::kFloat:
    case TypeRule::kNone: {
      std::string text = reprs.repr(object, cap);
      // What could not be decoded is shown as <type at address>.
      return text.starts_with('<') ? std::string() : text;
    }
    default:
      return {};
  }
}

}  // namespace memspy::cpython
