// Writes the recordings that the fuzzer of recordings begins with into a folder:
//   make_recordings FOLDER
#include <cstdio>
#include <string>

#include "recording/recording.h"
#include "support/sample_run.h"

namespace {

bool write(const std::string& path, memspy::Result<memspy::Unit> (*tell)(memspy::SampleSink&)) {
  for (const char* suffix : {"", "-wal", "-shm"}) std::remove((path + suffix).c_str());
  auto writer = memspy::recording::Writer::create(path);
  return writer.has_value() && tell(**writer).has_value();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  const auto steady = [](memspy::SampleSink& sink) {
    return memspy::testing::tell_steady_service(sink, 60, 5);
  };
  const bool done = write(folder + "/finished.memspy", memspy::testing::tell_sample_run) &&
                    write(folder + "/unfinished.memspy", memspy::testing::tell_unfinished_run) &&
                    write(folder + "/alloc.memspy", memspy::testing::tell_alloc_run) &&
                    write(folder + "/steady.memspy", steady);
  return done ? 0 : 1;
}
