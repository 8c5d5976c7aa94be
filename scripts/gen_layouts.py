#!/usr/bin/env python3
"""Writes src/cpython/layouts/v3_NN.inc from the DWARF of an interpreter built with debug info.

  scripts/gen_layouts.py --version 3.11.7 libpython3.11.so.1.0
  scripts/gen_layouts.py --version 3.14.10 /usr/lib/debug/.build-id/…/….debug

Needs gdb with Python. Offsets are those of the given file; nothing is guessed: a member that the
file does not have is left out of the table. docs/adding-a-python-version.md says the rest.
"""
import argparse
import json
import pathlib
import subprocess
import sys

# Field -> candidates "type: member path"; the first that exists is taken. "sizeof" is the end of a type.
FIELDS = {
    "kRuntimeInterpretersHead": ["_PyRuntimeState: interpreters.head"],
    "kRuntimeInterpretersMain": ["_PyRuntimeState: interpreters.main"],
    "kRuntimeTstateCurrent": ["_PyRuntimeState: gilstate.tstate_current"],
    "kRuntimeGilLastHolder": ["_PyRuntimeState: ceval.gil.last_holder"],
    "kRuntimeGilLocked": ["_PyRuntimeState: ceval.gil.locked"],
    "kRuntimeGc": ["_PyRuntimeState: gc"],
    "kRuntimeAutoInterpreterState": ["_PyRuntimeState: gilstate.autoInterpreterState"],
    "kRuntimeInitialized": ["_PyRuntimeState: initialized"],
    "kInterpreterNext": ["PyInterpreterState: next"],
    "kInterpreterId": ["PyInterpreterState: id"],
    "kInterpreterThreadsHead": ["PyInterpreterState: threads.head", "PyInterpreterState: tstate_head"],
    "kInterpreterGc": ["PyInterpreterState: gc"],
    "kInterpreterModules": ["PyInterpreterState: imports.modules", "PyInterpreterState: modules"],
    "kInterpreterSysdict": ["PyInterpreterState: sysdict"],
    "kInterpreterBuiltins": ["PyInterpreterState: builtins"],
    "kInterpreterGil": ["PyInterpreterState: ceval.gil"],
    "kInterpreterObmalloc": ["PyInterpreterState: obmalloc"],
    "kThreadPrev": ["PyThreadState: prev"],
    "kThreadNext": ["PyThreadState: next"],
    "kThreadInterpreter": ["PyThreadState: interp"],
    "kThreadFrame": ["PyThreadState: frame"],
    "kThreadCFrame": ["PyThreadState: cframe"],
    "kThreadCurrentFrame": ["PyThreadState: current_frame"],
    "kThreadThreadId": ["PyThreadState: thread_id"],
    "kThreadNativeThreadId": ["PyThreadState: native_thread_id"],
    "kThreadId": ["PyThreadState: id"],
    "kThreadStatus": ["PyThreadState: _status"],
    "kThreadHoldsGil": ["PyThreadState: holds_gil"],
    "kThreadState": ["PyThreadState: state"],
    "kThreadDatastackChunk": ["PyThreadState: datastack_chunk"],
    "kCFrameCurrentFrame": ["_PyCFrame: current_frame", "CFrame: current_frame"],
    "kGilLastHolder": ["struct _gil_runtime_state: last_holder"],
    "kGilLocked": ["struct _gil_runtime_state: locked"],
    "kFramePrevious": ["_PyInterpreterFrame: previous", "PyFrameObject: f_back"],
    "kFrameCode": ["_PyInterpreterFrame: f_executable", "_PyInterpreterFrame: f_code", "PyFrameObject: f_code"],
    "kFrameInstruction": ["_PyInterpreterFrame: instr_ptr", "_PyInterpreterFrame: prev_instr", "PyFrameObject: f_lasti"],
    "kFrameGlobals": ["_PyInterpreterFrame: f_globals", "PyFrameObject: f_globals"],
    "kFrameBuiltins": ["_PyInterpreterFrame: f_builtins", "PyFrameObject: f_builtins"],
    "kFrameLocals": ["_PyInterpreterFrame: f_locals", "PyFrameObject: f_locals"],
    "kFrameFunction": ["_PyInterpreterFrame: f_funcobj", "_PyInterpreterFrame: f_func"],
    "kFrameFrameObject": ["_PyInterpreterFrame: frame_obj"],
    "kFrameOwner": ["_PyInterpreterFrame: owner"],
    "kFrameStackTop": ["_PyInterpreterFrame: stackpointer", "_PyInterpreterFrame: stacktop",
                       "PyFrameObject: f_stacktop", "PyFrameObject: f_stackdepth"],
    "kFrameValueStack": ["PyFrameObject: f_valuestack"],
    "kFrameLocalsPlus": ["_PyInterpreterFrame: localsplus", "PyFrameObject: f_localsplus"],
    "kFrameObjectFrame": ["PyFrameObject: f_frame"],
    "kCodeArgCount": ["PyCodeObject: co_argcount"],
    "kCodePosOnlyArgCount": ["PyCodeObject: co_posonlyargcount"],
    "kCodeKwOnlyArgCount": ["PyCodeObject: co_kwonlyargcount"],
    "kCodeNLocals": ["PyCodeObject: co_nlocals"],
    "kCodeStackSize": ["PyCodeObject: co_stacksize"],
    "kCodeFlags": ["PyCodeObject: co_flags"],
    "kCodeFirstLine": ["PyCodeObject: co_firstlineno"],
    "kCodeConsts": ["PyCodeObject: co_consts"],
    "kCodeFilename": ["PyCodeObject: co_filename"],
    "kCodeName": ["PyCodeObject: co_name"],
    "kCodeQualname": ["PyCodeObject: co_qualname"],
    "kCodeLineTable": ["PyCodeObject: co_linetable", "PyCodeObject: co_lnotab"],
    "kCodeVarNames": ["PyCodeObject: co_varnames"],
    "kCodeCellVars": ["PyCodeObject: co_cellvars"],
    "kCodeFreeVars": ["PyCodeObject: co_freevars"],
    "kCodeNLocalsPlus": ["PyCodeObject: co_nlocalsplus"],
    "kCodeLocalsPlusNames": ["PyCodeObject: co_localsplusnames"],
    "kCodeLocalsPlusKinds": ["PyCodeObject: co_localspluskinds"],
    "kCodeBytecode": ["PyCodeObject: co_code"],
    "kCodeAdaptive": ["PyCodeObject: co_code_adaptive"],
    "kCodeFirstTraceable": ["PyCodeObject: _co_firsttraceable"],
    "kObjectRefcount": ["PyObject: ob_refcnt", "PyObject: ob_refcnt_full"],
    "kObjectType": ["PyObject: ob_type"],
    "kVarObjectSize": ["PyVarObject: ob_size"],
    "kTypeName": ["PyTypeObject: tp_name"],
    "kTypeBasicSize": ["PyTypeObject: tp_basicsize"],
    "kTypeItemSize": ["PyTypeObject: tp_itemsize"],
    "kTypeFlags": ["PyTypeObject: tp_flags"],
    "kTypeBase": ["PyTypeObject: tp_base"],
    "kTypeDict": ["PyTypeObject: tp_dict"],
    "kTypeDictOffset": ["PyTypeObject: tp_dictoffset"],
    "kTypeMro": ["PyTypeObject: tp_mro"],
    "kHeapTypeName": ["PyHeapTypeObject: ht_name"],
    "kHeapTypeQualname": ["PyHeapTypeObject: ht_qualname"],
    "kHeapTypeCachedKeys": ["PyHeapTypeObject: ht_cached_keys"],
    "kUnicodeLength": ["PyASCIIObject: length"],
    "kUnicodeState": ["PyASCIIObject: state"],
    "kUnicodeAsciiData": ["PyASCIIObject: sizeof"],
    "kUnicodeCompactData": ["PyCompactUnicodeObject: sizeof"],
    "kUnicodeDataPointer": ["PyUnicodeObject: data"],
    "kUnicodeUtf8Length": ["PyCompactUnicodeObject: utf8_length"],
    "kUnicodeUtf8": ["PyCompactUnicodeObject: utf8"],
    "kUnicodeWstr": ["PyASCIIObject: wstr"],
    "kUnicodeWstrLength": ["PyCompactUnicodeObject: wstr_length"],
    "kBytesData": ["PyBytesObject: ob_sval"],
    "kLongTag": ["PyLongObject: long_value.lv_tag"],
    "kLongDigits": ["PyLongObject: long_value.ob_digit", "PyLongObject: ob_digit"],
    "kFloatValue": ["PyFloatObject: ob_fval"],
    "kTupleItems": ["PyTupleObject: ob_item"],
    "kListItems": ["PyListObject: ob_item"],
    "kListAllocated": ["PyListObject: allocated"],
    "kDictUsed": ["PyDictObject: ma_used"],
    "kDictKeys": ["PyDictObject: ma_keys"],
    "kDictValues": ["PyDictObject: ma_values"],
    "kDictKeysRefcount": ["struct _dictkeysobject: dk_refcnt"],
    "kDictKeysSize": ["struct _dictkeysobject: dk_size"],
    "kDictKeysLookup": ["struct _dictkeysobject: dk_lookup"],
    "kDictKeysLog2Size": ["struct _dictkeysobject: dk_log2_size"],
    "kDictKeysLog2IndexBytes": ["struct _dictkeysobject: dk_log2_index_bytes"],
    "kDictKeysKind": ["struct _dictkeysobject: dk_kind"],
    "kDictKeysUsable": ["struct _dictkeysobject: dk_usable"],
    "kDictKeysEntryCount": ["struct _dictkeysobject: dk_nentries"],
    "kDictKeysIndices": ["struct _dictkeysobject: dk_indices"],
    "kDictValuesCapacity": ["struct _dictvalues: capacity"],
    "kDictValuesSize": ["struct _dictvalues: size"],
    "kDictValuesEmbedded": ["struct _dictvalues: embedded"],
    "kDictValuesValid": ["struct _dictvalues: valid"],
    "kDictValuesItems": ["struct _dictvalues: values"],
    "kSetFill": ["PySetObject: fill"],
    "kSetUsed": ["PySetObject: used"],
    "kSetMask": ["PySetObject: mask"],
    "kSetTable": ["PySetObject: table"],
    "kModuleDict": ["PyModuleObject: md_dict"],
    "kModuleName": ["PyModuleObject: md_name"],
    "kCellContents": ["PyCellObject: ob_ref"],
    "kFunctionQualname": ["PyFunctionObject: func_qualname"],
    "kGcEnabled": ["struct _gc_runtime_state: enabled"],
    "kGcCollecting": ["struct _gc_runtime_state: collecting"],
    "kGcGenerations": ["struct _gc_runtime_state: generations", "struct _gc_runtime_state: young"],
    "kGcGeneration0": ["struct _gc_runtime_state: generation0"],
    "kGcPermanentGeneration": ["struct _gc_runtime_state: permanent_generation"],
    "kGcStatistics": ["struct _gc_runtime_state: generation_stats"],
    "kGcHeadNext": ["PyGC_Head: _gc_next", "PyGC_Head: gc.gc_next"],
    "kGcHeadPrev": ["PyGC_Head: _gc_prev", "PyGC_Head: gc.gc_prev"],
    "kGcGenerationThreshold": ["struct gc_generation: threshold"],
    "kGcGenerationCount": ["struct gc_generation: count"],
    "kGcStatsCollections": ["struct gc_generation_stats: collections"],
    "kGcStatsCollected": ["struct gc_generation_stats: collected"],
    "kGcStatsUncollectable": ["struct gc_generation_stats: uncollectable"],
    "kGcStatsBuffersYoung": ["struct gc_stats: young.items"],
    "kGcStatsBuffersYoungIndex": ["struct gc_stats: young.index"],
    "kGcStatsBuffersOld": ["struct gc_stats: old"],
    "kGcOldBufferItems": ["struct gc_old_stats_buffer: items"],
    "kGcOldBufferIndex": ["struct gc_old_stats_buffer: index"],
    "kObmallocArenas": ["struct _obmalloc_state: mgmt.arenas"],
    "kObmallocMaxArenas": ["struct _obmalloc_state: mgmt.maxarenas"],
    "kArenaAddress": ["struct arena_object: address"],
    "kArenaPoolAddress": ["struct arena_object: pool_address"],
    "kArenaFreePools": ["struct arena_object: nfreepools"],
    "kArenaTotalPools": ["struct arena_object: ntotalpools"],
    "kPoolRefCount": ["struct pool_header: ref.count"],
    "kPoolFreeBlock": ["struct pool_header: freeblock"],
    "kPoolArenaIndex": ["struct pool_header: arenaindex"],
    "kPoolSizeIndex": ["struct pool_header: szidx"],
    "kPoolNextOffset": ["struct pool_header: nextoffset"],
    "kPoolMaxNextOffset": ["struct pool_header: maxnextoffset"],
}

STRUCTS = {
    "kRuntime": ["_PyRuntimeState"], "kInterpreter": ["PyInterpreterState"], "kThread": ["PyThreadState"],
    "kCFrame": ["_PyCFrame", "CFrame"], "kGil": ["struct _gil_runtime_state"],
    "kFrame": ["_PyInterpreterFrame", "PyFrameObject"], "kFrameObject": ["PyFrameObject"],
    "kCode": ["PyCodeObject"], "kObject": ["PyObject"], "kVarObject": ["PyVarObject"],
    "kType": ["PyTypeObject"], "kHeapType": ["PyHeapTypeObject"], "kUnicode": ["PyUnicodeObject"],
    "kBytes": ["PyBytesObject"], "kLong": ["PyLongObject"], "kFloat": ["PyFloatObject"],
    "kTuple": ["PyTupleObject"], "kList": ["PyListObject"], "kDict": ["PyDictObject"],
    "kDictKeys": ["struct _dictkeysobject"], "kDictValues": ["struct _dictvalues"], "kSet": ["PySetObject"],
    "kModule": ["PyModuleObject"], "kCell": ["PyCellObject"],
    "kFunction": ["PyFunctionObject"], "kGc": ["struct _gc_runtime_state"],
    "kGcHead": ["PyGC_Head"], "kGcGeneration": ["struct gc_generation"],
    "kGcStats": ["struct gc_generation_stats"], "kGcStatsBuffers": ["struct gc_stats"],
    "kGcOldBuffer": ["struct gc_old_stats_buffer"], "kObmalloc": ["struct _obmalloc_state"],
    "kArena": ["struct arena_object"], "kPool": ["struct pool_header"],
}

# Where _Py_DebugOffsets (3.13+) keeps a field's offset, and a structure's size.
DEBUG_FIELDS = {
    "kRuntimeInterpretersHead": "runtime_state.interpreters_head",
    "kInterpreterId": "interpreter_state.id", "kInterpreterNext": "interpreter_state.next",
    "kInterpreterThreadsHead": "interpreter_state.threads_head", "kInterpreterGc": "interpreter_state.gc",
    "kInterpreterModules": "interpreter_state.imports_modules",
    "kInterpreterSysdict": "interpreter_state.sysdict", "kInterpreterBuiltins": "interpreter_state.builtins",
    "kInterpreterGil": "interpreter_state.ceval_gil",
    "kThreadPrev": "thread_state.prev", "kThreadNext": "thread_state.next",
    "kThreadInterpreter": "thread_state.interp", "kThreadCurrentFrame": "thread_state.current_frame",
    "kThreadThreadId": "thread_state.thread_id", "kThreadNativeThreadId": "thread_state.native_thread_id",
    "kThreadDatastackChunk": "thread_state.datastack_chunk", "kThreadStatus": "thread_state.status",
    "kThreadHoldsGil": "thread_state.holds_gil",
    "kFramePrevious": "interpreter_frame.previous", "kFrameCode": "interpreter_frame.executable",
    "kFrameInstruction": "interpreter_frame.instr_ptr", "kFrameLocalsPlus": "interpreter_frame.localsplus",
    "kFrameOwner": "interpreter_frame.owner", "kFrameStackTop": "interpreter_frame.stackpointer",
    "kCodeFilename": "code_object.filename", "kCodeName": "code_object.name",
    "kCodeQualname": "code_object.qualname", "kCodeLineTable": "code_object.linetable",
    "kCodeFirstLine": "code_object.firstlineno", "kCodeArgCount": "code_object.argcount",
    "kCodeLocalsPlusNames": "code_object.localsplusnames",
    "kCodeLocalsPlusKinds": "code_object.localspluskinds", "kCodeAdaptive": "code_object.co_code_adaptive",
    "kObjectType": "pyobject.ob_type",
    "kTypeName": "type_object.tp_name", "kTypeFlags": "type_object.tp_flags",
    "kTupleItems": "tuple_object.ob_item", "kListItems": "list_object.ob_item",
    "kSetUsed": "set_object.used", "kSetTable": "set_object.table", "kSetMask": "set_object.mask",
    "kDictKeys": "dict_object.ma_keys", "kDictValues": "dict_object.ma_values",
    "kFloatValue": "float_object.ob_fval",
    "kLongTag": "long_object.lv_tag", "kLongDigits": "long_object.ob_digit",
    "kBytesData": "bytes_object.ob_sval",
    "kUnicodeState": "unicode_object.state", "kUnicodeLength": "unicode_object.length",
    "kUnicodeAsciiData": "unicode_object.asciiobject_size",
    "kGcCollecting": "gc.collecting", "kGcStatistics": "gc.generation_stats",
}
DEBUG_SIZES = {
    "kRuntime": "runtime_state.size", "kInterpreter": "interpreter_state.size",
    "kThread": "thread_state.size", "kFrame": "interpreter_frame.size", "kCode": "code_object.size",
    "kObject": "pyobject.size", "kType": "type_object.size", "kTuple": "tuple_object.size",
    "kList": "list_object.size", "kSet": "set_object.size", "kDict": "dict_object.size",
    "kFloat": "float_object.size", "kLong": "long_object.size", "kBytes": "bytes_object.size",
    "kUnicode": "unicode_object.size", "kGc": "gc.size",
}


def inside_gdb(gdb, result_path):
    """Runs in gdb's own Python: looks every name up and leaves a JSON file."""

    def find(typename, path):
        try:
            if path == "sizeof":
                return [int(gdb.parse_and_eval(f"sizeof({typename})")), 1]
            kind = gdb.parse_and_eval(f"(({typename}*)0)->{path}").type.strip_typedefs()
            offset = int(gdb.parse_and_eval(f"(unsigned long)&(({typename}*)0)->{path}"))
        except gdb.error:
            return None
        if kind.code == gdb.TYPE_CODE_ARRAY:
            kind = kind.target().strip_typedefs()
        return [offset, max(1, min(8, kind.sizeof))]

    def first(candidates):
        for candidate in candidates:
            typename, path = candidate.split(": ")
            found = find(typename, path)
            if found:
                return [*found, f"{typename.replace('struct ', '')}.{path}"]
        return None

    found = {"fields": {}, "sizes": {}, "debug_fields": {}, "debug_sizes": {}}
    for name, candidates in FIELDS.items():
        found["fields"][name] = first(candidates)
    for name, candidates in STRUCTS.items():
        found["sizes"][name] = first([f"{c}: sizeof" for c in candidates])
    for kind, table in (("debug_fields", DEBUG_FIELDS), ("debug_sizes", DEBUG_SIZES)):
        for name, path in table.items():
            found[kind][name] = first([f"_Py_DebugOffsets: {path}", f"struct _Py_DebugOffsets: {path}"])
    size = first(["_Py_DebugOffsets: sizeof"])
    found["debug_size"] = size[0] if size else 0
    pathlib.Path(result_path).write_text(json.dumps(found))


def render(version, source, found):
    tag = "3_{:02}".format(int(version.split(".")[1]))
    lines = [f"// CPython {version}, x86-64. Generated, do not edit:",
             f"//   scripts/gen_layouts.py --version {version} {source}",
             "// Offset, width; the member each was read from stands behind it.",
             f"inline constexpr FieldEntry kFields{tag}[] = {{"]
    for name, value in found["fields"].items():
        if value:
            lines.append(f"    {{Field::{name}, {{{value[0]:#x}, {value[1]}}}}},  // {value[2]}")
    lines += ["};", f"inline constexpr SizeEntry kSizes{tag}[] = {{"]
    for name, value in found["sizes"].items():
        if value:
            lines.append(f"    {{Struct::{name}, {value[0]:#x}}},  // {value[2].removesuffix('.sizeof')}")
    lines.append("};")
    if found["debug_size"]:
        lines += ["// Where this minor's _Py_DebugOffsets keeps a field's offset, and a structure's size.",
                  f"inline constexpr std::uint32_t kDebugOffsetsSize{tag} = {found['debug_size']:#x};",
                  f"inline constexpr DebugFieldEntry kDebugFields{tag}[] = {{"]
        lines += [f"    {{Field::{name}, {value[0]:#x}}},  // {DEBUG_FIELDS[name]}"
                  for name, value in found["debug_fields"].items() if value]
        lines += ["};", f"inline constexpr SizeEntry kDebugSizes{tag}[] = {{"]
        lines += [f"    {{Struct::{name}, {value[0]:#x}}},  // {DEBUG_SIZES[name]}"
                  for name, value in found["debug_sizes"].items() if value]
        lines.append("};")
    return tag, "\n".join(lines) + "\n"


def render_fields():
    """The structure of a field: the longest structure name that its own name continues with a capital."""
    lines = ["// Generated, do not edit: scripts/gen_layouts.py --fields"]
    for name in FIELDS:
        owner = max((s for s in STRUCTS if name.startswith(s) and name[len(s):len(s) + 1].isupper()), key=len)
        lines.append(f'    {{Field::{name}, Struct::{owner}, "{name}"}},')
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", help="the exact version of the file, 3.N.P")
    parser.add_argument("--fields", action="store_true", help="write fields.inc, the names of all fields")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent
                        / "src/cpython/layouts", help="folder of the tables")
    parser.add_argument("file", nargs="?", type=pathlib.Path, help="ELF file with DWARF: library, program or .debug")
    options = parser.parse_args()
    if options.fields:
        (options.out / "fields.inc").write_text(render_fields())
        return 0
    if not options.version or not options.file:
        parser.error("needs --version and a file")
    result = options.out / ".gen_layouts.json"
    options.out.mkdir(parents=True, exist_ok=True)
    script = (f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).resolve().parent)!r});"
              f"import gen_layouts, gdb; gen_layouts.inside_gdb(gdb, {str(result)!r})")
    subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "set auto-load no", "-ex", f"python {script}",
                    str(options.file)], check=True, stdout=subprocess.DEVNULL)
    found = json.loads(result.read_text())
    result.unlink()
    if not found["fields"]["kThreadNext"]:
        sys.exit(f"{options.file}: no debug info of CPython")
    tag, text = render(options.version, options.file.name, found)
    (options.out / f"v{tag}.inc").write_text(text)
    missing = [name for name, value in found["fields"].items() if not value]
    print(f"v{tag}.inc: {len(FIELDS) - len(missing)} fields; not in {options.version}: {' '.join(missing)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
