/* Prints the addresses of its own symbols, says so by a newline, and waits for its stdin to close. */
#include <stdio.h>

extern int memspy_exported_data;
extern int memspy_exported_bss[];
extern int memspy_runtime[];
extern int memspy_exported_function(int);
extern int* memspy_local_address(void);

int memspy_program_data = 5;
int memspy_program_bss[70000];

int main(void) {
  printf("%p %p %p %p %p %p %p %p\n", (void*)&memspy_program_data, (void*)memspy_program_bss,
         (void*)main, (void*)&memspy_exported_data, (void*)memspy_exported_bss,
         (void*)memspy_runtime, (void*)memspy_exported_function, (void*)memspy_local_address());
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0;
}
