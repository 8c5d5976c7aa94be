// Runs a fuzz target without libFuzzer: over known inputs, then over mutations of them. Mutation N
// is the same in every run, so that a failure anywhere can be repeated:
//   NAME COUNT PATH…            run the files (folders: the files in them), then COUNT mutations
//   NAME --save N OUT PATH…     write mutation N, to debug it or to keep it in the corpus
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

constexpr unsigned kSecondsPerInput =
    20;  // a target that takes longer hangs, also under sanitizers
constexpr std::size_t kMaxGrowth = 64U << 10;

// What is running, for the message of a crash; written before each run, read by a signal handler.
std::array<char, 512> g_running;

void say_what_ran(int signal) {
  constexpr char kText[] = "\nfuzz: failed in ";
  static_cast<void>(!::write(2, kText, sizeof(kText) - 1));
  static_cast<void>(!::write(2, g_running.data(), ::strnlen(g_running.data(), g_running.size())));
  static_cast<void>(!::write(2, "\n", 1));
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

Bytes read_input(const fs::path& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return {};
  Bytes bytes(fs::file_size(path));
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
  std::fclose(file);
  return bytes;
}

struct Corpus {
  std::vector<std::string> names;
  std::vector<Bytes> inputs;

  void add(const fs::path& path) {
    if (!fs::is_directory(path)) {
      names.push_back(path.filename().string());
      inputs.push_back(read_input(path));
      return;
    }
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());  // the order of mutations must not depend on the disk
    for (const auto& file : files) add(file);
  }
};

class Mutator {
 public:
  Mutator(const Corpus& corpus, std::uint64_t seed) : corpus_(corpus), random_(seed) {}

  Bytes make() {
    Bytes bytes = corpus_.inputs[below(corpus_.inputs.size())];
    const std::size_t limit = bytes.size() + kMaxGrowth;
    const std::size_t steps = 1 + below(8);
    for (std::size_t i = 0; i < steps; ++i) change(bytes);
    if (bytes.size() > limit) bytes.resize(limit);
    return bytes;
  }

 private:
  // Not std::uniform_int_distribution: its results differ between standard libraries.
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void change(Bytes& bytes) {
    if (bytes.empty()) {
      bytes.push_back(static_cast<std::uint8_t>(random_()));
      return;
    }
    const std::size_t at = below(bytes.size());
    const std::size_t length = 1 + below(std::min<std::size_t>(bytes.size() - at, 64));
    switch (below(8)) {
      case 0:
        bytes[at] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        bytes[at] = static_cast<std::uint8_t>(random_());
        break;
      case 2:
        overwrite_number(bytes, at);
        break;
      case 3:
        bytes.erase(bytes.begin() + offset(at), bytes.begin() + offset(at + length));
        break;
      case 4: {
        const Bytes piece(bytes.begin() + offset(at), bytes.begin() + offset(at + length));
        insert(bytes, below(bytes.size()), piece);
        break;
      }
      case 5:
        bytes.resize(at);
        break;
      case 6:
        splice(bytes, at);
        break;
      default:
        overwrite_text(bytes, at);
    }
  }

  static std::ptrdiff_t offset(std::size_t at) { return static_cast<std::ptrdiff_t>(at); }

  static void insert(Bytes& bytes, std::size_t at, const Bytes& piece) {
    Bytes joined(bytes.begin(), bytes.begin() + offset(at));
    joined.insert(joined.end(), piece.begin(), piece.end());
    joined.insert(joined.end(), bytes.begin() + offset(at), bytes.end());
    bytes = std::move(joined);
  }

  // A number at the edge of its width, where formats are binary.
  void overwrite_number(Bytes& bytes, std::size_t at) {
    constexpr std::array<std::uint64_t, 12> kEdges = {
        0,          1,          0x7f,       0xff,       0x7fff, 0xffff,
        0x7fffffff, 0xffffffff, 0x80000000, 1ULL << 40, ~0ULL,  1ULL << 63};
    const std::uint64_t edge = kEdges[below(kEdges.size())] + below(3) - 1;
    const std::size_t width = std::min<std::size_t>(std::size_t{1} << below(4), bytes.size() - at);
    std::memcpy(bytes.data() + at, &edge, width);
  }

  // The same, where they are text.
  void overwrite_text(Bytes& bytes, std::size_t at) {
    constexpr std::array<const char*, 12> kWords = {"0",
                                                    "-1",
                                                    "18446744073709551616",
                                                    "9223372036854775807",
                                                    "ffffffffffffffff",
                                                    "max",
                                                    "\n",
                                                    ":",
                                                    " ",
                                                    "(",
                                                    ")",
                                                    " (deleted)"};
    const std::string word = kWords[below(kWords.size())];
    insert(bytes, at, Bytes(word.begin(), word.end()));
  }

  void splice(Bytes& bytes, std::size_t at) {
    const Bytes& other = corpus_.inputs[below(corpus_.inputs.size())];
    if (other.empty()) return;
    bytes.resize(at);
    bytes.insert(bytes.end(), other.begin() + offset(below(other.size())), other.end());
  }

  const Corpus& corpus_;
  std::mt19937_64 random_;
};

void run(const Bytes& input, const std::string& name) {
  std::snprintf(g_running.data(), g_running.size(), "%s", name.c_str());
  ::alarm(kSecondsPerInput);
  // A copy of exactly this size, so that a sanitizer sees a read behind its end; never null.
  const Bytes exact(input);
  static const std::uint8_t kNothing = 0;
  LLVMFuzzerTestOneInput(exact.empty() ? &kNothing : exact.data(), exact.size());
  ::alarm(0);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool save = !arguments.empty() && arguments[0] == "--save";
  const std::size_t first_path = save ? 3 : 1;
  if (arguments.size() < first_path) {
    std::fprintf(stderr, "usage: %s COUNT PATH… | --save N OUT PATH…\n", argv[0]);
    return 2;
  }
  Corpus corpus;
  for (std::size_t i = first_path; i < arguments.size(); ++i) {
    if (fs::exists(arguments[i])) corpus.add(arguments[i]);
  }
  if (corpus.inputs.empty()) {
    corpus.names.emplace_back("(empty)");
    corpus.inputs.emplace_back();
  }
  if (save) {
    const Bytes bytes = Mutator(corpus, std::stoull(arguments[1])).make();
    std::ofstream(arguments[2], std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return 0;
  }
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM}) {
    // Sanitizers report by themselves, but only know the bytes, not where they came from.
    ::signal(signal, say_what_ran);
  }
  for (std::size_t i = 0; i < corpus.inputs.size(); ++i) run(corpus.inputs[i], corpus.names[i]);
  const std::uint64_t count = std::stoull(arguments[0]);
  for (std::uint64_t n = 0; n < count; ++n) {
    run(Mutator(corpus, n).make(), "mutation " + std::to_string(n) + " (write it with --save)");
  }
  std::printf("%zu known inputs, %llu mutations\n", corpus.inputs.size(),
              static_cast<unsigned long long>(count));
  return 0;
}
