// C++ takes the headers.
#include "tests/api/header_test.h"

int main() { return use_of_headers(); }
