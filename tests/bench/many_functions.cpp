// Of the benchmark of names and lines: a unit whose debug information is large, as C++ has it.
#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

template <int N>
struct Record {
  std::map<std::string, std::vector<int>> index;
  std::unordered_map<int, std::string> names;
  std::variant<int, double, std::string> value;
  int work(const std::string& text) {
    std::regex pattern("a+" + std::to_string(N));
    std::smatch match;
    if (std::regex_search(text, match, pattern)) index[match[0]].push_back(N);
    std::sort(index[text].begin(), index[text].end(),
              [](int a, int b) { return a % (N + 2) < b % (N + 2); });
    names.emplace(N, text);
    std::ostringstream out;
    for (const auto& [key, list] : index) out << key << list.size();
    value = out.str();
    return static_cast<int>(std::visit([](const auto& v) { return sizeof(v); }, value));
  }
};

template <int... N>
int all(std::integer_sequence<int, N...>, const std::string& text) {
  return (Record<N>{}.work(text) + ...);
}

}  // namespace

int entry(const char* text) { return all(std::make_integer_sequence<int, 24>{}, text); }
