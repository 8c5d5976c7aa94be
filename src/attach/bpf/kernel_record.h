/* What the program in the kernel and memspy tell each other. C, for both compilers; no pointers, and
 * every field has a width of its own.
 *
 * Sizes are what a per-CPU map value may have (32 KiB) and what the verifier can follow.
 */
#pragma once

#ifdef __cplusplus
#include <cstdint>
#define MEMSPY_U64 std::uint64_t
#define MEMSPY_S64 std::int64_t
#define MEMSPY_U32 std::uint32_t
#else
#define MEMSPY_U64 __u64
#define MEMSPY_S64 __s64
#define MEMSPY_U32 __u32
#endif

/* Outer frames beyond these are cut off. */
#define MEMSPY_BPF_FRAMES 200
/* Of each frame's structure, from its start. CPython 3.6 needs 124. */
#define MEMSPY_BPF_FRAME_BYTES 136
/* The same where frames lie one behind another in chunks: CPython 3.15 needs 80. */
#define MEMSPY_BPF_CHUNK_FRAME_BYTES 80
/* Of a thread's Python state, from its start. CPython 3.15 needs 184. */
#define MEMSPY_BPF_STATE_BYTES 256
#define MEMSPY_BPF_THREADS 8192
#define MEMSPY_BPF_PROCESSES 1024

/* Where a process keeps its Python stacks; offsets in bytes. Map `walks`, by process number. */
struct memspy_bpf_walk {
  MEMSPY_U64 interpreters_head; /* the address of the pointer to the newest one; 0: no Python yet */
  MEMSPY_U64 collecting_flag;   /* the collector's, where the process has one; else 0 */
  MEMSPY_U32 interpreter_next, interpreter_threads;
  MEMSPY_U32 interpreter_collecting; /* the flag's offset where each interpreter has one; else 0 */
  MEMSPY_U32 thread_prev, thread_next, thread_interpreter, thread_id;
  MEMSPY_U32 thread_anchor;   /* a frame, or with `through_cframe` a _PyCFrame */
  MEMSPY_U32 through_cframe;  /* 0 or 1 */
  MEMSPY_U32 cframe_current;  /* in that */
  MEMSPY_U32 frame_previous;
  MEMSPY_U32 frame_bytes;     /* at most MEMSPY_BPF_FRAME_BYTES */
  MEMSPY_U32 thread_bytes;    /* at most MEMSPY_BPF_STATE_BYTES */
  MEMSPY_U32 frames_in_chunks; /* 0 or 1: outer ones right below inner ones, mostly */
  MEMSPY_U32 gc_next;          /* in the collector's head of an object */
  MEMSPY_U32 unused;
};

/* Map `threads`, by thread id: written by memspy when it begins to watch one, by the program since. */
struct memspy_bpf_thread {
  MEMSPY_U64 counted; /* faults that records stand for */
  MEMSPY_U64 state;   /* where its Python state was last; checked each time */
  MEMSPY_U32 process; /* the number that memspy gave it */
  MEMSPY_U32 unused;
};

/* Map `watched`: how many more writes to that address are recorded. Nobody can disarm a watch from the
 * program: with the last one memspy is woken, and does. */
struct memspy_bpf_watched {
  MEMSPY_U64 address;
  MEMSPY_U32 process;
  MEMSPY_U32 unused;
};
#define MEMSPY_BPF_WATCHED 4096

enum memspy_bpf_kind {
  MEMSPY_BPF_FAULT = 1,
  MEMSPY_BPF_FORKED = 2, /* by `process`: `tid` is the new thread, `child` its process */
  MEMSPY_BPF_EXECED = 3,
  MEMSPY_BPF_EXITED = 4, /* the last thread of a process; `child` is its status, as of waitpid */
  MEMSPY_BPF_WRITE = 5,  /* to a watched address, just made */
};

enum memspy_bpf_flag {
  MEMSPY_BPF_IN_KERNEL = 1,     /* inside a system call */
  MEMSPY_BPF_NO_STATE = 2,      /* no Python state has this thread's pthread_self() */
  MEMSPY_BPF_UNREADABLE = 4,    /* the chain of frames led to what is not mapped */
  MEMSPY_BPF_TRUNCATED = 8,     /* more than MEMSPY_BPF_FRAMES */
  MEMSPY_BPF_COLLECTING = 16,   /* the garbage collector runs */
  MEMSPY_BPF_SHARES_MEMORY = 32 /* of a fork: vfork, or a thread */
};

/* A frame as it is recorded: its address (8 bytes), then `frame_bytes` of it, then nothing up to a
 * multiple of 8. */
#define MEMSPY_BPF_FRAME_STRIDE(frame_bytes) (8 + (((frame_bytes) + 7) & ~7U))
#define MEMSPY_BPF_MAX_STRIDE MEMSPY_BPF_FRAME_STRIDE(MEMSPY_BPF_FRAME_BYTES)

/* Followed by as many frames as it says, innermost first. */
struct memspy_bpf_record {
  MEMSPY_U32 kind, flags;
  MEMSPY_U32 process; /* the number that memspy gave it */
  MEMSPY_U32 tid;
  MEMSPY_U32 child;
  MEMSPY_U32 frames;
  MEMSPY_U32 frame_bytes; /* of each of them: as the walk had it */
  MEMSPY_U32 unused;
  MEMSPY_U64 address;   /* of the fault, or of the watch */
  MEMSPY_U64 faults;    /* of the thread since its previous record */
  MEMSPY_U64 thread_id; /* its thread pointer, which is pthread_self() */
  MEMSPY_U64 state;     /* its Python state */
  MEMSPY_U64 innermost; /* the first frame; 0: it runs no Python code */
  /* Of a write: */
  MEMSPY_U64 time;    /* CLOCK_MONOTONIC, nanoseconds */
  MEMSPY_U64 written; /* what is at the address now */
  MEMSPY_U64 behind;  /* if that is a link of the collector's lists: where the next one leads */
};

/* The variables that the programs and memspy have in common. */
struct memspy_bpf_shared {
  /* Set by memspy twenty times a second. What is beyond is not lost: the thread's next record stands
   * for it too. */
  MEMSPY_S64 records_left;
  MEMSPY_U64 without_room; /* records that the ring had no room for; the next one of the thread stands
                              for the faults of one */
  MEMSPY_U64 untold;       /* forks, execs and ends that it had no room for */
};
