/* A program that is no Python interpreter, with one inside: runs the script that it is given. */
#include <Python.h>
#include <stdio.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  config.parse_argv = 0;
  PyStatus status = PyConfig_SetBytesArgv(&config, argc - 1, argv + 1);
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status)) Py_ExitStatusException(status);
  FILE* script = fopen(argv[1], "r");
  if (!script) return 3;
  int code = PyRun_SimpleFileEx(script, argv[1], 1);
  Py_FinalizeEx();
  return code ? 1 : 0;
}
