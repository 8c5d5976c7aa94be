#include <cerrno>
#include <functional>

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "base/file.h"
#include "recording/code_tables.h"
#include "recording/recording.h"
#include "recording/replay.h"
#include "recording/run_rows.h"
#include "recording/schema.h"
#include "recording/sqlite_db.h"

namespace memspy::recording {
namespace {

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = (value << 8U) | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

Error not_a_recording(const std::string& path, const std::string& why) {
  Error error = make_error(Errc::kUsage, path + " is not a memspy recording");
  error.why = why;
  error.hint = "give a file that memspy record has written (.memspy)";
  return error;
}

// Its head is a recording's.
Error damaged(const std::string& path, const std::string& why) {
  Error error = make_error(Errc::kUsage, "the recording " + path + " is damaged or cut off");
  error.why = why;
  error.hint =
      "copy it again from where it was made, with its -wal; sqlite3 FILE .recover saves what can "
      "be read";
  return error;
}

// Written before the target is attached to: memspy was killed within that moment, or is in it.
Error nothing_yet(const std::string& path) {
  Error error = make_error(Errc::kUsage, "the recording " + path + " holds nothing");
  error.why = "memspy had not begun to sample when it was read, or when memspy was killed";
  return error;
}

// Whatever it holds: it cannot be read here and now.
Error cannot_be_read(const std::string& path, const std::string& why) {
  Error error = make_error(Errc::kUnreadable, "the recording " + path + " cannot be read");
  error.why = why;
  error.hint =
      "the file itself may be whole: look at the disk (room for its index, permissions), "
      "or copy it and its -wal elsewhere";
  return error;
}

// The file's own first bytes, before SQLite sees it: whose it is, and of which version.
Result<Unit> check_head(const std::string& path) {
  constexpr std::size_t kHeaderSize = 100;
  constexpr std::size_t kUserVersionAt = 60, kApplicationIdAt = 68;
  auto head = read_file(path, kHeaderSize);
  if (!head.has_value()) {
    Error error = std::move(head).error();
    if (error.sys == ENOENT || error.sys == EISDIR) error.code = Errc::kUsage;
    return error;
  }
  const std::string magic("SQLite format 3\0", 16);
  if (head->size() < kHeaderSize || !head->starts_with(magic)) {
    const bool begun = head->size() >= magic.size() && head->starts_with(magic);
    if (begun) return damaged(path, fmt::format("it has {} bytes", head->size()));
    return not_a_recording(path, head->empty() ? "it is empty" : "it is not an SQLite database");
  }
  if (big_endian(*head, kApplicationIdAt) != static_cast<std::uint32_t>(kApplicationId)) {
    return not_a_recording(path, "it is an SQLite database of another program");
  }
  const auto version = static_cast<std::int32_t>(big_endian(*head, kUserVersionAt));
  if (version < 1) return not_a_recording(path, "it has no format version");
  if (version > kFormatVersion) {
    Error error =
        make_error(Errc::kUnsupported,
                   fmt::format("{} has recording format {}, and this memspy reads up to {}", path,
                               version, kFormatVersion));
    error.hint = "use the memspy that wrote it, or a newer one";
    return error;
  }
  return Unit{};
}

std::string as_uri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      uri += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    } else {
      uri.push_back(c);
    }
  }
  return uri + "?immutable=1";
}

std::string sentence(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) text.append(text.empty() ? "" : "; ").append(part);
  return text;
}

}  // namespace

struct Reader::Impl {
  std::string path;
  Database db;
  RunHeader header;
  std::optional<RunSummary> summary;
  std::vector<std::string> open_notes;
  std::string note;

  Result<Unit> connect();
  bool usable();
  bool blank();
  void read_rows(const char* table, const std::function<void(const Row&)>& take);
  void read_ends();
};

// Guards against a file made to harm: no code from its schema, no huge values.
bool Reader::Impl::usable() {
  sqlite3_busy_timeout(db.raw(), 5000);
  sqlite3_limit(db.raw(), SQLITE_LIMIT_LENGTH, 64 << 20);
  sqlite3_db_config(db.raw(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  db.exec("PRAGMA cell_size_check=ON; PRAGMA cache_size=-4096; PRAGMA mmap_size=0;");
  return db.query_integer("SELECT count(*) FROM sqlite_schema", -1) >= 0;
}

Result<Unit> Reader::Impl::connect() {
  MEMSPY_TRY(first, Database::open(path, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX));
  db = std::move(first);
  if (usable()) return Unit{};
  int code = db.last_code() & 0xff;
  if (code == SQLITE_CANTOPEN || code == SQLITE_READONLY) {
    // A folder we cannot write in has no room for the index of the -wal file.
    MEMSPY_TRY(second, Database::open(as_uri(path), SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX |
                                                        SQLITE_OPEN_URI));
    db = std::move(second);
    open_notes.emplace_back(
        "read without its -wal file, which needs write access to the folder: "
        "the last ticks may be missing");
    if (usable()) return Unit{};
    code = db.last_code() & 0xff;
  }
  if (code == SQLITE_CORRUPT) {
    // The file is shorter than its header says. With this pragma SQLite reads what is there.
    db.exec("PRAGMA writable_schema=ON");
    open_notes.emplace_back("the file is truncated or damaged");
    if (usable()) return Unit{};
  }
  // NOTADB and what its pages contradict speak of the file; the rest of the disk or of its folder.
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT || code == SQLITE_ERROR)
    return damaged(path, db.last_message());
  return cannot_be_read(path, db.last_message());
}

bool Reader::Impl::blank() {
  return db.query_integer("SELECT count(*) FROM header", 1) == 0 &&
         db.query_integer("SELECT count(*) FROM ticks", 1) == 0;
}

void Reader::Impl::read_rows(const char* table, const std::function<void(const Row&)>& take) {
  for (TableScan scan(db, table, "key, value, typeof(value)", open_notes); scan.next();) {
    const auto& from = scan.row();
    Row row{from.bytes(1), std::int64_t{0}};
    const std::string type = from.bytes(3);
    if (type == "integer") row.value = from.integer(2);
    if (type == "real") row.value = from.real(2);
    if (type == "text") row.value = from.bytes(2);
    if (type == "blob") row.value = Blob{from.bytes(2)};
    take(row);
  }
}

void Reader::Impl::read_ends() {
  db.exec("BEGIN");
  read_rows("header", [this](const Row& row) { apply_header_row(row, header); });
  RunSummary end;
  bool ended = false;
  read_rows("summary", [&](const Row& row) {
    apply_summary_row(row, end);
    ended = ended || row.key == "ended_by";
  });
  if (ended) {
    summary = std::move(end);
  } else {
    const std::chrono::nanoseconds last(
        db.query_integer("SELECT time_ns FROM ticks ORDER BY id DESC LIMIT 1", 0));
    open_notes.push_back(
        fmt::format("the run has no end: it is still being recorded, or was cut short after {}",
                    format_duration(last)));
  }
  db.exec("COMMIT");
  note = sentence(open_notes);
}

Result<Reader> Reader::open(const std::string& path) {
  MEMSPY_CHECK(check_head(path));
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  if (auto connected = impl->connect(); !connected.has_value()) {
    Error error = std::move(connected).error();
    if (error.code == Errc::kInternal) error.code = Errc::kUnreadable;
    return error;
  }
  impl->read_ends();
  if (impl->blank()) return nothing_yet(path);
  return Reader(std::move(impl));
}

Reader::Reader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

const RunHeader& Reader::header() const { return impl_->header; }
const std::optional<RunSummary>& Reader::summary() const { return impl_->summary; }
const std::string& Reader::note() const { return impl_->note; }

Result<Unit> Reader::replay(SampleSink& sink) const {
  // One read transaction: a recording that grows is seen as it was at its begin.
  impl_->db.exec("BEGIN");
  Replay replay(impl_->db, sink);
  auto result = replay.run(impl_->header, impl_->summary);
  impl_->db.exec("COMMIT");
  auto notes = impl_->open_notes;
  notes.insert(notes.end(), replay.damage().begin(), replay.damage().end());
  impl_->note = sentence(notes);
  return std::move(result).context("reading " + impl_->path);
}

std::map<FrameId, std::vector<Frame>> Reader::names() const {
  std::vector<std::string> damage;  // a name that is lost leaves an address
  return read_names(impl_->db, damage);
}

}  // namespace memspy::recording
