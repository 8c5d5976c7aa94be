#include "base/keyed_hash.h"

#include <sys/random.h>

#include <bit>
#include <cerrno>
#include <cstring>

namespace memspy {
namespace {

// The state and its constants are those of Aumasson and Bernstein's paper.
struct Sip {
  std::uint64_t a, b, c, d;

  explicit Sip(const HashKey& key)
      : a(key.first ^ 0x736f6d6570736575U),
        b(key.second ^ 0x646f72616e646f6dU),
        c(key.first ^ 0x6c7967656e657261U),
        d(key.second ^ 0x7465646279746573U) {}

  void round() {
    a += b;
    c += d;
    b = std::rotl(b, 13) ^ a;
    d = std::rotl(d, 16) ^ c;
    a = std::rotl(a, 32);
    c += b;
    a += d;
    b = std::rotl(b, 17) ^ c;
    d = std::rotl(d, 21) ^ a;
    c = std::rotl(c, 32);
  }
  void take(std::uint64_t word) {
    d ^= word;
    round();
    round();
    a ^= word;
  }
};

}  // namespace

Result<HashKey> random_hash_key() {
  HashKey key;
  // As little as this comes whole, once the kernel's source is ready: which it is when programs
  // run.
  if (::getrandom(&key, sizeof(key), 0) != static_cast<ssize_t>(sizeof(key)))
    return make_error(Errc::kInternal, "no random numbers", errno);
  return key;
}

std::uint64_t keyed_hash(const HashKey& key, std::span<const std::byte> bytes) {
  constexpr std::size_t kWord = 8;
  Sip sip(key);
  std::uint64_t word = 0;
  std::size_t at = 0;
  for (; bytes.size() - at >= kWord; at += kWord) {
    std::memcpy(&word, bytes.data() + at, kWord);
    sip.take(word);
  }
  // The rest, and the length in the last byte.
  word = 0;
  if (at < bytes.size()) std::memcpy(&word, bytes.data() + at, bytes.size() - at);
  sip.take(word | static_cast<std::uint64_t>(bytes.size()) << 56U);
  sip.c ^= 0xff;
  for (int i = 0; i < 4; ++i) sip.round();
  return sip.a ^ sip.b ^ sip.c ^ sip.d;
}

}  // namespace memspy
