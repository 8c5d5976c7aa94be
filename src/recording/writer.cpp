#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <map>
#include <unordered_map>

#include <spdlog/fmt/fmt.h>

#include "base/duration.h"
#include "base/unique_fd.h"
#include "recording/packed_growth.h"
#include "recording/recording.h"
#include "recording/run_rows.h"
#include "recording/schema.h"
#include "recording/sqlite_db.h"

namespace memspy::recording {
namespace {

struct Totals {
  std::uint64_t touched = 0, returned = 0, samples = 0;
};
struct TotalsKey {
  std::uint32_t process, thread, stack;
  auto operator<=>(const TotalsKey&) const = default;
};

std::int64_t as_sql(std::uint64_t value) {
  return static_cast<std::int64_t>(std::min(value, kMaxGrowthBytes));
}

Result<Unit> claim_new_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (fd.valid()) return Unit{};
  const int err = errno;
  Error error = make_error(Errc::kOutput, "cannot create the recording " + path, err);
  if (err == EEXIST) error.hint = "give another name, or --force to replace it";
  return error;
}

}  // namespace

struct Writer::Impl {
  std::string path;
  Database db;
  Statement tick, process, thread, file, frame, stack, point, growth, unattributed, live, temporary,
      allocation, gap;
  Statement module, address;
  std::int64_t current_tick = 1;  // the one that the next on_tick_end closes
  bool in_transaction = false;
  bool failed = false;
  std::chrono::nanoseconds kept_until{};  // time of the last committed tick
  std::unordered_map<std::string, std::int64_t> files;
  std::map<std::pair<std::string, std::string>, std::int64_t> modules;  // by path and build id
  GrowthPacker packer;
  std::chrono::nanoseconds packed_time{};  // of the records in `packer`
  std::map<TotalsKey, Totals> totals;

  Result<Unit> check(int code);
  Result<Unit> begin();
  Result<Unit> commit();
  Result<Unit> run(Statement& statement);
  Result<Unit> flush_growth();
  Result<Unit> prepare_statements();
  Result<Unit> set_up();
  Result<Unit> write_rows(const char* table, const std::vector<Row>& rows);
  Result<Unit> write_totals();
  Result<std::int64_t> file_id(const std::string& name);
  Result<Unit> write_address(FrameId id, const CodeAddress& code);
};

Result<Unit> Writer::Impl::check(int code) {
  if (code == SQLITE_OK) return Unit{};
  failed = true;
  const int primary = code & 0xff;
  const int sys = primary == SQLITE_FULL ? ENOSPC : db.last_errno();
  Error error =
      make_error(primary == SQLITE_CONSTRAINT ? Errc::kInternal : Errc::kOutput,
                 fmt::format("cannot write the recording {} ({})", path, db.last_message()), sys);
  if (kept_until > std::chrono::nanoseconds(0)) {
    error.why =
        fmt::format("what was recorded until {} is kept in {}", format_duration(kept_until), path);
  } else {
    error.why = "nothing had been recorded yet";
  }
  if (sqlite3_get_autocommit(db.raw()) == 0) db.exec("ROLLBACK");
  in_transaction = false;
  return error;
}

Result<Unit> Writer::Impl::begin() {
  if (failed) {
    return make_error(Errc::kOutput, "the recording " + path + " has already failed");
  }
  if (in_transaction) return Unit{};
  MEMSPY_CHECK(check(db.exec("BEGIN IMMEDIATE")));
  in_transaction = true;
  return Unit{};
}

Result<Unit> Writer::Impl::commit() {
  if (!in_transaction) return Unit{};
  MEMSPY_CHECK(check(db.exec("COMMIT")));
  in_transaction = false;
  return Unit{};
}

Result<Unit> Writer::Impl::run(Statement& statement) {
  MEMSPY_CHECK(begin());
  return check(statement.run());
}

Result<Unit> Writer::Impl::flush_growth() {
  if (packer.empty()) return Unit{};
  growth.bind(1, current_tick)
      .bind(2, std::int64_t{packed_time.count()})
      .bind_blob(3, packer.bytes());
  MEMSPY_CHECK(run(growth));
  packer.clear();
  return Unit{};
}

Result<Unit> Writer::Impl::prepare_statements() {
  tick = db.prepare("INSERT INTO ticks(id, time_ns) VALUES(?,?)");
  process = db.prepare(
      "INSERT INTO processes(tick, process, parent, pid, start_ticks, name, command_line, "
      "python_version, executable, first_seen_ns) VALUES(?,?,?,?,?,?,?,?,?,?)");
  thread = db.prepare("INSERT INTO threads(tick, thread, process, tid, name) VALUES(?,?,?,?,?)");
  file = db.prepare("INSERT INTO files(id, path) VALUES(?,?)");
  frame = db.prepare("INSERT INTO frames(id, function, file, line, kind) VALUES(?,?,?,?,?)");
  module = db.prepare("INSERT INTO modules(id, path, build_id) VALUES(?,?,?)");
  address = db.prepare("INSERT INTO addresses(id, module, address) VALUES(?,?,?)");
  stack = db.prepare("INSERT INTO stacks(id, parent, frame) VALUES(?,?,?)");
  point = db.prepare(insert_point_sql());
  growth = db.prepare("INSERT INTO growth(tick, time_ns, records) VALUES(?,?,?)");
  unattributed =
      db.prepare("INSERT INTO unattributed(tick, time_ns, process, bytes) VALUES(?,?,?,?)");
  live = db.prepare(
      "INSERT INTO live(tick, time_ns, process, thread, stack, bytes, standard_error_bytes, "
      "blocks, survived_ns, collections) VALUES(?,?,?,?,?,?,?,?,?,?)");
  temporary = db.prepare(
      "INSERT INTO temporaries(tick, time_ns, process, thread, stack, objects) "
      "VALUES(?,?,?,?,?,?)");
  allocation = db.prepare(
      "INSERT INTO allocation(tick, time_ns, process, thread, stack, cpu_ns, samples) "
      "VALUES(?,?,?,?,?,?,?)");
  gap = db.prepare(
      "INSERT INTO gaps(tick, time_ns, duration_ns, process, reason, samples) VALUES(?,?,?,?,?,?)");
  for (const Statement* s :
       {&tick, &process, &thread, &file, &frame, &module, &address, &stack, &point, &growth,
        &unattributed, &live, &temporary, &allocation, &gap}) {
    if (!s->valid())
      return make_error(Errc::kInternal,
                        "the schema and its statements differ: " + db.last_message());
  }
  return Unit{};
}

Result<Unit> Writer::Impl::set_up() {
  // Id, version and schema go in before WAL is on, so that they stand in the file itself: a reader
  // can tell what it is without the -wal file. The cache is small because memspy's own memory is
  // budgeted; the rest of the pragmas bound the WAL to about a megabyte.
  const std::string setup = fmt::format(
      "PRAGMA page_size=4096; PRAGMA cache_size=-512; PRAGMA application_id={}; BEGIN IMMEDIATE; "
      "PRAGMA user_version={}; {} COMMIT;",
      kApplicationId, kFormatVersion, schema_sql());
  sqlite3_busy_timeout(db.raw(), 5000);
  MEMSPY_CHECK(check(db.exec(setup)));
  // Filesystems without shared memory keep the rollback journal: still right, readers may wait.
  MEMSPY_CHECK(
      check(db.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
                    "PRAGMA wal_autocheckpoint=256; PRAGMA journal_size_limit=1048576;")));
  return prepare_statements();
}

Result<Unit> Writer::Impl::write_rows(const char* table, const std::vector<Row>& rows) {
  MEMSPY_CHECK(begin());
  Statement insert = db.prepare(fmt::format("INSERT INTO {}(key, value) VALUES(?,?)", table));
  if (!insert.valid()) return check(db.last_code());
  for (const auto& row : rows) {
    insert.bind_text(1, row.key);
    if (const auto* integer = std::get_if<std::int64_t>(&row.value)) insert.bind(2, *integer);
    if (const auto* real = std::get_if<double>(&row.value)) insert.bind(2, *real);
    if (const auto* text = std::get_if<std::string>(&row.value)) insert.bind_text(2, *text);
    if (const auto* blob = std::get_if<Blob>(&row.value)) insert.bind_blob(2, blob->bytes);
    MEMSPY_CHECK(check(insert.run()));
  }
  return Unit{};
}

Result<Unit> Writer::Impl::write_totals() {
  MEMSPY_CHECK(begin());
  Statement insert = db.prepare(
      "INSERT INTO growth_totals(process, thread, stack, touched_bytes, returned_bytes, samples) "
      "VALUES(?,?,?,?,?,?)");
  if (!insert.valid()) return check(db.last_code());
  for (const auto& [key, sum] : totals) {
    insert.bind(1, std::int64_t{key.process}).bind(2, std::int64_t{key.thread});
    insert.bind(3, std::int64_t{key.stack}).bind(4, as_sql(sum.touched));
    insert.bind(5, as_sql(sum.returned)).bind(6, as_sql(sum.samples));
    MEMSPY_CHECK(check(insert.run()));
  }
  return Unit{};
}

Result<std::int64_t> Writer::Impl::file_id(const std::string& name) {
  if (name.empty()) return std::int64_t{0};
  const auto [it, fresh] = files.try_emplace(name, static_cast<std::int64_t>(files.size()) + 1);
  if (fresh) {
    file.bind(1, it->second).bind_text(2, name);
    MEMSPY_CHECK(run(file));
  }
  return it->second;
}

Result<std::unique_ptr<Writer>> Writer::create(const std::string& path) {
  MEMSPY_CHECK(claim_new_file(path));
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  auto db = Database::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
  auto ready = Result<Unit>(Unit{});
  if (db.has_value()) {
    impl->db = std::move(db).value();
    ready = impl->set_up();
  } else {
    ready = std::move(db).error();
  }
  if (!ready.has_value()) {
    // Nothing is in it, and a file of ours that is no recording would only confuse.
    ::unlink(path.c_str());
    Error error = std::move(ready).error();
    error.code = Errc::kOutput;
    error.why.clear();
    return error;
  }
  return std::unique_ptr<Writer>(new Writer(std::move(impl)));
}

Writer::Writer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

// Without finish() the recording has no summary, but every record that came in.
Writer::~Writer() {
  if (impl_->failed) return;
  if (impl_->flush_growth().has_value()) static_cast<void>(impl_->commit());
}

Result<Unit> Writer::on_header(const RunHeader& header) {
  MEMSPY_CHECK(impl_->write_rows("header", header_rows(header)));
  return impl_->commit();
}

Result<Unit> Writer::on_process(const ProcessRecord& record) {
  const std::string arguments = join_arguments(record.command_line);
  auto& s = impl_->process;
  s.bind(1, impl_->current_tick).bind(2, std::int64_t{record.index.value});
  s.bind(3, std::int64_t{record.parent.value}).bind(4, std::int64_t{record.identity.pid.value});
  s.bind(5, static_cast<std::int64_t>(record.identity.start_ticks)).bind_text(6, record.name);
  s.bind_blob(7, arguments).bind_text(8, record.python_version).bind_text(9, record.executable);
  s.bind(10, std::int64_t{record.first_seen.count()});
  return impl_->run(s);
}

Result<Unit> Writer::on_thread(const ThreadRecord& record) {
  auto& s = impl_->thread;
  s.bind(1, impl_->current_tick).bind(2, std::int64_t{record.index.value});
  s.bind(3, std::int64_t{record.process.value}).bind(4, std::int64_t{record.tid.value});
  s.bind_text(5, record.name);
  return impl_->run(s);
}

Result<Unit> Writer::Impl::write_address(FrameId id, const CodeAddress& code) {
  const auto [it, fresh] = modules.try_emplace({code.module, code.build_id},
                                               static_cast<std::int64_t>(modules.size()) + 1);
  if (fresh) {
    module.bind(1, it->second).bind_text(2, code.module).bind_text(3, code.build_id);
    MEMSPY_CHECK(run(module));
  }
  address.bind(1, std::int64_t{id.value}).bind(2, it->second);
  address.bind(3, static_cast<std::int64_t>(code.address));
  return run(address);
}

Result<Unit> Writer::on_frame(FrameId id, const Frame& frame) {
  MEMSPY_TRY(file, impl_->file_id(frame.file));
  auto& s = impl_->frame;
  s.bind(1, std::int64_t{id.value}).bind_text(2, frame.function).bind(3, file);
  s.bind(4, std::int64_t{frame.line}).bind(5, static_cast<std::int64_t>(frame.kind));
  MEMSPY_CHECK(impl_->run(s));
  return frame.code.module.empty() ? Unit{} : impl_->write_address(id, frame.code);
}

Result<Unit> Writer::on_stack(StackId id, const StackTable::Node& node) {
  auto& s = impl_->stack;
  s.bind(1, std::int64_t{id.value}).bind(2, std::int64_t{node.parent.value});
  s.bind(3, std::int64_t{node.frame.value});
  return impl_->run(s);
}

Result<Unit> Writer::on_point(const SeriesPoint& point) {
  auto& s = impl_->point;
  s.bind(1, impl_->current_tick).bind(2, std::int64_t{point.time.count()});
  s.bind(3, std::int64_t{point.process.value});
  constexpr double kExact = 9007199254740992.0;  // 2^53: whole numbers below are exact, and short
  for (std::size_t i = 0; i < kSeriesColumnCount; ++i) {
    const int at = static_cast<int>(i) + 4;
    const auto& value = point.values[i];
    if (!value.has_value()) {
      s.bind_null(at);
    } else if (std::abs(*value) <= kExact && std::trunc(*value) == *value) {
      s.bind(at, static_cast<std::int64_t>(*value));
    } else {
      s.bind(at, *value);
    }
  }
  return impl_->run(s);
}

Result<Unit> Writer::on_growth(const GrowthRecord& growth) {
  auto& impl = *impl_;
  if (growth.time != impl.packed_time) MEMSPY_CHECK(impl.flush_growth());
  impl.packed_time = growth.time;
  impl.packer.add(growth);
  auto& sum = impl.totals[{growth.process.value, growth.thread.value, growth.stack.value}];
  sum.touched += growth.touched_bytes;
  sum.returned += growth.returned_bytes;
  sum.samples += growth.samples;
  return Unit{};
}

Result<Unit> Writer::on_unattributed(const UnattributedRecord& rest) {
  auto& s = impl_->unattributed;
  s.bind(1, impl_->current_tick).bind(2, std::int64_t{rest.time.count()});
  s.bind(3, std::int64_t{rest.process.value}).bind(4, rest.bytes);
  return impl_->run(s);
}

namespace {

// Of a record of one stack: the tables of these begin alike.
template <typename Record>
Statement& bind_owner(Statement& s, std::int64_t tick, const Record& record) {
  s.bind(1, tick).bind(2, std::int64_t{record.time.count()});
  s.bind(3, std::int64_t{record.process.value}).bind(4, std::int64_t{record.thread.value});
  return s.bind(5, std::int64_t{record.stack.value});
}

}  // namespace

Result<Unit> Writer::on_live(const LiveRecord& record) {
  auto& s = impl_->live;
  bind_owner(s, impl_->current_tick, record).bind(6, as_sql(record.bytes));
  s.bind(7, as_sql(record.standard_error_bytes)).bind(8, std::int64_t{record.blocks});
  s.bind(9, std::int64_t{record.survived.count()}).bind(10, as_sql(record.collections));
  return impl_->run(s);
}

Result<Unit> Writer::on_temporary(const TemporaryRecord& record) {
  auto& s = impl_->temporary;
  bind_owner(s, impl_->current_tick, record).bind(6, as_sql(record.objects));
  return impl_->run(s);
}

Result<Unit> Writer::on_allocation(const AllocationRecord& record) {
  auto& s = impl_->allocation;
  bind_owner(s, impl_->current_tick, record).bind(6, std::int64_t{record.cpu_time.count()});
  s.bind(7, std::int64_t{record.samples});
  return impl_->run(s);
}

Result<Unit> Writer::on_gap(const Gap& gap) {
  auto& s = impl_->gap;
  s.bind(1, impl_->current_tick).bind(2, std::int64_t{gap.time.count()});
  s.bind(3, std::int64_t{gap.duration.count()}).bind(4, std::int64_t{gap.process.value});
  s.bind_text(5, gap.reason).bind(6, as_sql(gap.samples));
  return impl_->run(s);
}

Result<Unit> Writer::on_tick_end(std::chrono::nanoseconds time) {
  MEMSPY_CHECK(impl_->flush_growth());
  impl_->tick.bind(1, impl_->current_tick).bind(2, std::int64_t{time.count()});
  MEMSPY_CHECK(impl_->run(impl_->tick));
  MEMSPY_CHECK(impl_->commit());
  impl_->kept_until = time;
  ++impl_->current_tick;
  return Unit{};
}

void Writer::fold() { impl_->db.exec("PRAGMA wal_checkpoint(TRUNCATE)"); }

Result<Unit> Writer::finish(const RunSummary& summary) {
  MEMSPY_CHECK(impl_->flush_growth());
  MEMSPY_CHECK(impl_->write_totals());
  MEMSPY_CHECK(impl_->write_rows("summary", summary_rows(summary)));
  MEMSPY_CHECK(impl_->commit());
  // A reader that is at work keeps the WAL alive; the recording is whole all the same, and the
  // last one to close it folds the rest in.
  impl_->db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  impl_->db.exec("PRAGMA journal_mode=DELETE");
  return Unit{};
}

}  // namespace memspy::recording
