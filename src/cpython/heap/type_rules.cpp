#include "cpython/heap/type_rules.h"

namespace memspy::cpython {
namespace {

constexpr KnownType kKnown[] = {
    {"type", "PyType_Type", TypeRule::kType},
    {"object", "PyBaseObject_Type", TypeRule::kObject},
    {"dict", "PyDict_Type", TypeRule::kDict},
    {"frozendict", "PyFrozenDict_Type", TypeRule::kDict},  // 3.15
    {"collections.OrderedDict", "PyODict_Type", TypeRule::kOrderedDict, Struct::kOrderedDict},
    {"list", "PyList_Type", TypeRule::kList},
    {"tuple", "PyTuple_Type", TypeRule::kTuple},
    {"set", "PySet_Type", TypeRule::kSet},
    {"frozenset", "PyFrozenSet_Type", TypeRule::kSet},
    {"str", "PyUnicode_Type", TypeRule::kUnicode},
    {"bytes", "PyBytes_Type", TypeRule::kBytes},
    {"bytearray", "PyByteArray_Type", TypeRule::kByteArray},
    {"int", "PyLong_Type", TypeRule::kLong},
    {"float", "PyFloat_Type", TypeRule::kFloat},
    {"complex", "PyComplex_Type", TypeRule::kComplex},
    {"NoneType", "_PyNone_Type", TypeRule::kNone},
    {"NotImplementedType", "_PyNotImplemented_Type", TypeRule::kNone},
    {"ellipsis", "PyEllipsis_Type", TypeRule::kNone},
    {"function", "PyFunction_Type", TypeRule::kFunction},
    {"code", "PyCode_Type", TypeRule::kCode},
    {"cell", "PyCell_Type", TypeRule::kCell},
    {"method", "PyMethod_Type", TypeRule::kMethod},
    {"builtin_function_or_method", "PyCFunction_Type", TypeRule::kBuiltin},
    {"builtin_method", "PyCMethod_Type", TypeRule::kBuiltin},
    {"module", "PyModule_Type", TypeRule::kModule},
    {"frame", "PyFrame_Type", TypeRule::kFrame},
    {"generator", "PyGen_Type", TypeRule::kGenerator},
    {"coroutine", "PyCoro_Type", TypeRule::kGenerator},
    {"async_generator", "PyAsyncGen_Type", TypeRule::kGenerator},
    {"weakref", "_PyWeakref_RefType", TypeRule::kWeakref},
    {"weakref.ReferenceType", "_PyWeakref_RefType", TypeRule::kWeakref},
    {"weakproxy", "_PyWeakref_ProxyType", TypeRule::kWeakref},
    {"weakref.ProxyType", "_PyWeakref_ProxyType", TypeRule::kWeakref},
    {"weakcallableproxy", "_PyWeakref_CallableProxyType", TypeRule::kWeakref},
    {"weakref.CallableProxyType", "_PyWeakref_CallableProxyType", TypeRule::kWeakref},
    {"property", "PyProperty_Type", TypeRule::kProperty},
    {"staticmethod", "PyStaticMethod_Type", TypeRule::kStaticMethod},
    {"classmethod", "PyClassMethod_Type", TypeRule::kClassMethod},
    {"method_descriptor", "PyMethodDescr_Type", TypeRule::kDescriptor},
    {"member_descriptor", "PyMemberDescr_Type", TypeRule::kDescriptor},
    {"getset_descriptor", "PyGetSetDescr_Type", TypeRule::kDescriptor},
    {"wrapper_descriptor", "PyWrapperDescr_Type", TypeRule::kDescriptor},
    {"classmethod_descriptor", "PyClassMethodDescr_Type", TypeRule::kDescriptor},
    {"slice", "PySlice_Type", TypeRule::kSlice},
    {"range", "PyRange_Type", TypeRule::kRange},
    {"memoryview", "PyMemoryView_Type", TypeRule::kMemoryView},
    {"managedbuffer", "_PyManagedBuffer_Type", TypeRule::kManagedBuffer},
    {"BaseException", "", TypeRule::kException},
    {"traceback", "PyTraceBack_Type", TypeRule::kTraceback},
    {"mappingproxy", "PyDictProxy_Type", TypeRule::kMappingProxy},
    {"super", "PySuper_Type", TypeRule::kSuper},
    {"types.UnionType", "_PyUnion_Type", TypeRule::kUnion},
    {"typing.Union", "_PyUnion_Type", TypeRule::kUnion},
    {"PyCapsule", "PyCapsule_Type", TypeRule::kCapsule},
    {"iterator", "PySeqIter_Type", TypeRule::kIterator},
    {"callable_iterator", "PyCallIter_Type", TypeRule::kIterator},
    {"list_iterator", "PyListIter_Type", TypeRule::kIterator},
    {"list_reverseiterator", "PyListRevIter_Type", TypeRule::kIterator},
    {"tuple_iterator", "PyTupleIter_Type", TypeRule::kIterator},
    {"dict_keyiterator", "PyDictIterKey_Type", TypeRule::kIterator},
    {"dict_valueiterator", "PyDictIterValue_Type", TypeRule::kIterator},
    {"dict_itemiterator", "PyDictIterItem_Type", TypeRule::kIterator},
    {"set_iterator", "PySetIter_Type", TypeRule::kIterator},
    {"enumerate", "PyEnum_Type", TypeRule::kIterator},
    {"reversed", "PyReversed_Type", TypeRule::kIterator},
    {"zip", "PyZip_Type", TypeRule::kIterator},
    {"map", "PyMap_Type", TypeRule::kIterator},
    {"filter", "PyFilter_Type", TypeRule::kIterator},
    {"collections.deque", "", TypeRule::kDeque, Struct::kDeque},
    {"collections.defaultdict", "", TypeRule::kDefaultDict, Struct::kDefaultDict},
    {"functools.partial", "", TypeRule::kPartial, Struct::kPartial},
    {"functools._lru_cache_wrapper", "", TypeRule::kLruCache, Struct::kLruCache},
    {"_asyncio.Task", "", TypeRule::kTask, Struct::kTask},
    {"_asyncio.Future", "", TypeRule::kFuture, Struct::kFuture},
    {"numpy.ndarray", "", TypeRule::kNdarray},
};

struct KnownBuffer {
  std::string_view name;
  BufferRule rule;
};
constexpr KnownBuffer kBuffers[] = {
    {"array.array", BufferRule::kArray},
    {"_io.BytesIO", BufferRule::kBytesIo},
    {"_io.StringIO", BufferRule::kStringIo},
    {"_io.BufferedReader", BufferRule::kBuffered},
    {"_io.BufferedWriter", BufferRule::kBuffered},
    {"_io.BufferedRandom", BufferRule::kBuffered},
    {"Struct", BufferRule::kStruct},
    {"_struct.Struct", BufferRule::kStruct},
    {"decimal.Decimal", BufferRule::kDecimal},
    {"_ctypes._CData", BufferRule::kCData},
    {"_queue.SimpleQueue", BufferRule::kRing},
};

}  // namespace

std::span<const KnownType> known_types() { return kKnown; }

BufferRule buffer_rule_of(std::string_view tp_name) {
  for (const KnownBuffer& known : kBuffers) {
    if (known.name == tp_name) return known.rule;
  }
  return BufferRule::kNone;
}

}  // namespace memspy::cpython
