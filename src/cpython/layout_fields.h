// The names of all structures and fields that memspy knows: an index into a Layout, and the one
// place where a new one is added. A table of data; scripts/gen_layouts.py knows the same names.
#pragma once

#include <cstddef>
#include <cstdint>

namespace memspy::cpython {

// The structures fields belong to; the name table layouts/fields.inc gives each field its
// structure.
// clang-format off
enum class Struct : std::uint8_t {
  kRuntime, kInterpreter, kThread, kCFrame, kGil,
  kFrame,        // PyFrameObject up to 3.10, _PyInterpreterFrame from 3.11
  kFrameObject,  // PyFrameObject from 3.11
  kCode, kObject, kVarObject, kType, kHeapType, kUnicode, kBytes, kLong, kFloat, kTuple, kList,
  kDict, kDictKeys, kDictValues, kSet, kModule, kCell, kFunction,
  kGc, kGcHead, kGcGeneration, kGcStats, kGcStatsBuffers, kGcOldBuffer,
  kObmalloc, kArena, kPool,
  // of the heap
  kStackChunk, kExceptionInfo, kFreeLists, kFreeList, kStaticTypeState, kCodeExtraArray,
  kCoCached, kCodeOpcacheEntry, kMember, kComplex, kByteArray, kSetEntry, kGenerator, kCoroutine,
  kAsyncGenerator, kMethod, kInstanceMethod, kBuiltin, kBuiltinMethod, kDescriptor,
  kMethodWrapper, kProperty, kStaticMethod, kClassMethod, kSlice, kRange, kSuper, kMappingProxy,
  kWeakref, kMemoryView, kManagedBuffer, kException, kTraceback, kPartial, kLruCache, kLruElement,
  kDeque, kDequeBlock, kDefaultDict, kOrderedDict, kOrderedNode, kFuture, kTask, kArray,
  kArrayDescriptor, kBytesIo, kStringIo, kBuffered, kStruct, kCData, kDecimal,
  // of tracemalloc
  kTracemalloc,  // _tracemalloc_runtime_state (3.12+)
  kTraceConfig, kHashtable, kHashtableEntry, kTrace, kTraceStack, kTraceFrame,
  kCount
};

// One enumerator per field read. An embedded structure or an array is named by its first byte.
// The order is that of the structures; scripts/gen_layouts.py knows the same names.
enum class Field : std::uint16_t {
  // _PyRuntimeState (3.7+)
  kRuntimeInterpretersHead, kRuntimeInterpretersMain,
  kRuntimeTstateCurrent,               // 3.7–3.11: the thread state that holds the GIL, or 0
  kRuntimeGilLastHolder, kRuntimeGilLocked,  // 3.7–3.11
  kRuntimeGc,                          // 3.7–3.8, embedded
  kRuntimeAutoInterpreterState, kRuntimeInitialized,
  // PyInterpreterState
  kInterpreterNext, kInterpreterId, kInterpreterThreadsHead,
  kInterpreterGc,                      // 3.9+, embedded
  kInterpreterModules, kInterpreterSysdict, kInterpreterBuiltins,
  kInterpreterGil,                     // 3.12+: pointer to the GIL's state
  kInterpreterObmalloc,                // 3.12 embedded, 3.13+ pointer
  // PyThreadState
  kThreadPrev, kThreadNext, kThreadInterpreter,
  kThreadFrame, kThreadCFrame, kThreadCurrentFrame,  // which one: FrameChain
  kThreadThreadId, kThreadNativeThreadId, kThreadId, kThreadStatus, kThreadHoldsGil, kThreadState,
  kThreadDatastackChunk,
  // _PyCFrame (3.11, 3.12)
  kCFrameCurrentFrame,
  // struct _gil_runtime_state (3.12+, behind kInterpreterGil)
  kGilLastHolder, kGilLocked,
  // PyFrameObject (3.6–3.10) or _PyInterpreterFrame (3.11+)
  kFramePrevious, kFrameCode,
  kFrameInstruction,                   // f_lasti, prev_instr or instr_ptr: InstructionKind
  kFrameGlobals, kFrameBuiltins, kFrameLocals, kFrameFunction, kFrameFrameObject, kFrameOwner,
  kFrameIsEntry,                       // 3.11: called by C, the frames that it calls are not
  kFrameStackTop,                      // f_stacktop, stacktop or stackpointer
  kFrameValueStack,                    // 3.6–3.10
  kFrameLocalsPlus,                    // array of PyObject*, or of tagged words (ReferenceKind)
  // PyFrameObject (3.11+)
  kFrameObjectFrame,
  // PyCodeObject
  kCodeArgCount, kCodePosOnlyArgCount, kCodeKwOnlyArgCount, kCodeNLocals, kCodeStackSize,
  kCodeFlags,
  kCodeFirstLine, kCodeConsts, kCodeFilename, kCodeName, kCodeQualname,
  kCodeLineTable,                      // co_lnotab or co_linetable: LineTableKind
  kCodeVarNames, kCodeCellVars, kCodeFreeVars,                  // 3.6–3.10
  kCodeNLocalsPlus, kCodeLocalsPlusNames, kCodeLocalsPlusKinds,  // 3.11+
  kCodeBytecode,                       // 3.6–3.10: pointer to a bytes object
  kCodeAdaptive,                       // 3.11+: the embedded bytecode
  kCodeFirstTraceable,                 // 3.11+: in units of two bytes
  // Objects
  kObjectRefcount, kObjectType, kVarObjectSize,
  kTypeName, kTypeBasicSize, kTypeItemSize, kTypeFlags, kTypeBase, kTypeDict, kTypeDictOffset,
  kTypeMro,
  kHeapTypeName, kHeapTypeQualname, kHeapTypeCachedKeys,
  kUnicodeLength, kUnicodeState,
  kUnicodeAsciiData, kUnicodeCompactData,                  // embedded characters
  kUnicodeDataPointer,                                     // not compact: pointer to the characters
  kUnicodeUtf8Length, kUnicodeUtf8,
  kUnicodeWstr, kUnicodeWstrLength,                        // up to 3.11
  kBytesData,
  kLongTag,                                                // 3.12+; before, see kVarObjectSize
  kLongDigits,                                             // u32 digits of 30 bits
  kFloatValue, kTupleItems,
  kListItems, kListAllocated,                              // kListItems: pointer
  kDictUsed, kDictKeys, kDictValues,
  kDictKeysRefcount,
  kDictKeysSize, kDictKeysLookup,                          // up to 3.10
  kDictKeysLog2Size, kDictKeysLog2IndexBytes, kDictKeysKind,  // 3.11+
  kDictKeysUsable, kDictKeysEntryCount, kDictKeysIndices,
  kDictValuesCapacity, kDictValuesSize, kDictValuesEmbedded, kDictValuesValid,  // 3.13+
  kDictValuesItems,                                        // 3.11+; before, an array of PyObject*
  kSetFill, kSetUsed, kSetMask, kSetTable,
  kModuleDict, kModuleName, kCellContents, kFunctionQualname,
  // struct _gc_runtime_state (3.7+)
  kGcEnabled, kGcCollecting, kGcGenerations, kGcGeneration0, kGcPermanentGeneration,
  kGcStatistics,                       // GcStatsKind
  kGcHeadNext, kGcHeadPrev,
  kGcGenerationThreshold, kGcGenerationCount,
  kGcStatsCollections, kGcStatsCollected, kGcStatsUncollectable,
  kGcStatsBuffersYoung, kGcStatsBuffersYoungIndex, kGcStatsBuffersOld,  // 3.15+
  kGcOldBufferItems, kGcOldBufferIndex,                                 // 3.15+
  // pymalloc
  kObmallocArenas, kObmallocMaxArenas,  // 3.12+; before: static variables
  kArenaAddress, kArenaPoolAddress, kArenaFreePools, kArenaTotalPools,
  kArenaPoolList, kArenaNext, kArenaPrevious,  // of pools without a block; of arenas that have such
  kPoolRefCount, kPoolFreeBlock, kPoolArenaIndex, kPoolSizeIndex, kPoolNextOffset,
  kPoolMaxNextOffset,
  kPoolNext, kPoolPrevious,  // of the same size class that have a free block
  // Below: only the walk over the heap reads these; scripts/layout_heap_fields.py.
  // Roots
  kThreadExceptionInfo, kThreadExceptionState, kThreadDict, kStackChunkPrevious, kStackChunkSize,
  kStackChunkTop, kStackChunkData, kExceptionInfoType, kExceptionInfoValue,
  kExceptionInfoTraceback, kExceptionInfoPrevious, kInterpreterInterned, kInterpreterStaticTypes,
  kInterpreterExtensionTypes, kInterpreterFreeLists, kFreeListFirst, kFreeListSize,
  kStaticTypeStateType, kStaticTypeStateDict, kStaticTypeStateSubclasses,
  kStaticTypeStateWeaklist,
  // The collector
  kGcGarbage, kGcCallbacks,
  // Frames as objects: PyFrameObject of every version
  kFrameObjectTrace, kFrameObjectBack, kFrameObjectExceptionType, kFrameObjectExceptionValue,
  kFrameObjectExceptionTraceback, kFrameObjectOwnFrame, kFrameObjectExtraLocals,
  kFrameObjectLocalsCache, kFrameObjectOverwrittenLocals,
  // Code
  kCodeNames, kCodeExceptionTable, kCodeWeakList, kCodeExtra, kCodeCell2Arg, kCodeZombieFrame,
  kCodeOpcacheMap, kCodeOpcache, kCodeOpcacheSize, kCodeCachedCode, kCodeCached, kCodeMonitoring,
  kCodeExecutors, kCodeExtraArraySize, kCoCachedCode, kCoCachedVarNames, kCoCachedCellVars,
  kCoCachedFreeVars,
  // Types
  kTypeDealloc, kTypeGetAttrO, kTypeTraverse, kTypeWeakListOffset, kTypeMembers, kTypeBases,
  kTypeCache, kTypeSubclasses, kTypeWeakList, kHeapTypeSlots, kHeapTypeModule, kHeapTypeTpName,
  kMemberName, kMemberType, kMemberOffset,
  // Objects
  kUnicodeHash, kBytesHash, kTupleHash, kComplexValue, kByteArrayAlloc, kByteArrayBytes,
  kByteArrayStart, kByteArrayObject, kSetHash, kSetSmallTable, kSetWeakList, kSetEntryKey,
  kSetEntryHash, kModuleDef, kModuleState, kModuleStateSize, kModuleWeakList, kFunctionCode,
  kFunctionGlobals,
  kFunctionBuiltins, kFunctionName, kFunctionModule, kFunctionDefaults, kFunctionKwDefaults,
  kFunctionClosure, kFunctionDoc, kFunctionDict, kFunctionWeakList, kFunctionAnnotations,
  kFunctionAnnotate, kFunctionTypeParams, kGeneratorFrame, kGeneratorOwnFrame,
  kGeneratorFrameState, kGeneratorCode, kGeneratorName, kGeneratorQualname, kGeneratorWeakList,
  kGeneratorExceptionState, kGeneratorOriginOrFinalizer, kCoroutineOrigin,
  kAsyncGeneratorFinalizer, kMethodFunction, kMethodSelf, kMethodWeakList,
  kInstanceMethodFunction, kBuiltinSelf, kBuiltinModule, kBuiltinWeakList, kBuiltinMethodClass,
  kDescriptorType, kDescriptorName, kDescriptorQualname, kMethodWrapperDescriptor,
  kMethodWrapperSelf, kPropertyGet, kPropertySet, kPropertyDel, kPropertyDoc, kPropertyName,
  kStaticMethodCallable, kStaticMethodDict, kClassMethodCallable, kClassMethodDict, kSliceStart,
  kSliceStop, kSliceStep, kRangeStart, kRangeStop, kRangeStep, kRangeLength, kSuperType,
  kSuperObject, kSuperObjectType, kMappingProxyMapping, kWeakrefObject, kWeakrefCallback,
  kWeakrefNext, kMemoryViewManagedBuffer, kMemoryViewObject, kMemoryViewBuffer, kMemoryViewLength,
  kMemoryViewWeakList, kManagedBufferObject, kManagedBufferBuffer, kManagedBufferLength,
  kExceptionDict, kExceptionArgs, kExceptionNotes, kExceptionTraceback, kExceptionContext,
  kExceptionCause, kTracebackNext, kTracebackFrame, kTracebackLine, kPartialFunction,
  kPartialArgs, kPartialKeywords, kPartialDict, kLruCacheRoot, kLruCacheCache, kLruCacheHits,
  kLruCacheMisses, kLruCacheMaxSize, kLruCacheMaxSizeObject, kLruCacheFunction, kLruCacheInfoType,
  kLruCacheDict, kLruElementPrev, kLruElementNext, kLruElementKey, kLruElementResult,
  kDequeLeftBlock, kDequeRightBlock, kDequeLeftIndex, kDequeRightIndex, kDequeFreeBlockCount,
  kDequeFreeBlocks, kDequeBlockLeft, kDequeBlockData, kDequeBlockRight, kDefaultDictFactory,
  kOrderedDictFastNodes, kOrderedDictFastNodesSize, kOrderedDictFirst, kOrderedDictInstanceDict,
  kOrderedDictWeakList, kOrderedNodeKey, kOrderedNodeNext, kFutureLoop, kFutureResult,
  kFutureException, kFutureCallbacks, kFutureState, kTaskCoroutine, kTaskWaiter, kTaskName,
  kTaskContext,
  // What objects of C types own besides themselves
  kArrayItems, kArrayAllocated, kArrayDescriptor, kArrayDescriptorItemSize, kBytesIoBuffer,
  kStringIoBuffer, kStringIoCapacity, kBufferedBuffer, kBufferedBufferSize, kStructCodes,
  kCDataPointer, kCDataNeedsFree, kCDataSize, kCDataValue, kDecimalAlloc, kDecimalData,
  kDecimalInline,
  // Below: only the table of tracemalloc is read with these; scripts/layout_trace_fields.py.
  kRuntimeTracemalloc,                                     // 3.12+, embedded; before: static variables
  kTracemallocConfig,                                      // embedded
  kTracemallocBytes, kTracemallocPeak,
  kTracemallocTraces, kTracemallocDomains,
  kTraceConfigTracing, kTraceConfigFrameLimit,
  // _Py_hashtable_t
  kHashtableCount, kHashtableBucketCount, kHashtableBuckets,
  kHashtableKeySize, kHashtableDataSize,                   // up to 3.8: HashtableKind
  kHashtableHash, kHashtableCompare,                       // functions
  kHashtableEntryNext, kHashtableEntryHash,
  kHashtableEntryKey, kHashtableEntryValue,                // 3.9+: HashtableKind
  kTraceBytes, kTraceStack,
  kTraceStackFrameCount,
  kTraceStackTotal,                                        // 3.9+: with those not kept
  kTraceStackFrames,                                       // array, most recent call first
  kTraceFrameFilename,                                     // TraceFilenameKind
  kTraceFrameLine,
  kCount
};
// clang-format on
inline constexpr std::size_t kFieldCount = static_cast<std::size_t>(Field::kCount);
inline constexpr std::size_t kStructCount = static_cast<std::size_t>(Struct::kCount);

}  // namespace memspy::cpython
