// A recording of any bytes: opened and replayed, or refused; never a crash, a hang or a sink that
// is told nonsense.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "recording/profile.h"
#include "recording/recording.h"
#include "recording/shaped.h"
#include "recording/shaped_timeline.h"

namespace {

// SQLite wants a path. In memory where there is such a place; one file, written again and again.
const std::string& path() {
  static const std::string kPath = (::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") +
                                   std::string("/memspy-fuzz-") + std::to_string(::getpid());
  return kPath;
}

void remove_all() {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) ::unlink((path() + suffix).c_str());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  remove_all();
  std::FILE* file = std::fopen(path().c_str(), "wb");
  if (file == nullptr) return 0;
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  {
    auto reader = memspy::recording::Reader::open(path());
    if (reader.has_value()) {
      memspy::recording::Profile profile;
      profile.keep_timeline = true;
      static_cast<void>(reader->replay(profile));
      static_cast<void>(memspy::recording::shape_timeline(profile, {}));
      static_cast<void>(profile.totals());
      using memspy::recording::Amount;
      for (const Amount amount : {Amount::kNet, Amount::kGross, Amount::kTemporary})
        static_cast<void>(memspy::recording::shape_stacks(profile, {}, amount));
    }
  }
  remove_all();
  return 0;
}
