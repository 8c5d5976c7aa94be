#include "attach/fault_record.h"

namespace memspy::attach {

FaultWords::FaultWords(const FaultWords& other)
    : registers_(other.registers_), register_count_(other.register_count_) {
  kept_.reserve(other.head_.size() + other.tail_.size());
  kept_.assign(other.head_.begin(), other.head_.end());
  kept_.insert(kept_.end(), other.tail_.begin(), other.tail_.end());
  head_ = kept_;
}

FaultWords& FaultWords::operator=(const FaultWords& other) {
  if (this != &other) *this = FaultWords(other);
  return *this;
}

bool FaultWords::operator==(const FaultWords& other) const {
  if (size() != other.size()) return false;
  for (std::size_t i = 0; i < size(); ++i) {
    if ((*this)[i] != other[i]) return false;
  }
  return true;
}

}  // namespace memspy::attach
