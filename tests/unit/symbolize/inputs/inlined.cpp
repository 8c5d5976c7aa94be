// Inlined functions in each other, a class with members that are only declared, a namespace, a
// lambda, and a part that is moved out of line.
namespace {

struct Row {
  int cells[4] = {};
  int declared_only(int) const;
  template <int Step>
  int sum() const {
    int total = 0;
    for (int at = 0; at < 4; at += Step) total += cells[at];
    return total;
  }
};

inline int doubled(const Row& row) { return 2 * row.sum<1>(); }
inline int quadrupled(const Row& row) { return 2 * doubled(row); }

}  // namespace

namespace inner {
__attribute__((noinline)) int rare(int number) { return number * 31; }
}  // namespace inner

extern "C" int use_rows(int number) {
  Row row;
  const auto fill = [&row](int from) {
    for (int& cell : row.cells) cell = from++;
  };
  fill(number);
  if (__builtin_expect(number == 77, 0)) {
    fill(inner::rare(number));
    if (row.sum<2>() == 5) __builtin_trap();
  }
  return quadrupled(row) + row.sum<2>();
}
