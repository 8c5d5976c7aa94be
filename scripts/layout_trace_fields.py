"""What the table of tracemalloc is read with: its state, the hash tables it is made of, and what they
lead to. Data only; the conventions of layout_fields.py. "variable NAME" instead of a type: the
structure of that static variable, for structures without a name."""

STATE = "struct _tracemalloc_runtime_state"
CONFIG = ["struct _PyTraceMalloc_Config", "variable tracemalloc_config"]
STACK = ["struct tracemalloc_traceback", "traceback_t"]
FRAME = ["struct tracemalloc_frame", "frame_t"]

TRACE_FIELDS = {
    "kRuntimeTracemalloc": ["_PyRuntimeState: tracemalloc"],
    "kTracemallocConfig": [f"{STATE}: config"],
    "kTracemallocBytes": [f"{STATE}: traced_memory"],
    "kTracemallocPeak": [f"{STATE}: peak_traced_memory"],
    "kTracemallocTraces": [f"{STATE}: traces"],
    "kTracemallocDomains": [f"{STATE}: domains"],
    "kTraceConfigTracing": [f"{config}: tracing" for config in CONFIG],
    "kTraceConfigFrameLimit": [f"{config}: max_nframe" for config in CONFIG],
    "kHashtableCount": ["_Py_hashtable_t: nentries", "_Py_hashtable_t: entries"],
    "kHashtableBucketCount": ["_Py_hashtable_t: nbuckets", "_Py_hashtable_t: num_buckets"],
    "kHashtableBuckets": ["_Py_hashtable_t: buckets"],
    "kHashtableKeySize": ["_Py_hashtable_t: key_size"],
    "kHashtableDataSize": ["_Py_hashtable_t: data_size"],
    "kHashtableHash": ["_Py_hashtable_t: hash_func"],
    "kHashtableCompare": ["_Py_hashtable_t: compare_func"],
    "kHashtableEntryNext": ["_Py_hashtable_entry_t: _Py_slist_item"],
    "kHashtableEntryHash": ["_Py_hashtable_entry_t: key_hash"],
    "kHashtableEntryKey": ["_Py_hashtable_entry_t: key"],
    "kHashtableEntryValue": ["_Py_hashtable_entry_t: value"],
    "kTraceBytes": ["trace_t: size"],
    "kTraceStack": ["trace_t: traceback"],
    "kTraceStackFrameCount": [f"{stack}: nframe" for stack in STACK],
    "kTraceStackTotal": [f"{stack}: total_nframe" for stack in STACK],
    "kTraceStackFrames": [f"{stack}: frames" for stack in STACK],
    "kTraceFrameFilename": [f"{frame}: filename" for frame in FRAME],
    "kTraceFrameLine": [f"{frame}: lineno" for frame in FRAME],
}

TRACE_STRUCTS = {
    "kTracemalloc": [STATE], "kTraceConfig": CONFIG, "kHashtable": ["_Py_hashtable_t"],
    "kHashtableEntry": ["_Py_hashtable_entry_t"], "kTrace": ["trace_t"], "kTraceStack": STACK,
    "kTraceFrame": FRAME,
}
