// The same source file under another path: what was deployed into another folder, or is another
// Python's library, is still the program that an earlier recording is of.
#pragma once

#include <map>
#include <set>
#include <string>

namespace memspy::report {

// The files of a recording that an earlier one does not have, each with the file of that one that
// it is: the only one that ends in as many of the same folders, at least in the same name, and that
// the recording does not have itself. Files with no such counterpart are absent, as are both of two
// that would have the same.
std::map<std::string, std::string> pair_files(const std::set<std::string>& files,
                                              const std::set<std::string>& earlier);

}  // namespace memspy::report
