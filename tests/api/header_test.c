/* C99 without extensions takes the headers. */
#include "tests/api/header_test.h"

int main(void) { return use_of_headers(); }
