// Templates, inlined functions and a cold part, for the tests of symbols.
#include <map>
#include <string>
#include <vector>

template <typename Value, int Step>
struct Counter {
  std::map<std::string, std::vector<Value>> kept;
  __attribute__((noinline)) Value add(const std::string& name, Value value) {
    auto& row = kept[name];
    for (int at = 0; at < Step; ++at) row.push_back(value + at);
    return row.back();
  }
};

namespace {

template <typename Value>
__attribute__((noinline)) Value in_a_namespace(Value value) {
  return value * 3 + 1;
}

}  // namespace

#ifdef RUST_NAMES
// As Rust's two schemes spell mycrate::keep::row and mycrate::keep::old.
__attribute__((noinline)) int row(int number) __asm__("_RNvNtC7mycrate4keep3row");
int row(int number) { return number * 5; }
__attribute__((noinline)) int old(int number) __asm__("_ZN7mycrate4keep3old17h0123456789abcdefE");
int old(int number) { return number * 7; }
#else
static int row(int number) { return number; }
static int old(int number) { return number; }
#endif

extern "C" int use_them(int number) {
  Counter<long, 3> longs;
  Counter<double, 2> doubles;
  auto twice = [number](auto value) { return value + number; };
  return static_cast<int>(longs.add("a", number) + doubles.add("b", twice(number)) + in_a_namespace(number) +
                          in_a_namespace(2.5 * number) + row(number) + old(number));
}
