/* Runs in the kernel at each Nth page fault of a watched thread, and where it writes to a watched
 * address, on that thread: follows its Python frames and copies them out. Nobody stops, and no thread
 * of memspy runs for it.
 *
 * It knows no version of CPython: where things are it is told (struct memspy_bpf_walk). The layout
 * of the kernel's own structures is taken from the running kernel (CO-RE); what is declared here
 * is what is used.
 *
 * Every read may fail and every loop ends: target memory is hostile here as everywhere.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel_record.h"

#define MAX_THREAD_STEPS 4096 /* of all interpreters' lists */
#define RING_BYTES (1 << 20)
#define USER_MODE_CS 3        /* the privilege level in the code segment */
#define PAGE_BYTES 4096
#define WINDOW_BYTES 1024

struct thread_struct {
  unsigned long fsbase;
} __attribute__((preserve_access_index));

struct mm_struct;

struct signal_struct {
  struct {
    int counter;
  } live;
  int group_exit_code;
} __attribute__((preserve_access_index));

struct task_struct {
  int pid;
  int tgid;
  int exit_code;
  struct mm_struct *mm;
  struct signal_struct *signal;
  struct thread_struct thread;
} __attribute__((preserve_access_index));

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MEMSPY_BPF_PROCESSES);
  __type(key, __u32);
  __type(value, struct memspy_bpf_walk);
} walks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MEMSPY_BPF_THREADS);
  __type(key, __u32);
  __type(value, struct memspy_bpf_thread);
} threads SEC(".maps");

/* Process ids of the kernel's own namespace, to process numbers. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MEMSPY_BPF_PROCESSES);
  __type(key, __u32);
  __type(value, __u32);
} processes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MEMSPY_BPF_WATCHED);
  __type(key, struct memspy_bpf_watched);
  __type(value, __s64);
} watched SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, RING_BYTES);
} records SEC(".maps");

/* The record as it will be, and what only the program needs. */
struct scratch {
  struct memspy_bpf_record record;
  unsigned char frames[MEMSPY_BPF_FRAMES * MEMSPY_BPF_MAX_STRIDE];
  unsigned char state[MEMSPY_BPF_STATE_BYTES];
  unsigned char window[WINDOW_BYTES + MEMSPY_BPF_CHUNK_FRAME_BYTES];
  struct memspy_bpf_thread newborn; /* one that memspy has not heard of */
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct scratch);
} scratches SEC(".maps");

volatile struct memspy_bpf_shared shared = {};

static __always_inline __u64 read_word(__u64 address) {
  __u64 value = 0;
  if (address == 0 || bpf_probe_read_user(&value, sizeof(value), (void *)address) != 0) return 0;
  return value;
}

/* --- which Python state --- */

struct search {
  struct memspy_bpf_walk walk;
  __u64 thread_id;
  __u64 interpreter, thread; /* where the search is */
  __u64 found;               /* runs Python code; or, the best so far */
  __u64 several;             /* interpreters. No count: the verifier would follow each value */
};

/* A read costs what it costs to get at user memory, some 75 ns, however short it is: of a state all
 * that is needed is read at once. */
static __always_inline int read_state(struct scratch *scratch, const struct memspy_bpf_walk *walk,
                                      __u64 state) {
  __u32 bytes = walk->thread_bytes;
  if (bytes > MEMSPY_BPF_STATE_BYTES) return 0;
  return bpf_probe_read_user(scratch->state, bytes, (void *)state) == 0;
}

static __always_inline __u64 field(const struct scratch *scratch, __u32 offset) {
  __u64 at = offset;
  barrier_var(at); /* the bound that is checked is that of the register that is used */
  if (at > MEMSPY_BPF_STATE_BYTES - sizeof(__u64)) return 0;
  return *(const __u64 *)(scratch->state + at);
}

static __always_inline __u64 frame_behind(const struct memspy_bpf_walk *walk, __u64 anchor) {
  if (!walk->through_cframe || anchor == 0) return anchor;
  return read_word(anchor + walk->cframe_current);
}

static long search_step(__u32 index, void *context) {
  struct search *search = context;
  if (search->thread == 0) {
    if (search->interpreter == 0) return 1;
    search->thread = read_word(search->interpreter + search->walk.interpreter_threads);
    search->interpreter = read_word(search->interpreter + search->walk.interpreter_next);
    if (search->interpreter != 0) search->several = 1;
    return 0;
  }
  const __u64 thread = search->thread;
  search->thread = read_word(thread + search->walk.thread_next);
  if (read_word(thread + search->walk.thread_id) != search->thread_id) return 0;
  search->found = thread;
  /* A thread may have a state in each of several interpreters, and run in one. */
  return frame_behind(&search->walk, read_word(thread + search->walk.thread_anchor)) != 0;
}

/* A freed state keeps most of its bytes: what counts is that the list leads to it. */
static __always_inline int is_current(struct scratch *scratch, const struct memspy_bpf_walk *walk,
                                      __u64 state, __u64 thread_id) {
  if (state == 0 || !read_state(scratch, walk, state) ||
      field(scratch, walk->thread_id) != thread_id)
    return 0;
  const __u64 previous = field(scratch, walk->thread_prev);
  const __u64 link = previous != 0
                         ? previous + walk->thread_next
                         : field(scratch, walk->thread_interpreter) + walk->interpreter_threads;
  return read_word(link) == state;
}

/* Leaves the state's bytes in the scratch. */
static __always_inline __u64 find_state(struct scratch *scratch, const struct memspy_bpf_walk *walk,
                                        struct memspy_bpf_thread *thread, __u64 thread_id) {
  if (is_current(scratch, walk, thread->state, thread_id)) return thread->state;
  struct search search = {.walk = *walk, .thread_id = thread_id};
  search.interpreter = read_word(walk->interpreters_head);
  bpf_loop(MAX_THREAD_STEPS, search_step, &search, 0);
  thread->state = search.several ? 0 : search.found;
  if (search.found != 0 && !read_state(scratch, walk, search.found)) return 0;
  return search.found;
}

/* --- its frames --- */

struct follow {
  __u64 frame;
  __u32 previous, bytes, stride;
  __u32 place; /* of the next frame in the record */
  __u32 count, flags;
  __u64 window, window_end; /* target memory that is in the scratch; both 0: none */
  __u64 in_chunks;
};

/* Of a chunk of frames, what lies below one of them and within its page, which has been touched: five
 * to ten frames at the price of one read. */
static __always_inline void move_window(struct scratch *scratch, struct follow *follow) {
  const __u64 end = follow->frame + follow->bytes, page = follow->frame & ~(PAGE_BYTES - 1ULL);
  const __u64 begin = end - WINDOW_BYTES > page ? end - WINDOW_BYTES : page;
  __u64 size = end - begin;
  barrier_var(size);
  follow->window = follow->window_end = 0;
  if (size > WINDOW_BYTES || bpf_probe_read_user(scratch->window, size, (void *)begin) != 0) return;
  follow->window = begin;
  follow->window_end = end;
}

/* The interpreter's own frames lie on the C stack, those of generators in the heap: after one of
 * them the chain mostly comes back to where it was. */
static __always_inline int copy_from_window(struct scratch *scratch, struct follow *follow,
                                            unsigned char *to) {
  if (!follow->in_chunks) return 0;
  if (follow->window == 0 ||
      (follow->frame < follow->window && follow->window - follow->frame < PAGE_BYTES))
    move_window(scratch, follow);
  if (follow->frame < follow->window || follow->frame + follow->bytes > follow->window_end)
    return 0;
  __u64 at = follow->frame - follow->window;
  barrier_var(at);
  if (at > WINDOW_BYTES) return 0;
  __builtin_memcpy(to, scratch->window + at, MEMSPY_BPF_CHUNK_FRAME_BYTES);
  return 1;
}

static long follow_step(__u32 index, void *context) {
  struct follow *follow = context;
  const __u32 zero = 0;
  struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
  __u64 at = follow->place;
  barrier_var(at);
  if (scratch == 0 || follow->frame == 0) return 1;
  if (at > sizeof(scratch->frames) - MEMSPY_BPF_MAX_STRIDE) return 1;
  unsigned char *to = scratch->frames + at;
  __u32 bytes = follow->bytes, previous = follow->previous;
  if (bytes > MEMSPY_BPF_FRAME_BYTES || previous > MEMSPY_BPF_FRAME_BYTES - sizeof(__u64)) return 1;
  if (!copy_from_window(scratch, follow, to + sizeof(__u64)) &&
      bpf_probe_read_user(to + sizeof(__u64), bytes, (void *)follow->frame) != 0) {
    follow->flags |= MEMSPY_BPF_UNREADABLE;
    return 1;
  }
  *(__u64 *)to = follow->frame;
  follow->place += follow->stride;
  follow->count = index + 1;
  follow->frame = *(__u64 *)(to + sizeof(__u64) + previous);
  return 0;
}

static __always_inline int collects(const struct scratch *scratch,
                                    const struct memspy_bpf_walk *walk) {
  __u64 flag = walk->collecting_flag;
  __s32 collecting = 0;
  if (flag == 0 && walk->interpreter_collecting != 0)
    flag = field(scratch, walk->thread_interpreter) + walk->interpreter_collecting;
  if (flag == 0) return 0;
  bpf_probe_read_user(&collecting, sizeof(collecting), (void *)flag);
  return collecting != 0;
}

/* Of the thread whose state is in the scratch. Returns how long the record is with them. */
static __always_inline __u64 follow_frames(struct scratch *scratch,
                                           const struct memspy_bpf_walk *walk) {
  struct memspy_bpf_record *record = &scratch->record;
  struct follow follow = {.previous = walk->frame_previous,
                          .bytes = walk->frame_bytes,
                          .stride = MEMSPY_BPF_FRAME_STRIDE(walk->frame_bytes),
                          .in_chunks = walk->frames_in_chunks};
  record->innermost = frame_behind(walk, field(scratch, walk->thread_anchor));
  record->frame_bytes = walk->frame_bytes;
  follow.frame = record->innermost;
  bpf_loop(MEMSPY_BPF_FRAMES, follow_step, &follow, 0);
  record->frames = follow.count;
  record->flags |= follow.flags;
  if (follow.frame != 0 && (follow.flags & MEMSPY_BPF_UNREADABLE) == 0)
    record->flags |= MEMSPY_BPF_TRUNCATED;
  if (collects(scratch, walk)) record->flags |= MEMSPY_BPF_COLLECTING;
  return sizeof(*record) + follow.place;
}

/* --- a record of the current thread --- */

static __always_inline void begin_record(struct memspy_bpf_record *record, __u32 kind, __u32 process,
                                         __u32 tid, __u64 address) {
  __builtin_memset(record, 0, sizeof(*record));
  record->kind = kind;
  record->process = process;
  record->tid = tid;
  record->address = address;
}

/* Returns how long the record is with its frames. */
static __always_inline __u64 add_stack(struct scratch *scratch, const struct memspy_bpf_walk *walk,
                                       struct memspy_bpf_thread *thread) {
  struct memspy_bpf_record *record = &scratch->record;
  struct task_struct *task = (struct task_struct *)bpf_get_current_task();
  record->thread_id = BPF_CORE_READ(task, thread.fsbase);
  if (walk->interpreters_head == 0) return sizeof(*record);
  record->state = find_state(scratch, walk, thread, record->thread_id);
  if (record->state != 0) return follow_frames(scratch, walk);
  record->flags |= MEMSPY_BPF_NO_STATE;
  return sizeof(*record);
}

/* memspy looks twenty times a second; a quarter of the ring is a burst that should not wait. The last
 * quarter is for forks, execs and ends, which nothing makes good. 0: it was left. */
static __always_inline long leave(const struct scratch *scratch, __u64 size, int now) {
  barrier_var(size);
  if (size > sizeof(scratch->record) + sizeof(scratch->frames)) return -1;
  const __u64 waiting = bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA);
  if (waiting > 3 * RING_BYTES / 4) {
    __sync_fetch_and_add(&shared.without_room, 1);
    return -1;
  }
  const __u64 wake = now || waiting > RING_BYTES / 4 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
  return bpf_ringbuf_output(&records, (void *)scratch, size, wake);
}

/* --- page faults; the cookie is the process number above the thread id --- */

SEC("perf_event")
int on_fault(struct bpf_perf_event_data *context) {
  if (shared.records_left <= 0) return 0;
  const __u64 cookie = bpf_get_attach_cookie(context);
  const __u32 process = cookie >> 32, tid = (__u32)cookie, zero = 0;
  struct memspy_bpf_walk *walk = bpf_map_lookup_elem(&walks, &process);
  struct memspy_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
  struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
  struct bpf_perf_event_value value;
  if (walk == 0 || thread == 0 || scratch == 0) return 0;
  if (bpf_perf_prog_read_value(context, &value, sizeof(value)) != 0) return 0;
  if (value.counter <= thread->counted) return 0;
  __sync_fetch_and_sub(&shared.records_left, 1);
  begin_record(&scratch->record, MEMSPY_BPF_FAULT, process, tid, context->addr);
  scratch->record.faults = value.counter - thread->counted;
  if ((context->regs.cs & USER_MODE_CS) == 0) scratch->record.flags |= MEMSPY_BPF_IN_KERNEL;
  const __u64 size = add_stack(scratch, walk, thread);
  if (leave(scratch, size, 0) == 0) thread->counted = value.counter;
  return 0;
}

/* --- writes to watched addresses --- */

/* A thread that was started a moment ago has its starter's watches, and memspy knows nothing of it
 * yet. 0: nobody's. */
static __always_inline struct memspy_bpf_thread *current_thread(struct scratch *scratch) {
  const __u64 id = bpf_get_current_pid_tgid();
  const __u32 tid = (__u32)id, tgid = id >> 32;
  struct memspy_bpf_thread *thread = bpf_map_lookup_elem(&threads, &tid);
  if (thread != 0) return thread;
  const __u32 *process = bpf_map_lookup_elem(&processes, &tgid);
  if (process == 0) return 0;
  __builtin_memset(&scratch->newborn, 0, sizeof(scratch->newborn));
  scratch->newborn.process = *process;
  return &scratch->newborn;
}

/* What is left unrecorded is in the event's count. */
SEC("perf_event")
int on_write(struct bpf_perf_event_data *context) {
  const __u32 zero = 0;
  struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
  if (scratch == 0) return 0;
  struct memspy_bpf_thread *thread = current_thread(scratch);
  if (thread == 0) return 0;
  const __u32 process = thread->process;
  const struct memspy_bpf_watched key = {.address = context->addr, .process = process};
  struct memspy_bpf_walk *walk = bpf_map_lookup_elem(&walks, &process);
  __s64 *left = bpf_map_lookup_elem(&watched, &key);
  if (walk == 0 || left == 0) return 0;
  const __s64 before = __sync_fetch_and_sub(left, 1);
  if (before <= 0) return 0;
  struct memspy_bpf_record *record = &scratch->record;
  begin_record(record, MEMSPY_BPF_WRITE, process, (__u32)bpf_get_current_pid_tgid(), context->addr);
  record->time = bpf_ktime_get_ns();
  record->written = read_word(context->addr);
  /* The collector's links carry flags in their lowest bits. */
  if (record->written != 0) record->behind = read_word((record->written & ~7ULL) + walk->gc_next);
  (void)leave(scratch, add_stack(scratch, walk, thread), before == 1);
  return 0;
}

/* --- threads and programs come and go; memspy opens their events --- */

static __always_inline void tell(const struct memspy_bpf_record *record) {
  if (bpf_ringbuf_output(&records, (void *)record, sizeof(*record), BPF_RB_FORCE_WAKEUP) != 0)
    __sync_fetch_and_add(&shared.untold, 1);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child) {
  const __u32 tgid = parent->tgid;
  const __u32 *process = bpf_map_lookup_elem(&processes, &tgid);
  if (process == 0) return 0;
  struct memspy_bpf_record record = {.kind = MEMSPY_BPF_FORKED, .process = *process};
  record.tid = child->pid;
  record.child = child->tgid;
  if (child->mm == parent->mm) record.flags = MEMSPY_BPF_SHARES_MEMORY;
  tell(&record);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task) {
  const __u32 tgid = task->tgid;
  const __u32 *process = bpf_map_lookup_elem(&processes, &tgid);
  if (process == 0) return 0;
  struct memspy_bpf_record record = {.kind = MEMSPY_BPF_EXECED, .process = *process};
  record.tid = tgid;
  tell(&record);
  return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task) {
  const __u32 tgid = task->tgid;
  const __u32 *process = bpf_map_lookup_elem(&processes, &tgid);
  if (process == 0 || task->signal->live.counter != 0) return 0; /* others go on */
  struct memspy_bpf_record record = {.kind = MEMSPY_BPF_EXITED, .process = *process};
  record.tid = tgid;
  record.child = task->signal->group_exit_code;
  if (record.child == 0) record.child = task->exit_code;
  tell(&record);
  return 0;
}

/* The helpers that read memory ask for it: this one file may also be used under the GPL, version 2. */
char LICENSE[] SEC("license") = "GPL";
