/* A C extension that allocates: make(n) is a list of n new bytes objects. Built with debug information by the tests. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static __attribute__((noinline)) PyObject *make_row(Py_ssize_t number) {
  PyObject *row = PyBytes_FromStringAndSize(NULL, 64 + number % 8); /* allocates */
  if (row) PyBytes_AS_STRING(row)[0] = (char)number;
  return row;
}

static PyObject *make(PyObject *module, PyObject *argument) {
  const Py_ssize_t count = PyLong_AsSsize_t(argument);
  PyObject *rows = PyList_New(0);
  (void)module;
  for (Py_ssize_t number = 0; rows && number < count; ++number) {
    PyObject *row = make_row(number); /* calls */
    if (!row || PyList_Append(rows, row) < 0) Py_CLEAR(rows);
    Py_XDECREF(row);
  }
  return rows;
}

static PyMethodDef methods[] = {{"make", make, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "rows", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_rows(void) { return PyModule_Create(&definition); }
