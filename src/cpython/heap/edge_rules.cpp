#include "cpython/heap/edge_rules.h"

namespace memspy::cpython {
namespace {

using enum TypeRule;
constexpr EdgeKind kInternal = EdgeKind::kInternal;

// Where Python has a name for a field the edge is an attribute of that name.
constexpr RuleField kFields[] = {
    {kFunction, Field::kFunctionCode, "__code__"},
    {kFunction, Field::kFunctionGlobals, "__globals__"},
    {kFunction, Field::kFunctionBuiltins, "__builtins__"},
    {kFunction, Field::kFunctionModule, "__module__"},
    {kFunction, Field::kFunctionDefaults, "__defaults__"},
    {kFunction, Field::kFunctionKwDefaults, "__kwdefaults__"},
    {kFunction, Field::kFunctionClosure, "__closure__"},
    {kFunction, Field::kFunctionDoc, "__doc__"},
    {kFunction, Field::kFunctionName, "__name__"},
    {kFunction, Field::kFunctionQualname, "__qualname__"},
    {kFunction, Field::kFunctionDict, "__dict__", EdgeKind::kDict},
    {kFunction, Field::kFunctionAnnotations, "__annotations__"},
    {kFunction, Field::kFunctionAnnotate, "__annotate__"},
    {kFunction, Field::kFunctionTypeParams, "__type_params__"},
    {kCode, Field::kCodeConsts, "co_consts"},
    {kCode, Field::kCodeNames, "co_names"},
    {kCode, Field::kCodeExceptionTable, "co_exceptiontable"},
    {kCode, Field::kCodeFilename, "co_filename"},
    {kCode, Field::kCodeName, "co_name"},
    {kCode, Field::kCodeQualname, "co_qualname"},
    {kCode, Field::kCodeLineTable, "co_linetable"},
    {kCode, Field::kCodeVarNames, "co_varnames"},
    {kCode, Field::kCodeCellVars, "co_cellvars"},
    {kCode, Field::kCodeFreeVars, "co_freevars"},
    {kCode, Field::kCodeLocalsPlusNames, "localsplusnames", kInternal},
    {kCode, Field::kCodeLocalsPlusKinds, "localspluskinds", kInternal},
    {kCode, Field::kCodeBytecode, "co_code"},
    {kCode, Field::kCodeCachedCode, "co_code"},
    {kCell, Field::kCellContents, "cell_contents", EdgeKind::kContents},
    {kMethod, Field::kMethodFunction, "__func__"},
    {kMethod, Field::kMethodSelf, "__self__"},
    {kBuiltin, Field::kBuiltinSelf, "__self__"},
    {kBuiltin, Field::kBuiltinModule, "__module__"},
    {kBuiltin, Field::kBuiltinMethodClass, "class", kInternal},
    {kModule, Field::kModuleDict, "__dict__", EdgeKind::kDict},
    {kModule, Field::kModuleName, "name", kInternal},
    {kByteArray, Field::kByteArrayObject, "bytes", kInternal},
    {kWeakref, Field::kWeakrefObject, "referent", kInternal, true},
    {kWeakref, Field::kWeakrefCallback, "__callback__"},
    {kProperty, Field::kPropertyGet, "fget"},
    {kProperty, Field::kPropertySet, "fset"},
    {kProperty, Field::kPropertyDel, "fdel"},
    {kProperty, Field::kPropertyDoc, "__doc__"},
    {kProperty, Field::kPropertyName, "__name__"},
    {kStaticMethod, Field::kStaticMethodCallable, "__func__"},
    {kStaticMethod, Field::kStaticMethodDict, "__dict__", EdgeKind::kDict},
    {kClassMethod, Field::kClassMethodCallable, "__func__"},
    {kClassMethod, Field::kClassMethodDict, "__dict__", EdgeKind::kDict},
    {kDescriptor, Field::kDescriptorType, "__objclass__"},
    {kDescriptor, Field::kDescriptorName, "__name__"},
    {kDescriptor, Field::kDescriptorQualname, "__qualname__"},
    {kSlice, Field::kSliceStart, "start"},
    {kSlice, Field::kSliceStop, "stop"},
    {kSlice, Field::kSliceStep, "step"},
    {kRange, Field::kRangeStart, "start"},
    {kRange, Field::kRangeStop, "stop"},
    {kRange, Field::kRangeStep, "step"},
    {kRange, Field::kRangeLength, "length", kInternal},
    {kSuper, Field::kSuperType, "__thisclass__"},
    {kSuper, Field::kSuperObject, "__self__"},
    {kSuper, Field::kSuperObjectType, "__self_class__"},
    {kMappingProxy, Field::kMappingProxyMapping, "mapping", kInternal},
    // view.obj of a memoryview is borrowed from its managed buffer.
    {kMemoryView, Field::kMemoryViewManagedBuffer, "buffer", kInternal},
    {kManagedBuffer, Field::kManagedBufferObject, "obj"},
    {kDefaultDict, Field::kDefaultDictFactory, "default_factory"},
    {kOrderedDict, Field::kOrderedDictInstanceDict, "__dict__", EdgeKind::kDict},
    {kPartial, Field::kPartialFunction, "func"},
    {kPartial, Field::kPartialArgs, "args"},
    {kPartial, Field::kPartialKeywords, "keywords"},
    {kPartial, Field::kPartialDict, "__dict__", EdgeKind::kDict},
    {kLruCache, Field::kLruCacheFunction, "__wrapped__"},
    {kLruCache, Field::kLruCacheCache, "cache", kInternal},
    {kLruCache, Field::kLruCacheMaxSizeObject, "maxsize", kInternal},
    {kLruCache, Field::kLruCacheInfoType, "cache_info type", kInternal},
    {kLruCache, Field::kLruCacheDict, "__dict__", EdgeKind::kDict},
    {kException, Field::kExceptionDict, "__dict__", EdgeKind::kDict},
    {kException, Field::kExceptionArgs, "args"},
    {kException, Field::kExceptionNotes, "__notes__"},
    {kException, Field::kExceptionTraceback, "__traceback__"},
    {kException, Field::kExceptionContext, "__context__"},
    {kException, Field::kExceptionCause, "__cause__"},
    {kTraceback, Field::kTracebackNext, "tb_next"},
    {kTraceback, Field::kTracebackFrame, "tb_frame"},
    {kGenerator, Field::kGeneratorFrame, "gi_frame"},
    {kGenerator, Field::kGeneratorCode, "gi_code"},
    {kGenerator, Field::kGeneratorName, "__name__"},
    {kGenerator, Field::kGeneratorQualname, "__qualname__"},
    {kFrame, Field::kFrameObjectTrace, "f_trace"},
    {kFrame, Field::kFrameObjectBack, "f_back"},
    {kFrame, Field::kFrameObjectExceptionType, "exception type", kInternal},
    {kFrame, Field::kFrameObjectExceptionValue, "exception", kInternal},
    {kFrame, Field::kFrameObjectExceptionTraceback, "traceback", kInternal},
    {kFrame, Field::kFrameObjectExtraLocals, "extra locals", kInternal},
    {kFrame, Field::kFrameObjectLocalsCache, "locals cache", kInternal},
    {kFrame, Field::kFrameObjectOverwrittenLocals, "overwritten locals", kInternal},
    {kType, Field::kTypeDict, "__dict__", EdgeKind::kDict},
    {kType, Field::kTypeBases, "__bases__"},
    {kType, Field::kTypeBase, "__base__"},
    {kType, Field::kTypeMro, "__mro__"},
    {kType, Field::kTypeCache, "cache", kInternal},
};

struct RuleBody {
  TypeRule rule;
  EdgeBody body;
  const char* label;
};
constexpr RuleBody kBodies[] = {
    {kObject, EdgeBody::kNone, "object rule"},
    {kType, EdgeBody::kType, "type rule"},
    {kDict, EdgeBody::kDict, "dict rule"},
    {kDefaultDict, EdgeBody::kDict, "dict rule"},
    {kOrderedDict, EdgeBody::kOrderedDict, "ordered dict rule"},
    {kList, EdgeBody::kList, "list rule"},
    {kTuple, EdgeBody::kTuple, "tuple rule"},
    {kSet, EdgeBody::kSet, "set rule"},
    {kDeque, EdgeBody::kDeque, "deque rule"},
    {kFunction, EdgeBody::kFunction, "function rule"},
    {kCode, EdgeBody::kCode, "code rule"},
    {kFrame, EdgeBody::kFrame, "frame rule"},
    {kGenerator, EdgeBody::kGenerator, "generator rule"},
    {kLruCache, EdgeBody::kLruCache, "lru_cache rule"},
    {kModule, EdgeBody::kModule, "module rule"},
    {kNdarray, EdgeBody::kNdarray, "ndarray rule"},
    {kUnicode, EdgeBody::kNone, "no references"},
    {kBytes, EdgeBody::kNone, "no references"},
    {kLong, EdgeBody::kNone, "no references"},
    {kFloat, EdgeBody::kNone, "no references"},
    {kComplex, EdgeBody::kNone, "no references"},
    {kNone, EdgeBody::kNone, "no references"},
    {kCapsule, EdgeBody::kCapsule, "capsule rule"},
};

}  // namespace

EdgeBody body_of_name(std::string_view c_name) {
  if (c_name == "xml.etree.ElementTree.Element") return EdgeBody::kElement;
  if (c_name == "itertools._tee_dataobject" || c_name == "itertools.teedataobject") {
    return EdgeBody::kTeeData;
  }
  if (c_name == "_queue.SimpleQueue") return EdgeBody::kRing;
  return EdgeBody::kNone;
}

std::span<const RuleField> rule_fields() { return kFields; }

EdgeBody body_of(TypeRule rule) {
  for (const RuleBody& entry : kBodies) {
    if (entry.rule == rule) return entry.body;
  }
  return EdgeBody::kNone;
}

const char* rule_label(TypeRule rule) {
  for (const RuleBody& entry : kBodies) {
    if (entry.rule == rule) return entry.label;
  }
  for (const RuleField& entry : kFields) {
    if (entry.rule == rule) return "fields";
  }
  return nullptr;
}

}  // namespace memspy::cpython
