// One table of a TOML file, key by key: the first thing that is wrong is kept with its place, and
// so is a key that nobody asked for.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include "memspy/result.h"

namespace memspy::daemon {

class TableReader {
 public:
  // `path`: of the file, for messages. `section`: "recorder", "" at top level.
  TableReader(const toml::table& table, std::string path, std::string section);

  // Each leaves `out` as it is when the key is absent or wrong.
  void text(const char* key, std::string& out);
  void flag(const char* key, bool& out);
  void number(const char* key, double& out, double least, double most);
  void count(const char* key, unsigned& out, unsigned least, unsigned most);
  void duration(const char* key, std::chrono::nanoseconds& out, std::chrono::nanoseconds least);
  void bytes(const char* key, std::uint64_t& out, std::uint64_t least);
  void words(const char* key, std::vector<std::string>& out);
  void labels(const char* key, std::vector<std::pair<std::string, std::string>>& out);
  // The table of that name; nullptr when there is none.
  const toml::table* section(const char* key);
  // The tables of an array of tables.
  std::vector<const toml::table*> sections(const char* key);

  // A value of `key` that the caller has found wrong.
  void refuse(const char* key, const std::string& why);
  // The first mistake, or a key that was not asked for.
  Result<Unit> done();

 private:
  const toml::node* find(const char* key);
  void refuse(const toml::node& at, const std::string& key, const std::string& why);
  const toml::table& table_;
  std::string path_, section_;
  std::set<std::string, std::less<>> asked_;
  std::optional<Error> error_;
};

}  // namespace memspy::daemon
