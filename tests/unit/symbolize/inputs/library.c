/* A library with one of everything that memspy looks for in a libpython. */
int memspy_exported_data = 42;
int memspy_exported_bss[4096];
static int memspy_local_data = 7;
extern int memspy_undefined_elsewhere __attribute__((weak));
__thread int memspy_thread_local = 3;

/* As CPython 3.10+ places _PyRuntime. */
__attribute__((section(".PyRuntime"), used)) int memspy_runtime[16] = {1};

int memspy_exported_function(int x) { return x + memspy_local_data++; }
int* memspy_local_address(void) { return &memspy_local_data; }
